"""Memory policies: the decisions, the calls on a made-up pipeline, and what can be run of them on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from modules.hardware import policies


class Recorder:
    """Stands for a pipeline; writes down which of its methods were called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.vae: Any = self

    def __getattr__(self, name: str) -> Any:
        def call(*values: Any, **named: Any) -> None:
            self.calls.append(" ".join([name, *map(str, values), *(f"{k}={v}" for k, v in named.items())]))

        return call


@pytest.mark.parametrize(
    ("policy", "calls"),
    [
        ("resident", ["to cuda:1"]),
        ("tiled", ["to cuda:1", "enable_slicing", "enable_tiling"]),
        ("medvram", ["enable_model_cpu_offload device=cuda:1", "enable_slicing", "enable_tiling"]),
        ("lowvram", ["enable_sequential_cpu_offload device=cuda:1", "enable_slicing", "enable_tiling"]),
    ],
)
def test_what_a_policy_asks_of_diffusers(policy: str, calls: list[str]):
    pipeline = Recorder()
    policies.POLICIES.get(policy).apply(pipeline, "cuda:1")
    assert pipeline.calls == calls
    assert all(hasattr(StableDiffusionPipeline, c.split()[0]) or hasattr(AutoencoderKL, c.split()[0]) for c in calls)


def test_the_ladder_leads_from_fast_to_careful():
    assert policies.ladder("cuda") == ["resident", "tiled", "medvram", "lowvram"]
    assert policies.ladder("cpu") == ["resident", "tiled"]
    assert [policies.after(p, "cuda") for p in policies.ladder("cuda")] == ["tiled", "medvram", "lowvram", None]
    assert policies.after("tiled", "mps") is None


@pytest.mark.parametrize(
    ("kind", "flags", "policy", "said"),
    [
        ("cuda", {}, "resident", False),
        ("cuda", {"medvram": True}, "medvram", False),
        ("rocm", {"lowvram": True}, "lowvram", False),
        ("cpu", {"lowvram": True}, "tiled", True),
        ("mps", {"medvram": True}, "tiled", True),
    ],
)
def test_the_policy_to_begin_with(kind: str, flags: dict[str, Any], policy: str, said: bool):
    found, note = policies.first(kind, flags)
    assert found == policy
    assert bool(note) == said


@pytest.fixture(scope="module")
def tiny() -> Any:
    """A random Stable Diffusion pipeline with 64-pixel pictures."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=32, norm_num_groups=4, cross_attention_dim=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=2,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 16), norm_num_groups=4, latent_channels=4, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    text = CLIPTextModel(CLIPTextConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=100))
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=None, unet=unet, scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def picture(pipeline: Any) -> torch.Tensor:
    hidden = torch.ones((2, 4, 16))
    latents = torch.randn((2, 4, 32, 32), generator=torch.Generator().manual_seed(1))
    made = pipeline(
        prompt_embeds=hidden, negative_prompt_embeds=-hidden, latents=latents, num_inference_steps=2, height=64, width=64, output_type="pt"
    )
    return made.images


def test_policies_on_a_real_pipeline_on_the_cpu(tiny: Any):
    policies.POLICIES.get("resident").apply(tiny, "cpu")
    plain = picture(tiny)
    policies.POLICIES.get("tiled").apply(tiny, "cpu")
    assert tiny.vae.use_slicing
    assert tiny.vae.use_tiling
    spared = picture(tiny)
    assert plain.shape == spared.shape
    assert torch.isfinite(spared).all()
    assert float((plain - spared).abs().max()) < 0.5  # tiles see less of their surroundings, the picture is the same one
