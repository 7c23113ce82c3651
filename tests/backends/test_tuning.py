"""What is switched around a pipeline call: really switched inside, as it was afterwards, and what cannot be is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import diffusers.models.attention_dispatch as dispatch
import pytest
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch.nn.attention import SDPBackend

from modules.backends import attention
from modules.backends.attention import ATTENTIONS, AUTOMATIC
from modules.backends.tuning import arrange, tuned
from tests.backends.conftest import call, unet


def flux() -> FluxTransformer2DModel:
    torch.manual_seed(0)
    return FluxTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=32,
        pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
    ).eval()  # fmt: skip


def vae() -> AutoencoderKL:
    return AutoencoderKL(block_out_channels=(8, 8), norm_num_groups=4, down_block_types=("DownEncoderBlock2D",) * 2,
                         up_block_types=("UpDecoderBlock2D",) * 2)  # fmt: skip


VAE = vae()


def answered(network: Any, kind: str = "cpu", **settings: Any) -> tuple[torch.Tensor, list[str]]:
    notes: list[str] = []
    with torch.inference_mode(), tuned(kind, network, VAE, settings, notes):
        return network(**call(height=16, width=16))[0], notes


@pytest.mark.parametrize("name", [name for name, row in ATTENTIONS if not row.probe("cpu", None)])
def test_each_way_gives_the_same_numbers_and_leaves_nothing(name: str):
    network = unet()
    plain, notes = answered(network)
    before = {path: type(one) for path, one in network.attn_processors.items()}
    found, said = answered(network, cross_attention_optimization=name)
    assert notes == said == []
    assert torch.allclose(plain, found, atol=1e-5)
    assert {path: type(one) for path, one in network.attn_processors.items()} == before
    assert torch.equal(plain, answered(network)[0])


def test_kernels_of_torch_are_chosen_inside_alone(monkeypatch: pytest.MonkeyPatch):
    chosen: list[tuple[list[SDPBackend], bool]] = []

    @contextmanager
    def seen(backends: list[SDPBackend], set_priority: bool = False) -> Iterator[None]:
        chosen.append((backends, set_priority))
        yield

    monkeypatch.setattr(torch.nn.attention, "sdpa_kernel", seen)
    for name in ("math", "cudnn", "flash"):
        with tuned("cuda", unet(), VAE, {"cross_attention_optimization": name}, []):
            pass
    assert [backends[0] for backends, first in chosen if first] == [
        SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION,
    ]  # fmt: skip


def test_sliced_attention_is_computed_in_parts():
    network, shapes = unet(), []
    kind: Any = None
    with tuned("cpu", network, VAE, {"cross_attention_optimization": "Doggettx"}, []):
        kind = {type(one).__name__ for one in network.attn_processors.values()}
        shapes = [one.slice_size for one in network.attn_processors.values()]
    assert kind == {"SlicedAttnProcessor"}
    assert set(shapes) == {4}  # of 8 heads


@pytest.mark.parametrize(
    ("name", "kind", "make", "words"),
    [
        ("xformers", "cpu", unet, "not on cpu"),
        ("xformers", "cuda", unet, "pip install xformers"),
        ("sage", "xpu", unet, "not on xpu"),
        ("sage", "cuda", unet, "pip install sageattention"),
        ("cudnn", "mps", unet, "not of mps"),
        ("sliced", "cpu", flux, "for UNets"),
    ],
)
def test_what_cannot_be_used_is_left_to_torch_and_said(name: str, kind: str, make: Callable[[], Any], words: str):
    notes: list[str] = []
    with tuned(kind, make(), VAE, {"cross_attention_optimization": name}, notes):
        pass
    [said] = notes
    assert said.startswith(f"Attention was left to torch instead of {ATTENTIONS.get(name).title}")
    assert words in said


def test_packages_are_asked_through_diffusers(monkeypatch: pytest.MonkeyPatch):
    """The names of diffusers' dispatcher, which transformers ask; what it would need to compute is not here."""
    monkeypatch.setattr(attention.importlib.util, "find_spec", lambda name: object())
    asked: list[str] = []

    @contextmanager
    def seen(name: str) -> Iterator[None]:
        asked.append(name)
        yield

    monkeypatch.setattr(dispatch, "attention_backend", seen)
    network, notes = flux(), []
    for name in ("sage", "xformers"):
        with tuned("cuda", network, VAE, {"cross_attention_optimization": name}, notes):
            pass
    assert (asked, notes) == (["sage", "xformers"], [])
    assert set(asked) <= {one.value for one in dispatch.AttentionBackendName}
    with tuned("cuda", unet(), VAE, {"cross_attention_optimization": "sage"}, notes):
        pass
    assert "only Flux" in notes[0]
    network = unet()
    with tuned("cuda", network, VAE, {"cross_attention_optimization": "xformers"}, []):
        assert {type(one).__name__ for one in network.attn_processors.values()} == {"XFormersAttnProcessor"}
    assert {type(one).__name__ for one in network.attn_processors.values()} == {"AttnProcessor2_0"}


def test_an_attention_that_something_else_changed_stays(monkeypatch: pytest.MonkeyPatch):
    network, notes = unet(), []
    network.set_attention_slice(1)
    with tuned("cpu", network, VAE, {"cross_attention_optimization": "sliced"}, notes):
        assert {one.slice_size for one in network.attn_processors.values()} == {1}
    assert "something else" in notes[0]


def test_a1111s_names_are_known():
    for name in ("Automatic", "xformers", "sdp - scaled dot product", "Doggettx", "None", "sub-quadratic", "InvokeAI", "V1 - original v1"):
        assert name in ATTENTIONS
    assert ATTENTIONS.name_of("sdp") == AUTOMATIC


@pytest.mark.parametrize(
    ("settings", "wanted"), [({}, ("high", True, False)), ({"cuda_allow_tf32": False, "cudnn_benchmark": True}, ("highest", False, True))]
)
def test_switches_of_cards_are_theirs_alone(settings: dict[str, Any], wanted: tuple[str, bool, bool]):
    cudnn = torch.backends.cudnn

    def now() -> tuple[str, bool, bool]:
        return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark

    def on_cpu() -> str:
        return torch.backends.mkldnn.matmul.fp32_precision  # pyright: ignore[reportAttributeAccessIssue]

    before = now()
    with tuned("cpu", unet(), VAE, settings, []):
        assert now() == before
    with tuned("cuda", unet(), VAE, settings, []):
        assert now() == wanted
        assert on_cpu() == "ieee", "parts that work on the CPU beside a card are not shortened"
    assert now() == before
    assert on_cpu() in ("none", "ieee")


def test_channels_last_is_another_order_of_the_same_numbers():
    network = unet()
    plain = answered(network)[0]
    found = answered(network, opt_channelslast=True)[0]
    kernel = network.conv_in.weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert VAE.encoder.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(plain, found, atol=1e-5)
    assert torch.equal(plain, answered(network)[0])
    assert kernel.is_contiguous()


def test_weights_that_are_not_there_stay_where_they_are():
    away = unet().to("meta")
    arrange((away,), last=True)
    assert away.conv_in.weight.is_contiguous()
