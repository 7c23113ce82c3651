"""`grid` with the real App and queue and a runner that draws."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from modules.app import build as build_app
from modules.cli import grid
from modules.flags import Flags
from modules.jobs import Jobs

RUNNER = "tests.browser.drawing_runner:build"
SMALL = ("--width", "64", "--height", "64", "--steps", "1")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def build(flags: Flags):
        app = build_app(flags)
        app.jobs.stop()
        return dataclasses.replace(app, jobs=Jobs(app.folders, {}, runner=RUNNER))

    monkeypatch.setattr(grid, "build", build)
    return lambda *words: grid.main(Flags(data_dir=str(tmp_path)), words)


def test_a_grid_is_made_and_its_files_are_told(run, capsys: pytest.CaptureFixture[str]):
    assert run("a circle", *SMALL, "--x", "Seed: 1-3", "--y=CFG Scale: 2, 4", "--margin-size", "4", "--no-draw-legend") == 0
    told = capsys.readouterr()
    paths = [Path(line) for line in told.out.splitlines()]
    assert [path.suffix for path in paths] == [".png", ".csv", ".html"]
    assert Image.open(paths[0]).size == (3 * 64 + 8, 2 * 64 + 4)
    assert run("a circle", *SMALL, "--x", "Seed: 1-3", "--y=CFG Scale: 2, 4", "--plan") == 0
    assert capsys.readouterr().out.startswith("0 pictures, 6 of 6 are there already")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--x", "Stepps: 1"), "did you mean Steps"),
        (("--x", "Steps: many"), "no whole number"),
        (("--x", "Steps"), "has no values"),
        (("--xx", "Steps: 1"), "there is no --xx"),
        (("--margin-size", "9000", "--x", "Steps: 1"), "margin_size"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str):
    assert run("a circle", *SMALL, *words) == 2
    assert told in capsys.readouterr().err
