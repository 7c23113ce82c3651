"""The report: complete, without secrets, and alive when a driver or a package is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modules.cli.doctor import main
from modules.flags import Flags
from modules.folders import PROGRAM
from modules.machine import doctor


def test_the_real_report(data_dir: Path):
    command = [
        sys.executable,
        str(PROGRAM / "launch.py"),
        "doctor",
        "--data-dir",
        str(data_dir),
        "--gradio-auth",
        "me:geheim",
        "--api-auth=you:geheim",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in (
        "## Program",
        "Python 3.",
        "torch 2.",
        "cpu: ",
        "float32",
        "## Network",
        "darkroom-starter",
        "--gradio-auth (set)",
        "none found",
    ):
        assert part in done.stdout
    assert "geheim" not in done.stdout + done.stderr


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The answers of the two child processes, to be changed by a test."""
    answers: dict[str, Any] = {
        "devices": {"devices": [], "diagnoses": [], "error": ""},
        "inventory": {"models": ["m"], "refused": [], "settings": {"n_rows": 3}, "notices": [], "folders": {"data": str(Path.home())}},
    }
    monkeypatch.setattr(doctor, "probe_in_child", lambda: answers["devices"])
    monkeypatch.setattr(doctor, "_inventory", lambda flags: answers["inventory"])
    return answers


def report(capsys: pytest.CaptureFixture[str], flags: Flags | None = None) -> tuple[int, str]:
    return main(flags or Flags()), capsys.readouterr().out


def test_changed_settings_are_named_and_the_home_folder_is_not(quick: dict[str, Any], capsys: pytest.CaptureFixture[str]):
    _, text = report(capsys)
    assert "setting n_rows = 3" in text
    assert "data: ~" in text


def test_a_crash_of_a_driver_is_a_line_of_the_report(quick: dict[str, Any], capsys: pytest.CaptureFixture[str]):
    quick["devices"]["error"] = "trying the devices ended the process (signal 11)"
    code, text = report(capsys)
    assert code == 1
    assert "signal 11" in text.partition("## Problems")[2]


def test_a_diagnosis_is_a_problem(quick: dict[str, Any], capsys: pytest.CaptureFixture[str]):
    quick["devices"]["diagnoses"] = ["Driver too old: update it."]
    assert "Driver too old" in report(capsys)[1].partition("## Problems")[2]


def test_missing_packages_are_named_with_the_command(
    quick: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(doctor.environment, "compare", lambda path: (["torch==2.15.0"], []))
    code, text = report(capsys)
    assert code == 1
    assert "Packages are missing: torch==2.15.0. `python launch.py --exit` installs them." in text


def test_a_section_that_fails_does_not_end_the_report(
    quick: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(doctor, "machine", lambda flags, problems: 1 / 0)
    code, text = report(capsys)
    assert code == 1
    assert "cannot be told: ZeroDivisionError" in text
    assert "## Worker's log" in text


def test_it_runs_on_a_bare_python(data_dir: Path):
    """Without any package: the report says so and comes to its end."""
    code = f"import sys; sys.path.insert(0, {str(PROGRAM)!r}); sys.argv = ['launch.py', 'doctor']; import launch; "
    code += f"sys.exit(launch.doctor(launch.parse(['doctor', '--data-dir', {str(data_dir)!r}])))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert "Packages are missing" in done.stdout
    assert "Traceback" not in done.stderr
