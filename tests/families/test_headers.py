"""Single files of the full-size models: recognised by exactly one family, however their keys are prefixed or named; and no
damaged header crashes anything.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers.loaders import single_file_utils as converters

from modules.families import FAMILIES, Match, candidates, identify, kind_of, shipped
from modules.faults import ModelFault
from modules.weights.header import Header, TensorInfo
from tests.families.full_size import component_shapes
from tests.families.stripped import NAMES, header, made, renamed, under

CORE = "model.diffusion_model."
VARIANTS = {row.config: (family.id, name) for _, family in FAMILIES for name, row in family.variants.items()}
FAMILY_BY_ID = dict(FAMILIES)


def found(source: Header) -> tuple[str, Match]:
    """The one family that fits; fails when there are several or none."""
    fits = [(family.id, match) for family, match in candidates(source) if match.fits]
    assert len(fits) == 1, [(family.id, match.why) for family, match in candidates(source)]
    return fits[0]


def test_there_is_a_header_for_every_variant() -> None:
    assert set(NAMES) == set(VARIANTS)


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_file_is_known_by_one_family(name: str) -> None:
    family_id, match = found(header(name))
    family, variant = VARIANTS[name]
    assert (family_id, match.variant) == (family, variant)
    encoders = [part for part in shipped.components(name) if part.startswith("text_encoder")]
    assert match.parts == (FAMILY_BY_ID[family].denoiser, "vae", *encoders)
    assert match.native_px == FAMILY_BY_ID[family].variant(variant).native_px
    assert (kind_of(header(name)).kind, kind_of(header(name)).architecture) == ("checkpoint", FAMILY_BY_ID[family].architecture)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prefix", [CORE, "diffusion_model.", ""])
def test_the_denoiser_alone_is_known(name: str, prefix: str) -> None:
    alone = under(header(name), CORE, prefix)
    family_id, match = found(alone)
    assert (family_id, match.variant) == VARIANTS[name]
    assert match.parts == (FAMILY_BY_ID[family_id].denoiser,)
    assert kind_of(alone).kind == "unet"
    assert found(under(header(name), CORE, prefix, format="gguf"))[0] == family_id


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prefix", ["", "unet.", "transformer."])
def test_the_denoiser_under_diffusers_names_is_known(name: str, prefix: str) -> None:
    family = FAMILY_BY_ID[VARIANTS[name][0]]
    shapes = component_shapes(name, family.denoiser)
    family_id, match = found(made({prefix + key: shape for key, shape in shapes.items()}, metadata=dict(header(name).metadata)))
    assert (family_id, match.variant) == VARIANTS[name]


@pytest.mark.parametrize("name", ["sd15", "sd2-768", "sdxl", "sdxl-refiner", "sd3.5-medium", "sd3.5-large", "flux-dev", "flux-schnell"])
def test_the_headers_are_what_diffusers_reads(name: str) -> None:
    """diffusers' own converters turn these keys into exactly the tensors of its full-size classes."""
    source = header(name)
    core = {key: torch.empty(info.shape, device="meta") for key, info in source.tensors.items() if key.startswith(CORE)}
    convert: dict[str, Callable[..., dict[str, Any]]] = {
        "unet": lambda: converters.convert_ldm_unet_checkpoint(core, dict(_config(name, "unet"))),
        "sd3": lambda: converters.convert_sd3_transformer_checkpoint_to_diffusers(core),
        "flux": lambda: converters.convert_flux_transformer_checkpoint_to_diffusers(core),
    }
    family = FAMILY_BY_ID[VARIANTS[name][0]]
    result = convert["unet" if family.denoiser == "unet" else family.id]()
    assert {key: tuple(value.shape) for key, value in result.items()} == component_shapes(name, family.denoiser)
    vae = {key: torch.empty(info.shape, device="meta") for key, info in source.tensors.items() if key.startswith(("first_stage", "vae."))}
    result = converters.convert_ldm_vae_checkpoint(vae, dict(_config(name, "vae")))
    assert {key: tuple(value.shape) for key, value in result.items()} == component_shapes(name, "vae")


def _config(name: str, component: str) -> Any:
    kind = getattr(diffusers, shipped.components(name)[component][1])
    return {**dict.fromkeys(kind._get_init_keys(kind)), **shipped.config(name, component)}


@pytest.mark.parametrize(("name", "keys"), [("sd15", 1131), ("sdxl", 2515)])
def test_the_number_of_tensors_is_that_of_the_published_file(name: str, keys: int) -> None:
    assert len(header(name).tensors) == keys


def test_what_a_file_says_about_itself_is_read() -> None:
    plain = header("sdxl")
    marked = replace(plain, tensors={**plain.tensors, "v_pred": TensorInfo("F32", ()), "ztsnr": TensorInfo("F32", ())})
    assert found(marked)[1].prediction == "v_prediction"
    said = {"modelspec.prediction_type": "v", "modelspec.resolution": "768x768", "modelspec.title": "My Lightning mix"}
    match = found(replace(plain, metadata=said))[1]
    assert (match.prediction, match.native_px, match.variant) == ("v_prediction", 768, "few-step")
    sd2 = header("sd2-768")
    assert found(replace(sd2, metadata={"modelspec.resolution": "512x512"}))[1].variant == ""
    assert found(replace(sd2, metadata={"modelspec.prediction_type": "epsilon"}))[1].variant == ""
    assert found(replace(sd2, path=Path("sd_2.1_512_turbo.safetensors")))[1].variant == "768"  # never by the file's name
    nonsense = {"darkroom.scheduler": "[" * 5000, "modelspec.resolution": "x", "modelspec.prediction_type": "psychic"}
    assert found(replace(plain, metadata=nonsense))[1].prediction is None


def _with(source: Header, **shapes: tuple[int, ...]) -> Header:
    return replace(source, tensors={**source.tensors, **{CORE + key: TensorInfo("F16", shape) for key, shape in shapes.items()}})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (_with(header("sd15"), **{"input_blocks.0.0.weight": (320, 5, 3, 3)}), "a depth model"),
        (_with(header("sd15"), **{"input_blocks.0.0.weight": (320, 7, 3, 3)}), "an upscaling model"),
        (_with(header("sd2"), **{"label_emb.0.0.weight": (1280, 2048)}), "an unCLIP model"),
        (_with(header("flux-dev"), **{"img_in.weight": (3072, 384)}), "Flux.1 Fill"),
        (_with(header("flux-dev"), **{"img_in.weight": (3072, 128)}), "Depth or Canny"),
        (_with(header("flux-dev"), **{"distilled_guidance_layer.in_proj.weight": (5120, 64)}), "a Chroma model"),
        (_with(header("sdxl"), edm_mean=(4,)), "a Playground"),
        (made({"edm_vpred.sigma_max": (), **{k: i.shape for k, i in header("sdxl").tensors.items()}}), "a CosXL model"),
        (made({"model.diffusion_model.single_stream_modulation.lin.weight": (9, 9)}), "a Flux.2 model"),
        (made({"blocks.0.self_attn.q.weight": (8, 8), "head.modulation": (1, 2, 8)}), "a Wan video model"),
        (_with(header("flux-dev"), **{"img_in.weight.quant_state.bitsandbytes__nf4": (76,)}), "packed with bitsandbytes"),
        (made({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (16, 3072)}), "models/Lora"),
        (under(header("sd15"), "first_stage_model."), "models/VAE"),
        (made({"something.weight": (3, 3)}), "Stable Diffusion XL: it has no UNet"),
    ],
)
def test_what_cannot_be_run_is_called_by_its_name(source: Header, words: str) -> None:
    with pytest.raises(ModelFault, match=words) as caught:
        identify(source)
    assert set(caught.value.extra["reasons"]) == {family.title for _, family in FAMILIES}
    assert caught.value.message.startswith(source.path.name)
    assert caught.value.message.endswith(".")


def test_ten_thousand_damaged_headers_crash_nothing() -> None:
    """Names cut, changed and swapped, shapes of every length: each gets an answer, a family or a fault in words."""
    draw = random.Random(4)
    small = [_thinned(header(name), draw) for name in NAMES]
    counts = {"known": 0, "refused": 0}
    for _ in range(10_000):
        damaged = _damaged(draw.choice(small), draw)
        try:
            family, match = identify(damaged)
        except ModelFault:
            counts["refused"] += 1
        else:
            assert match.variant in family.variants
            assert match.native_px > 0
            counts["known"] += 1
        assert kind_of(damaged).why
    assert min(counts.values()) > 500, counts


def _thinned(source: Header, draw: random.Random) -> Header:
    """A header that is still recognised, with a small share of the keys, so that many fit into a test."""
    keep = (
        ".0.0.",
        "0.0.weight",
        "out.2.",
        "time_embed",
        "blocks.0.",
        "img_in",
        "final_layer",
        "embedder",
        "_in.",
        "blocks.1.1.",
        "blocks.4.1.",
    )
    tensors = {k: i for k, i in source.tensors.items() if any(mark in k for mark in keep) or draw.random() < 0.02}
    few = dict(sorted(tensors.items(), key=lambda item: (item[0].count("."), item[0]))[:70])
    few |= {k: i for k, i in tensors.items() if k.endswith("transformer_blocks.0.attn2.to_k.weight")}
    anchors = (
        "double_blocks.0.img_attn.norm.key_norm.scale",
        "joint_blocks.0.context_block.attn.qkv.weight",
        "joint_blocks.0.x_block.attn",
    )
    few |= {k: i for k, i in source.tensors.items() if k.removeprefix(CORE).startswith(anchors)}
    thin = replace(source, tensors=few)
    assert found(thin)[0] == found(source)[0]
    return thin


def _damaged(source: Header, draw: random.Random) -> Header:
    tensors = dict(source.tensors)
    core = [key for key in tensors if key.startswith(CORE)]
    for _ in range(draw.randint(1, 6)):
        key = draw.choice(core if draw.random() < 0.7 else list(tensors))
        info = tensors.pop(key, None) or TensorInfo("F16", (1,))
        match draw.randrange(6):
            case 0:
                continue
            case 1:
                shape = tuple(draw.choice([0, 1, 4, 9, 64, 768, 2**40]) for _ in range(draw.randint(0, 5)))
                tensors[key] = TensorInfo(info.dtype, shape)
            case 2:
                tensors[key[: draw.randint(0, len(key))]] = info
            case 3:
                tensors[key.replace("0", draw.choice(["", "00", "99999999999", "x", "-1", "²"]))] = info
            case 4:
                tensors[key] = tensors[draw.choice(list(tensors) or [key])] if tensors else info
            case _:
                tensors[draw.choice(["", "first_stage_model.", "lora_unet_", "transformer."]) + key.removeprefix(CORE)] = info
    return replace(source, tensors=tensors, metadata=draw.choice([{}, {"modelspec.resolution": "²x²"}, {"modelspec.title": "\0"}]))


def test_names_are_looked_at_only_where_they_begin_with_the_prefix() -> None:
    """A model inside another one's keys is not taken for one."""
    inside = renamed(header("sd15"), lambda key: f"teacher.{key}")
    assert not any(match.fits for _, match in candidates(inside))
