"""Several pictures of Extras over two workers: files, texts, warnings and order are those of one worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.inputs import Inputs
from modules.processing import extras_tiles
from modules.processing.extras import Desk, run_extras
from modules.processing.extras_tiles import run_tile
from modules.request.extras import TILES, ResolvedExtras
from modules.saver import Saver
from modules.settings import Settings
from modules.upscale.shelf import Shelf
from tests.jobs.second_worker import Line
from tests.processing.pictures import PARAMETERS, data_of, with_text
from tests.processing.test_extras import Bench


class Second:
    """The worker that helps: networks of its own, over the same folders."""

    def __init__(self, bench: Bench) -> None:
        folders = bench.folders
        self._desk = Desk(folders=folders, saver=Saver(folders), inputs=Inputs(folders), shelf=Shelf())

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        if job["kind"] == TILES:
            return run_tile(job, control, self._desk.shelf, self._desk.saver)
        return run_extras(job, control, self._desk)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Five pictures in a folder, of which one cannot be read and one has transparency and a text."""
    bench, folder = Bench(tmp_path), tmp_path / "in"
    folder.mkdir()
    drawn = np.random.default_rng(0)
    for n in (1, 2, 4):
        Image.fromarray(drawn.integers(0, 255, (20 + n, 24, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    (folder / "3.png").write_bytes(b"no picture")
    image = Image.fromarray(drawn.integers(0, 255, (20, 20, 4), dtype=np.uint8))
    (folder / "5.png").write_bytes(with_text(image, parameters=PARAMETERS))
    return bench


def made(bench: Bench, plan: ResolvedExtras, line: Line, *, lends: bool) -> tuple[dict[str, bytes], Any]:
    """(new files below the outputs -> bytes, what the result says); the files are put away."""
    state, result = run_extras({"id": "a", "resolved": plan.to_data(), "made": [], "lends": lends}, line.control, bench.desk)
    assert state == ("canceled" if line.control.interrupted else "done")
    files = {path.name: path.read_bytes() for path in bench.folders.outputs.rglob("*") if path.is_file()}
    for path in [path for path in bench.folders.outputs.rglob("*") if path.is_file()]:
        path.unlink()
    shown = [(Path(p["path"]).name, p["index"], p["infotext"], p["width"]) for p in result["pictures"]]
    return files, (shown, result["warnings"], result["notes"])


def plan(bench: Bench, **fields: Any) -> ResolvedExtras:
    return bench.plan(input_dir=str(bench.folders.data / "in"), anywhere=True, **{"upscaler_1": "Tiny2x", **fields})


@pytest.mark.parametrize("sharing", [{}, {"upscaler_1": "Lanczos", "upscaler_2": "Tiny2x", "extras_upscaler_2_visibility": 0.5}])
def test_two_workers_make_the_files_of_one(bench: Bench, sharing: dict[str, Any]):
    asked = plan(bench, **sharing)
    alone = made(bench, asked, Line(Second(bench), most=0), lends=False)
    line = Line(Second(bench), most=3)
    shared = made(bench, asked, line, lends=True)
    assert line.made == [("a.4", "extras", 4), ("a.3", "extras", 3), ("a.2", "extras", 2)]
    assert len(alone[0]) == 4
    assert shared == alone
    assert "3.png" in alone[1][1][0], "what cannot be read is named once"
    assert not [*bench.folders.job_files.glob("a.*/*.png")], "what was handed over is gone"


def test_what_others_have_made_is_kept_when_the_job_is_stopped(bench: Bench):
    line = Line(Second(bench), stops=True)
    _, (shown, *_) = made(bench, plan(bench), line, lends=True)
    assert [index for _, index, *_ in shown] == [3, 4]


def large(bench: Bench, **fields: Any) -> ResolvedExtras:
    """One picture of nine tiles, through two networks."""
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (150, 150, 4), dtype=np.uint8))
    bench.settings = Settings(ESRGAN_tile=64, ESRGAN_tile_overlap=8)
    both = {"upscaler_1": "Tiny2x", "upscaler_2": "RealESRGAN_x4plus", "extras_upscaler_2_visibility": 0.5}
    return bench.plan(data_of(picture), **{**both, **fields})


def test_tiles_of_two_workers_make_the_picture_of_one_bit_for_bit(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(extras_tiles, "WORTH_S", 0.0)
    asked = large(bench)
    alone = made(bench, asked, Line(Second(bench), most=0), lends=False)
    line = Line(Second(bench), most=3)
    shared = made(bench, asked, line, lends=True)
    assert [(job, kind) for job, kind, _ in line.made] == [(f"a.{n}", "tiles") for n in (7, 6, 5, 15, 14, 13)]
    assert line.loans == 2
    assert len(alone[0]) == 1
    assert shared == alone
    assert not [*bench.folders.job_files.glob("a.*/*.png")], "what was handed over is gone"


def test_tiles_that_are_soon_made_stay_here(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    line = Line(Second(bench))
    monkeypatch.setattr(extras_tiles, "WORTH_S", 60.0)
    made(bench, large(bench), line, lends=True)
    monkeypatch.setattr(extras_tiles, "WORTH_S", 0.0)
    made(bench, large(bench), line, lends=False)
    monkeypatch.setattr(extras_tiles, "LEAST", 9)
    made(bench, large(bench), line, lends=True)
    assert line.loans == 0


def test_what_is_done_sooner_than_handed_over_stays_here(bench: Bench):
    for asked in (plan(bench, upscaler_1="Lanczos"), bench.plan((bench.folders.data / "in" / "1.png").read_bytes(), upscaler_1="Tiny2x")):
        line = Line(Second(bench))
        made(bench, asked, line, lends=True)
        assert line.loans == 0
