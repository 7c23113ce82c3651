"""Ways of computing attention: a row each, set around a pipeline call and taken off after it. Can be imported without torch.

Names are those of A1111's setting. All give the same numbers up to rounding. Start reading at `ATTENTIONS`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from modules.registry import Registry

NVIDIA = ("cuda", "rocm")
PROCESSORS = "attn_processors"  # attribute of networks whose attention is changed by processors of its own


@dataclass(frozen=True, kw_only=True)
class Attention:
    """title, help: for people; source: the documentation followed.

    probe(device kind, network) -> "" where it can be used, else the reason in a sentence; network None: of the device alone.
    on(network): it computes so inside. None: as torch chooses.
    """

    title: str
    help: str
    source: str
    probe: Callable[[str, Any], str] = lambda kind, network: ""
    on: Callable[[Any], AbstractContextManager[None]] | None = None


def _kernels(*names: str) -> Callable[[Any], AbstractContextManager[None]]:
    """torch's own, the first that can do a call. names: of torch.nn.attention.SDPBackend."""

    @contextmanager
    def on(network: Any) -> Iterator[None]:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with sdpa_kernel([getattr(SDPBackend, name) for name in names], set_priority=True):
            yield

    return on


def _plain(network: Any) -> bool:
    """Its processors are those that diffusers sets by itself, and may be others for a run."""
    return all(type(one).__name__ == "AttnProcessor2_0" for one in network.attn_processors.values())


@contextmanager
def _processed(network: Any, put: Callable[[], None]) -> Iterator[None]:
    before = dict(network.attn_processors)
    try:
        put()
        yield
    finally:
        network.set_attn_processor(before)


def _sliced(network: Any) -> AbstractContextManager[None]:
    return _processed(network, lambda: network.set_attention_slice("auto"))


def _sliceable(kind: str, network: Any) -> str:
    if network is None:
        return ""
    if not hasattr(network, "set_attention_slice"):
        return "it is for UNets."
    return "" if _plain(network) else "something else has changed this network's attention."


def _xformers(network: Any) -> AbstractContextManager[None]:
    if not _takes_processors(network):
        return _dispatched("xformers")(network)

    def put() -> None:
        from diffusers.models.attention_processor import XFormersAttnProcessor

        network.set_attn_processor(XFormersAttnProcessor())

    return _processed(network, put)


def _has_xformers(kind: str, network: Any) -> str:
    if kind not in NVIDIA:
        return f"xformers computes on NVIDIA's and AMD's cards, not on {kind}."
    if importlib.util.find_spec("xformers") is None:
        return "the package xformers is not installed; install the one for your torch: python -m pip install xformers."
    if network is not None and _takes_processors(network) and not _plain(network):
        return "something else has changed this network's attention."
    return ""


def _takes_processors(network: Any) -> bool:
    return hasattr(network, "set_attention_slice")


def _dispatched(name: str) -> Callable[[Any], AbstractContextManager[None]]:
    """diffusers' dispatcher, through which newer transformers ask. name: of its AttentionBackendName."""

    @contextmanager
    def on(network: Any) -> Iterator[None]:
        from diffusers.models.attention_dispatch import attention_backend

        with attention_backend(name):
            yield

    return on


def _has_sage(kind: str, network: Any) -> str:
    if kind != "cuda":
        return f"SageAttention computes on NVIDIA's cards (CUDA), not on {kind}."
    if importlib.util.find_spec("sageattention") is None:
        return "the package sageattention is not installed; install it: python -m pip install sageattention."
    processors = getattr(network, PROCESSORS, {}).values()
    if network is not None and not any(hasattr(one, "_attention_backend") for one in processors):
        return "this network asks torch directly; of the models here only Flux asks through diffusers' dispatcher."
    return ""


def _only_on_cards(kind: str, network: Any) -> str:
    return "" if kind in NVIDIA else f"it is a kernel of NVIDIA's cards, not of {kind}."


_SDPA = "https://docs.pytorch.org/docs/stable/generated/torch.nn.attention.sdpa_kernel.html"
_DIFFUSERS = "https://huggingface.co/docs/diffusers/optimization/attention_backends"
AUTOMATIC = "Automatic"

ATTENTIONS: Registry[Attention] = Registry("cross_attention_optimization")
ATTENTIONS.add(
    AUTOMATIC,
    Attention(title=AUTOMATIC, help="torch chooses the kernel for each call (scaled dot product attention).", source=_SDPA),
    aliases=("sdp", "sdp - scaled dot product"),
)
ATTENTIONS.add(
    "sdp-no-mem",
    Attention(
        title="sdp-no-mem - without memory efficient attention",
        help="torch's, without the kernel that saves memory, whose results may differ from run to run.",
        source=_SDPA,
        on=_kernels("FLASH_ATTENTION", "CUDNN_ATTENTION", "MATH"),
    ),
    aliases=("sdp-no-mem - scaled dot product without memory efficient attention",),
)
ATTENTIONS.add(
    "flash",
    Attention(
        title="flash - torch's flash attention first",
        help="torch's flash kernel where it can do a call, else the others.",
        source=_SDPA,
        on=_kernels("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH"),
    ),
)
ATTENTIONS.add(
    "cudnn",
    Attention(
        title="cuDNN's attention first",
        help="cuDNN's kernel where it can do a call, else the others. Not run here.",
        source=_SDPA,
        probe=_only_on_cards,
        on=_kernels("CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH"),
    ),
)
ATTENTIONS.add(
    "math",
    Attention(
        title="math - every step written out",
        help="The whole matrix at once: the most memory, for comparing.",
        source=_SDPA,
        on=_kernels("MATH"),
    ),
    aliases=("None",),
)
ATTENTIONS.add(
    "sliced",
    Attention(
        title="sliced - part by part",
        help="Half of the heads at a time: less memory, slower. For UNets.",
        source="https://huggingface.co/docs/diffusers/api/models/unet2d-cond",
        probe=_sliceable,
        on=_sliced,
    ),
    aliases=("Doggettx", "V1", "V1 - original v1", "InvokeAI", "sub-quadratic"),
)
ATTENTIONS.add(
    "xformers",
    Attention(title="xformers", help="The package's kernels. Not run here.", source=_DIFFUSERS, probe=_has_xformers, on=_xformers),
)
ATTENTIONS.add(
    "sage",
    Attention(
        title="SageAttention",
        help="8-bit attention of the package: faster, and a little different. For Flux. Not run here.",
        source=_DIFFUSERS,
        probe=_has_sage,
        on=_dispatched("sage"),
    ),
)
ATTENTIONS.freeze()
