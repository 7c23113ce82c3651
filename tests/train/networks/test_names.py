"""The names in a file of a full-size model, against the published ones. Structures without weights: shapes alone are made."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from modules.families import FAMILIES, shipped
from modules.train.networks.adapters import layers_of
from modules.train.networks.recipes import RECIPES
from modules.train.networks.targets import CLIP, chosen
from modules.weights import header
from modules.weights.lora import write as writing
from modules.weights.lora.maths import Factors
from modules.weights.lora.merge import names_of

PARTS = ("lora_down.weight", "lora_up.weight", "alpha")
ATTENTION = [f"attn{n}_{to}" for n in (1, 2) for to in ("to_q", "to_k", "to_v", "to_out_0")]
BLOCK = [*ATTENTION, "ff_net_0_proj", "ff_net_2"]
CONVOLUTIONS = ("conv1", "conv2", "time_emb_proj")


def spatial(start: str, depth: int = 1) -> list[str]:
    """A stack of attention blocks of a UNet."""
    inner = [f"{start}_transformer_blocks_{n}_{layer}" for n in range(depth) for layer in BLOCK]
    return [f"{start}_proj_in", f"{start}_proj_out", *inner]


def clip(prefix: str, depth: int) -> list[str]:
    layers = [*(f"self_attn_{x}_proj" for x in ("q", "k", "v", "out")), "mlp_fc1", "mlp_fc2"]
    return [f"{prefix}_text_model_encoder_layers_{n}_{layer}" for n in range(depth) for layer in layers]


def unet() -> list[str]:
    """SD 1 and 2: diffusers' names."""
    places = [f"down_blocks_{b}_attentions_{a}" for b in (0, 1, 2) for a in (0, 1)]
    places += ["mid_block_attentions_0", *(f"up_blocks_{b}_attentions_{a}" for b in (1, 2, 3) for a in (0, 1, 2))]
    return [name for place in places for name in spatial(f"lora_unet_{place}")]


def unet_xl() -> list[str]:
    """SDXL: the maker's names."""
    depths = {"input_blocks_4_1": 2, "input_blocks_5_1": 2, "input_blocks_7_1": 10, "input_blocks_8_1": 10, "middle_block_1": 10}
    depths |= {f"output_blocks_{n}_1": 10 if n < 3 else 2 for n in range(6)}
    return [name for place, depth in depths.items() for name in spatial(f"lora_unet_{place}", depth)]


def joint() -> list[str]:
    """SD3.5 Medium: the first 13 of 24 blocks have a second attention; the last has no text stream behind its attention."""
    found: list[str] = []
    for n in range(24):
        layers = ["attn_qkv", "attn_proj", "mlp_fc1", "mlp_fc2", "adaLN_modulation_1"]
        image = [*layers, *(["attn2_qkv", "attn2_proj"] if n < 13 else [])]
        text = layers if n < 23 else ["attn_qkv", "adaLN_modulation_1"]
        found += [f"lora_unet_joint_blocks_{n}_x_block_{layer}" for layer in image]
        found += [f"lora_unet_joint_blocks_{n}_context_block_{layer}" for layer in text]
    return found


def double_and_single() -> list[str]:
    """Flux.1."""
    layers = ("attn_qkv", "attn_proj", "mlp_0", "mlp_2", "mod_lin")
    found = [f"lora_unet_double_blocks_{n}_{stream}_{layer}" for n in range(19) for stream in ("img", "txt") for layer in layers]
    return found + [f"lora_unet_single_blocks_{n}_{layer}" for n in range(38) for layer in ("linear1", "linear2", "modulation_lin")]


CASES: dict[str, tuple[str, type[Any], tuple[type[Any], ...], list[str], int]] = {
    "sd15": ("sd15", UNet2DConditionModel, (CLIPTextModel,), [*unet(), *clip("lora_te", 12)], 264),
    "sd2": ("sd2", UNet2DConditionModel, (CLIPTextModel,), [*unet(), *clip("lora_te", 23)], 330),
    "sdxl": (
        "sdxl",
        UNet2DConditionModel,
        (CLIPTextModel, CLIPTextModelWithProjection),
        [*unet_xl(), *clip("lora_te1", 12), *clip("lora_te2", 32)],
        986,
    ),
    "sd3.5-medium": (
        "sd3",
        SD3Transformer2DModel,
        (CLIPTextModelWithProjection, CLIPTextModelWithProjection),
        [*joint(), *clip("lora_te1", 12), *clip("lora_te2", 32)],
        527,
    ),
    "flux-dev": ("flux", FluxTransformer2DModel, (CLIPTextModel,), [*double_and_single(), *clip("lora_te1", 12)], 376),
}


def full_size(folder: str, network: type[Any], encoders: Iterable[type[Any]], denoiser: str) -> dict[str, torch.nn.Module]:
    with torch.device("meta"):
        found: dict[str, torch.nn.Module] = {denoiser: network.from_config(shipped.config(folder, denoiser))}
        for number, kind in enumerate(encoders, 1):
            name = "text_encoder" if number == 1 else f"text_encoder_{number}"
            found[name] = kind(CLIPTextConfig(**shipped.config(folder, name)))
    return found


def written(architecture: str, parts: dict[str, torch.nn.Module], file: Path, *, convolutions: bool = False) -> set[str]:
    """Names in a file with one rank on every layer that is chosen."""
    names = names_of(architecture, {c: {n: tuple(t.shape) for n, t in part.state_dict().items()} for c, part in parts.items()})
    learnt: dict[tuple[str, str], Factors] = {}
    for component, part in parts.items():
        layers = layers_of(part)
        rule = CLIP if component.startswith("text") else RECIPES.get(architecture).rule
        for path in chosen(layers, rule, convolutions=convolutions).paths:
            shape, ones = layers[path], [1] * (len(layers[path]) - 2)
            learnt[component, path] = Factors(down=torch.zeros(1, *shape[1:]), up=torch.zeros(shape[0], 1, *ones))
    writing.write(file, learnt, names)
    return set(header.read(file).tensors)


@pytest.mark.parametrize("case", CASES)
def test_names_are_the_published_ones(case: str, tmp_path: Path):
    family, network, encoders, expected, count = CASES[case]
    parts = full_size(case, network, encoders, FAMILIES.get(family).denoiser)
    found = written(FAMILIES.get(family).architecture, parts, tmp_path / "a.safetensors")
    assert found == {f"{name}.{part}" for name in expected for part in PARTS}
    assert len(expected) == len(set(expected)) == count


def test_convolutions_have_kohyas_names_too(tmp_path: Path):
    parts = full_size("sd15", UNet2DConditionModel, (), "unet")
    found = written("sd1", parts, tmp_path / "a.safetensors", convolutions=True)
    resnets = [f"down_blocks_{b}_resnets_{r}" for b in range(4) for r in (0, 1)] + ["mid_block_resnets_0", "mid_block_resnets_1"]
    resnets += [f"up_blocks_{b}_resnets_{r}" for b in range(4) for r in (0, 1, 2)]
    expected = [f"{place}_{layer}" for place in resnets for layer in CONVOLUTIONS]
    narrowing = ["down_blocks_1_resnets_0", "down_blocks_2_resnets_0", *(f"up_blocks_{b}_resnets_{r}" for b in range(4) for r in (0, 1, 2))]
    expected += [f"{place}_conv_shortcut" for place in narrowing]
    expected += [f"down_blocks_{b}_downsamplers_0_conv" for b in (0, 1, 2)] + [f"up_blocks_{b}_upsamplers_0_conv" for b in (0, 1, 2)]
    assert found == {f"lora_unet_{name}.{part}" for name in expected for part in PARTS} | {
        f"{name}.{part}" for name in unet() for part in PARTS
    }
