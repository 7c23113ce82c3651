"""Which layers of a component a small network is put on: by where they stand, as kohya's scripts choose. No torch.

Knows paths and kinds of layers; knows no family: which rule one takes stands in `recipes`. Start reading at `chosen`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modules.faults import RequestFault

SHOWN = 6


@dataclass(frozen=True)
class Rule:
    """Where the layers stand: inside, an expression found in the paths of those that are taken; convolutions: of those that are taken only
    when convolutions have a rank of their own, "" for none."""

    inside: str
    convolutions: str = ""


UNET = Rule(r"(^|\.)attentions\.", r"(^|\.)(resnets|downsamplers|upsamplers)\.")
TRANSFORMER = Rule(r"^(single_)?transformer_blocks\.")
CLIP = Rule(r"(^|\.)encoder\.layers\.\d+\.(self_attn|mlp)\.")


@dataclass(frozen=True)
class Chosen:
    """plain: paths that get the network's rank; kernels: those of larger convolutions, which have a rank of their own."""

    plain: tuple[str, ...]
    kernels: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        return (*self.plain, *self.kernels)


def chosen(layers: Mapping[str, tuple[int, ...]], rule: Rule, *, convolutions: bool = False, blocks: Sequence[str] = ()) -> Chosen:
    """The layers that learn. layers: path -> shape of the weight, of all matrices and convolutions of a component.

    blocks: only layers whose path holds one of these texts; none: all.
    """
    wanted = [path for path in layers if not blocks or any(text in path for text in blocks)]
    inside = [path for path in wanted if re.search(rule.inside, path)]
    if convolutions and rule.convolutions:
        inside += [path for path in wanted if re.search(rule.convolutions, path)]
    kernels = tuple(path for path in inside if layers[path][2:] not in ((), (1, 1)))
    return Chosen(tuple(path for path in inside if path not in kernels), kernels)


def check(found: Chosen, blocks: Sequence[str], possible: Chosen) -> None:
    """Raises RequestFault when nothing is chosen. possible: what would be, without a word about blocks."""
    if found.paths:
        return
    examples = list(dict.fromkeys(".".join(path.split(".")[:2]) for path in possible.paths))[:SHOWN]
    raise RequestFault("target_blocks", f"no layer of this model holds one of these; try {', '.join(examples)}", got=list(blocks))
