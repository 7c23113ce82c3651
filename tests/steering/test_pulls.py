"""Perturbed-attention guidance and skip-layer guidance, against diffusers' own pipelines."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import diffusers
import pytest
import torch

from modules.faults import RequestFault
from modules.steering.perturbed import attentions, joint_alone
from tests.steering.conftest import Bench


@pytest.mark.parametrize(
    ("kind", "name", "theirs", "ours", "scale"),
    [
        ("sd1", "StableDiffusionPAGPipeline", "mid", "mid", 5.0),
        ("sd1", "StableDiffusionPAGPipeline", ["down_blocks.1.a", "up_blocks.2.a"], "down.1, up.2", 1.0),
        ("sd1", "StableDiffusionPAGImg2ImgPipeline", "mid", "mid", 5.0),
        ("sdxl", "StableDiffusionXLPAGPipeline", "mid", "mid", 5.0),
        ("sd3", "StableDiffusion3PAGPipeline", "blocks.1", "mid", 5.0),
        ("sd3", "StableDiffusion3PAGPipeline", "blocks.2", "2", 1.0),
    ],
)
def test_perturbed_attention_is_that_of_diffusers(
    bench: Callable[[str], Bench], kind: str, name: str, theirs: Any, ours: str, scale: float
):
    made = bench(kind)
    plain_name = name.replace("PAG", "")
    own = made.as_class(plain_name)
    processors = dict(made.network.attn_processors)
    parts = {k: v for k, v in own.pipeline.components.items() if k in signature(getattr(diffusers, name).__init__).parameters}
    pipeline = getattr(diffusers, name)(**parts, pag_applied_layers=theirs)
    pipeline.set_progress_bar_config(disable=True)
    try:
        with torch.inference_mode():
            wanted = pipeline(**own.arguments((1,), scale), pag_scale=3.0).images
    finally:
        made.network.set_attn_processor(processors)
    found = own.steered(scale=scale, pag_scale=3.0, pag_layers=ours)
    assert torch.allclose(wanted, found, atol=1e-3)
    assert (wanted - own.plain(scale=scale)).abs().max() > 20 * (wanted - found).abs().max()


def test_perturbed_attention_with_rescale(bench: Callable[[str], Bench]):
    made = bench("sd1")
    pipeline: Any = diffusers.StableDiffusionPAGPipeline(**made.pipeline.components, pag_applied_layers="mid")
    pipeline.set_progress_bar_config(disable=True)
    processors = dict(made.network.attn_processors)
    with torch.inference_mode():
        wanted = pipeline(**made.arguments((1,)), pag_scale=3.0, guidance_rescale=0.7).images
    made.network.set_attn_processor(processors)
    assert torch.allclose(wanted, made.steered(pag_scale=3.0, cfg_rescale=0.7), atol=1e-4)


def test_joint_identity_is_attention_under_a_mask(bench: Callable[[str], Bench]):
    """In 3.5 keys and queries are normalised, which diffusers' own processor for this leaves out."""
    attn = bench("sd3.5").network.transformer_blocks[1].attn
    image, text = torch.randn(2, 16, 128), torch.randn(2, 5, 128)
    with torch.inference_mode():
        found = joint_alone(attn, image, text)
        for row in range(2):
            for place in (0, 7):
                # one place of the picture by itself attends to itself and the text
                wanted = attn(image[row : row + 1, place : place + 1], encoder_hidden_states=text[row : row + 1])[0]
                assert torch.allclose(found[0][row, place], wanted[0, 0], atol=1e-5)
        assert torch.allclose(found[1], attn(image, encoder_hidden_states=text)[1], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "place", "count"), [("sd1", "mid", 1), ("sd1", "down", 6), ("sd1", "up.1", 3), ("sd3.5", "0", 2), ("sd3.5", "2", 1)]
)
def test_layers_of_a_place(bench: Callable[[str], Bench], kind: str, place: str, count: int):
    assert len(attentions(bench(kind).network, [place, place])) == count


@pytest.mark.parametrize(("kind", "place"), [("sd1", "down.3"), ("sd1", "up.9"), ("sd1", "3"), ("sd3", "3"), ("sd3", "down.0")])
def test_layers_that_are_not_there(bench: Callable[[str], Bench], kind: str, place: str):
    made = bench(kind)
    before = made.state()
    with pytest.raises(RequestFault) as caught:
        made.steered(pag_scale=1.0, pag_layers=place)
    assert caught.value.field == "pag_layers"
    assert made.state() == before


@pytest.mark.parametrize("kind", ["sd3", "sd3.5"])
@pytest.mark.parametrize("asked", [{}, {"slg_start": 0.3, "slg_stop": 0.9}, {"slg_layers": "0, 2"}])
def test_skipped_layers_are_those_of_diffusers(bench: Callable[[str], Bench], kind: str, asked: dict[str, Any]):
    """Bit for bit what the pipeline does with its own arguments."""
    made = bench(kind)
    ours = {"slg_scale": 2.8, "slg_layers": "1", "slg_start": 0.1, "slg_stop": 0.6, **asked}
    wanted = made.plain(
        skip_guidance_layers=[int(n) for n in ours["slg_layers"].split(",")],
        skip_layer_guidance_scale=2.8,
        skip_layer_guidance_start=ours["slg_start"],
        skip_layer_guidance_stop=ours["slg_stop"],
    )
    assert torch.equal(wanted, made.steered(**ours))
    assert not torch.allclose(wanted, made.plain(), atol=1e-3)


@pytest.mark.parametrize("name", ["StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline"])
def test_skipped_layers_in_pipelines_that_have_no_such_argument(bench: Callable[[str], Bench], name: str):
    made = bench("sd3").as_class(name)
    assert not torch.allclose(made.plain(), made.steered(slg_scale=2.8, slg_layers="1", slg_stop=1.0), atol=1e-3)


def test_skipped_layers_that_are_not_there(bench: Callable[[str], Bench]):
    with pytest.raises(RequestFault, match="has blocks 0 to 2"):
        bench("sd3").steered(slg_scale=2.8)


def test_freeu_is_that_of_diffusers(bench: Callable[[str], Bench]):
    made = bench("sd1")
    made.pipeline.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    wanted = made.plain()
    made.pipeline.disable_freeu()
    assert torch.equal(wanted, made.steered(freeu=True))
    assert not torch.equal(wanted, made.steered(freeu=True, freeu_b1=1.1))
    assert not torch.allclose(wanted, made.plain(), atol=1e-3)
