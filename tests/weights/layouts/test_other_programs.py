"""What diffusers alone reads from our single files, and that our rules agree with its converters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import pytest
import torch
from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers

from modules.weights import header, model_folder
from modules.weights.layouts import flux, rules
from tests.weights.layouts.conftest import Sample

Get = Callable[[str], Sample]


@pytest.mark.parametrize("name", ["sd15", "sd15-pix2pix", "sd2-768", "sdxl", "sdxl-refiner", "sd3.5-medium"])
def test_diffusers_reads_our_file_as_the_folder(sample: Get, name: str) -> None:
    made = sample(name)
    kind = getattr(diffusers, model_folder.read(made.folder).pipeline)
    folder = kind.from_pretrained(made.folder, local_files_only=True)
    single = kind.from_single_file(str(made.single), config=str(made.folder), local_files_only=True)
    for part, module in folder.components.items():
        if isinstance(module, torch.nn.Module):
            theirs = single.components[part].state_dict()
            assert module.state_dict().keys() == theirs.keys()
            for key, value in module.state_dict().items():
                if not key.endswith("embed_tokens.weight"):  # the other name of T5's `shared`, which diffusers leaves without numbers
                    assert torch.equal(value, theirs[key]), f"{part}.{key}"


def test_flux_rules_agree_with_diffusers_converter() -> None:
    """It knows the width 3072 only, so the matrices here have that height and are narrow."""
    hidden, rows = 3072, 7 * 3072
    generator = torch.Generator().manual_seed(0)
    single: dict[str, torch.Tensor] = {}
    plan = flux.rules(1, 1, hidden, rows)
    for rule in plan.rules:
        height = rows if rule.single.endswith("linear1.") else 3 * hidden if rule.how == "stack" else 6
        for end in ("weight", "bias") if rule.single.endswith(".") else ("",):
            single[rule.single + end] = torch.randn(height, *([2] if end == "weight" else []), generator=generator)
    theirs = convert_flux_transformer_checkpoint_to_diffusers(dict(single))
    ours: dict[str, torch.Tensor] = {}
    for entry in plan.from_single(single):
        for part in entry.parts:
            at = rules.span(entry, part, len(single[entry.single])) if entry.how == "stack" else None
            whole = single[entry.single]
            ours[part] = whole[at[0] : at[1]] if at else rules.to_part(entry, whole)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


EXPECTED: dict[str, tuple[str, ...]] = {
    "sd15": (
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.output_blocks.11.0.skip_connection.weight",
        "first_stage_model.decoder.up.3.upsample.conv.weight",
        "first_stage_model.encoder.mid.attn_1.q.weight",
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
        "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight",
    ),
    "sd2-768": (
        "cond_stage_model.model.transformer.resblocks.2.attn.in_proj_weight",
        "cond_stage_model.model.text_projection",
        "cond_stage_model.model.logit_scale",
        "v_pred",
        "ztsnr",
    ),
    "sdxl": (
        "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight",
        "conditioner.embedders.1.model.text_projection",
        "model.diffusion_model.label_emb.0.0.weight",
    ),
    "sdxl-refiner": ("conditioner.embedders.0.model.ln_final.weight",),
    "sd3.5-medium": (
        "model.diffusion_model.joint_blocks.0.x_block.attn2.qkv.weight",
        "model.diffusion_model.joint_blocks.0.x_block.attn.ln_q.weight",
        "text_encoders.clip_g.transformer.text_projection.weight",
        "text_encoders.t5xxl.transformer.shared.weight",
    ),
    "flux-dev": (
        "model.diffusion_model.guidance_in.in_layer.weight",
        "model.diffusion_model.single_blocks.1.linear1.weight",
        "vae.decoder.conv_in.weight",
        "text_encoders.clip_l.transformer.text_model.final_layer_norm.bias",
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_names_and_metadata_are_those_that_other_programs_look_for(sample: Get, name: str) -> None:
    found = header.read(sample(name).single)
    assert set(EXPECTED[name]) <= found.tensors.keys()
    assert found.metadata["modelspec.sai_model_spec"] == "1.0.0"


def test_metadata_says_what_the_model_predicts(sample: Get) -> None:
    said: Any = header.read(sample("sd2-768").single).metadata
    assert (said["modelspec.prediction_type"], said["modelspec.architecture"]) == ("v", "stable-diffusion-v2-768-v")
    assert said["modelspec.resolution"] == "768x768"
    assert header.read(sample("sdxl").single).metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base"
    assert header.read(sample("flux-schnell").single).metadata["modelspec.architecture"] == "flux-1-schnell"


def test_an_attention_of_the_vae_is_a_convolution_in_the_file(sample: Get) -> None:
    shape = header.read(sample("sd15").single).shape("first_stage_model.decoder.mid.attn_1.k.weight")
    assert shape == (64, 64, 1, 1)
