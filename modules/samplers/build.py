"""From the tables to a diffusers scheduler, and the noise each picture starts from. torch lives here.

Start reading at `build_scheduler`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import torch

from modules.samplers.table import SAMPLERS, SCHEDULES, effective_schedule

# What a scheduler config says about the model; everything else in it is a choice of sampler, which is ours to make.
MODEL_FACTS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
)


class KeepsClean:
    """Mixed into a scheduler class: remembers the clean latent x0 that the last step predicted, for previews and interrupts.

    clean: (B, C, h, w) or None before the first step, or when the scheduler does not tell.
    """

    clean: torch.Tensor | None = None


@functools.cache
def _watched(base: type) -> type:
    """A subclass of a diffusers scheduler whose `step` also stores the predicted clean latent. Same signature, same numbers."""

    @functools.wraps(base.step)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        out = base.step(self, *args, **kwargs)
        if isinstance(out, tuple):
            kept = getattr(self, "model_outputs", None)
            self.clean = out[1] if len(out) > 1 else kept[-1] if kept and kept[-1] is not None else None
        return out

    return type(base.__name__, (KeepsClean, base), {"step": step, "__doc__": base.__doc__})


def build_scheduler(sampler_name: str, scheduler: str, model_config: Mapping[str, Any]) -> Any:
    """A fresh scheduler for a sampler and schedule (registered names), on the model's own scheduler config.

    model_config: the config of the scheduler that came with the model; its betas and prediction type are kept.
    Source: A1111 1.10's sampler and schedule lists.
    """
    sampler = SAMPLERS.get(sampler_name)
    label = effective_schedule(sampler_name, scheduler)
    schedule = SCHEDULES.get(label).config if label in SCHEDULES else {"timestep_spacing": "leading"}
    base = getattr(diffusers, sampler.scheduler_class)
    wanted = {
        "timestep_spacing": "linspace",
        **sampler.config,
        **schedule,
        **{k: model_config[k] for k in MODEL_FACTS if k in model_config},
    }
    accepted = inspect.signature(base.__init__).parameters
    return _watched(base)(**{k: v for k, v in wanted.items() if k in accepted})


def seeded(seeds: Sequence[int]) -> list[torch.Generator]:
    """One CPU generator a picture, so that a picture does not depend on its neighbours in the batch."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def first_noise(generators: Sequence[torch.Generator], shape: tuple[int, int, int]) -> torch.Tensor:
    """Standard normal noise (B, C, h, w), float32, on the CPU; row i is drawn from generator i alone."""
    return torch.stack([torch.randn(shape, generator=g, dtype=torch.float32) for g in generators])
