"""Packages from a folder: pip's command lines, and a true install of a wheel made here, with no index at all."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from modules.faults import SetupFault
from modules.setup import environment, wheels

PY = Path("py")
QUIET = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]


def make_wheel(folder: Path, name: str, version: str) -> None:
    """A package with one module, as pip takes it."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: here\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)


def test_the_words_for_this_machine_and_for_another():
    files = [Path("requirements.txt")]
    here = wheels.command_line(PY, Path("W"), files)
    assert here == ["py", "-m", "pip", "wheel", *QUIET, "--wheel-dir", "W", "-r", "requirements.txt"]
    there = wheels.command_line(PY, Path("W"), files, platforms=["win_amd64"], version="3.12")
    aimed = ["--only-binary=:all:", "--platform", "win_amd64", "--python-version", "3.12"]
    assert there == ["py", "-m", "pip", "download", *QUIET, *aimed, "--dest", "W", "-r", "requirements.txt"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    assert environment.from_wheels(None) == []
    with pytest.raises(SetupFault, match=r"nowhere is no folder.*launch\.py wheels"):
        environment.from_wheels(str(tmp_path / "nowhere"))


def test_filled_on_one_machine_and_installed_on_another_without_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "source"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    make_wheel(tmp_path / "source", "darkroom_tiny", "1.2")
    program = tmp_path / "program"
    program.mkdir()
    (program / "requirements.txt").write_text("darkroom-tiny==1.2\n")
    said: list[str] = []
    carried = tmp_path / "carried"
    assert wheels.fill(program, Path(sys.executable), [str(carried)], say=said.append) == 0
    assert said[-1] == f"1 wheel in {carried}. On the other machine: python launch.py --wheels FOLDER"
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    found = environment.ensure(program, wheels=str(carried), say=said.append)
    told = subprocess.run(
        [str(found.python), "-c", "import darkroom_tiny as t; print(t.VERSION)"], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "1.2"
