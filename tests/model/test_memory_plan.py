"""The memory planner: its forecast against counted tensors, the policy it takes, and what happens when memory runs out at any stage."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextModel

from modules.faults import OutOfMemory
from modules.folders import PROGRAM, Folders
from modules.hardware.live import Live, tensors_of
from modules.hardware.plan import Choice, peak
from modules.library import Library
from modules.processing.careful_choice import choice_for
from modules.processing.memory_book import MemoryBook
from modules.processing.memory_need import spot_of
from modules.processing.resolve import resolve
from modules.processing.runner import PictureRunner
from modules.processing.tracing import walked
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, ResolvedRequest
from modules.settings import Settings
from modules.weights.held import held_bytes
from tests.model import tiny
from tests.model.conftest import FakeControl, Studio

ASKED: dict[str, Any] = {"prompt": "a red circle", "negative_prompt": "blue", "steps": 2, "seed": 5, "cfg_scale": 4.0}
NOTHING_BESIDE = {"grid_save": False, "return_grid": False}


def studio_of(base: Path, *families: str) -> Studio:
    """A runner over small random models, or over the starter model without any."""
    models = base / "models"
    for name in families:
        tiny.BUILDERS[name](models / "Stable-diffusion" / name)
    folders = Folders.at(base / "data", models if families else PROGRAM / "models")
    library = Library(folders)
    library.refresh("checkpoint")
    return Studio(folders=folders, runner=PictureRunner(folders, {}, 0), library=library)


def resolved(studio: Studio, **request: Any) -> ResolvedRequest:
    overrides = NOTHING_BESIDE | request.pop("override_settings", {})
    asked = GenerationRequest.from_data({**ASKED, **request, "override_settings": overrides})
    return resolve(asked, Settings(), studio.library, Styles(studio.folders.styles_file), studio.inputs)


@pytest.mark.parametrize("family", ["sd15", "flux"])
def test_the_forecast_is_within_a_tenth_of_what_is_counted(family: str, tmp_path: Path):
    studio = studio_of(tmp_path, family)
    book = MemoryBook(tmp_path / "book.json", walk=walked)
    for policy in ("resident", "tiled"):
        for width, height, batch in ((64, 64, 2), (128, 64, 3), (192, 128, 2)):
            by_hand = {"memory_policy": policy}
            studio.make(width=64, height=64, **ASKED, override_settings=NOTHING_BESIDE | by_hand)
            model = studio.runner._slot.present
            assert model is not None
            model.encoder.forget()
            parts = [part for part in model.pipeline.components.values() if isinstance(part, torch.nn.Module)]
            asked = {"width": width, "height": height, "batch_size": batch, "override_settings": by_hand}
            gc.collect()
            with Live([tensor for part in parts for tensor in tensors_of(part)], on_cpu=True) as live:
                studio.make(**{**ASKED, **asked, "override_settings": NOTHING_BESIDE | by_hand})
            counted = sum(map(held_bytes, parts)) + live.peak_bytes
            need = book.counting.need(resolved(studio, **asked), "float32", "float32")
            assert need is not None
            assert peak(need.on("cpu"), policy) == pytest.approx(counted, rel=0.1), (policy, width, height, batch)


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return studio_of(tmp_path_factory.mktemp("starter"))


DEVICE = {"kind": "cuda", "first_policy": "resident", "room_bytes": 0}


def chosen(studio: Studio, book: MemoryBook, room: int = 0, **request: Any) -> tuple[Choice, dict[str, int]]:
    asked = resolved(studio, width=512, height=512, **request)
    need = book.counting.need(asked, "float16", "float16")
    assert need is not None, "the starter's footprints come with the program"
    choice = choice_for(asked, need, book, DEVICE | {"room_bytes": room})
    return choice, dict(choice.peaks)


def test_the_fastest_policy_that_fits_is_taken(starter: Studio, tmp_path: Path):
    book = MemoryBook(tmp_path / "book.json")
    plain, peaks = chosen(starter, book)
    assert (plain.policy, plain.why) == ("resident", "")
    rungs = ["resident", "tiled", "encoders", "encoders-on-cpu", "medvram", "vae-on-cpu", "streamed", "lowvram", "streamed-vae-on-cpu"]
    assert list(peaks) == rungs
    falling = [peaks[name] for name in rungs if "vae" not in name]  # those are slow, and small where decoding needs most
    assert falling == sorted(falling, reverse=True)
    assert chosen(starter, book, peaks["resident"])[0].policy == "resident"
    short = chosen(starter, book, peaks["encoders"])[0]
    assert short.policy == "encoders"
    assert "are there" in short.why
    none = chosen(starter, book, 1)[0]
    assert (none.policy, none.fits) == ("streamed-vae-on-cpu", False)
    by_hand = chosen(starter, book, 1, override_settings={"memory_policy": "medvram"})[0]
    assert by_hand.policy == "medvram"
    quantised = chosen(starter, book, 1, override_settings={"quantise_unet": "fp8"})[0]
    assert quantised.policy == "vae-on-cpu", "its layers cannot be moved one by one"


def test_flags_bound_the_choice_and_peaks_are_learnt(starter: Studio, tmp_path: Path):
    book = MemoryBook(tmp_path / "book.json")
    asked = resolved(starter)
    need = book.counting.need(asked, "float16", "float16")
    assert need is not None
    device = DEVICE | {"first_policy": "medvram", "room_bytes": 2**40}
    assert choice_for(asked, need, book, device).policy == "medvram"
    faster = replace(asked, settings={**asked.settings, "memory_policy": "resident"})
    told = choice_for(faster, need, book, device)
    assert (told.policy, "resident cannot be had" in told.why) == ("medvram", True)
    before = choice_for(asked, need, book, DEVICE).peaks
    book.note_measured(need, "resident", 1000)
    book.note_ran_out(spot_of(asked), "tiled")
    again = MemoryBook(tmp_path / "book.json")
    after = choice_for(asked, need, again, DEVICE)
    assert after.peaks["resident"] == before["resident"] + 1000
    assert after.policy == "tiled"
    assert "ran out before" in after.why
    assert choice_for(resolved(starter, batch_size=2), need, again, DEVICE).policy == "resident", "another size begins anew"


@contextmanager
def failing(module: Any, method: str, at: int) -> Iterator[list[int]]:
    """Inside, the call of that number (from 1) to a method of a class runs out of memory, once; yields the number of calls so far."""
    own, calls = getattr(module, method), [0]

    def call(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == at:
            raise torch.OutOfMemoryError("injected")
        return own(*args, **kwargs)

    setattr(module, method, call)
    try:
        yield calls
    finally:
        setattr(module, method, own)


UNET, VAE, TEXT = (UNet2DConditionModel, "__call__"), (AutoencoderKL, "decode"), (CLIPTextModel, "__call__")
CONTROL = (ControlNetModel, "__call__")
HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "hr_second_pass_steps": 2, "denoising_strength": 1.0}


@dataclass(frozen=True)
class Injected:
    """Where memory runs out. at: number of the call; said: words of the warning; drawn: UNet calls that were begun in that job."""

    place: tuple[Any, str]
    at: int
    said: str
    drawn: int
    more: Callable[[Studio], dict[str, Any]] = lambda studio: {}


def begun(studio: Studio) -> dict[str, Any]:
    reference = studio.inputs.put_picture(Image.new("RGB", (64, 64), "red"))
    return {"init_images": [reference], "denoising_strength": 1.0}


def controlled(studio: Studio) -> dict[str, Any]:
    square = Image.new("RGB", (64, 64), "black")
    square.paste((255, 255, 255), (16, 16, 48, 48))
    return {"control_units": [{"module": "canny", "model": "darkroom-starter-canny", "image": studio.inputs.put_picture(square)}]}


INJECTED = {
    "text": Injected(TEXT, 1, "the picture was drawn", 2),
    "first step": Injected(UNET, 1, "the picture was drawn", 2),
    "last step": Injected(UNET, 2, "the picture was drawn", 3),
    "decode": Injected(VAE, 1, "the picture was decoded", 2),
    "first step of hires": Injected(UNET, 3, "the hires pass was made", 4, lambda studio: HIRES),
    "last step of hires": Injected(UNET, 4, "the hires pass was made", 5, lambda studio: HIRES),
    "decode of hires": Injected(VAE, 1, "the picture was decoded", 4, lambda studio: HIRES),
    "encode": Injected((AutoencoderKL, "encode"), 1, "the picture to begin with was read", 2, begun),
    "img2img step": Injected(UNET, 2, "the picture was drawn", 3, begun),
    "img2img decode": Injected(VAE, 1, "the picture was decoded", 2, begun),
    "control": Injected(CONTROL, 2, "the picture was drawn", 4, controlled),
}


@pytest.mark.parametrize("name", INJECTED)
def test_only_the_stage_that_ran_out_of_memory_is_made_again(starter: Studio, name: str):
    """The picture is the one that would have come anyway; the next job is undisturbed."""
    case = INJECTED[name]
    more = case.more(starter)
    forget(starter)
    _, plain = starter.make(**ASKED, width=64, height=64, override_settings=NOTHING_BESIDE, **more)
    forget(starter)
    model = weakref.ref(present(starter).pipeline.unet)
    control = FakeControl()
    with counting(*UNET) as drawn, failing(*case.place, at=case.at):
        state, result = starter.make(control, **ASKED, width=64, height=64, override_settings=NOTHING_BESIDE, **more)
    assert state == "done"
    assert drawn[0] == case.drawn
    said = [text for text in result.warnings if "Memory ran out" in text]
    assert len(said) == 1
    assert case.said in said[0]
    assert "tiled" in said[0]
    assert np.array_equal(colours(result.pictures[0].path), colours(plain.pictures[0].path))
    gc.collect()
    assert model() is None, "what was let go of is gone"
    _, after = starter.make(**ASKED, width=64, height=64, override_settings=NOTHING_BESIDE, **more)
    assert not [text for text in after.warnings if "Memory" in text]
    assert any("ran out before" in note for note in after.notes), "it begins with the policy that went well"
    assert np.array_equal(colours(after.pictures[0].path), colours(plain.pictures[0].path))
    _, other = starter.make(**ASKED, width=96, height=64, override_settings=NOTHING_BESIDE)
    assert not [note for note in other.notes if "Memory policy" in note], "another size begins with the fastest"


def test_where_no_policy_is_left_the_next_job_is_undisturbed(starter: Studio):
    forget(starter)
    with failing(*VAE, at=1), failing(*VAE, at=2) as tried, pytest.raises(OutOfMemory, match="even with tiled"):
        starter.make(**ASKED, width=64, height=64, override_settings=NOTHING_BESIDE)
    assert tried[0] == 2
    state, result = starter.make(**ASKED, width=64, height=64, override_settings=NOTHING_BESIDE)
    assert state == "done"
    assert not [text for text in result.warnings if "Memory ran out" in text]


def present(studio: Studio) -> Any:
    model = studio.runner._slot.present
    assert model is not None
    return model


def forget(studio: Studio) -> None:
    """As if nothing had been learnt, and no prompt read."""
    (studio.folders.cache / "memory.json").unlink(missing_ok=True)
    studio.runner._careful.book = MemoryBook.of(studio.folders)
    if studio.runner._slot.present is not None:
        studio.runner._slot.present.encoder.forget()


@contextmanager
def counting(module: Any, method: str) -> Iterator[list[int]]:
    """Inside, calls to a method of a class that came through are counted."""
    with failing(module, method, at=0) as calls:
        yield calls


def colours(path: str) -> np.ndarray[Any, Any]:
    """(h, w, 3)."""
    return np.asarray(Image.open(path).convert("RGB"), np.int16)
