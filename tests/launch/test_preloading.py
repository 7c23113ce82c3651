"""Flags of extensions: found before the command line is read, kept apart from the program's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modules.flags import TAKES_REST, Flags, parse, spelling, table
from modules.setup import preloading

OWN = {spelling(item.name) for item in table()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    files = {
        "wheel": """
import os
from modules import paths
from modules.paths_internal import extensions_dir
def preload(parser):
    parser.add_argument("--wheel-dir", type=str, help="where wheels lie", default=os.path.join(paths.models_path, "wheel"))
    group = parser.add_argument_group("wheel")
    group.add_argument("--wheel-count", type=int, default=3, required=True)
    group.add_argument("--port", type=int, default=1)
    parser.add_argument("word")
    parser.add_argument("--wheel-off", action="store_true")
""",
        "broken": "def preload(parser):\n    raise ValueError('no')\n",
        "off": "def preload(parser):\n    parser.add_argument('--off')\n",
    }
    for name, text in files.items():
        (tmp_path / "extensions" / name).mkdir(parents=True)
        (tmp_path / "extensions" / name / "preload.py").write_text(text)
    (tmp_path / "config.json").write_text(json.dumps({"disabled_extensions": ["off"]}))
    return tmp_path


def read(data: Path, *words: str) -> tuple[preloading.Preloaded, Flags]:
    found = preloading.read(["--data-dir", str(data), *words], OWN, TAKES_REST)
    return found, parse(found.argv, found.values)


def test_flags_of_extensions_reach_the_flags(data: Path):
    found, flags = read(data, "--port", "8000", "--wheel-count=5", "--wheel-off", "--lowvram")
    assert flags.port == 8000
    assert flags.lowvram
    assert flags.to_data()["wheel_count"] == 5
    assert flags.to_data()["wheel_off"] is True
    assert flags.to_data()["wheel_dir"] == str(data / "models" / "wheel")
    assert flags.to_data()["port"] == 8000
    assert found.warnings == ["The flags of the extension broken were passed over: ValueError: no"]
    assert any("--wheel-dir" in line and "where wheels lie" in line for line in found.help)
    assert "off" not in flags.guests


def test_the_words_of_a_command_are_its_own(data: Path):
    _, flags = read(data, "txt2img", "--wheel-count", "5")
    assert flags.rest == ("--wheel-count", "5")
    assert flags.guests["wheel_count"] == 3


def test_a_wrong_value_ends_as_a_wrong_flag_does(data: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        read(data, "--wheel-count", "many")
    assert ended.value.code == 2
    assert "--wheel-count" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--safe-mode", "--disable-all-extensions", "--disable-extra-extensions"])
def test_switched_off_they_add_nothing(data: Path, flag: str):
    found, _ = read(data, flag)
    assert (found.values, found.warnings) == ({}, [])
    with pytest.raises(SystemExit):
        read(data, flag, "--wheel-off")
