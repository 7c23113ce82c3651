"""The environment: stamp, resume, skip, an active environment, and what a failed install says. pip is a stub here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from modules.faults import SetupFault
from modules.setup import environment, pip

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stub of Python is a shell script")

STUB = """#!/bin/sh
echo "$@" >> "{calls}"
case "$*" in
  *"pip --version"*) exit 0 ;;
  *"pip install"*)
    echo "Collecting torch==2.15.0"
    echo "  Downloading torch-2.15.0-cp311-cp311-manylinux_2_28_x86_64.whl (812.3 MB)"
    echo "Installing collected packages: mpmath, torch"
    if [ -f "{fail}" ]; then cat "{fail}"; exit 1; fi
    exit 0 ;;
esac
"""


@dataclass
class Place:
    """A program folder with a stub environment. calls(): the pip installs so far."""

    program: Path
    said: list[str]

    @property
    def venv(self) -> Path:
        return self.program / "venv"

    def calls(self) -> list[str]:
        log = self.program / "calls"
        return [line for line in log.read_text().splitlines() if "pip install" in line] if log.exists() else []

    def fail_with(self, text: str | None) -> None:
        path = self.program / "fail"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)

    def ensure(self, **options: bool) -> environment.Environment:
        return environment.ensure(self.program, say=self.said.append, **options)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A bare interpreter (no virtual environment active) and a venv/ whose Python is the stub."""
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    (tmp_path / "requirements.txt").write_text("torch==2.15.0\n")
    (tmp_path / "requirements-test.txt").write_text("pytest==9.2.0\n")
    (tmp_path / "requirements-cluster.txt").write_text("ray==2.60.0\n")
    made = Place(tmp_path, [])

    def make(venv: Path) -> None:
        (venv / "bin").mkdir(parents=True, exist_ok=True)
        (venv / "pyvenv.cfg").write_text("version = 3.11.7\n")
        python = venv / "bin" / "python"
        python.write_text(STUB.format(calls=tmp_path / "calls", fail=tmp_path / "fail"))
        python.chmod(0o755)

    monkeypatch.setattr(environment, "make_venv", make)
    return made


def test_the_first_start_installs_and_the_second_does_not(place: Place):
    found = place.ensure()
    assert (found.own, found.current, found.python) == (True, False, place.venv / "bin" / "python")
    assert len(place.calls()) == 1
    assert "-r requirements.txt" in place.calls()[0]
    began = time.perf_counter()
    place.ensure()
    print(f"\na second start checks for {(time.perf_counter() - began) * 1000:.1f} ms")
    assert len(place.calls()) == 1


def test_progress_is_told_in_words(place: Place):
    place.ensure()
    text = "\n".join(place.said)
    assert "downloading torch 2.15.0 (812 MB)" in text
    assert "unpacking 2 packages" in text
    assert (place.program / "log" / "install.log").read_text().startswith("Collecting torch")


def test_changed_requirements_are_installed(place: Place):
    place.ensure()
    (place.program / "requirements.txt").write_text("torch==2.16.0\n")
    place.ensure()
    assert len(place.calls()) == 2


def test_another_python_in_the_environment_installs_again(place: Place):
    place.ensure()
    (place.venv / "pyvenv.cfg").write_text("version = 3.12.1\n")
    place.ensure()
    assert len(place.calls()) == 2


def test_a_failed_install_is_not_stamped_and_says_pips_error_and_the_repair(place: Place):
    place.fail_with("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n")
    with pytest.raises(SetupFault) as caught:
        place.ensure()
    message = caught.value.message
    assert message.startswith("The disk is full.")
    assert "[Errno 28] No space left on device" in message
    assert f"{place.venv / 'bin' / 'python'} -m pip install -r requirements.txt" in message
    assert not (place.venv / environment.STAMP).exists()
    place.fail_with(None)
    place.ensure()
    assert len(place.calls()) == 2
    assert (place.venv / environment.STAMP).exists()


def test_a_pip_that_was_ended_is_said_to_be(place: Place):
    place.fail_with("")
    environment.make_venv(place.venv)
    python = place.venv / "bin" / "python"
    python.write_text(python.read_text().replace("exit 1", "kill -9 $$"))
    with pytest.raises(SetupFault, match="pip was ended by signal 9"):
        pip.install(python, ["x"], log=place.program / "log", say=place.said.append)


def test_packages_cut_off_while_unpacking_are_unpacked_again(place: Place):
    environment.make_venv(place.venv)
    site = place.venv / "lib" / "python3.11" / "site-packages"
    for name, files in {"whole-1.0": ["METADATA", "INSTALLER", "RECORD"], "cut-1.0": ["METADATA", "RECORD"]}.items():
        info = site / f"{name}.dist-info"
        info.mkdir(parents=True)
        for file in files:
            (info / file).touch()
    place.ensure()
    assert [p.name for p in site.iterdir()] == ["whole-1.0.dist-info"]


def test_a_damaged_stamp_means_installing_again(place: Place):
    place.ensure()
    (place.venv / environment.STAMP).write_text("{half")
    place.ensure()
    assert len(place.calls()) == 2
    assert set(json.loads((place.venv / environment.STAMP).read_text())) == {"requirements.txt"}


def test_tests_need_more_and_do_not_spoil_the_stamp(place: Place):
    place.ensure()
    place.ensure(tests=True)
    place.ensure()
    place.ensure(tests=True)
    wanted = ["requirements.txt", "requirements-test.txt", "requirements-cluster.txt"]
    assert [call.rpartition(" ")[2] for call in place.calls()] == wanted


def test_a_cluster_needs_its_own_set(place: Place):
    place.ensure(cluster=True)
    place.ensure(cluster=True)
    assert [call.rpartition(" ")[2] for call in place.calls()] == ["requirements.txt", "requirements-cluster.txt"]


def test_skip_install_uses_what_is_there_or_says_what_is_not(place: Place):
    with pytest.raises(SetupFault, match="Start once without it"):
        place.ensure(skip_install=True)
    environment.make_venv(place.venv)
    place.ensure(skip_install=True)
    assert place.calls() == []


def test_a_full_disk_is_noticed_before_anything_is_downloaded(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment.checks, "free_bytes", lambda folder: 3 * 2**30)
    with pytest.raises(SetupFault, match=r"3\.0 GiB free and installing the packages needs 12\.0 GiB"):
        place.ensure()
    assert place.calls() == []


def test_no_venv_installs_nothing_and_names_what_is_missing(place: Place):
    (place.program / "requirements.txt").write_text("no-such-package-here==1.0\npytest>=1\n")
    with pytest.raises(SetupFault, match=r"lacks no-such-package-here==1\.0"):
        place.ensure(no_venv=True)
    assert place.calls() == []
    assert not place.venv.exists()


def test_an_active_environment_gets_only_what_is_missing(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "prefix", "/somewhere/env")
    installed: list[list[str]] = []
    monkeypatch.setattr(pip, "install", lambda python, wanted, **rest: installed.append(list(wanted)))
    (place.program / "requirements.txt").write_text("no-such-package-here==1.0\npytest==0.0.1\n")
    found = place.ensure()
    assert (found.own, found.current) == (False, True)
    assert installed == [["no-such-package-here==1.0"]]
    assert any("pytest" in line and "tested: 0.0.1" in line for line in place.said)


def test_a_folder_that_is_no_environment_is_never_removed(tmp_path: Path):
    mine = tmp_path / "venv"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(SetupFault, match="not a virtual environment"):
        environment.make_venv(mine)
    assert (mine / "thesis.txt").exists()


@pytest.mark.slow
def test_a_real_environment_in_place_of_a_broken_one(tmp_path: Path):
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    (venv / "bin" / "python").symlink_to("/nonexistent/python")
    assert not environment._works(venv / "bin" / "python")
    environment.make_venv(venv)
    assert environment._works(venv / "bin" / "python")
    done = subprocess.run([environment.python_of(venv), "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == venv


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  Downloading torch-2.15.0-cp311-cp311-manylinux_2_28_x86_64.whl (812.3 MB)", "downloading torch 2.15.0 (812 MB)"),
        ("Downloading nvidia_cublas-13.4.1.3-py3-none-manylinux_2_27_x86_64.whl (423 MB)", "downloading nvidia-cublas 13.4.1.3 (423 MB)"),
        ("Downloading https://index/x/torch-2.15.0-cp313-cp313-win_amd64.whl (1.2 GB)", "downloading torch 2.15.0 (1200 MB)"),
        ("  Downloading idna-3.20-py3-none-any.whl (70 kB)", None),
        ("Requirement already satisfied: numpy in ./venv", None),
        ("Installing collected packages: a, b, c", "unpacking 3 packages; this takes a minute or two"),
        ("  Building wheel for controlnet-aux (pyproject.toml): started", "building controlnet-aux"),
    ],
)
def test_pips_lines_in_human_words(line: str, words: str | None):
    assert pip.human(line) == words


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("WARNING: Retrying after connection broken by 'NewConnectionError: Failed to establish a new connection'", "no connection"),
        ("ERROR: No matching distribution found for torch==2.15.0", "no build for this Python"),
        ("error: externally-managed-environment", "belongs to the system"),
        ("something nobody has seen", "could not be installed"),
    ],
)
def test_known_failures_have_advice(said: str, advice: str):
    text = pip.explain([said], ["/my env/bin/python", "-m", "pip", "install", "--no-input", "-r", "requirements.txt"])
    assert advice in text.splitlines()[0]
    assert said in text
    assert '"/my env/bin/python" -m pip install -r requirements.txt' in text
