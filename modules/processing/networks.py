"""LoRAs on a loaded pipeline: put on, changed and taken off between pictures, with the model's own weights bit for bit as before.

Low-rank changes run beside their layers, through torch's forward hooks: no weight is touched. Changes without small factors
(LoHa, LoKr, full, DoRA, norms) are added to the weight, whose original is kept and put back. Several add up in either way.
Knows pipelines and files; knows nothing about prompts. Start reading at `Networks.set`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modules.families.kinds import kind_of
from modules.faults import ModelFault
from modules.processing.adapters import Adapter, Patch, layers
from modules.request import Network
from modules.weights.embeddings import EmbeddingFile, bundled
from modules.weights.lora import changes
from modules.weights.lora.changes import Change
from modules.weights.lora.file import LoraFile, Placement, open_file, place
from modules.weights.lora.names import Names, Target

COMPONENTS = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
KEPT_FILES = 4
TITLES = {"sd1": "Stable Diffusion 1.x", "sd2": "Stable Diffusion 2.x", "sdxl": "SDXL", "sd3": "Stable Diffusion 3", "flux": "Flux.1"}
Stamp = tuple[str, int, int]
Place = tuple[str, str]  # component, path of the layer


@dataclass(frozen=True, kw_only=True)
class Report:
    """How much of a file found its place. coverage: "480/480 keys"; warning: a sentence when something was left out, else ""."""

    name: str
    matched: int
    total: int
    coverage: str
    warning: str


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What `Networks.set` did. text_changed: text encoders answer otherwise than before, so that encoded prompts are worthless.

    words: the textual inversions that these files carry along.
    """

    reports: tuple[Report, ...]
    text_changed: bool
    words: tuple[EmbeddingFile, ...] = ()


@dataclass(frozen=True)
class _Held:
    """A file that was read for this model."""

    placement: Placement
    changes: list[Change]
    words: tuple[EmbeddingFile, ...]


class Networks:
    """The LoRAs on one loaded pipeline. architecture: of its family ("sd1", "sdxl", ...); title: the model's name for messages."""

    def __init__(self, pipeline: Any, architecture: str, title: str = "this model") -> None:
        self._modules = {name: part for name in COMPONENTS if isinstance(part := getattr(pipeline, name, None), nn.Module)}
        self._names = Names(architecture, {name: layers(part) for name, part in self._modules.items()})
        self._title = title
        self._held: OrderedDict[Stamp, _Held] = OrderedDict()
        self._now: tuple[tuple[Network, Stamp], ...] = ()
        self._told: list[tuple[Any, ...]] = []  # how the text encoders answered when `set` last came to its end
        self._adapters: list[Adapter] = []
        self._patches: dict[Place, Patch] = {}

    def set(self, wanted: Sequence[Network]) -> Applied:
        """Put these on, in this order, and take off all others. What is on already stays as it is; the same file twice counts twice.

        Raises ModelFault, and changes nothing, when a file cannot be read, fits nowhere, or was made for another kind of model.
        """
        keyed = tuple((one, _stamp(Path(one.path))) for one in wanted)
        held = [self._hold(Path(one.path), stamp) for one, stamp in keyed]
        reports = tuple(_report(h.placement) for h in held)
        if keyed != self._now:
            try:
                self._replace([(one, h) for (one, _), h in zip(keyed, held, strict=True)])
            except BaseException:
                self.clear()
                raise
        self._now = keyed
        before, self._told = self._told, self._text_state(keyed)
        self._forget()
        return Applied(reports=reports, text_changed=before != self._told, words=tuple(w for h in held for w in h.words))

    def clear(self) -> None:
        """Take all off. The weights are bit for bit what they were."""
        for adapter in self._adapters:
            adapter.remove()
        for patch in self._patches.values():
            patch.restore()
        self._adapters, self._patches, self._now = [], {}, ()

    def _hold(self, path: Path, stamp: Stamp) -> _Held:
        """A file's changes, read unless it was used just before. Raises ModelFault."""
        if stamp in self._held:
            self._held.move_to_end(stamp)
            return self._held[stamp]
        file = open_file(path)
        self._refuse_stranger(file)
        placement = place(file, self._names)
        self._held[stamp] = _Held(placement, changes.load(file, placement), tuple(bundled(file.header).values()))
        return self._held[stamp]

    def _refuse_stranger(self, file: LoraFile) -> None:
        kind = kind_of(file.header)
        if kind.architecture is not None and kind.architecture != self._names.architecture:
            raise ModelFault(
                f"The LoRA {file.name} was made for {TITLES.get(kind.architecture, kind.architecture)} ({kind.why}); {self._title} is "
                f"{TITLES.get(self._names.architecture, self._names.architecture)}. Use it with a model of its own kind."
            )

    def _forget(self) -> None:
        """Let go of files that were not used lately."""
        while len(self._held) > max(KEPT_FILES, len(self._now)):
            self._held.popitem(last=False)

    def _text_state(self, keyed: tuple[tuple[Network, Stamp], ...]) -> list[tuple[Any, ...]]:
        """What decides how the text encoders answer."""
        return [
            (stamp, one.te, one.rank)
            for one, stamp in keyed
            if one.te and any(t.component.startswith("text_encoder") for c in self._held[stamp].changes for t in c.targets)
        ]

    def _replace(self, wanted: Sequence[tuple[Network, _Held]]) -> None:
        plan = _Plan(self._module)
        for one, held in wanted:
            for change in held.changes:
                if weight := one.te if change.targets[0].component.startswith("text_encoder") else one.unet:
                    plan.add(change, weight, one.rank)
        for adapter in self._adapters:
            adapter.remove()
        for place_ in self._patches.keys() - plan.dense.keys():
            self._patches.pop(place_).restore()
        self._patch(plan)
        self._adapters = list(plan.adapters.values())
        for adapter in self._adapters:
            adapter.install()

    def _patch(self, plan: _Plan) -> None:
        """Add the changes without small factors to their weights; where a weight cannot be written to, beside the layer."""
        shared: dict[int, dict[str, torch.Tensor]] = {}
        for at, asked in plan.dense.items():
            total: torch.Tensor | None = None
            for change, weight in asked:
                deltas = shared.get(id(change)) or change.deltas(self._original)
                total = deltas[at[1]] * weight if total is None else total + deltas[at[1]] * weight
                if change.targets[-1].path == at[1]:
                    shared.pop(id(change), None)
                else:  # an entry of several layers, which follow one another here
                    shared[id(change)] = deltas
            patch = self._patches.get(at) or Patch(self._module(at))
            if total is None:
                continue
            if patch.possible:
                self._patches[at] = patch
                patch.write(total)
            else:
                plan.adapter(at).add_dense(total)

    def _original(self, target: Target) -> torch.Tensor:
        """A layer's own weight, on the CPU."""
        at = (target.component, target.path)
        return (self._patches.get(at) or Patch(self._module(at))).original()

    def _module(self, at: Place) -> nn.Module:
        return self._modules[at[0]].get_submodule(at[1])


class _Plan:
    """What is to be done to which layer. dense: changes without small factors and their weights."""

    def __init__(self, module: Callable[[Place], nn.Module]) -> None:
        self._module = module
        self.adapters: dict[Place, Adapter] = {}
        self.dense: dict[Place, list[tuple[Change, float]]] = {}

    def adapter(self, at: Place) -> Adapter:
        return self.adapters.setdefault(at, Adapter(self._module(at)))

    def add(self, change: Change, weight: float, rank: int | None) -> None:
        for target in change.targets:
            at = (target.component, target.path)
            if change.low_rank:
                self.adapter(at).add(change.factors(target, rank), weight)
            elif change.changes_weight:
                self.dense.setdefault(at, []).append((change, weight))
            if (bias := change.bias(target)) is not None:
                self.adapter(at).add_bias(bias, weight)


def _stamp(path: Path) -> Stamp:
    """What tells a file from another one under its name. Raises ModelFault when there is none."""
    try:
        stat = path.stat()
    except OSError as error:
        raise ModelFault(f"The LoRA {path.name} cannot be read: {error.strerror}. Refresh the list of networks.") from error
    return str(path), stat.st_mtime_ns, stat.st_size


def _report(placement: Placement) -> Report:
    return Report(
        name=placement.name, matched=placement.matched, total=placement.total, coverage=placement.coverage, warning=placement.warning
    )
