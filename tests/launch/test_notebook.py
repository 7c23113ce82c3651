"""The notebook's first two cells, carried out with folders of the test in place of Kaggle's: where the program comes from."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.launch.test_elsewhere import cells

Run = Callable[..., list[list[str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Carries out both cells with what a person wrote into the first; returns the commands that were called."""
    called: list[list[str]] = []

    def fake(command: list[str], **options: Any) -> None:
        called.append([*command, *([f"in {options['cwd']}"] if "cwd" in options else [])])

    monkeypatch.setattr(subprocess, "run", fake)

    def carry_out(**written: str) -> list[list[str]]:
        first, second = (source.replace("/kaggle", tmp_path.as_posix()) for source in cells()[:2])
        for name, value in written.items():
            assert f'{name} = ""' in first
            first = first.replace(f'{name} = ""', f"{name} = {value!r}")
        names: dict[str, Any] = {}
        exec(compile(first, "cell 1", "exec"), names)
        exec(compile(second, "cell 2", "exec"), names)
        return called

    return carry_out


def program(folder: Path) -> Path:
    (folder / "modules").mkdir(parents=True)
    (folder / "launch.py").write_text("mine")
    (folder / "outputs").mkdir()
    return folder


def installed(tmp_path: Path) -> list[str]:
    """The one command: the program installs itself in its place."""
    assert (tmp_path / "temp" / "darkroom" / "launch.py").read_text() == "mine"
    assert not (tmp_path / "temp" / "darkroom" / "outputs").exists()
    return [sys.executable, "launch.py", "--exit", f"in {tmp_path}/temp/darkroom"]


def test_an_address_is_cloned(run: Run, tmp_path: Path):
    clone, _ = run(ADDRESS="https://example.org/darkroom.git", RELEASE="0.1.0")
    assert clone == [
        "git", "clone", "--depth", "1", "--branch", "v0.1.0", "https://example.org/darkroom.git", f"{tmp_path}/temp/darkroom",
    ]  # fmt: skip


def test_without_anything_it_says_where_the_address_goes(run: Run):
    with pytest.raises(SystemExit, match=r"There is nothing to install from\. Write the address .* into ADDRESS in cell 1"):
        run()


def test_a_folder_without_the_program_is_named(run: Run, tmp_path: Path):
    (tmp_path / "drive").mkdir()
    with pytest.raises(SystemExit, match=f"There is no program in {tmp_path}/drive"):
        run(FROM=str(tmp_path / "drive"))


def test_an_uploaded_zip_is_found_and_unpacked(run: Run, tmp_path: Path):
    data = tmp_path / "working" / "darkroom-data"
    data.mkdir(parents=True)
    source = program(tmp_path / "made" / "darkroom-0.1.0")
    (source / "modules" / "app.py").write_text("")
    with zipfile.ZipFile(data / "darkroom-0.1.0.zip", "w") as packed:
        for path in source.rglob("*.py"):
            packed.write(path, path.relative_to(source.parent))
    assert run() == [installed(tmp_path)]


def test_a_dataset_or_a_folder_of_the_drive_is_copied(run: Run, tmp_path: Path):
    program(tmp_path / "input" / "my-dataset" / "darkroom")
    assert run() == [installed(tmp_path)]


def test_a_folder_that_is_named_is_taken(run: Run, tmp_path: Path):
    assert run(FROM=str(program(tmp_path / "drive" / "mine"))) == [installed(tmp_path)]
