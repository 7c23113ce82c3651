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

from modules.faults import RequestFault
from modules.samplers.clean import KeepsClean
from modules.samplers.flow import for_flow
from modules.samplers.handed import FollowsLevels
from modules.samplers.levels import NoiseLevels
from modules.samplers.noise import PictureNoise
from modules.samplers.options import PLAIN, SamplerOptions
from modules.samplers.scheduler import SolverScheduler
from modules.samplers.table import SAMPLERS, SCHEDULES, Sampler, effective_schedule

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


# Samplers that draw noise in diffusers' classes, which know torch's generators only.
_DRAWS_ITSELF = ("SA Solver", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE", "LCM")
# The same for a flow matching model.
FLOW_FACTS = (
    "num_train_timesteps",
    "shift",
    "use_dynamic_shifting",
    "base_shift",
    "max_shift",
    "base_image_seq_len",
    "max_image_seq_len",
    "time_shift_type",
    "shift_terminal",
)
_FLOW_MATCH = (diffusers.FlowMatchEulerDiscreteScheduler, diffusers.FlowMatchHeunDiscreteScheduler, diffusers.FlowMatchLCMScheduler)


@functools.cache
def _watched(base: type) -> type:
    """A subclass of a diffusers scheduler whose `step` also stores the predicted clean latent. Same signature, same numbers."""
    draws = "generator" in inspect.signature(base.step).parameters

    @functools.wraps(base.step)
    def step(self: Any, model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
        if draws and not args and self.noise is not None:
            kwargs["generator"] = self.noise.generators
        elif draws and not args and kwargs.get("generator") is None and self.generators is not None:
            kwargs["generator"] = self.generators
        if self.edit_clean is not None:
            model_output = self.edited(model_output, sample)
        out = base.step(self, model_output, timestep, sample, *args, **kwargs)
        if isinstance(out, tuple):
            self.clean = _clean(self, out, model_output, sample)
        return out

    return type(base.__name__, (KeepsClean, base), {"step": step, "__doc__": base.__doc__})


def _clean(scheduler: Any, out: tuple[Any, ...], model_output: Any, sample: Any) -> torch.Tensor | None:
    """The predicted clean latent of the step that just ended; None when it cannot be told."""
    if len(out) > 1:
        return out[1]
    kept: list[Any] = getattr(scheduler, "model_outputs", None) or [None]
    before: float = scheduler.sigmas[scheduler.step_index - 1]
    if issubclass(type(scheduler), _FLOW_MATCH):
        return (sample.float() - before * model_output).to(sample.dtype)
    if issubclass(type(scheduler), diffusers.DEISMultistepScheduler):  # keeps predicted noise
        alpha, sigma = scheduler._sigma_to_alpha_sigma_t(before)
        return (sample - sigma * kept[-1]) / alpha
    return kept[-1]


def is_flow(model_config: Mapping[str, Any]) -> bool:
    """Does this scheduler config belong to a flow matching model?"""
    return "shift" in model_config or model_config.get("prediction_type") == "flow_prediction"


def build_scheduler(
    sampler_name: str,
    scheduler: str,
    model_config: Mapping[str, Any],
    *,
    options: SamplerOptions = PLAIN,
    device: torch.device | str = "cpu",
) -> Any:
    """A fresh scheduler for a sampler and schedule (registered names), on the model's own scheduler config.

    model_config: the config of the scheduler that came with the model; what it says about the model is kept. options: with
    seeds, the scheduler's `noise` is a `PictureNoise` that gives the first noise too; device: where "GPU" noise is drawn.
    Raises RequestFault when a flow matching model cannot take the sampler (`flow_names` finds one that it can).
    Source: A1111 1.10's sampler and schedule lists; arXiv:2305.08891, section 3.3.
    """
    row = SAMPLERS.get(sampler_name)
    if is_flow(model_config):
        built = _flow_scheduler(sampler_name, scheduler, model_config)
        built.options = options
    else:
        facts = {k: model_config[k] for k in MODEL_FACTS if k in model_config}
        schedule = SCHEDULES.get(effective_schedule(sampler_name, scheduler)).name
        built = _solver_scheduler(row, schedule, facts, options) if row.solver else _handed_scheduler(row, schedule, facts, options)
    if options.seeds:
        built.noise = PictureNoise(options.seeds, source=options.rng, device=device, ensd=options.ensd)
    return built


def _solver_scheduler(row: Sampler, schedule: str, facts: Mapping[str, Any], options: SamplerOptions) -> SolverScheduler:
    eta = row.eta if options.eta is None else options.eta
    return SolverScheduler(
        solver=row.solver,
        schedule=schedule,
        eta=0.0 if eta is None else eta,
        discard=row.discards,
        churn=row.churn,
        options=options.to_data(),
        **facts,
    )


def _handed_scheduler(row: Sampler, schedule: str, facts: Mapping[str, Any], options: SamplerOptions) -> Any:
    base = getattr(diffusers, row.scheduler_class)
    chosen = {
        "solver_type": options.unipc_variant,
        "solver_order": options.unipc_order,
        "lower_order_final": options.unipc_lower_order_final,
    }
    # steps_offset has no effect on levels that are handed over; pipelines warn when it is not 1
    wanted = {"steps_offset": 1, **(chosen if row.name == "UniPC" else {}), **row.config, **facts}
    accepted = inspect.signature(base.__init__).parameters
    built = _followed(base)(**{k: v for k, v in wanted.items() if k in accepted})
    built.levels, built.schedule, built.options, built.timed = NoiseLevels.of_model(facts), schedule, options, row.timed
    return built


@functools.cache
def _followed(base: type) -> type:
    return type(base.__name__, (FollowsLevels, _watched(base)), {"__doc__": base.__doc__})


def left_out(sampler_name: str, model_config: Mapping[str, Any], options: SamplerOptions = PLAIN) -> str:
    """What a sampler cannot follow of what was asked, as a sentence; "" when it follows everything."""
    draws_in_torch = is_flow(model_config) or not SAMPLERS.get(sampler_name).solver
    if options.rng == "NV" and draws_in_torch and sampler_name in _DRAWS_ITSELF:
        return f"{sampler_name} draws the noise of its steps on the processor here; NV counts for the first noise only."
    return ""


def _flow_scheduler(sampler_name: str, scheduler: str, model_config: Mapping[str, Any]) -> Any:
    form = SAMPLERS.get(sampler_name).flow
    if form is None:
        raise RequestFault("sampler_name", "does not work with flow matching models; choose Euler or DPM++ 2M", got=sampler_name)
    facts = {k: model_config[k] for k in FLOW_FACTS if model_config.get(k) is not None}
    followed = SCHEDULES.get(scheduler).config if scheduler in form.schedules else {}
    shift = 1.0 if facts.get("use_dynamic_shifting") else facts.get("shift", model_config.get("flow_shift", 1.0))
    base = getattr(diffusers, form.scheduler_class)
    accepted = inspect.signature(base.__init__).parameters
    wanted = {**form.config, **followed, **facts, "shift": shift, "flow_shift": shift}
    built = for_flow(_watched(base))(**{k: v for k, v in wanted.items() if k in accepted})
    # pipelines read the shift's range from the config, whatever the class
    built.register_to_config(**{k: v for k, v in facts.items() if k not in accepted and k != "shift"})
    return built


def seeded(seeds: Sequence[int]) -> list[torch.Generator]:
    """One CPU generator a picture, so that a picture does not depend on its neighbours in the batch."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def first_noise(generators: Sequence[torch.Generator], shape: tuple[int, int, int]) -> torch.Tensor:
    """Standard normal noise (B, C, h, w), float32, on the CPU; row i is drawn from generator i alone."""
    return torch.stack([torch.randn(shape, generator=g, dtype=torch.float32) for g in generators])
