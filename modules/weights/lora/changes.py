"""The tensors of a LoRA file's entries, ready to be added to layers of a model. torch lives here.

Knows one file and the places of its entries; knows nothing about a running model. Start reading at `load`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from safetensors import SafetensorError, safe_open

from modules.faults import ModelFault
from modules.weights.lora import maths
from modules.weights.lora.file import LoraFile, Placed, Placement, peft_alpha
from modules.weights.lora.maths import Factors
from modules.weights.lora.names import Target


@dataclass(frozen=True, eq=False)
class Change:
    """One entry with its tensors. scale: alpha over rank. low_rank: it can be added to a layer's output as two small layers."""

    targets: tuple[Target, ...]
    kind: str
    parts: dict[str, torch.Tensor]
    scale: float

    @property
    def low_rank(self) -> bool:
        return self.kind == "lora" and not {"dora", "magnitude"} & self.parts.keys()

    @property
    def changes_weight(self) -> bool:
        """False for an entry that changes the bias alone."""
        return self.kind != "full" or "diff" in self.parts

    def factors(self, target: Target, rank: int | None = None) -> Factors:
        """The factors for one of its layers, shaped like the layer's weight. rank: only the first ranks."""
        found = maths.factors(self.parts, self.scale, rank)
        up = _own_rows(found.up.flatten(1), target)
        ones = [1] * (len(target.shape) - 2)
        if found.mid is not None:
            return Factors(down=found.down.flatten(1).reshape(*found.down.shape[:2], *ones), mid=found.mid, up=up.reshape(*up.shape, *ones))
        return Factors(down=found.down.reshape(-1, *target.shape[1:]), up=up.reshape(*up.shape, *ones))

    def deltas(self, base: Callable[[Target], torch.Tensor]) -> dict[str, torch.Tensor]:
        """Path -> ΔW in float32 for each of its layers. base(target): the layer's own, unchanged weight."""

        def whole() -> torch.Tensor:
            return torch.cat([_swapped(base(t).float()) if t.swapped else base(t).float() for t in self.targets])

        rows = sum(t.shape[0] for t in self.targets)
        delta = maths.change(self.kind, self.parts, (rows, *self.targets[0].shape[1:]), self.scale, whole)
        return {t.path: _own_rows(delta, t) for t in self.targets}

    def bias(self, target: Target) -> torch.Tensor | None:
        """What is added to the layer's output, (out,), float32; None for nothing."""
        if "diff_b" in self.parts:
            return _own_rows(self.parts["diff_b"].float().flatten(), target)
        if "out_bias" in self.parts:
            return _own_rows(self.parts["out_bias"].float().flatten() * self.scale, target)
        return None


def load(file: LoraFile, placement: Placement) -> list[Change]:
    """The tensors of all entries that have a place, on the CPU in the file's number type. Raises ModelFault when it cannot be read."""
    try:
        with safe_open(file.header.path, framework="pt") as opened:
            return [
                _change(file, placed, {part: opened.get_tensor(name) for part, name in placed.entry.parts.items()})
                for placed in placement.placed
            ]
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelFault(f"{file.name} cannot be read: {error}. Download it again.") from error


def _change(file: LoraFile, placed: Placed, tensors: dict[str, torch.Tensor]) -> Change:
    entry = placed.entry
    alpha = tensors.pop("alpha", None)
    rank = maths.rank(entry.kind, file.shapes(entry))
    scale = None
    if rank:
        scale = float(alpha.float().flatten()[0]) / rank if alpha is not None else peft_alpha(file.header, placed.targets[0], rank)
    return Change(placed.targets, entry.kind, tensors, 1.0 if scale is None else scale)


def _own_rows(tensor: torch.Tensor, target: Target) -> torch.Tensor:
    own = tensor[target.rows]
    return _swapped(own) if target.swapped else own


def _swapped(tensor: torch.Tensor) -> torch.Tensor:
    return torch.cat(tensor.chunk(2)[::-1])
