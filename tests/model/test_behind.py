"""Pictures that are decoded, and prompts that are read, while the next picture is drawn: the results are those of one after another.

The device is the CPU, so the decision is forced; with the starter model.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from modules.faults import BlankPicture
from modules.folders import PROGRAM, Folders
from modules.library import Library
from modules.processing import batch as batches
from modules.processing.overlap import Overlap
from modules.processing.runner import PictureRunner
from modules.prompts.encode import Encoder
from modules.request import Result
from tests.model import tiny
from tests.model.conftest import FakeControl, Studio
from tests.model.test_memory_plan import UNET, VAE, failing, forget, resolved

BOTH, ONE_BY_ONE = Overlap(texts=True, decode=True), Overlap()
WAIT_S = 60
PATIENT: dict[str, Any] = {"prompt": "a {red|blue|green} {circle|square}", "steps": 3, "seed": 7, "width": 64, "height": 64, "n_iter": 3}


@dataclass
class Deciding:
    """What the runner is told to overlap."""

    now: Overlap = BOTH

    def __call__(self, *told: Any) -> Overlap:
        return self.now


@dataclass
class Watching(FakeControl):
    """at(batch, step): called with each report, on the thread that draws."""

    at: Any = None
    batches: list[int] = field(default_factory=list[int])

    def progress(self, **where: Any) -> None:
        super().progress(**where)
        self.batches.append(where["batch_no"])
        if self.at is not None:
            self.at(where["batch_no"], where["step"])


@pytest.fixture(scope="module")
def deciding() -> Deciding:
    return Deciding()


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, deciding: Deciding) -> Studio:
    """The starter model and another one, on a device of which only the name is not the CPU's."""
    base = tmp_path_factory.mktemp("behind")
    tiny.BUILDERS["sd15"](base / "models" / "Stable-diffusion" / "other")
    folders = Folders.at(base / "data", base / "models")
    (base / "models" / "Stable-diffusion" / "darkroom-starter").symlink_to(PROGRAM / "models" / "Stable-diffusion" / "darkroom-starter")
    library = Library(folders)
    library.refresh("checkpoint")
    runner = PictureRunner(folders, {}, 0, overlap=deciding)
    runner._bench.device = replace(runner._bench.device, kind="directml")
    return Studio(folders=folders, runner=runner, library=library)


@pytest.fixture(autouse=True)
def _anew(deciding: Deciding, behind: Studio) -> None:
    deciding.now = BOTH
    forget(behind)


def job_of(studio: Studio, **request: Any) -> dict[str, Any]:
    asked = {"sd_model_checkpoint": "darkroom-starter", **request.pop("override_settings", {})}
    wanted = resolved(studio, **{**PATIENT, "override_settings": asked, **request})
    return {"id": "a", "kind": "txt2img", "resolved": wanted.to_data(), "attempts": 1, "made": []}


def run(studio: Studio, job: dict[str, Any], control: FakeControl | None = None) -> tuple[str, Result, FakeControl]:
    control = control or FakeControl()
    state, result = studio.runner.run(job, control)
    return state, Result.from_data(result), control


def told(result: Result, control: FakeControl) -> tuple[Any, ...]:
    """All that can be told of a run: its pictures with their bytes and texts, its notes, its events in their order."""
    pictures = [(p.kind, p.index, p.seed, p.infotext, Path(p.path).read_bytes()) for p in result.pictures]
    events = [(kind, data.get("index"), data.get("text")) for kind, data in control.events if kind != "status"]
    return pictures, result.warnings, result.notes, result.interrupted, events, control.steps


@contextlib.contextmanager
def decoding(act: Any) -> Iterator[list[bool]]:
    """Inside, act(number of the call) comes before each decoding; yields whether each was on the thread that draws."""
    own, here = batches.decode, list[bool]()
    drawing = threading.current_thread()

    def decode(*args: Any) -> Any:
        here.append(threading.current_thread() is drawing)
        act(len(here))
        return own(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "decode", decode)
        yield here


KEPT = {"resident": {}, "on the CPU": {"parts_on_cpu": "VAE and text encoders"}}


@pytest.mark.parametrize("kept", KEPT)
def test_everything_is_as_one_after_another(behind: Studio, deciding: Deciding, kept: str):
    overrides = {**KEPT[kept], "return_grid": True, "grid_save": True}
    job = job_of(behind, batch_size=2, override_settings=overrides)
    deciding.now = ONE_BY_ONE
    with decoding(lambda number: None) as plainly:
        _, plain, first = run(behind, job)
    forget(behind)
    deciding.now = BOTH
    with decoding(lambda number: None) as beside:
        state, result, control = run(behind, job)
    assert (plainly, beside) == ([True] * 3, [False] * 3)
    assert state == "done"
    assert told(result, control) == told(plain, first)
    assert len(result.pictures) == 7
    assert result.seconds.keys() == plain.seconds.keys()


def test_the_next_batch_is_drawn_while_one_is_decoded(behind: Studio):
    drawn = [threading.Event() for _ in range(3)]
    control = Watching(at=lambda batch_no, step: step == 3 and drawn[batch_no].set())
    with decoding(lambda number: number > 2 or drawn[number].wait(WAIT_S) or pytest.fail("it was not drawn meanwhile")):
        state, result, _ = run(behind, job_of(behind), control)
    assert (state, len(result.pictures)) == ("done", 3)


def test_the_next_job_is_drawn_while_one_is_decoded(behind: Studio, deciding: Deciding):
    one, other = job_of(behind, n_iter=1), job_of(behind, n_iter=1, seed=8)
    deciding.now = ONE_BY_ONE
    plain = [run(behind, job) for job in (one, other)]
    deciding.now = BOTH
    drawn, first, second = threading.Event(), FakeControl(), Watching()
    second.at = lambda batch_no, step: step == 3 and drawn.set()
    with decoding(lambda number: number > 1 or drawn.wait(WAIT_S) or pytest.fail("it was not drawn meanwhile")):
        ends = [behind.runner.begin(one, first), behind.runner.begin(other, second)]
        made = [Result.from_data(end()[1]) for end in ends]
    for result, control, (_, expected, plainly) in zip(made, (first, second), plain, strict=True):
        assert told(result, control) == told(expected, plainly)


LATER = {
    "another model": {"override_settings": {"sd_model_checkpoint": "other"}},
    "another policy": {"override_settings": {"memory_policy": "tiled"}},
    "another place": {"override_settings": {"parts_on_cpu": "VAE"}},
    "a hires pass": {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent"},
    "tiling": {"tiling": True},
}


@pytest.mark.parametrize("later", LATER)
def test_a_job_that_shares_the_decoder_waits_for_it(behind: Studio, later: str):
    """Either it waits and is then drawn, or it is drawn and this fails: what comes first lets the decoding go on."""
    one, other = job_of(behind, n_iter=1), job_of(behind, n_iter=1, steps=2, **LATER[later])
    came, busy = threading.Event(), list[bool]()
    line = behind.runner._line

    def at(batch_no: int, step: int) -> None:
        busy.append(behind.runner._behind.busy)
        came.set()

    with pytest.MonkeyPatch.context() as patch, decoding(lambda number: came.wait(WAIT_S)):
        wait = line.wait
        patch.setattr(line, "wait", lambda: (came.set(), wait())[1])
        first = behind.runner.begin(one, FakeControl())
        assert behind.runner._behind.busy
        second = behind.runner.begin(other, Watching(at=at))
        assert first()[0] == second()[0] == "done"
    assert not any(busy)


def test_a_fault_in_decoding_is_that_jobs_own(behind: Studio):
    def fails(number: int) -> None:
        if number == 2:
            raise BlankPicture("no numbers")

    control = FakeControl()
    first = job_of(behind)
    with decoding(fails):
        with pytest.raises(BlankPicture, match="no numbers"):
            run(behind, first, control)
        assert [kind for kind, _ in control.events].count("picture") == 1, "the batch before is saved, none after"
        assert run(behind, job_of(behind, seed=9))[0] == "done"


@pytest.mark.parametrize("n_iter", [1, 3])
def test_want_of_memory_in_decoding_takes_the_next_policy(behind: Studio, deciding: Deciding, n_iter: int):
    job = job_of(behind, n_iter=n_iter)
    deciding.now = ONE_BY_ONE
    _, plain, _ = run(behind, job)
    forget(behind)
    deciding.now = BOTH
    with failing(*VAE, at=1):
        state, result, _ = run(behind, job)
    assert state == "done"
    assert [text for text in result.warnings if "while the picture was decoded" in text and "policy tiled" in text]
    assert behind.runner._bench.policy == "tiled"
    assert [Path(p.path).read_bytes() for p in result.pictures] == [Path(p.path).read_bytes() for p in plain.pictures]
    _, after, _ = run(behind, job)
    assert any("ran out before" in note for note in after.notes)


def test_want_of_memory_in_drawing_waits_for_the_decoder(behind: Studio):
    busy = list[bool]()
    release = behind.runner._careful.release
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(behind.runner._careful, "release", lambda: (busy.append(behind.runner._behind.busy), release())[1])
        with failing(*UNET, at=4):
            state, result, _ = run(behind, job_of(behind, n_iter=2))
    assert (state, busy) == ("done", [False])
    assert len([p for p in result.pictures if p.kind == "sample"]) == 2


def test_interrupt_waits_for_what_is_decoded(behind: Studio, deciding: Deciding):
    def stopping() -> Watching:
        control = Watching()

        def at(batch_no: int, step: int) -> None:
            if (batch_no, step) == (1, 1):
                control.interrupted = True

        control.at = at
        return control

    job = job_of(behind, override_settings={"save_incomplete_images": True})
    deciding.now = ONE_BY_ONE
    plain_state, plain, first = run(behind, job, stopping())
    deciding.now = BOTH
    state, result, control = run(behind, job, stopping())
    assert (plain_state, state) == ("canceled", "canceled")
    assert told(result, control) == told(plain, first)
    assert [p.kind for p in result.pictures] == ["sample", "partial"]


@contextlib.contextmanager
def reading() -> Iterator[list[tuple[str, bool]]]:
    """Inside, (text, read on the thread that draws) of every prompt that is read anew."""
    own, found, drawing = Encoder._encode_anew, list[tuple[str, bool]](), threading.current_thread()

    def encode(self: Encoder, text: str, how: Any) -> Any:
        found.append((text, threading.current_thread() is drawing))
        return own(self, text, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "_encode_anew", encode)
        yield found


def test_prompts_of_the_next_batch_and_job_are_read_ahead(behind: Studio):
    kept = {"override_settings": {"parts_on_cpu": "Text encoders"}}
    job, following = job_of(behind, n_iter=2, **kept), job_of(behind, n_iter=1, prompt="a cat", **kept)
    own = [*dict.fromkeys(job["resolved"]["all_prompts"])]
    assert len(own) == 2
    control = Watching(at=lambda batch_no, step: batch_no == 1 and step == 1 and behind.runner.look_ahead(following))
    run(behind, job_of(behind, steps=1, n_iter=1, prompt="first", **kept))  # the model is there, with its hooks
    with reading() as found:
        run(behind, job, control)
        behind.runner._behind.read_up()
        run(behind, following)
    assert dict(found) == {own[0]: True, own[1]: False, "a cat": False}
    assert len(found) == 3


def test_prompts_for_another_model_are_not_read(behind: Studio):
    job, following = job_of(behind, n_iter=1), job_of(behind, override_settings={"sd_model_checkpoint": "other"}, prompt="a dog")
    control = Watching(at=lambda batch_no, step: step == 1 and behind.runner.look_ahead(following))
    with reading() as found:
        run(behind, job, control)
        behind.runner._behind.read_up()
    assert "a dog" not in dict(found)


def test_what_was_made_before_keeps_its_place(behind: Studio):
    job = job_of(behind)
    _, result, _ = run(behind, job)
    again = {**job, "made": [p.to_data() for p in result.pictures if p.index == 1]}
    _, second, _ = run(behind, again)
    assert [(p.index, p.infotext) for p in second.pictures] == [(p.index, p.infotext) for p in result.pictures]
