"""Guidance: CFG rescale, the CFG schedule, parts without guidance; against diffusers' own where it has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from modules.processing.guidance import composed
from modules.request import Steering
from modules.samplers.build import build_scheduler
from modules.samplers.guided import without_prompt_kept
from modules.steering.course import scheduled
from modules.steering.guiding import rescaled
from modules.steering.steer import steered
from tests.steering.conftest import STEPS, Bench

BARELY = 1.0000001  # a scale at which the pipelines still ask about both


def scales(values: list[float]) -> Callable[..., dict[str, Any]]:
    """A callback under which a plain pipeline guides by another scale in each step."""

    def change(pipe: Any, index: int, _time: Any, _tensors: Any) -> dict[str, Any]:
        pipe._guidance_scale = values[min(index + 1, len(values) - 1)]
        return {}

    return change


@pytest.mark.parametrize(
    ("kind", "name"),
    [("sd1", ""), ("sdxl", ""), ("sdxl", "StableDiffusionXLImg2ImgPipeline"), ("sdxl", "StableDiffusionXLInpaintPipeline")],
)
def test_rescale_is_that_of_diffusers(bench: Callable[[str], Bench], kind: str, name: str):
    made = bench(kind).as_class(name) if name else bench(kind)
    theirs = made.plain(guidance_rescale=0.7)
    assert torch.allclose(theirs, made.steered(cfg_rescale=0.7), atol=1e-5)
    assert not torch.allclose(theirs, made.plain(), atol=1e-3)


def test_rescale_is_the_formula():
    guided, prompt = torch.randn(2, 4, 8, 8) * 3, torch.randn(2, 4, 8, 8)
    for row in range(2):
        wanted = guided[row] * (prompt[row].std() / guided[row].std())
        assert torch.allclose(rescaled(guided, prompt, 1.0)[row], wanted, atol=1e-6)
        assert torch.allclose(rescaled(guided, prompt, 0.3)[row], 0.3 * wanted + 0.7 * guided[row], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Constant", [8, 8, 8, 8, 8]),
        ("Linear up", [2, 3.5, 5, 6.5, 8]),
        ("Linear down", [8, 6.5, 5, 3.5, 2]),
        ("Cosine up", [2 + 6 * (1 - math.cos(math.pi * n / 4)) / 2 for n in range(5)]),
        ("Cosine down", [8 - 6 * (1 - math.cos(math.pi * n / 4)) / 2 for n in range(5)]),
    ],
)
def test_schedules(name: str, values: list[float]):
    assert [scheduled(name, 8, 2, n / 4) for n in range(5)] == pytest.approx(values)
    assert scheduled(name, 3, 9, 0.5) == 3  # a minimum above the scale counts for nothing


@pytest.mark.parametrize("name", ["", "StableDiffusionImg2ImgPipeline"])
def test_the_scale_follows_the_schedule(bench: Callable[[str], Bench], name: str):
    made = bench("sd1").as_class(name) if name else bench("sd1")
    calls = STEPS - 1 if name else STEPS  # a strength of 0.8
    values = [5 - 3 * n / (calls - 1) for n in range(calls)]
    wanted = made.plain(callback_on_step_end=scales(values))
    assert torch.allclose(wanted, made.steered(cfg_schedule="Linear down", cfg_schedule_min=2.0), atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ({"cfg_start": 0.5}, [BARELY, BARELY, 5.0, 5.0]),
        ({"cfg_stop": 0.5}, [5.0, 5.0, BARELY, BARELY]),
        ({"cfg_start": 0.25, "cfg_stop": 0.75}, [BARELY, 5.0, 5.0, BARELY]),
        ({"settings": {"skip_early_cond": 0.25}}, [BARELY, BARELY, 5.0, 5.0]),
        ({"s_min_uncond": 1000.0}, [5.0, BARELY, 5.0, BARELY]),
        ({"settings": {"s_min_uncond": 1000.0, "s_min_uncond_all": True}}, [BARELY] * 4),
        ({"settings": {"s_min_uncond": 1000.0}, "s_min_uncond": 0.0}, [5.0] * 4),
        ({"s_min_uncond": 1e-3, "settings": {"s_min_uncond_all": True}}, [5.0] * 4),
    ],
)
@pytest.mark.parametrize("kind", ["sdxl", "sd3"])
def test_steps_without_guidance(bench: Callable[[str], Bench], kind: str, asked: dict[str, Any], values: list[float]):
    made = bench(kind)
    wanted = made.plain(callback_on_step_end=scales(values), **({"guidance_scale": values[0]} if values[0] == BARELY else {}))
    assert torch.allclose(wanted, made.steered(**asked), atol=1e-4)


def test_noise_levels_are_known(bench: Callable[[str], Bench]):
    """Between the levels of the second and the third call only the steps after them are unguided."""
    made = bench("sd1")
    made.pipeline.scheduler.set_timesteps(STEPS)
    betas = made.pipeline.scheduler.alphas_cumprod
    levels = [math.sqrt((1 - betas[int(t)]) / betas[int(t)]) for t in made.pipeline.scheduler.timesteps]
    middle = (levels[-2] + levels[-3]) / 2
    calls = len(levels)
    wanted = made.plain(callback_on_step_end=scales([5.0] * (calls - 2) + [BARELY] * 2))
    assert torch.allclose(wanted, made.steered(settings={"s_min_uncond": middle, "s_min_uncond_all": True}), atol=1e-4)


def test_unguided_steps_leave_out_the_negative_rows(bench: Callable[[str], Bench]):
    made = bench("sd1")
    seen: list[int] = []
    handle = made.network.conv_in.register_forward_hook(lambda module, given, out: seen.append(len(out)))
    made.steered(cfg_stop=0.5)
    handle.remove()
    assert seen[:2] == [2, 2]
    assert seen[-2:] == [1, 1]


class Watched:
    """What a Flux network answers, and what its scheduler is handed, in the first step."""

    def __init__(self, made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[torch.Tensor] = []
        self.handed: list[torch.Tensor] = []
        step = made.pipeline.scheduler.step

        def spy(output: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            self.handed.append(output)
            return step(output, *args, **kwargs)

        monkeypatch.setattr(made.pipeline.scheduler, "step", spy)
        self.handle = made.network.proj_out.register_forward_hook(lambda module, given, out: self.answers.append(out))


@pytest.mark.parametrize(
    "asked", [{}, {"cfg_rescale": 0.7}, {"cfg_schedule": "Linear up", "cfg_schedule_min": 2.0}, {"cfg_start": 0.5}, {"cfg_stop": 0.25}]
)
def test_a_pipeline_that_asks_in_separate_calls(bench: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]):
    """Flux: the scheduler is handed the guided prediction, and an unguided step costs one call."""
    made = bench("flux")
    watched = Watched(made, monkeypatch)
    made.steered(**asked)
    watched.handle.remove()
    positive = watched.answers[0]
    if "cfg_start" in asked:
        assert len(watched.answers) == STEPS + STEPS // 2
        assert torch.equal(watched.handed[0], positive)
        return
    negative = watched.answers[1]
    scale = 2.0 if "cfg_schedule" in asked else 5.0
    wanted = negative + scale * (positive - negative)
    wanted = rescaled(wanted, positive, 0.7) if "cfg_rescale" in asked else wanted
    assert torch.allclose(watched.handed[0], wanted, atol=1e-5)
    assert len(watched.answers) == (STEPS + 1 if "cfg_stop" in asked else 2 * STEPS)


def test_an_editing_model_keeps_its_three_parts(bench: Callable[[str], Bench]):
    made = bench("edit")
    plain = made.plain(image_guidance_scale=1.5)
    same = made.steered(cfg_schedule="Linear up", cfg_schedule_min=5.0, call={"image_guidance_scale": 1.5})
    assert torch.allclose(plain, same, atol=1e-4)
    assert not torch.allclose(plain, made.steered(cfg_rescale=0.7), atol=1e-3)


def and_call(made: Bench, asked: Steering, weights: list[float]) -> torch.Tensor:
    """A steered call in which the prompt is joined by AND with itself, so many times with these weights."""
    context = made.context((1,), weights=tuple(weights))
    given = made.arguments((1,))
    part = (given["prompt_embeds"], given.get("pooled_prompt_embeds"))
    with (
        torch.inference_mode(),
        steered(made.pipeline, asked, context) as steer,
        composed(made.network, weights, lambda: [part] * (len(weights) - 1)),
        steer.guiding(),
    ):
        return made.pipeline(**given).images


@pytest.mark.parametrize("kind", ["sd1", "sdxl", "sd3"])
@pytest.mark.parametrize("asked", [{"cfg_rescale": 0.7}, {"pag_scale": 2.0}, {"cfg_stop": 0.5}, {"slg_scale": 2.0, "slg_layers": "1"}])
def test_works_with_and(bench: Callable[[str], Bench], kind: str, asked: dict[str, Any]):
    """A prompt joined with itself, half and half, is the prompt."""
    made = bench(kind)
    assert torch.allclose(made.steered(**asked), and_call(made, Steering(**asked), [0.5, 0.5]), atol=1e-3)


@pytest.mark.parametrize("asked", [{}, {"cfg_schedule": "Linear up", "cfg_schedule_min": 5.0}, {"cfg_rescale": 0.7}])
def test_works_with_ddim_cfgpp(bench: Callable[[str], Bench], asked: dict[str, Any]):
    made = bench("sd1")
    was = made.pipeline.scheduler

    def run(steering: Steering) -> torch.Tensor:
        made.pipeline.scheduler = build_scheduler("DDIM CFG++", "Automatic", was.config)
        context = made.context((1,), cfgpp=True)
        with (
            torch.inference_mode(),
            steered(made.pipeline, steering, context) as steer,
            without_prompt_kept(made.network, made.pipeline.scheduler, cfgpp=True, guided=True),
            steer.guiding(),
        ):
            return made.pipeline(**made.arguments((1,))).images

    try:
        plain, found = run(Steering()), run(Steering(**asked))
    finally:
        made.pipeline.scheduler = was
    assert torch.allclose(plain, found, atol=1e-4) == ("cfg_rescale" not in asked)
