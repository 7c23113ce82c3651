"""`SolverScheduler`: a solver in the shape of a diffusers scheduler, so that every diffusers pipeline can use it.

Pipelines call the model themselves and hand its answer to `step`; the solver, a generator, is run on by one answer each time.
Which noise levels it will ask about is found by running it once without a model. Start reading at `SolverScheduler.step`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerMixin, SchedulerOutput

from modules.samplers.clean import KeepsClean
from modules.samplers.levels import Floats, NoiseLevels
from modules.samplers.noise import PictureNoise, SharedNoise
from modules.samplers.options import SamplerOptions
from modules.samplers.predictions import CLEAN
from modules.samplers.rehearsal import Growing, rehearsed
from modules.samplers.sigmas import image_steps, last_part, schedule_sigmas
from modules.samplers.solvers import SOLVERS, Course, Method, Solver, Steps
from modules.samplers.solvers.course import Noise
from modules.samplers.solvers.dpm import MOST_CALLS

_FEW = 50  # noise levels that distilled models know


class SolverScheduler(KeepsClean, SchedulerMixin, ConfigMixin):
    """Samples are clean + sigma * noise, as in diffusers' EulerDiscreteScheduler.

    Beside the usual: `noise`, None or the batch's own `PictureNoise` (else noise comes from the generators handed to `step`);
    `beginning` and `edit_clean`, as `KeepsClean` says;
    `without_prompt`, for DDIM CFG++: the model's output for the negative prompt alone, set before each step.
    """

    @register_to_config
    def __init__(
        self,
        solver: str = "euler",
        schedule: str = "uniform",
        num_train_timesteps: int = 1000,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        beta_schedule: str = "scaled_linear",
        trained_betas: Sequence[float] | None = None,
        prediction_type: str = "epsilon",
        rescale_betas_zero_snr: bool = False,
        eta: float = 1.0,
        discard: bool = False,
        churn: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """solver: a name in SOLVERS; schedule: one in FORMULAS. eta: share of fresh noise; discard, churn: as the sampler's row says.

        options: the fields of `SamplerOptions` as data; its eta is not looked at. Raises ValueError for names that are not known.
        """
        if prediction_type not in CLEAN:
            raise ValueError(f"prediction_type {prediction_type!r} is not known; it is one of {', '.join(CLEAN)}")
        if solver not in SOLVERS:
            raise ValueError(f"solver {solver!r} is not known; it is one of {', '.join(SOLVERS)}")
        given = SamplerOptions.from_data(options or {})
        self._options = given if churn else dataclasses.replace(given, s_churn=0.0)
        self._method: Method = SOLVERS[solver]
        self._levels = NoiseLevels.of_model(self.config)
        self._stride = max(num_train_timesteps // _FEW, 1) if self._method.few else 1
        self._told = self._levels.every(self._stride)
        self.without_prompt: torch.Tensor | None = None
        self.num_inference_steps: int | None = None
        self.order = self._method.calls
        self.sigmas = torch.tensor([self._levels.highest, 0.0])
        self.timesteps = torch.tensor([float(num_train_timesteps - 1)])
        self._reset()

    def _reset(self) -> None:
        self.clean = None
        self._at: int | None = None
        self._begin: int | None = None
        self._running: Solver | None = None
        self._under_way: Course | None = None
        self._finished = False
        self._handed: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def init_noise_sigma(self) -> float:
        """What a pipeline scales its first noise by. A run that begins with a picture is handed its start ready-made."""
        if self.beginning is not None:
            return 1.0
        first = float(self._asked[0]) if self.num_inference_steps else self._levels.highest
        return math.sqrt(1 + first**2) if self._method.unit or self._options.sgm_noise_multiplier else first

    @property
    def step_index(self) -> int | None:
        """Which model call is next; None before the first."""
        return self._at

    @property
    def begin_index(self) -> int | None:
        return self._begin

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Pipelines that start from a picture say here at which model call they come in."""
        self._begin = begin_index

    @property
    def open_end(self) -> bool:
        """The number of its steps is found on the way; what it plans is the most there can be."""
        return self._method.free

    @property
    def fraction_done(self) -> float:
        """How much of the run is done, 0 to 1, also when the number of its steps is not known before."""
        if self._finished:
            return 1.0
        if self._at is None:
            return 0.0
        if not self._method.free:
            return self._at / len(self._asked)
        now, (first, last) = self._asked[self._at], self._steps[0]
        return min(max(math.log(first / now) / math.log(first / last), 0.0), 1.0)

    def set_timesteps(
        self, num_inference_steps: int | None = None, device: str | torch.device | None = None, sigmas: Sequence[float] | None = None
    ) -> None:
        """Plan a run of so many steps, or along given noise levels (falling, the last one where it ends).

        timesteps: one for each model call, which are more than the steps for samplers that look twice.
        """
        self._found = self._schedule(num_inference_steps or 0) if sigmas is None else np.asarray(sigmas, np.float64)
        self._steps = self._method.plan(self._found, self._levels)
        if self._method.free:
            self._calls = [(level, 0) for level in self._found.tolist() if level > 0]
        else:
            self._calls = rehearsed(self._method.solve, self._course(self._steps, SharedNoise(None)))
        self._asked = [level for level, _ in self._calls]
        self.num_inference_steps = len(self._found) - 1
        self.sigmas = torch.tensor([*self._asked, self._steps[-1][1]], dtype=torch.float32)
        times = torch.tensor([self._time(level) for level in self._asked], dtype=torch.float32)
        if self._method.free:
            times = torch.cat([times, times.new_zeros(MOST_CALLS + 3 - len(times))]).as_subclass(Growing)
        self.timesteps = times.to(device)
        self._reset()

    def _schedule(self, steps: int) -> Floats:
        o, config = self._options, self.config
        if o.denoising is None:
            return schedule_sigmas(config["schedule"], steps, self._told, o, discard=config["discard"])
        total, t_enc = image_steps(steps, o.denoising, exact=o.exact_steps)
        whole = schedule_sigmas(config["schedule"], total, self._told, o, discard=config["discard"])
        return last_part(whole, total, t_enc, timed=self._method.unit)

    def _course(self, steps: Steps, noise: Noise, *, resumed: bool = False) -> Course:
        asked, eta = len(self._found) - 1, self.config["eta"]
        return Course(steps=steps, noise=noise, levels=self._levels, eta=eta, options=self._options, asked=asked, resumed=resumed)

    def _steps_from(self, call: int) -> Steps:
        """The steps that are left at a model call."""
        return [(self._found[call], self._steps[0][1])] if self._method.free else self._steps[self._calls[call][1] :]

    def _is_second_look(self, call: int) -> bool:
        """Does a run that comes in at this call come in within a step?"""
        return call > 0 and not self._method.free and self._calls[call][1] == self._calls[call - 1][1]

    def _time(self, sigma: float) -> float:
        whole = self._options.whole_times or self._method.few
        return self._told.time(sigma, whole=whole) * self._stride + self._stride - 1

    def _index_of(self, timestep: Any) -> int:
        """Which model call a timestep is. The first one when it is none of the plan's."""
        if self._begin is not None:
            return self._begin
        same = (self.timesteps == torch.as_tensor(timestep, device=self.timesteps.device)).nonzero()
        return int(same[0]) if len(same) else 0

    def scale_model_input(self, sample: torch.Tensor, timestep: Any = None) -> torch.Tensor:
        """The sample as the model knows it, of total variance 1."""
        if self._at is None:
            self._at = self._index_of(timestep)
        return sample / math.sqrt(1 + self._level() ** 2)

    def _level(self) -> float:
        return self._asked[min(self._at or 0, len(self._asked) - 1)]

    def step(
        self,
        model_output: torch.Tensor,
        timestep: Any,
        sample: torch.Tensor,
        generator: torch.Generator | list[torch.Generator] | None = None,
        return_dict: bool = True,
    ) -> SchedulerOutput | tuple[torch.Tensor, torch.Tensor]:
        """The next sample to ask the model about, from its answer about this one. (B, C, h, w) each; worked out in float32.

        A tuple also holds the clean sample that the model believes in.
        """
        if self._at is None:
            self._at = self._index_of(timestep)
        kept = self._handed
        x = kept[1] if kept is not None and kept[0] is sample else sample.to(torch.promote_types(sample.dtype, torch.float32))
        clean = self._believed(model_output.to(x.dtype), x)
        self.clean = clean.to(model_output.dtype)
        x = self._run_on(x, clean, generator if generator is not None else self.generators)
        out = x.to(model_output.dtype)
        self._handed = (out, x)
        return SchedulerOutput(prev_sample=out) if return_dict else (out, self.clean)

    def _believed(self, model_output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        clean = CLEAN[self.config["prediction_type"]](model_output, x, self._level())
        return clean if self.edit_clean is None else self.edit_clean(clean, self._level())

    def _run_on(self, x: torch.Tensor, clean: torch.Tensor, generator: Any) -> torch.Tensor:
        """Tell the solver the answer; what it asks about next, or its result."""
        if self._finished:
            return x
        try:
            if self._running is None or self._under_way is None:
                call = self._at or 0
                if self._is_second_look(call):
                    return self._slide(x, clean, call)
                self._under_way = self._course(self._steps_from(call), self._noise_from(generator), resumed=call > 0)
                self._running = self._method.solve(self._under_way, x)
                next(self._running)
            self._under_way.without_prompt = self._without_prompt(x)
            x, sigma = self._running.send((x, clean))
        except StopIteration as end:
            return self._finish(end.value)
        self._at = (self._at or 0) + 1
        if self._method.free:
            self._plan_call(self._at, sigma)
        return x

    def _slide(self, x: torch.Tensor, clean: torch.Tensor, call: int) -> torch.Tensor:
        """Straight on to the level of the next call, where a step begins."""
        now, after = [*self._asked, self._steps[-1][1]][call : call + 2]
        x = x + (x - clean) * ((after - now) / now)
        if call + 1 == len(self._asked):
            return self._finish(x)
        self._at = call + 1
        return x

    def _finish(self, x: torch.Tensor) -> torch.Tensor:
        self._finished = True
        self._running = None
        if self._method.free:
            self.timesteps[(self._at or 0) + 1 :] = -1
        self._at = (self._at or 0) + 1
        return x / math.sqrt(1 + self._steps[-1][1] ** 2) if self._method.unit else x

    def _plan_call(self, index: int, sigma: float) -> None:
        """Put a model call into the plan while the pipeline walks it."""
        self._asked[index:] = [sigma]
        self.sigmas = torch.tensor([*self._asked, self._steps[-1][1]], dtype=torch.float32)
        self.timesteps[index] = self._time(sigma)

    def _without_prompt(self, x: torch.Tensor) -> torch.Tensor | None:
        output, self.without_prompt = self.without_prompt, None
        return None if output is None else CLEAN[self.config["prediction_type"]](output.to(x.dtype), x, self._level())

    def _noise_from(self, generator: Any) -> Noise:
        if self.noise is not None:
            return self.noise
        return PictureNoise.of_generators(generator) if isinstance(generator, list) else SharedNoise(generator)

    def add_noise(self, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Clean samples with noise of each one's timestep."""
        levels = [self._sigma_at(float(t)) for t in timesteps.reshape(-1)]
        sigma = torch.tensor(levels, dtype=original_samples.dtype, device=original_samples.device)
        noise = self.own_noise(original_samples, noise, timesteps, levels[0])
        return original_samples + noise * sigma.view(-1, *[1] * (original_samples.ndim - 1))

    def _sigma_at(self, timestep: float) -> float:
        if timestep < 0:
            return self._steps[-1][1]
        planned = self.timesteps.tolist()
        return self._asked[planned.index(timestep)] if timestep in planned[: len(self._asked)] else self._levels.sigma(timestep)

    def __len__(self) -> int:
        return self.config["num_train_timesteps"]
