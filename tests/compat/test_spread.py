"""Jobs that scripts lead, with a second worker that makes batches of their runs: the files are those of one worker. The starter model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.hooks import Finished, Guest, Hooks, Run
from modules.processing import pieces
from modules.processing.job import Job
from modules.processing.runner import PictureRunner
from modules.request import ResolvedRequest
from tests.compat.conftest import Theatre, theatre_in
from tests.jobs.second_worker import Line

pytestmark = pytest.mark.slow

TWICE = """
import copy

import modules.scripts as scripts
from modules.processing import Processed, process_images


class Script(scripts.Script):
    def title(self):
        return "Twice"

    def run(self, p):
        p.n_iter = 3
        first = process_images(copy.copy(p))
        p.seed, p.prompt = p.seed + 100, "a blue square"
        second = process_images(p)
        return Processed(p, first.images + second.images, p.seed, infotexts=first.infotexts + second.infotexts)
"""
POLITE = '''
import modules.scripts as scripts


class Script(scripts.Script):
    """Looks at finished pictures alone, in order."""

    seen = 0

    def title(self):
        return "Polite"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def postprocess_image(self, p, pp):
        Script.seen += 1
        p.extra_generation_params["Seen"] = Script.seen
        pp.image.putpixel((0, 0), (Script.seen, 0, 0))
'''


class Pair:
    """One worker alone, and two that share, each with a data folder."""

    def __init__(self, folder: Path) -> None:
        for name in ("alone", "shared"):
            (folder / name / "scripts").mkdir(parents=True)
            (folder / name / "scripts" / "twice.py").write_text(TWICE)
            (folder / name / "scripts" / "polite.py").write_text(POLITE)
        self.alone, self.shared = theatre_in(folder / "alone"), theatre_in(folder / "shared")
        self.other = PictureRunner(self.shared.folders, {}, 0)

    def run(self, theatre: Theatre, line: Line, *, lends: bool, **asked: Any) -> tuple[dict[str, bytes], Any]:
        """(file below the data folder -> its bytes, of the new ones; what the result says)."""
        outputs, data = theatre.folders.outputs, theatre.folders.data
        before = {*outputs.rglob("*")}
        kind = "img2img" if "init_images" in asked else "txt2img"
        job = {"id": "a", "kind": kind, "resolved": theatre.planned(**asked), "attempts": 1, "made": [], "lends": lends}
        _, result = theatre.runner.run(job, line.control)
        files = {p.relative_to(data).as_posix(): p.read_bytes() for p in outputs.rglob("*") if p.is_file() and p not in before}
        shown = [(Path(p["path"]).name, p["index"], p["seed"], p["kind"], p["infotext"]) for p in result["pictures"]]
        return files, (shown, result["warnings"], result["notes"])

    def same(self, most: int = 2, **asked: Any) -> Line:
        """The job done by one worker and by two, with the same files and the same result; the line of the two."""
        single, line = Line(self.other, most=0), Line(self.other, most=most)
        alone = self.run(self.alone, single, lends=False, **asked)
        shared = self.run(self.shared, line, lends=True, **asked)
        assert single.loans == 0
        assert alone[0]
        assert shared[0] == alone[0]
        assert shared[1] == alone[1]
        assert line.steps < single.steps or not line.made, "the leading worker drew fewer"
        assert not [*self.shared.folders.job_files.glob("a.*/*.png")], "what was handed over is gone"
        return line


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("spread"))


def test_a_matrix(pair: Pair):
    line = pair.same(prompt="a red circle|blue|on grass", script_name="Prompt matrix")
    assert line.made == [("a.3", "txt2img", 3), ("a.2", "txt2img", 2)]
    fractions = [message["fraction"] for message in line.said if message["say"] == "progress"]
    assert fractions == sorted(fractions)


def test_lines_of_a_textbox_each_with_its_own_settings(pair: Pair):
    lines = 'a blue square\n--prompt "a green dot" --steps 1 --seed 9 --n_iter 2\n--prompt "a red dot" --width 72\na yellow line'
    line = pair.same(most=3, prompt="a circle", script_name="prompts from file or textbox", script_args=[True, False, "end", lines])
    assert line.made == [("a.4", "txt2img", 0), ("a.3", "txt2img", 0), ("a.2", "txt2img", 1)]
    assert line.loans == 1, "whole lines are lent"


def test_a_line_that_is_wrong_ends_the_script_after_those_before_it(pair: Pair):
    lines = "a blue square\na red dot\n--sampler_name nothing\na green dot"
    line = pair.same(prompt="a circle", script_name="prompts from file or textbox", script_args=[False, False, "end", lines])
    assert line.made == [("a.1", "txt2img", 0)]


def test_tiles_of_sd_upscale(pair: Pair):
    def begins(theatre: Theatre) -> str:
        return theatre.inputs.put_picture(Image.radial_gradient("L").resize((64, 64)).convert("RGB"))

    start = begins(pair.shared)
    assert start == begins(pair.alone)
    line = pair.same(init_images=[start], denoising_strength=0.3, script_name="SD upscale", script_args=[None, 16, "lanczos", 1.5])
    assert line.made == [("a.3", "img2img", 0), ("a.2", "img2img", 0)]


def test_a_second_run_does_not_mix_with_the_pieces_of_the_first(pair: Pair):
    line = pair.same(script_name="Twice")
    assert line.made == [("a.2", "txt2img", 2), ("a.1", "txt2img", 1), ("a.5", "txt2img", 2), ("a.4", "txt2img", 1)]
    assert [message["say"] for message in line.said if message["say"] in ("lend", "enough")] == ["lend", "enough"] * 2


def test_what_others_have_made_is_kept_when_the_job_is_stopped(pair: Pair):
    line = Line(pair.other, stops=True)
    asked = {"prompt": "a red circle|blue|on grass", "script_name": "Prompt matrix"}
    _, (shown, *_) = pair.run(pair.shared, line, lends=True, **asked)
    assert [index for _, index, _, kind, _ in shown if kind == "sample"] == [2, 3]


def test_scripts_that_take_part_in_the_making_keep_it_here(theatre: Theatre):
    line = Line(theatre.runner)
    job = {"id": "a", "kind": "txt2img", "attempts": 1, "made": [], "lends": True}
    lines = {"script_name": "prompts from file or textbox", "script_args": [False, False, "end", "a dot\na line"]}
    _, result = theatre.runner.run({**job, "resolved": theatre.planned(**lines)}, line.control)
    assert len(result["pictures"]) == 2
    assert line.loans == 0


class Watching(Guest):
    name = "watching"

    def before_save(self, run: Run, finished: Finished) -> Finished | None:
        return None


@pytest.mark.parametrize("hook", pieces.AT_WORK)
def test_each_hook_that_takes_part_in_the_making_counts(pair: Pair, hook: str):
    working = type("Working", (Watching,), {hook: lambda self, run, value: None})
    resolved = ResolvedRequest.from_data({**pair.shared.planned(n_iter=2), "visit": None})
    for kind, on in ((working, False), (Watching, True)):
        line = Line(pair.other, most=0)
        run = Job(id="a", resolved=resolved, control=line.control, made={}, guests=Hooks([kind()]), lends=True)
        assert pieces.others_of(run).on is on
        assert line.loans == on
