"""Dynamic thresholding: a high CFG scale with the contrast of a low one, so that colours do not burn.

A native guest at `answered`: the answer to the prompt is changed so that guidance leads to the tamed one. It works on what the network
predicts. Source: arXiv:2205.11487, section 2.3 (clipping by a percentile), with the range that a lower CFG scale would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch

from modules.faults import RequestFault
from modules.hooks import Ask, Call, Guest, Run
from modules.knobs import Knob

CONSTANT = "Constant"
STARTS, SPREADS = ("MEAN", "ZERO"), ("AD", "STD")
THEIRS = ("enabled", "mimic_scale", "percentile", "mimic_mode", "mimic_min", "cfg_mode", "cfg_min", "sched_val", "channels", "start",
          "spread", "share")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """mimic_scale: the CFG scale whose contrast the picture has."""

    enabled: Annotated[bool, Knob("Enable")] = False
    mimic_scale: Annotated[float, Knob("Mimic CFG scale", 1, 30, step=0.5, help="The picture has the contrast of this CFG scale.")] = 7.0
    percentile: Annotated[float, Knob("Percentile", 0.9, 1, step=0.001, help="Values beyond this share of all are cut off; 1: none.")] = 1.0
    channels: Annotated[bool, Knob("Each channel by itself")] = True
    start: Annotated[str, Knob("Measured from", choices=STARTS, help="The mean of the values, or zero.")] = STARTS[0]
    spread: Annotated[str, Knob("Measure", choices=SPREADS, help="AD: the largest distance; STD: the standard deviation.")] = SPREADS[0]
    share: Annotated[float, Knob("Share", 0, 1, step=0.01, help="How much of this takes the place of plain guidance.")] = 1.0


class DynamicThresholding(Guest):
    """Off by default."""

    name = "dynamic thresholding"
    title = "Dynamic thresholding"
    knobs = Knobs
    known_as = ("dynamic thresholding (cfg scale fix)",)

    def __init__(self) -> None:
        self._scale = 1.0

    def takes_part(self, args: tuple[Any, ...]) -> bool:
        return bool(args[0])

    def translated(self, title: str, args: Any) -> Any:
        """That extension's twelve values in order; its modes that change along the steps are refused."""
        given = dict(zip(THEIRS, args, strict=False)) if isinstance(args, list) else dict(args)
        for mode in ("mimic_mode", "cfg_mode"):
            if given.pop(mode, CONSTANT) != CONSTANT:
                raise RequestFault("alwayson_scripts", f"{title}: only the mode Constant is there; see cfg_schedule for others")
        if isinstance(given.get("channels"), str):
            given["channels"] = given["channels"] != "disable"
        return {name: value for name, value in given.items() if name not in ("mimic_min", "cfg_min", "sched_val")}

    def before_call(self, run: Run, call: Call) -> None:
        self._scale = float(call.arguments.get("guidance_scale", call.arguments.get("true_cfg_scale", 1.0)))

    def answered(self, run: Run, ask: Ask) -> Ask | None:
        values = run.args[self.name]
        if ask.answer is None or self._scale <= 1:
            return None
        if len(ask.answer) % 2 or any(" AND " in prompt for prompt in run.resolved.all_prompts):
            run.warn("Dynamic thresholding had no effect: it needs prompt and negative prompt in one call, and no AND.")
            return None
        without, prompt = ask.answer.chunk(2)
        tamed = thresholded(without, prompt, self._scale, *values[1:])
        ask.answer = torch.cat([without, without + (tamed - without) / self._scale])
        return ask


def thresholded(
    without: torch.Tensor, prompt: torch.Tensor, scale: float, mimic: float, percentile: float, channels: bool, start: str, spread: str,
    share: float,
) -> torch.Tensor:  # fmt: skip
    """What guidance by `scale` gives, in the range that `mimic` would have; (B, C, h, w), or tokens (B, N, C), each."""
    over = tuple(range(2, prompt.ndim)) if channels else tuple(range(1, prompt.ndim))
    plain, like = without + scale * (prompt - without), without + mimic * (prompt - without)
    middle, goal = (x.mean(over, keepdim=True) * (start == STARTS[0]) for x in (plain, like))
    off, wanted = plain - middle, like - goal
    if spread == SPREADS[1]:
        found = off * (wanted.std(over, keepdim=True) / off.std(over, keepdim=True).clamp(min=1e-8))
    else:
        most = wanted.abs().amax(over, keepdim=True)
        flat = off.abs().flatten(2 if channels else 1)
        limit = torch.quantile(flat.float(), percentile, dim=-1).to(off).reshape(most.shape)
        limit = torch.maximum(limit, most)
        found = off.clamp(-limit, limit) * (most / limit.clamp(min=1e-8))
    return share * (found + middle) + (1 - share) * plain
