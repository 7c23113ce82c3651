"""What a batch has made so far, kept when memory runs out, so that only the stage that failed is made again.

Holds latents and pictures, never a model: what is let go of to make room must not live on here. Start reading at `Kept.sampled`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from modules.families import LoadPlan
from modules.processing.passes import Sampled
from modules.processing.slot import LoadedModel
from modules.request import Checkpoint

Made = TypeVar("Made")
Found = TypeVar("Found", bound=Sampled | None)


@dataclass(frozen=True, kw_only=True)
class _Latents:
    """A run's outcome without its model, and how that is had again."""

    told: dict[str, Any]
    checkpoint: Checkpoint
    plan: LoadPlan


@dataclass(kw_only=True)
class Kept:
    """again(checkpoint, plan): that model on the device, as it was loaded before. stage: what is being made, in words."""

    again: Callable[[Checkpoint, LoadPlan], LoadedModel]
    stage: str = "the prompt was read and the picture drawn"
    _latents: dict[str, _Latents] = field(default_factory=dict[str, _Latents])
    _made: dict[str, Any] = field(default_factory=dict[str, Any])

    def sampled(self, name: str, run: Callable[[], Found], stage: str) -> Found:
        """The outcome of a run of that name, made once."""
        if name in self._latents:
            before: Any = self.latents(name)
            return before
        self.stage = stage
        found = run()
        if found is not None:
            told = {one.name: getattr(found, one.name) for one in fields(found) if one.name != "model"}
            self._latents[name] = _Latents(told=told, checkpoint=found.model.checkpoint, plan=found.model.plan)
        return found

    def latents(self, name: str, model: LoadedModel | None = None) -> Sampled:
        """What the run of that name gave. model: that made it, where it is there; None: had again."""
        kept = self._latents[name]
        return Sampled(**kept.told, model=model or self.again(kept.checkpoint, kept.plan))

    def once(self, name: str, make: Callable[[], Made], stage: str) -> Made:
        """Something else that is made once."""
        if name not in self._made:
            self.stage = stage
            self._made[name] = make()
        return self._made[name]
