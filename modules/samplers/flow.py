"""diffusers' schedulers for flow matching models, made to take whatever the pipelines of such models give them.

One class of theirs knows sigmas, another a shift, a third neither; runs that begin with a picture are known to few. Knows nothing
about pictures. Start reading at `for_flow`. Samples are (1 - s) * clean + s * noise, s falling from 1 to 0.
"""

from __future__ import annotations

import functools
import inspect
import math
from typing import Any

import numpy as np
import torch

from modules.samplers.beginning import flow_sigma
from modules.samplers.options import PLAIN
from modules.samplers.sigmas import image_steps


@functools.cache
def for_flow(watched: type) -> type:
    """The subclass. Its `set_timesteps` takes sigmas and the shift mu, and leaves only what a run from a picture walks.

    options: as `SamplerOptions`; only denoising and exact_steps count here.
    """
    plan = _planned(watched)

    def set_timesteps(
        self: Any, num_inference_steps: int | None = None, device: Any = None, sigmas: Any = None, mu: float | None = None
    ) -> None:
        steps = (num_inference_steps or 0) if sigmas is None else len(sigmas)
        if self.options.denoising is None:
            plan(self, num_inference_steps, device, sigmas, mu)
            return
        total, t_enc = image_steps(steps, self.options.denoising, exact=self.options.exact_steps)
        plan(self, total if sigmas is None else None, device, None if sigmas is None else np.linspace(1.0, 1 / total, total), mu)
        first = max(total - t_enc - 1, 0) * self.order
        self.timesteps, self.sigmas = self.timesteps[first:], self.sigmas[first:]

    def scale_noise(self: Any, sample: torch.Tensor, timestep: Any, noise: torch.Tensor) -> torch.Tensor:
        """Clean samples with noise of a timestep of the plan."""
        times = torch.as_tensor(timestep).reshape(-1)
        share = self.sigmas[self.timesteps.tolist().index(float(times[0]))].to(sample.device, sample.dtype)
        noise = self.own_noise(sample, noise, times, flow_sigma(float(share)))
        return share * noise + (1.0 - share) * sample

    def edited(self: Any, model_output: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
        """The model's answer as it would be had it believed in the clean sample that `edit_clean` makes of its own."""
        share = float(self.sigmas[self.step_index if self.step_index is not None else self.begin_index or 0])
        clean = self.edit_clean(sample.float() - share * model_output.float(), flow_sigma(share))
        return ((sample.float() - clean) / share).to(model_output.dtype)

    own = {"set_timesteps": set_timesteps, "scale_noise": scale_noise, "edited": edited, "options": PLAIN, "__doc__": watched.__doc__}
    return type(watched.__name__, (watched,), own)


def _planned(base: Any) -> Any:
    """`set_timesteps` of a class, taking all four arguments. sigmas: only their number counts for a class that knows none.

    mu: logarithm of the shift; counts when the model's shift depends on the size.
    """
    known = inspect.signature(base.set_timesteps).parameters
    if "sigmas" in known and "mu" in known:

        def plan(self: Any, steps: int | None, device: Any, sigmas: Any, mu: float | None) -> None:
            base.set_timesteps(self, steps, device=device, sigmas=sigmas, mu=mu)

        return plan

    def plan_by_number(self: Any, steps: int | None, device: Any, sigmas: Any, mu: float | None) -> None:
        steps = steps if sigmas is None else len(sigmas)
        shift = mu if self.config.get("use_dynamic_shifting") else None
        if shift is not None and "mu" not in known:
            self.register_to_config(shift=math.exp(shift))
        base.set_timesteps(self, steps, device=device, **({"mu": shift} if shift is not None and "mu" in known else {}))

    return plan_by_number
