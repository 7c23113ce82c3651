"""What extensions want installed: looked at without installing, judged against the tested set, then done."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.folders import Folders
from modules.plugins import needs, setting_up
from modules.plugins.steward import Steward
from modules.settings import SettingsStore

LOCK = {"numpy": "2.4.6", "torch": "2.15.0"}


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders.at(tmp_path / "data")


def extension(tmp_path: Path, install: str = "", requirements: str | None = None) -> Path:
    folder = tmp_path / "wheel"
    (folder / "scripts").mkdir(parents=True)
    (folder / "install.py").write_text(install)
    if requirements is not None:
        (folder / "requirements.txt").write_text(requirements)
    return folder


@pytest.mark.parametrize(
    ("wish", "where"),
    [
        ("numpy", "here"),
        ("numpy>=2", "here"),
        ("numpy==2.4.6", "here"),
        ("NumPy<2", "refused"),
        ("torch @ https://example.org/torch.whl", "refused"),
        ("git+https://example.org/x.git", "refused"),
        ("wheel-of-nobody>=1", "install"),
        ("wheel-of-nobody; python_version < '3'", ""),
        ("pytest", "here"),
    ],
)
def test_a_wish_is_judged(wish: str, where: str):
    verdict = needs.judge([wish], LOCK)
    assert {name for name in ("install", "here", "refused") if getattr(verdict, name)} == ({where} if where else set())


def test_a_refusal_names_both_versions():
    assert needs.judge(["numpy<2"], LOCK).refused == {"numpy<2": "numpy <2 is wanted; this program works with numpy 2.4.6 and keeps it"}


def test_the_lock_holds_what_the_tested_set_stands_on():
    lock = needs.locked()
    assert lock["torch"]
    assert lock["gradio"]
    assert lock["typing-extensions"] == needs.installed("typing_extensions")


def test_words_of_pip(tmp_path: Path):
    (tmp_path / "more.txt").write_text("# a note\nalpha>=1  # why\n-r inner.txt\n")
    (tmp_path / "inner.txt").write_text("-r more.txt\nbeta\n")
    assert needs.of_command("install -U -r more.txt 'gamma >= 2'", tmp_path) == ["alpha>=1", "beta", "gamma >= 2"]
    for command in ("uninstall torch", "install --index-url https://example.org x", "install 'x"):
        assert needs.of_command(command, tmp_path) == [command]
        assert needs.judge([command], LOCK).refused


def test_install_py_is_looked_at_without_installing(folders: Folders, tmp_path: Path):
    code = """
import launch, os
from modules import paths
from modules.launch_utils import is_installed
if not launch.is_installed("pytest"): launch.run_pip("install never", "never")
if not is_installed("wheel-of-nobody"): launch.run_pip("install wheel-of-nobody==1.0", "requirement")
open(os.path.join(paths.extensions_dir, "..", "mark"), "a").write("x")
launch.run("make everything")
"""
    folders.data.mkdir(parents=True)
    (folders.data / "extensions").mkdir()
    outlook = setting_up.look(extension(tmp_path, code, "numpy<1\n"), folders)
    assert outlook.verdict.install == ["wheel-of-nobody==1.0"]
    assert list(outlook.verdict.refused) == ["numpy<1"]
    assert outlook.said == ["it runs a program: make everything"]


def test_pip_called_past_launch_is_written_down_and_not_run(folders: Folders, tmp_path: Path):
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pip', 'install', 'wheel-of-nobody'])\n"
    outlook = setting_up.look(extension(tmp_path, code), folders)
    assert outlook.verdict.install == ["wheel-of-nobody"]
    assert needs.installed("wheel-of-nobody") == ""


def test_nothing_happens_when_the_tested_set_would_change(folders: Folders, tmp_path: Path):
    steward = Steward(folders, SettingsStore(folders.config_file), {})
    folder = extension(tmp_path, "open(__file__ + '.ran', 'w')", "numpy<1\npillow<2\n")
    name, notes = steward.install(str(folder), print)
    assert "off until you set it up" in notes[0]
    assert not steward.named(name).enabled
    with pytest.raises(setting_up.ExtensionFault, match=r"numpy <1 is wanted; this program works with numpy 2\.\S+ and keeps it.*pillow"):
        steward.set_up(name, print)
    assert not steward.named(name).enabled


def test_an_extension_that_wants_nothing_more_is_set_up(folders: Folders, tmp_path: Path):
    steward = Steward(folders, SettingsStore(folders.config_file), {})
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', \"open('done','w')\"], cwd=__file__.rpartition('/')[0])\n"
    name, _ = steward.install(str(extension(tmp_path, code, "pytest\n")), print)
    assert steward.set_up(name, print) == []
    assert (steward.named(name).folder / "done").is_file()
    assert steward.named(name).enabled


def test_an_install_py_that_fails_says_where(folders: Folders, tmp_path: Path):
    outlook = setting_up.look(extension(tmp_path, "x = 1\n1 / 0\n"), folders)
    assert outlook.fault == "ZeroDivisionError: division by zero (line 2 of install.py)"
