"""From the names of a file's tensors to entries: which layer, which kind of change, which tensor plays which part. No torch.

Reads what kohya's scripts, LyCORIS, PEFT, diffusers (old and new) and ai-toolkit write. Start reading at `entries`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# How a tensor's name may end -> the part it plays. The one that begins furthest left counts.
_ENDINGS: tuple[tuple[str, str], ...] = (
    (r"\.lora_down\.weight", "down"),
    (r"\.lora_up\.weight", "up"),
    (r"\.lora_mid\.weight", "mid"),
    (r"\.lora_A(?:\.\w+)?\.weight", "down"),
    (r"\.lora_B(?:\.\w+)?\.weight", "up"),
    (r"(?:\.lora|\.lora_linear_layer|_lora|(?<=_lora[12]))\.down\.weight", "down"),
    (r"(?:\.lora|\.lora_linear_layer|_lora|(?<=_lora[12]))\.up\.weight", "up"),
    (r"\.lora_(?:up|B(?:\.\w+)?)\.bias", "out_bias"),
    (r"\.dora_scale", "dora"),
    (r"\.lora_magnitude_vector(?:\.\w+){0,2}", "magnitude"),
    (r"\.(?:diff|w_norm)", "diff"),
    (r"\.(?:diff_b|b_norm)", "diff_b"),
    *((rf"\.{part}", part) for part in ("alpha", "scalar", "on_input")),
    *((rf"\.hada_{part}", f"hada_{part}") for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
    *((rf"\.lokr_{part}", f"lokr_{part}") for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")),
    *((rf"\.{part}\.weight", part) for part in ("a1", "a2", "b1", "b2")),
    (r"\.weight", "weight"),
)
_ENDING = re.compile("(?:" + "|".join(f"(?P<e{n}>{pattern})" for n, (pattern, _) in enumerate(_ENDINGS)) + r")\Z")
# The parts a kind needs -> the kind. The first whose parts are all there counts. "full" with no "diff" changes the bias alone.
_KINDS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"down", "up"}), "lora"),
    (frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}), "loha"),
    (frozenset({"lokr_w1", "lokr_w2"}), "lokr"),
    (frozenset({"lokr_w1_a", "lokr_w1_b", "lokr_w2"}), "lokr"),
    (frozenset({"lokr_w1", "lokr_w2_a", "lokr_w2_b"}), "lokr"),
    (frozenset({"lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"}), "lokr"),
    (frozenset({"a1", "a2", "b1", "b2"}), "glora"),
    (frozenset({"weight", "on_input"}), "ia3"),
    (frozenset({"diff"}), "full"),
    (frozenset({"diff_b"}), "full"),
)


@dataclass(frozen=True)
class Entry:
    """One layer's change. layer: its name in the file; kind: "lora", "loha", "lokr", "glora", "ia3", "full"; parts: part -> tensor."""

    layer: str
    kind: str
    parts: Mapping[str, str]


def entries(names: Iterable[str]) -> tuple[list[Entry], list[str]]:
    """(entries, names of tensors that belong to none of them). Words carried along (bundle_emb.*) are left out of both."""
    layers: dict[str, dict[str, str]] = {}
    rest: list[str] = []
    for name in names:
        if name.startswith("bundle_emb."):
            continue
        found = _ENDING.search(name)
        if found is None or found.lastgroup is None:
            rest.append(name)
        else:
            layers.setdefault(name[: found.start()], {})[_ENDINGS[int(found.lastgroup[1:])][1]] = name
    made: list[Entry] = []
    for layer, parts in layers.items():
        kind = next((kind for needed, kind in _KINDS if needed <= parts.keys()), None)
        if kind is None:
            rest += parts.values()
        else:
            made.append(Entry(layer, kind, parts))
    return made, rest
