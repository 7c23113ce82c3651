"""Seed plan: which seeds the pictures of a job have, where counting up is not what is wanted.

One seed for all shows what wildcards and scripts change and nothing else. A native guest at `resolved`.
"""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from typing import Annotated, Any

from modules.hooks import Guest, Run
from modules.knobs import Knob
from modules.request import SEED_LIMIT, ResolvedRequest

USUAL, SAME, APART, DRAWN = "count up", "one for all", "in steps", "each drawn"


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """plan: one of the words above."""

    plan: Annotated[str, Knob("Seeds", choices=(USUAL, SAME, APART, DRAWN), help="Of the pictures of one job.")] = USUAL
    step: Annotated[int, Knob("Distance", 1, 1_000_000_000, ui=(1, 1000), step=1, help="Of seeds in steps.")] = 1000


class SeedPlan(Guest):
    """Off while seeds count up. A variation of the seed goes on as usual."""

    name = "seed plan"
    title = "Seed plan"
    knobs = Knobs

    def takes_part(self, args: tuple[Any, ...]) -> bool:
        return args[0] != USUAL

    def resolved(self, run: Run, resolved: ResolvedRequest) -> ResolvedRequest:
        plan, step = run.args[self.name]
        first, count = resolved.all_seeds[0], len(resolved.all_seeds)
        draw = random.Random(first)  # the same again when the job is made again
        seeds = {
            SAME: lambda n: first,
            APART: lambda n: (first + n * step) % SEED_LIMIT,
            DRAWN: lambda n: first if n == 0 else draw.randrange(2**32),
        }[plan]
        return dataclasses.replace(resolved, all_seeds=tuple(seeds(n) for n in range(count)))
