"""LoRAs worked into a model's weights for good, tensor by tensor, so that no whole model need be in memory. torch lives here.

Sums are made in float32 and rounded once. Start reading at `Merge.tensor`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from modules.weights.lora.changes import Change, load
from modules.weights.lora.file import Placement, open_file, place
from modules.weights.lora.names import Names, Target

Read = Callable[[str, str], torch.Tensor]  # (component, name) -> the unchanged tensor


class Merge:
    """files: (path, weight on text encoders, weight on the UNet or transformer). names: of the model. Raises ModelFault.

    placements: how much of each file has a place. unused: layers whose bias is to change but that have none in the model.
    """

    def __init__(self, names: Names, files: Sequence[tuple[Path, float, float]]) -> None:
        self.placements: list[Placement] = []
        self._changes: dict[tuple[str, str], list[tuple[Change, Target, float]]] = {}
        for path, te, unet in files:
            file = open_file(path)
            placement = place(file, names)
            self.placements.append(placement)
            for change in load(file, placement):
                for target in change.targets:
                    weight = te if target.component.startswith("text_encoder") else unet
                    self._changes.setdefault((target.component, target.path), []).append((change, target, weight))

    def touches(self, component: str) -> bool:
        """Is anything of a component changed?"""
        return any(c == component for c, _ in self._changes)

    def tensor(self, component: str, name: str, tensor: torch.Tensor, read: Read) -> torch.Tensor:
        """A tensor of the model (diffusers' name, "….weight" or "….bias") with all changes in it, in its own number type.

        read(component, name): another tensor of the unchanged model; only DoRA and changes of joined layers ask for it.
        """
        path, _, end = name.rpartition(".")
        changed: torch.Tensor | None = None
        for change, target, weight in self._changes.get((component, path), ()):
            if end == "weight" and change.changes_weight and weight:
                delta = self._delta(change, target, read)
            elif end == "bias" and weight and (bias := change.bias(target)) is not None:
                delta = bias
            else:
                continue
            changed = (tensor.float() if changed is None else changed) + weight * delta.to(tensor.device).reshape(tensor.shape)
        return tensor if changed is None else changed.to(tensor.dtype)

    def missing_biases(self, have: Mapping[str, Sequence[str]]) -> list[str]:
        """Layers whose bias is to change but that have none. have: component -> names of its tensors."""
        found: list[str] = []
        for (component, path), asked in self._changes.items():
            if f"{path}.bias" not in have.get(component, ()) and any(c.bias(t) is not None for c, t, _ in asked):
                found.append(f"{component}.{path}")
        return found

    @staticmethod
    def _delta(change: Change, target: Target, read: Read) -> torch.Tensor:
        if change.low_rank:
            return change.factors(target).change()
        return change.deltas(lambda t: read(t.component, f"{t.path}.weight"))[target.path]


def names_of(architecture: str, shapes: Mapping[str, Mapping[str, tuple[int, ...]]]) -> Names:
    """The names of a model's layers from its tensors. shapes: component -> name under diffusers -> shape."""
    layers = {c: {n.removesuffix(".weight"): s for n, s in own.items() if n.endswith(".weight")} for c, own in shapes.items()}
    return Names(architecture, layers)
