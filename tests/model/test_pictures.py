"""Our pictures against plain diffusers, bit for bit, on the starter model and on tiny models of the true classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.faults import BlankPicture, OutOfMemory
from modules.processing import batch as batch_module
from modules.processing import runner as runner_module
from modules.samplers import SAMPLERS
from modules.samplers.noise import PictureNoise
from tests.model.conftest import FakeControl, Studio
from tests.model.plain import plain_picture, tiny_stable_diffusion

APPLE = {"prompt": "a red apple, 3d", "steps": 8, "cfg_scale": 5, "seed": 11}


def difference(a: Image.Image, b: Image.Image) -> int:
    return int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max())


@pytest.mark.parametrize("sampler", ["DPM++ 2M", "Euler a", "Heun", "DDIM", "DPM++ 2M SDE", "UniPC"])
def test_a_picture_equals_the_plain_call(studio: Studio, starter_path: Path, sampler: str) -> None:
    [ours] = studio.pictures(**APPLE, sampler_name=sampler, negative_prompt="blue")
    plain = plain_picture(
        starter_path, sampler=sampler, seed=11, prompt="a red apple, 3d", negative_prompt="blue", num_inference_steps=8, guidance_scale=5.0
    )
    assert ours.size == (128, 128)
    assert difference(ours, plain) == 0


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_tiny_model_made_here_equals_the_plain_call(
    studio_with: Callable[[Path], Studio], starter_path: Path, tmp_path: Path, prediction: str
) -> None:
    folder = tiny_stable_diffusion(tmp_path / "checkpoints" / "tiny", starter_path / "tokenizer", prediction=prediction)
    studio = studio_with(tmp_path / "checkpoints")
    [ours] = studio.pictures(prompt="anything", steps=4, seed=3, width=96, height=64, sampler_name="Euler")
    plain = plain_picture(
        folder, sampler="Euler", seed=3, prompt="anything", num_inference_steps=4, guidance_scale=7.0, width=96, height=64
    )
    assert ours.size == (96, 64)
    assert difference(ours, plain) == 0


def test_the_same_request_gives_the_same_pixels(studio: Studio) -> None:
    assert difference(studio.pictures(**APPLE)[0], studio.pictures(**APPLE)[0]) == 0


def test_another_seed_and_another_prompt_give_another_picture(studio: Studio) -> None:
    apple = studio.pictures(**APPLE)[0]
    assert difference(apple, studio.pictures(**APPLE | {"seed": 12})[0]) > 30
    assert difference(apple, studio.pictures(**APPLE | {"prompt": "a blue car"})[0]) > 30


@pytest.mark.parametrize("sampler", ["DPM++ 2M", "Euler a", "DPM++ 2M SDE"])
def test_a_batch_equals_its_singles(studio: Studio, sampler: str) -> None:
    batch = studio.pictures(**APPLE, sampler_name=sampler, batch_size=4)
    singles = [studio.pictures(**APPLE | {"seed": 11 + i}, sampler_name=sampler)[0] for i in range(4)]
    assert max(difference(a, b) for a, b in zip(batch, singles, strict=True)) <= 2


def test_batches_are_numbered_on_and_a_grid_stands_first(studio: Studio) -> None:
    state, result = studio.make(**APPLE, batch_size=2, n_iter=2)
    assert state == "done"
    assert [p.kind for p in result.pictures] == ["grid", "sample", "sample", "sample", "sample"]
    assert [p.seed for p in result.pictures[1:]] == [11, 12, 13, 14]
    assert Image.open(result.pictures[0].path).size == (256, 256)
    assert all(Path(p.path).is_relative_to(studio.folders.outputs) for p in result.pictures)


def test_progress_never_goes_back_and_counts_real_steps(studio: Studio) -> None:
    control = FakeControl()
    studio.make(control, **APPLE | {"sampler_name": "Heun"}, n_iter=2)
    assert control.fractions == sorted(control.fractions)
    assert control.steps[-1] == (15, 15)


def test_previews_are_made_only_while_somebody_looks(studio: Studio) -> None:
    blind, watching = FakeControl(), FakeControl(watched=True)
    settings = {"override_settings": {"live_preview_refresh_period": 100}}
    studio.make(blind, **APPLE | {"steps": 20}, **settings)
    studio.make(watching, **APPLE | {"steps": 20}, **settings)
    assert not blind.previews
    assert len(watching.previews) >= 2


@pytest.mark.parametrize("method", ["Approx cheap", "Full"])
def test_the_last_preview_looks_like_the_picture(studio: Studio, method: str, tmp_path: Path) -> None:
    control = FakeControl(watched=True)
    settings = {"live_preview_refresh_period": 100, "show_progress_type": method}
    [final] = studio.pictures(control, **APPLE | {"steps": 30, "prompt": "a red apple on a green background"}, override_settings=settings)
    path = tmp_path / "preview.jpg"
    path.write_bytes(control.previews[-1])
    preview = Image.open(path).convert("RGB").resize((16, 16), Image.Resampling.BOX)
    small = final.resize((16, 16), Image.Resampling.BOX)
    a, b = np.asarray(preview, float).reshape(-1), np.asarray(small, float).reshape(-1)
    assert np.corrcoef(a, b)[0, 1] > 0.8


def test_an_interrupt_gives_the_picture_as_it_is_believed_then_and_does_not_save_it(studio: Studio) -> None:
    control = FakeControl(stop_at=6)
    state, result = studio.make(control, **APPLE | {"steps": 20}, n_iter=3)
    assert state == "canceled"
    assert result.interrupted
    [picture] = result.pictures
    assert (picture.kind, picture.saved) == ("partial", False)
    assert not Path(picture.path).is_relative_to(studio.folders.outputs)
    assert np.asarray(Image.open(picture.path).convert("RGB"), float).std() > 20


def test_a_skip_ends_one_batch_and_the_next_goes_on(studio: Studio) -> None:
    state, result = studio.make(FakeControl(skip_at=3), **APPLE, n_iter=2)
    assert state == "done"
    assert [p.kind for p in result.pictures if p.kind != "grid"] == ["partial", "partial"]


def test_a_second_attempt_does_not_make_pictures_again(studio: Studio) -> None:
    _, whole = studio.make(**APPLE, n_iter=2)
    samples = [p for p in whole.pictures if p.kind == "sample"]
    control = FakeControl()
    _, again = studio.make(control, made=[samples[0].to_data()], **APPLE, n_iter=2)
    remade = [p for p in again.pictures if p.kind == "sample"]
    assert remade[0].path == samples[0].path
    assert remade[1].path != samples[1].path
    assert difference(Image.open(remade[1].path), Image.open(samples[1].path)) == 0
    assert [data["index"] for kind, data in control.events if kind == "picture" and data["kind"] == "sample"] == [1]


def test_numbers_that_are_none_are_a_fault_and_never_a_picture(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    real = PictureNoise.first
    monkeypatch.setattr(PictureNoise, "first", lambda *a, **k: real(*a, **k) * float("nan"))
    before = list(studio.folders.outputs.rglob("*.png"))
    with pytest.raises(BlankPicture, match="not numbers"):
        studio.make(**APPLE)
    assert list(studio.folders.outputs.rglob("*.png")) == before


def test_when_memory_runs_out_the_picture_comes_with_the_next_policy_and_says_so(
    studio_with: Callable[[Path], Studio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio, calls = studio_with(tmp_path / "no-models"), []

    def short_of_memory(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("made up")
        return batch_module.make_batch(*args)

    monkeypatch.setattr(runner_module, "make_batch", short_of_memory)
    state, result = studio.make(**APPLE)
    assert (state, len(result.pictures), len(calls)) == ("done", 1, 2)
    assert any("Memory ran out" in warning for warning in result.warnings)


def test_memory_that_never_suffices_ends_in_a_fault_with_advice(
    studio_with: Callable[[Path], Studio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_args: Any) -> Any:
        raise torch.OutOfMemoryError("made up")

    studio = studio_with(tmp_path / "no-models")
    monkeypatch.setattr(runner_module, "make_batch", never)
    with pytest.raises(OutOfMemory, match="Make it smaller"):
        studio.make(**APPLE)
    monkeypatch.setattr(runner_module, "make_batch", batch_module.make_batch)
    assert studio.make(**APPLE)[0] == "done"  # the next job is not affected


def test_every_sampler_makes_a_picture_of_a_red_apple(studio: Studio) -> None:
    for name in SAMPLERS.names():
        [image] = studio.pictures(**APPLE | {"steps": 20}, sampler_name=name)
        pixels = np.asarray(image, float)
        middle, corner = pixels[50:90, 40:90].mean((0, 1)), pixels[:10, :10].mean((0, 1))
        assert middle[0] > middle[2] + 40, (name, middle)
        assert corner.min() > 180, (name, corner)
