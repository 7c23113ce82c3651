"""`Context`, what is known of a pipeline call, and `Course`, where in it the network is asked. Start reading at `Course.begin`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modules.request import Steering
from modules.samplers.build import is_flow
from modules.samplers.levels import NoiseLevels

PAIR = ("negative", "prompt")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a pipeline call is made with. name: of the model, for sentences; architecture: as `Family` says; network: the attribute of it.

    rows: of a network call while it is guided, in the pipeline's order: ("negative", "prompt"), with an editing model ("prompt",
    "negative", "negative"); ("prompt",) where prompt and negative prompt have calls of their own, the prompt first.
    guided: the pipeline asks about the negative prompt too. weights: of the AND parts. cfgpp: DDIM CFG++ samples.
    seeds: one a picture. stage: "txt2img", "img2img" or "hires". overrides: settings that this run asked for itself.
    s_min_uncond: noise level, None for the setting's. looked_at: another picture's look has a say, by shared attention or an IP-Adapter.
    controlled: `control.controlling.controlled` is set on the network.
    """

    name: str
    architecture: str
    network: str = "unet"
    rows: tuple[str, ...] = PAIR
    guided: bool = True
    cfg_scale: float = 7.0
    image_cfg_scale: float = 1.5
    weights: tuple[float, ...] = (1.0,)
    cfgpp: bool = False
    seeds: tuple[int, ...] = (0,)
    stage: str = "txt2img"
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    overrides: Mapping[str, Any] = field(default_factory=dict[str, Any])
    s_min_uncond: float | None = None
    looked_at: bool = False
    controlled: bool = False

    @property
    def separate(self) -> bool:
        """Prompt and negative prompt have calls of their own."""
        return self.guided and self.rows == ("prompt",)

    @property
    def blocks(self) -> tuple[str, ...]:
        """What the rows of a call of the pipeline mean, one entry for a batch."""
        return self.rows if self.guided else ("prompt",)

    @property
    def inner_blocks(self) -> tuple[str, ...]:
        """The same, where AND parts have rows of their own."""
        return ("negative", *["prompt"] * len(self.weights)) if self.blocks == PAIR else self.blocks


class Course:
    """Follows the network calls of one run. perturbed: so many last rows of the call under way are asked without self-attention.

    pulls: what the guidance of the call under way adds beside the prompt's.
    """

    def __init__(self, pipeline: Any, steering: Steering, context: Context) -> None:
        self._pipeline = pipeline
        self._steering = steering
        self._context = context
        self._levels: NoiseLevels | None = None
        self._raw = -1
        self.perturbed = 0
        self.pulls: list[Any] = []

    def begin(self) -> None:
        """A network call of the pipeline begins."""
        self._raw += 1
        self.perturbed = 0
        self.pulls = []

    @property
    def call(self) -> int:
        """Number of the step's call, from 0; a call for the negative prompt alone counts with the prompt's."""
        return self._raw // 2 if self._context.separate else self._raw

    @property
    def negative(self) -> bool:
        """This call is for the negative prompt alone."""
        return self._context.separate and self._raw % 2 == 1

    @property
    def calls(self) -> int:
        """How many there will be, as far as the pipeline knows."""
        return max(int(getattr(self._pipeline, "_num_timesteps", 0) or len(self._pipeline.scheduler.timesteps)), 1)

    @property
    def done(self) -> float:
        """Share of the run that is done before this call, 0 to less than 1."""
        scheduler = self._pipeline.scheduler
        if getattr(scheduler, "open_end", False):
            return float(scheduler.fraction_done)
        return min(self.call / self.calls, 1.0)

    @property
    def unguided(self) -> bool:
        """In this call the prompt alone decides: the negative prompt is left out."""
        steering, settings = self._steering, self._context.settings
        if not self._context.guided or len(self._context.rows) > len(PAIR):
            return False
        if self.done < steering.cfg_start or (self.done >= steering.cfg_stop and steering.cfg_stop < 1):
            return True
        early = float(settings.get("skip_early_cond", 0.0))
        if early > 0 and self.done <= early:
            return True
        least = minimum_sigma(self._context)
        return least > 0 and bool(self.call % 2 or settings.get("s_min_uncond_all")) and self._sigma() < least

    @property
    def scale(self) -> float:
        """The CFG scale of this call; 1 where the prompt alone decides."""
        if self.unguided:
            return 1.0
        x = self.done if getattr(self._pipeline.scheduler, "open_end", False) else self.call / max(self.calls - 1, 1)
        return scheduled(self._steering.cfg_schedule, self._context.cfg_scale, self._steering.cfg_schedule_min, min(x, 1.0))

    @property
    def skips_layers(self) -> bool:
        """Skip-layer guidance counts in this call. Source: diffusers' StableDiffusion3Pipeline, both ends excluded."""
        steering = self._steering
        return self.calls * steering.slg_start < self.call < self.calls * steering.slg_stop

    @property
    def time(self) -> int:
        """Timestep of this call as the pipeline plans it, 0 to 1000."""
        return round(self._time() * 1000 / float(self._pipeline.scheduler.config.get("num_train_timesteps") or 1000))

    def _time(self) -> float:
        planned = self._pipeline.scheduler.timesteps
        return float(planned[min(len(planned) - self.calls + self.call, len(planned) - 1)])

    def _sigma(self) -> float:
        """Noise level of this call; with flow models the share of noise."""
        scheduler = self._pipeline.scheduler
        time = self._time()
        if is_flow(scheduler.config):
            return time / float(scheduler.config.get("num_train_timesteps") or 1000)
        if self._levels is None:
            self._levels = NoiseLevels.of_model(scheduler.config)
        return self._levels.sigma(time)


def minimum_sigma(context: Context) -> float:
    """Below this noise level the negative prompt is left out; 0 for never."""
    return float(context.settings.get("s_min_uncond", 0.0)) if context.s_min_uncond is None else context.s_min_uncond


def scheduled(name: str, high: float, low: float, x: float) -> float:
    """CFG scale at x, 0 for the first call and 1 for the last. name: one of SCHEDULES; low counts only where it is below high.

    Linear and half a period of a cosine between low and high. Source: arXiv:2404.13040, section 4.
    """
    low = min(low, high)
    kind, _, way = name.partition(" ")
    if kind == "Constant":
        return high
    risen = x if kind == "Linear" else (1 - math.cos(math.pi * x)) / 2
    return low + (high - low) * (risen if way == "up" else 1 - risen)
