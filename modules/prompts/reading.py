"""How prompts are read: the settings that change what a text means to the network, as one value.

Knows settings by their names; no torch. Start reading at `Reading.of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

COMMA_BACKTRACK = 20


@dataclass(frozen=True, kw_only=True)
class Reading:
    """emphasis: one of `attention.MODES`. comma_backtrack: tokens; a chunk that runs over is cut at a comma this near to its end.

    clip_l_skip: SDXL's first text encoder follows clip skip too. pad: a prompt and negative prompt of different lengths are filled
    up to the same; else the filling is not listened to. old_schedule: A1111's old rule for the numbers in [from:to:when].
    """

    emphasis: str = "Original"
    comma_backtrack: int = COMMA_BACKTRACK
    clip_l_skip: bool = False
    pad: bool = False
    old_schedule: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """From a run's settings; what is missing there has its default."""
        return cls(
            emphasis=str(settings.get("emphasis", "Original")),
            comma_backtrack=int(settings.get("comma_padding_backtrack", COMMA_BACKTRACK)),
            clip_l_skip=bool(settings.get("sdxl_clip_l_skip", False)),
            pad=bool(settings.get("pad_cond_uncond", False)),
            old_schedule=bool(settings.get("use_old_scheduling", False)),
        )


AS_EVER = Reading()
