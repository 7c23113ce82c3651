"""`launch.py extensions`: what it prints, what it asks, and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.cli.extensions import main
from modules.flags import Flags


def call(data: Path, *words: str) -> int:
    return main(Flags(data_dir=str(data)), words)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "Wheel" / "scripts").mkdir(parents=True)
    (tmp_path / "Wheel" / "scripts" / "wheel.py").write_text("")
    return tmp_path / "Wheel"


def test_the_life_of_an_extension(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]):
    data = tmp_path / "data"
    assert call(data, "install", str(source)) == 0
    assert capsys.readouterr().out == "Wheel\n"
    assert call(data, "disable", "wheel") == 0
    assert call(data, "list") == 0
    assert "Wheel  (a folder)  off: it is switched off in the settings" in capsys.readouterr().out
    assert call(data, "enable", "wheel") == 0
    assert call(data, "remove", "wheel") == 0
    place = capsys.readouterr().out
    assert call(data, "restore") == 0
    assert capsys.readouterr().out == place
    assert call(data, "restore", place.strip()) == 0
    assert (data / "extensions" / "Wheel" / "scripts").is_dir()
    assert call(data, "update") == 0


def test_an_install_py_is_not_run_without_being_asked_for(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]):
    (source / "install.py").write_text("open(__file__ + '.ran', 'w')\n")
    assert call(tmp_path / "data", "install", str(source)) == 1
    assert "setup Wheel --yes" in capsys.readouterr().err
    own = tmp_path / "data" / "extensions" / "Wheel"
    assert not (own / "install.py.ran").exists()
    assert call(tmp_path / "data", "setup", "Wheel", "--yes") == 0
    assert (own / "install.py.ran").exists()


@pytest.mark.parametrize("words", [("wrong",), ("install",), ("remove", "nobody"), ("install", "x", "--no-such"), ("install", "no/such")])
def test_wrong_words_end_with_2(tmp_path: Path, words: tuple[str, ...]):
    assert call(tmp_path, *words) == 2
