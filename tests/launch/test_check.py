"""`python launch.py check`: every tool runs, also after one has failed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from modules.setup import rings

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stub of Python is a shell script")


@pytest.mark.parametrize(
    ("broken", "code", "last"),
    [("", 0, "all checks passed"), ("ruff", 1, "failed: ruff check, ruff format"), ("pyright", 1, "failed: pyright")],
)
def test_all_tools_run_and_the_failed_ones_are_named(tmp_path: Path, broken: str, code: int, last: str):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$2" >> {tmp_path}/calls\n[ "$2" != "{broken}" ]\n')
    python.chmod(0o755)
    said: list[str] = []
    assert rings.check(tmp_path, python, ["-x"], say=said.append) == code
    assert (tmp_path / "calls").read_text().split() == ["ruff", "ruff", "pyright", "pytest"]
    assert said[-1].strip() == last


def test_ci_runs_the_same_command_as_a_person():
    script = Path(__file__).parents[2] / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert script.read_text().strip().endswith("python3 launch.py test")
