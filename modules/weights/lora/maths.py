"""What an entry does to a weight: low-rank factors where there are any, else the whole change. All sums in float32. torch lives here.

Knows tensors; knows nothing about files and layers. Start reading at `factors`, then `change`.
Sources: LoRA arXiv:2106.09685; DoRA arXiv:2402.09353 eq. 5; LoHa arXiv:2108.06098; LoKr and the others: LyCORIS, arXiv:2309.14859.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Parts = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Factors:
    """A change as up · (mid ·) down, scale included. For a layer of a convolution all are kernels, down or mid with its size.

    down: (r, in[, k, k]); mid: (r, r, k, k) or None; up: (out, r[, 1, 1]). float32 as a rule.
    """

    down: torch.Tensor
    up: torch.Tensor
    mid: torch.Tensor | None = None

    def change(self) -> torch.Tensor:
        """ΔW, (out, in[, k, k])."""
        up, down = self.up.flatten(1), self.down.flatten(1)
        if self.mid is not None:
            return torch.einsum("nmkl,on,mi->oikl", self.mid, up, down)
        return (up @ down).reshape(self.up.shape[0], *self.down.shape[1:])


def factors(parts: Parts, scale: float, rank: int | None = None) -> Factors:
    """The factors of a "lora" entry. scale: alpha / rank; it is folded into up. rank: keep only the first ranks."""
    scale *= float(parts["scalar"]) if "scalar" in parts else 1.0
    down, up, mid = parts["down"].float(), parts["up"].float() * scale, parts.get("mid")
    if rank is not None and mid is None:
        down, up = down[:rank], up[:, :rank]
    return Factors(down=down, up=up, mid=None if mid is None else mid.float())


def change(kind: str, parts: Parts, shape: tuple[int, ...], scale: float, base: Callable[[], torch.Tensor]) -> torch.Tensor:
    """ΔW in float32, of the weight's shape. base(): the unchanged weight in float32, asked for only where the kind needs it.

    scale: alpha over rank. Raises RuntimeError when shapes do not fit.
    """
    scale *= float(parts["scalar"]) if "scalar" in parts else 1.0
    delta = (_KINDS[kind](parts, base) * scale).reshape(shape)
    if "magnitude" in parts:
        return _decomposed(delta, parts["magnitude"].float(), base(), axis=0)
    if "dora" in parts:
        return _decomposed(delta, parts["dora"].float(), base(), axis=1 if parts["dora"].shape[0] == 1 else 0)
    return delta


def rank(kind: str, parts: Mapping[str, tuple[int, ...]]) -> int | None:
    """The rank that alpha is divided by; parts: part -> shape. None where alpha means nothing (a LoKr of two whole factors)."""
    for part in _RANK_OF[kind]:
        if part in parts:
            return parts[part][0]
    return None


def _lora(parts: Parts, base: Callable[[], torch.Tensor]) -> torch.Tensor:
    return Factors(down=parts["down"].float(), up=parts["up"].float(), mid=parts["mid"].float() if "mid" in parts else None).change()


def _loha(parts: Parts, base: Callable[[], torch.Tensor]) -> torch.Tensor:
    halves = [_core(parts, f"hada_w{n}_a", f"hada_w{n}_b", f"hada_t{n}") for n in (1, 2)]
    return halves[0] * halves[1]


def _core(parts: Parts, a: str, b: str, core: str) -> torch.Tensor:
    """a · b, or the Tucker form with a core (r, r, k, k): a (r, out), b (r, in)."""
    if core in parts:
        return torch.einsum("nmkl,no,mi->oikl", parts[core].float(), parts[a].float(), parts[b].float())
    return parts[a].float() @ parts[b].float().flatten(1)


def _lokr(parts: Parts, base: Callable[[], torch.Tensor]) -> torch.Tensor:
    first = parts["lokr_w1"].float() if "lokr_w1" in parts else parts["lokr_w1_a"].float() @ parts["lokr_w1_b"].float()
    second = parts["lokr_w2"].float() if "lokr_w2" in parts else _core(parts, "lokr_w2_a", "lokr_w2_b", "lokr_t2")
    return torch.kron(first.reshape(*first.shape[:2], *[1] * (second.ndim - 2)), second.contiguous())


def _glora(parts: Parts, base: Callable[[], torch.Tensor]) -> torch.Tensor:
    a1, a2, b1, b2 = (parts[name].float().flatten(1) for name in ("a1", "a2", "b1", "b2"))
    weight = base()
    return (b1 @ b2).reshape(weight.shape) + torch.einsum("oi...,ij->oj...", weight, a1 @ a2)


def _ia3(parts: Parts, base: Callable[[], torch.Tensor]) -> torch.Tensor:
    weight, by = base(), parts["weight"].float().flatten()
    side = 1 if bool(parts["on_input"].flatten()[0]) else 0
    return weight * by.reshape([-1 if axis == side else 1 for axis in range(weight.ndim)])


def _full(parts: Parts, base: Callable[[], torch.Tensor]) -> torch.Tensor:
    return parts["diff"].float()


def _decomposed(delta: torch.Tensor, magnitude: torch.Tensor, weight: torch.Tensor, axis: int) -> torch.Tensor:
    """DoRA: the direction of W + ΔW with learnt lengths, one for each output (axis 0; PEFT) or each input (axis 1; LyCORIS at first)."""
    moved = weight + delta
    others = [n for n in range(moved.ndim) if n != axis]
    length = torch.linalg.vector_norm(moved, dim=others, keepdim=True) + torch.finfo(moved.dtype).eps
    return moved * (magnitude.reshape(length.shape) / length) - weight


_KINDS: dict[str, Callable[[Parts, Callable[[], torch.Tensor]], torch.Tensor]] = {
    "lora": _lora,
    "loha": _loha,
    "lokr": _lokr,
    "glora": _glora,
    "ia3": _ia3,
    "full": _full,
}
_RANK_OF: dict[str, tuple[str, ...]] = {
    "lora": ("down",),
    "loha": ("hada_w1_b",),
    "lokr": ("lokr_w1_b", "lokr_w2_b", "lokr_t2"),
    "glora": ("a2",),
    "ia3": (),
    "full": (),
}
