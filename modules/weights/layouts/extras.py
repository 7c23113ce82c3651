"""Tensors that carry nothing diffusers uses, but that other programs want to find in a single file. Start reading at `pieces`.

Also the names of the single tensors by which a file says how it was trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from modules.weights.header import TensorInfo
from modules.weights.stream import Piece

if TYPE_CHECKING:
    from torch import Tensor

MARKERS = ("v_pred", "ztsnr", "edm_mean", "edm_std")
Made = Mapping[str, TensorInfo]


def pieces(wanted: tuple[str, ...], prefix: str, made: Made) -> list[Piece]:
    """The extras of a component. made: what is written of it already, by name with the prefix."""
    return [piece for extra in wanted for piece in _MAKERS[extra](prefix, made) if piece.name not in made]


def markers(scheduler: Mapping[str, Any]) -> list[Piece]:
    """Empty tensors for v prediction and for zero-terminal SNR, as A1111 and ComfyUI look for them."""
    names = ["v_pred"] if scheduler.get("prediction_type") == "v_prediction" else []
    names += ["ztsnr"] if scheduler.get("rescale_betas_zero_snr") else []
    return [Piece(name, "F32", (0,), _filled((0,), 0.0)) for name in names]


def _position_ids(prefix: str, made: Made) -> list[Piece]:
    count = made[f"{prefix}text_model.embeddings.position_embedding.weight"].shape[0]

    def make() -> Tensor:
        import torch

        return torch.arange(count)[None]

    return [Piece(f"{prefix}text_model.embeddings.position_ids", "I64", (1, count), make)]


def _logit_scale(prefix: str, made: Made) -> list[Piece]:
    """The logarithm of 100, the value CLIP's training is bounded by."""
    return [Piece(f"{prefix}logit_scale", "F32", (), _filled((), math.log(100)))]


def _text_projection(prefix: str, made: Made) -> list[Piece]:
    """The identity: Stable Diffusion 2 does not use this one."""
    info = made[f"{prefix}positional_embedding"]

    def make() -> Tensor:
        import torch

        return torch.eye(info.shape[1])

    return [Piece(f"{prefix}text_projection", info.dtype, (info.shape[1], info.shape[1]), make)]


def _spare_layer(prefix: str, made: Made) -> list[Piece]:
    """One layer more, of zeros, which changes nothing: programs take the output of the last but one."""
    begin = f"{prefix}transformer.resblocks."
    layers = {int(name[len(begin) :].split(".")[0]) for name in made if name.startswith(begin)}
    last = f"{begin}{max(layers)}."
    return [
        Piece(name.replace(last, f"{begin}{max(layers) + 1}."), info.dtype, info.shape, _filled(info.shape, 0.0))
        for name, info in made.items()
        if name.startswith(last)
    ]


def _filled(shape: tuple[int, ...], value: float) -> Callable[[], Tensor]:
    def make() -> Tensor:
        import torch

        return torch.full(shape, value)

    return make


_MAKERS: Mapping[str, Callable[[str, Made], list[Piece]]] = {
    "position_ids": _position_ids,
    "logit_scale": _logit_scale,
    "text_projection": _text_projection,
    "spare_layer": _spare_layer,
}
