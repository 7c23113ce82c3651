"""A Python that will not do is told so, with the command that helps; also by that Python itself, where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from modules.setup import interpreter

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 9), (3, 13, 1)])
def test_tested_versions_pass(version: tuple[int, int, int]):
    assert interpreter.problem(version) == ""


@pytest.mark.parametrize("version", [(3, 10, 12), (3, 8, 1), (3, 14, 0), (2, 7, 18)])
def test_others_are_refused_with_a_way_out(version: tuple[int, int, int]):
    text = interpreter.problem(version, find=lambda name: None)
    assert f"This is Python {version[0]}.{version[1]};" in text
    assert "Install Python 3.12" in text


def test_a_good_python_on_the_machine_is_named():
    text = interpreter.problem((3, 9, 1), find=lambda name: "/usr/bin/" + name if name == "python3.13" else None)
    assert "python3.13 launch.py" in text


def _old_pythons() -> list[str]:
    places = [shutil.which(f"python3.{n}") for n in (7, 8, 9, 10)]
    places += [str(p) for p in Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.[789].*/bin/python")]
    return [p for p in places if p and subprocess.run([p, "-c", ""], capture_output=True, check=False).returncode == 0]


def test_an_old_python_can_read_launch_and_say_so():
    old = _old_pythons()
    if not old:
        pytest.skip("there is no Python older than 3.11 on this machine")
    done = subprocess.run([old[0], "-E", "-B", "launch.py"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "the program needs Python 3.11" in done.stderr
    assert "Traceback" not in done.stderr
