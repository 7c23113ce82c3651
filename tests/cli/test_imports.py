"""`import` on the command line: the report, a whole import through the real worker for files, going back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modules.cli.imports import main
from modules.flags import Flags, parse
from modules.jobs.holder import Holder
from modules.knobs import knobs_of
from modules.upkeep.imports import ImportAsked
from tests.upkeep import a1111_folder


def run(data_dir: Path, *words: str) -> int:
    return main(Flags(data_dir=str(data_dir)), words)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return a1111_folder.build(tmp_path / "stable-diffusion-webui", pictures=3, models=4)


def test_the_command_line_knows_it(data_dir: Path, capsys: pytest.CaptureFixture[str]):
    flags = parse(["import", "/x", "--models", "link", "--data-dir", "/tmp"])
    assert (flags.command, flags.rest, flags.data_dir) == ("import", ("/x", "--models", "link"), "/tmp")
    assert run(data_dir, "--help") == 0
    told = capsys.readouterr().out
    assert all(f"--{name}" in told for name in (*knobs_of(ImportAsked), "dry-run", "yes", "undo"))


def test_first_told_then_done_then_undone(data_dir: Path, root: Path, capsys: pytest.CaptureFixture[str]):
    before = a1111_folder.fingerprint(root)
    assert run(data_dir, str(root)) == 2
    told = capsys.readouterr()
    assert "jpeg_quality: 80 -> 91" in told.out
    assert "Add --yes" in told.err
    assert run(data_dir, str(root), "--dry-run") == 0
    assert not (data_dir / "config.json").exists()
    capsys.readouterr()

    assert run(data_dir, str(root), "--yes", "--models=link", "--no-styles") == 0
    told = capsys.readouterr().out
    assert "4 linked files" in told
    assert "0 styles" in told
    assert "3 pictures read" in told
    assert json.loads((data_dir / "config.json").read_text())["jpeg_quality"] == 91
    assert len(list((data_dir / "models").rglob("*.safetensors"))) == 4

    assert run(data_dir, "--undo") == 2
    key = capsys.readouterr().out.split()[0]
    with Holder(data_dir / "cache").alone():
        assert run(data_dir, "--undo", key) == 1
    assert "Another copy already uses this data folder" in capsys.readouterr().err
    assert run(data_dir, "--undo", key) == 0
    assert "jpeg_quality" not in {k for k, v in json.loads((data_dir / "config.json").read_text()).items() if v == 91}
    assert not list((data_dir / "models").rglob("*.safetensors"))
    assert a1111_folder.fingerprint(root) == before


@pytest.mark.parametrize(
    ("words", "told"), [(["relative"], "whole path"), (["/none/of/it"], "cannot be read"), (["/x", "--what"], "there is no --what")]
)
def test_what_is_wrong_is_said(data_dir: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str):
    assert run(data_dir, *words) == 2
    assert told in capsys.readouterr().err
