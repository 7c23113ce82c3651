"""Schedulers inside diffusers' own pipelines, on a small random model: text to picture, from a picture, with a mask."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)

from modules.samplers import SAMPLERS
from modules.samplers.build import build_scheduler, first_noise, seeded
from modules.samplers.guided import SHARE, without_prompt_kept
from modules.samplers.options import SamplerOptions
from tests.samplers.gaussian import CONFIG

SOLVED = [name for name, row in SAMPLERS if row.solver]


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    vae = AutoencoderKL(
        block_out_channels=(4, 4),
        norm_num_groups=2,
        latent_channels=4,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    return {"unet": unet.eval(), "vae": vae.eval()}


def made(kind: type, parts: dict[str, Any], scheduler: Any) -> Any:
    pipeline = kind(
        **parts,
        text_encoder=None,
        tokenizer=None,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def words(batch: int, seed: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, 1, 5, 8, generator=generator)
    return {"prompt_embeds": both[0].expand(batch, -1, -1), "negative_prompt_embeds": both[1].expand(batch, -1, -1)}


def latents_of(pipeline: Any, seeds: list[int], steps: int = 4, **more: Any) -> torch.Tensor:
    generators = seeded(seeds)
    noise = {} if "image" in more else {"latents": first_noise(generators, (4, 8, 8))}
    call = {"num_inference_steps": steps, "guidance_scale": 5.0, "output_type": "latent", "generator": generators}
    with torch.inference_mode():
        return pipeline(**words(len(seeds)), **noise, **call, **more).images


@pytest.mark.parametrize("name", SOLVED)
def test_text_to_picture_and_a_batch_is_its_singles(parts: dict[str, Any], name: str) -> None:
    pipeline = made(StableDiffusionPipeline, parts, build_scheduler(name, "Automatic", CONFIG))
    row = SAMPLERS.get(name)
    batch = latents_of(pipeline, [1, 2], 21 if name == "Restart" else 4)
    assert torch.isfinite(batch).all()
    assert batch.shape == (2, 4, 8, 8)
    if row.together:
        single = latents_of(pipeline, [2], 21 if name == "Restart" else 4)
        torch.testing.assert_close(batch[1:], single, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", SAMPLERS.names())
@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_from_a_picture_by_the_pipelines_strength(parts: dict[str, Any], name: str, strength: float) -> None:
    pipeline = made(StableDiffusionImg2ImgPipeline, parts, build_scheduler(name, "Automatic", CONFIG))
    found = latents_of(pipeline, [1], 5, image=torch.zeros(1, 3, 16, 16), strength=strength)
    assert torch.isfinite(found).all()
    assert getattr(pipeline.scheduler, "fraction_done", 1.0) == 1.0  # the solver reached its end with the pipeline's last call


def test_from_a_picture_by_a1111s_rule_runs_as_many_steps(parts: dict[str, Any]) -> None:
    seen: list[int] = []

    def count(_pipe: Any, index: int, _t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append(index)
        return tensors

    scheduler = build_scheduler("DPM++ 2M", "Karras", CONFIG, options=SamplerOptions(denoising=0.5))
    pipeline = made(StableDiffusionImg2ImgPipeline, parts, scheduler)
    latents_of(pipeline, [1], 8, image=torch.zeros(1, 3, 16, 16), strength=1.0, callback_on_step_end=count)
    assert seen == list(range(5))


@pytest.mark.parametrize("name", ["DPM++ 2M", "Heun", "DPM++ SDE", "DDIM", "PLMS", "Restart", "DPM adaptive", "UniPC"])
def test_with_a_mask_what_is_kept_is_kept(parts: dict[str, Any], name: str) -> None:
    pipeline = made(StableDiffusionInpaintPipeline, parts, build_scheduler(name, "Automatic", CONFIG))
    picture = torch.linspace(-1, 1, 16).expand(1, 3, 16, 16)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 8:] = 1
    found = latents_of(pipeline, [1], 6, image=picture, mask_image=mask, strength=0.8, height=16, width=16)
    with torch.inference_mode():
        kept = parts["vae"].encode(picture).latent_dist.mode() * parts["vae"].config.scaling_factor
    assert torch.isfinite(found).all()
    near = (found[..., :4] - kept[..., :4]).abs().max()
    assert float(near) < 0.7, near  # the pipeline samples the encoder once more


def test_adaptive_ends_the_pipelines_loop_itself(parts: dict[str, Any]) -> None:
    calls: list[int] = []
    handle = parts["unet"].register_forward_hook(lambda *_: calls.append(1))
    pipeline = made(StableDiffusionPipeline, parts, build_scheduler("DPM adaptive", "Automatic", CONFIG))
    latents_of(pipeline, [1], 20)
    handle.remove()
    assert 10 < len(calls) < 500


class Echo(torch.nn.Module):
    """A network whose answer to row i of 2B is known."""

    def __init__(self, negative: torch.Tensor, positive: torch.Tensor) -> None:
        super().__init__()
        self.both = torch.cat([negative, positive])

    def forward(self, sample: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.both,)


def test_cfgpp_goes_down_along_the_negative_prompt() -> None:
    """Source: arXiv:2406.08070, algorithm 2, written out in its own variables."""
    noise = torch.randn(3, 1, 2, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    negative, positive, x = noise[0], noise[1], noise[2]
    scheduler: Any = build_scheduler("DDIM CFG++", "Automatic", CONFIG)
    scheduler.set_timesteps(10)
    network = Echo(negative, positive)
    t, after = 901, 801
    alpha, alpha_after = (1 / (1 + scheduler._levels.sigmas[k] ** 2) for k in (t, after))
    scale = 7.0
    with without_prompt_kept(network, scheduler, cfgpp=True, guided=True):
        first, second = network(x)[0].chunk(2)
    together = first + scale * (second - first)  # as pipelines do
    found = scheduler.step(together, scheduler.timesteps[0], x / alpha**0.5, return_dict=False)[0] * alpha_after**0.5
    guided = negative + scale * SHARE * (positive - negative)
    clean = (x - (1 - alpha) ** 0.5 * guided) / alpha**0.5
    torch.testing.assert_close(found, alpha_after**0.5 * clean + (1 - alpha_after) ** 0.5 * negative, rtol=1e-5, atol=1e-5)
    assert torch.equal(network(x)[0], network.both)  # the hook is gone


def test_cfgpp_in_a_pipeline_differs_from_ddim_and_only_when_asked_for(parts: dict[str, Any]) -> None:
    pipeline = made(StableDiffusionPipeline, parts, build_scheduler("DDIM CFG++", "Automatic", CONFIG))
    plain = latents_of(pipeline, [1])
    with without_prompt_kept(parts["unet"], pipeline.scheduler, cfgpp=False, guided=True):
        torch.testing.assert_close(latents_of(pipeline, [1]), plain)
    with without_prompt_kept(parts["unet"], pipeline.scheduler, cfgpp=True, guided=True):
        assert not torch.allclose(latents_of(pipeline, [1]), plain, atol=1e-3)
    pipeline.scheduler = build_scheduler("DDIM", "Automatic", CONFIG)
    torch.testing.assert_close(latents_of(pipeline, [1]), plain)
