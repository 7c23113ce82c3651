"""CADS: noise on the prompt's conditioning in the first steps, which wanes; pictures of one prompt become more different.

A native guest at `ask`. Source: arXiv:2310.17347, section 3 (annealing, rescaling, mixing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch

from modules.faults import RequestFault
from modules.hooks import Ask, Call, Guest, Run, Texts
from modules.knobs import Knob

_OWN = 0x9E3779B9  # so that it does not repeat the noise that the picture begins with


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """In the order of the well-known extension's arguments."""

    enabled: Annotated[bool, Knob("Enable")] = False
    tau1: Annotated[float, Knob("Noise ends", 0, 1, step=0.01, help="Share of the way that is left from which on there is none.")] = 0.6
    tau2: Annotated[float, Knob("Noise wanes", 0, 1, step=0.01, help="Share of the way that is left until which it is whole.")] = 0.9
    scale: Annotated[float, Knob("Strength", 0, 2, ui=(0, 1), step=0.01)] = 0.25
    mixing: Annotated[float, Knob("Rescaled share", 0, 1, step=0.05, help="How far the conditioning keeps its mean and spread.")] = 1.0
    rescale: Annotated[bool, Knob("Rescale")] = True
    hires: Annotated[bool, Knob("In the hires pass too")] = False


class Cads(Guest):
    """Off by default."""

    name = "cads"
    title = "CADS: more different pictures"
    knobs = Knobs

    def __init__(self) -> None:
        self._seeds: list[int] = []
        self._stage = ""

    def takes_part(self, args: tuple[Any, ...]) -> bool:
        if args[0] and args[1] >= args[2]:
            raise RequestFault("alwayson_scripts", "cads: the noise must wane before it ends (tau1 below tau2)", got=list(args[1:3]))
        return bool(args[0])

    def before_batch(self, run: Run, texts: Texts) -> None:
        self._seeds = list(texts.seeds)

    def before_call(self, run: Run, call: Call) -> None:
        self._stage = call.stage

    def ask(self, run: Run, ask: Ask) -> Ask | None:
        _, tau1, tau2, scale, mixing, rescale, hires = run.args[self.name]
        left = 1 - (ask.number - 1) / max(ask.total, 1)
        if ask.text is None or left <= tau1 or (self._stage == "hires" and not hires):
            return None
        kept = 0.0 if left >= tau2 else (tau2 - left) / (tau2 - tau1)
        ask.text = noised(ask.text, self._noise(ask), kept, scale, mixing if rescale else 0.0)
        return ask

    def _noise(self, ask: Ask) -> torch.Tensor:
        """Like the text, each row from its picture's seed and the number of the call."""
        text, seeds = ask.text, self._seeds or [0]
        if text is None:
            raise ValueError("there is no text")
        rows = [torch.Generator("cpu").manual_seed((seeds[n % len(seeds)] ^ _OWN) + ask.number) for n in range(len(text))]
        return torch.stack([torch.randn(text.shape[1:], generator=row) for row in rows]).to(text)


def noised(text: torch.Tensor, noise: torch.Tensor, kept: float, scale: float, mixing: float) -> torch.Tensor:
    """(rows, tokens, width) with noise. kept: 0 to 1, of the text (the paper's gamma); mixing: 0 to 1, of what keeps mean and spread."""
    found = math.sqrt(kept) * text + scale * math.sqrt(1 - kept) * noise
    if not mixing:
        return found
    over = (1, 2)
    spread = found.std(over, keepdim=True).clamp(min=1e-6)
    even = (found - found.mean(over, keepdim=True)) / spread * text.std(over, keepdim=True) + text.mean(over, keepdim=True)
    return mixing * even + (1 - mixing) * found
