"""A LoRA file, read from its header: its entries, and how many of them a model has a place for. No tensor is read, no torch.

Start reading at `open_file`, then `place`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from modules.faults import ModelFault
from modules.weights.header import Header, read
from modules.weights.lora.dialects import Entry, entries
from modules.weights.lora.names import Names, Shape, Target

SHOWN = 3


@dataclass(frozen=True)
class LoraFile:
    """entries: one a layer; strange: names of tensors that are of no dialect; name: what a person calls it, the file's stem."""

    header: Header
    entries: tuple[Entry, ...]
    strange: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.header.path.stem

    def shapes(self, entry: Entry) -> dict[str, Shape]:
        """Part -> shape of its tensor."""
        return {part: self.header.tensors[name].shape for part, name in entry.parts.items()}

    def changed(self, entry: Entry) -> int:
        """How many numbers of weights an entry changes; 0 where its shapes do not tell."""
        try:
            return _size(entry.kind, self.shapes(entry)) or 0
        except (KeyError, IndexError):
            return 0


@dataclass(frozen=True)
class Placed:
    """An entry and the layers it changes, in the order of its rows."""

    entry: Entry
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Placement:
    """What of a file a model has a place for. matched, total: tensors; missed: layer's name in the file -> why it is left out."""

    name: str
    placed: tuple[Placed, ...]
    matched: int
    total: int
    missed: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def coverage(self) -> str:
        """ "480/480 keys"."""
        return f"{self.matched}/{self.total} keys"

    @property
    def warning(self) -> str:
        """A sentence about what was left out; "" when all has its place."""
        if not self.missed:
            return ""
        layers = list(self.missed)
        more = f" and {len(layers) - SHOWN} more" if len(layers) > SHOWN else ""
        return (
            f"{self.name} was used in part: {self.coverage}. Left out: {', '.join(layers[:SHOWN])}{more} ({self.missed[layers[0]]}). "
            "It may have been made for another model."
        )


def open_file(path: Path) -> LoraFile:
    """The entries of a .safetensors file. Raises ModelFault when it is broken or holds no LoRA of any dialect known here."""
    if path.suffix.lower() != ".safetensors":
        raise ModelFault(f"{path.name} is not a safetensors file. Convert it on the Models tab.")
    header = read(path)
    found, strange = entries(header.tensors)
    if not found:
        raise ModelFault(f"{path.name} holds no LoRA of a kind this version knows{_because(strange)}.")
    return LoraFile(header, tuple(found), tuple(strange))


def place(file: LoraFile, names: Names) -> Placement:
    """Where each entry goes in a model. Raises ModelFault when nothing of it has a place."""
    placed: list[Placed] = []
    missed: dict[str, str] = dict.fromkeys(file.strange[:1000], "it is of no kind this version knows")
    matched = 0
    for entry in file.entries:
        targets = names.find(entry.layer)
        why = "the model has no such layer" if not targets else _misfit(entry.kind, file.shapes(entry), targets)
        if why:
            missed[entry.layer] = why
        else:
            placed.append(Placed(entry, targets))
            matched += len(entry.parts)
    total = matched + sum(len(e.parts) for e in file.entries if e.layer in missed) + len(file.strange)
    if not placed:
        first = next(iter(missed))
        raise ModelFault(
            f"{file.name} fits nowhere into this model (0/{total} keys; {first}: {missed[first]}). It was made for another kind of model."
        )
    return Placement(file.name, tuple(placed), matched, total, missed)


def peft_alpha(header: Header, target: Target, rank: int) -> float | None:
    """The scale that diffusers' metadata ("lora_adapter_metadata") says for a layer; None when it says nothing."""
    said = _peft(header.metadata)
    alpha = said.get(f"{target.component}.lora_alpha", said.get("lora_alpha"))
    patterns = said.get(f"{target.component}.alpha_pattern", said.get("alpha_pattern")) or {}
    if isinstance(patterns, dict):
        for pattern, value in cast(dict[str, Any], patterns).items():
            if target.path == pattern or target.path.endswith(f".{pattern}") or _matches(pattern, target.path):
                alpha = value
    if not isinstance(alpha, int | float) or isinstance(alpha, bool):
        return None
    stable = said.get(f"{target.component}.use_rslora", said.get("use_rslora")) is True
    return float(alpha) / (math.sqrt(rank) if stable else rank)


def _peft(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        said = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, Any], said) if isinstance(said, dict) else {}


def _matches(pattern: str, path: str) -> bool:
    """PEFT's rule: a plain name at the end, or an expression. Only the plain characters of one are followed: the text is a stranger's."""
    return re.fullmatch(r"\^?[\w.\\]+\$?", pattern) is not None and path == pattern.strip("^$").replace("\\", "")


def _misfit(kind: str, parts: Mapping[str, Shape], targets: tuple[Target, ...]) -> str:
    """Why an entry of these shapes cannot change these layers; "" when it can."""
    rows, rest = sum(t.shape[0] for t in targets), targets[0].shape[1:]
    if any(t.shape[1:] != rest for t in targets):
        return "its layers are not alike in this model"
    if "diff_b" in parts and math.prod(parts["diff_b"]) != rows:
        return f"its bias has {math.prod(parts['diff_b'])} values, the model's layer {rows}"
    try:
        made = _size(kind, parts)
    except (KeyError, IndexError):
        return "its tensors have shapes that do not belong together"
    if made is not None and made != rows * math.prod(rest):
        return f"its change has {made} values, the model's layer {'x'.join(map(str, (rows, *rest)))}"
    return ""


def _size(kind: str, parts: Mapping[str, Shape]) -> int | None:
    """How many values an entry's change has; None when any fits."""
    if kind == "lora":
        kernel = math.prod(parts["mid"][2:]) if "mid" in parts else 1
        inner = (parts["up"][1], parts["down"][0])
        if inner[0] != inner[1] and "mid" not in parts:
            raise IndexError(inner)
        return parts["up"][0] * math.prod(parts["down"][1:]) * kernel
    if kind == "loha":
        return _pair(parts, "hada_w1_a", "hada_w1_b", "hada_t1")
    if kind == "lokr":
        first = math.prod(parts["lokr_w1"]) if "lokr_w1" in parts else _pair(parts, "lokr_w1_a", "lokr_w1_b")
        return first * (math.prod(parts["lokr_w2"]) if "lokr_w2" in parts else _pair(parts, "lokr_w2_a", "lokr_w2_b", "lokr_t2"))
    if kind == "glora":
        return _pair(parts, "b1", "b2")
    return math.prod(parts["diff"]) if "diff" in parts else None


def _pair(parts: Mapping[str, Shape], a: str, b: str, core: str = "") -> int:
    if core in parts:
        return parts[a][1] * parts[b][1] * math.prod(parts[core][2:])
    return parts[a][0] * math.prod(parts[b][1:])


def _because(strange: list[str]) -> str:
    return f" (its tensors are called {', '.join(strange[:SHOWN])})" if strange else ""
