"""What a network is asked to learn: noise on latents, the target, and how much each row counts. torch lives here.

Two kinds: diffusion (noise or velocity at a thousand steps) and flow (the straight way from noise to picture). Which one a model
is, says its own scheduler. All random numbers come from `StepNoise`. Start reading at `objective_of`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from diffusers import DDPMScheduler
from torch.nn import functional

from modules.faults import RequestFault
from modules.request.train import TrainConfig
from modules.request.train_learning import AUTO
from modules.train.networks.recipes import Recipe
from modules.train.trainee import StepNoise

STEPS = 1000
LEAST_SIGMA = 1e-3
MOST_SNR = 1000.0  # debiased estimation counts no SNR above it; source: kohya's scripts


@dataclass(frozen=True, kw_only=True)
class Task:
    """noisy, target: (B, C, h, w); times: (B,) 0 to 1000, what the network is told; weight: (B,) how much a row counts."""

    noisy: torch.Tensor
    target: torch.Tensor
    times: torch.Tensor
    weight: torch.Tensor


class Objective(Protocol):
    """prediction: "epsilon", "v_prediction", "sample", "flow"."""

    prediction: str

    def task(self, latents: torch.Tensor, rng: StepNoise) -> Task:
        """latents: (B, C, h, w) in the network's scale, float32."""
        ...


def objective_of(config: TrainConfig, scheduler: Any, recipe: Recipe) -> Objective:
    """The objective of a loaded pipeline. Raises RequestFault for options that the model's kind has no use for."""
    sampling = recipe.timesteps if config.timestep_sampling == AUTO else config.timestep_sampling
    if "shift" in scheduler.config:
        for name in ("min_snr_gamma", "debiased_estimation_loss"):
            if getattr(config, name):
                raise RequestFault(name, "is for models that predict noise or velocity; this one flows. Set it to 0 or leave it off")
        weighting = recipe.weighting if config.weighting_scheme == AUTO else config.weighting_scheme
        return Flow(config, scheduler, sampling, weighting)
    if config.weighting_scheme not in (AUTO, "none"):
        raise RequestFault(
            "weighting_scheme", "is for models that flow (SD3, Flux); this one has min_snr_gamma", got=config.weighting_scheme
        )
    return Diffusion(config, scheduler, sampling)


def levels(config: TrainConfig, sampling: str, rng: StepNoise) -> torch.Tensor:
    """(B,) float32 in (0, 1): how much noise each row gets, before a shift; 1 is noise alone.

    Source: arXiv:2403.03206, section 3.1 (logit_normal, mode); kohya's scripts (sigmoid, shift: a logit-normal one of 0 and 1).
    """
    if sampling == "uniform":
        return rng.uniform("timestep")
    if sampling == "mode":
        u = rng.uniform("timestep")
        return (1 - u - config.mode_scale * (torch.cos(math.pi * u / 2) ** 2 - 1 + u)).clamp(0, 1)
    mean, deviation = (config.logit_mean, config.logit_std) if sampling == "logit_normal" else (0.0, 1.0)
    return torch.sigmoid(mean + deviation * rng.normal((), "timestep"))


def shifted(level: torch.Tensor, shift: float) -> torch.Tensor:
    """Levels moved towards noise. Source: arXiv:2403.03206, eq. 23."""
    return shift * level / (1 + (shift - 1) * level)


def noise_for(config: TrainConfig, latents: torch.Tensor, rng: StepNoise) -> torch.Tensor:
    """(B, C, h, w): plain noise, with an offset and coarser noises where they are asked for.

    Source: crosslabs.org/blog/diffusion-with-offset-noise; multi-resolution noise: wandb.ai, "Multi-Resolution Noise for Diffusion Model
    Training" (coarser noises enlarged, discount to the power of their number, scaled back to deviation 1).
    """
    shape, device = tuple(latents.shape[1:]), latents.device
    noise = rng.normal(shape, "noise", device=device)
    if config.noise_offset:
        noise = noise + config.noise_offset * rng.normal((shape[0], 1, 1), "offset", device=device)
    height, width = shape[1:]
    for number in range(1, config.multires_noise_iterations + 1):
        height, width = max(1, height // 2), max(1, width // 2)
        coarse = rng.normal((shape[0], height, width), f"coarse{number}", device=device)
        noise = noise + functional.interpolate(coarse, size=shape[1:], mode="bilinear") * config.multires_noise_discount**number
        if height == width == 1:
            break
    return noise / noise.std(dim=(1, 2, 3), keepdim=True) if config.multires_noise_iterations else noise


def errors(config: TrainConfig, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(B,) mean error of each row, float32. huber and smooth_l1 are the smooth forms of kohya's scripts."""
    difference = predicted.float() - target.float()
    if config.loss_type == "l2":
        return difference.square().mean(dim=(1, 2, 3))
    c = config.huber_c
    smooth = 2 * ((difference.square() + c * c).sqrt() - c)
    return (smooth * c if config.loss_type == "huber" else smooth).mean(dim=(1, 2, 3))


class Diffusion:
    """Noise or velocity at one of a thousand steps of the model's own schedule."""

    def __init__(self, config: TrainConfig, scheduler: Any, sampling: str) -> None:
        self.prediction: str = scheduler.config.prediction_type
        self._config = config
        self._sampling = sampling
        plan: Any = DDPMScheduler.from_config(scheduler.config)
        self._alphas: torch.Tensor = plan.alphas_cumprod.float()
        if float(self._alphas[-1]) <= 0 and self.prediction == "epsilon":
            raise RequestFault(
                "checkpoint", "is told to predict noise on a schedule that ends in noise alone; it must predict velocity there"
            )

    def task(self, latents: torch.Tensor, rng: StepNoise) -> Task:
        config = self._config
        level = levels(config, self._sampling, rng)
        if config.discrete_flow_shift and self._sampling == "shift":
            level = shifted(level, config.discrete_flow_shift)
        most = min(config.max_timestep, len(self._alphas))
        times = (config.min_timestep + level * (most - config.min_timestep)).long().clamp(max=most - 1)
        alpha = self._alphas[times].to(latents.device)
        signal, share = alpha.sqrt().view(-1, 1, 1, 1), (1 - alpha).sqrt().view(-1, 1, 1, 1)
        noise = noise_for(config, latents, rng)
        told = (
            noise + config.ip_noise_gamma * rng.normal(latents.shape[1:], "input", device=latents.device)
            if config.ip_noise_gamma
            else noise
        )
        targets = {"epsilon": lambda: noise, "v_prediction": lambda: signal * noise - share * latents, "sample": lambda: latents}
        return Task(
            noisy=signal * latents + share * told,
            target=targets[self.prediction](),
            times=times.to(latents.device),
            weight=self._weight(alpha / (1 - alpha).clamp(min=1e-12)),
        )

    def _weight(self, snr: torch.Tensor) -> torch.Tensor:
        """Source: min-SNR arXiv:2303.09556, section 3.4; debiased estimation arXiv:2310.08442."""
        gamma, velocity = self._config.min_snr_gamma, self.prediction == "v_prediction"
        if gamma:
            least = snr.clamp(max=gamma)
            return {"epsilon": lambda: least / snr, "v_prediction": lambda: least / (snr + 1), "sample": lambda: least}[self.prediction]()
        if self._config.debiased_estimation_loss:
            return 1 / (snr + 1) if velocity else snr.clamp(max=MOST_SNR).rsqrt()
        return torch.ones_like(snr)


class Flow:
    """The straight way: x = (1 - sigma) picture + sigma noise; the network says where it leads. Source: arXiv:2403.03206, section 2."""

    prediction = "flow"

    def __init__(self, config: TrainConfig, scheduler: Any, sampling: str, weighting: str) -> None:
        self._config = config
        self._scheduler = scheduler.config
        self._sampling = sampling
        self._weighting = weighting

    def task(self, latents: torch.Tensor, rng: StepNoise) -> Task:
        config = self._config
        level = shifted(levels(config, self._sampling, rng), self._shift(latents))
        least, most = config.min_timestep / STEPS, config.max_timestep / STEPS
        sigma = (least + level * (most - least)).clamp(LEAST_SIGMA, 1).to(latents.device)
        by_row = sigma.view(-1, 1, 1, 1)
        noise = noise_for(config, latents, rng)
        told = (
            noise + config.ip_noise_gamma * rng.normal(latents.shape[1:], "input", device=latents.device)
            if config.ip_noise_gamma
            else noise
        )
        return Task(noisy=(1 - by_row) * latents + by_row * told, target=noise - latents, times=sigma * STEPS, weight=self._weight(sigma))

    def _shift(self, latents: torch.Tensor) -> float:
        """What was asked for; else the model's own, which uniform and sigmoid do without, as kohya's scripts have it."""
        own = self._scheduler
        if self._config.discrete_flow_shift:
            return self._config.discrete_flow_shift
        if self._sampling in ("uniform", "sigmoid"):
            return 1.0
        if not own.get("use_dynamic_shifting"):
            return float(own["shift"])
        tokens = (latents.shape[-2] // 2) * (latents.shape[-1] // 2)
        few, many = own.get("base_image_seq_len", 256), own.get("max_image_seq_len", 4096)
        slope = (own["max_shift"] - own["base_shift"]) / (many - few)
        return math.exp(own["base_shift"] + slope * (tokens - few))

    def _weight(self, sigma: torch.Tensor) -> torch.Tensor:
        """Source: arXiv:2403.03206, section 3.1 and appendix."""
        if self._weighting == "sigma_sqrt":
            return sigma**-2.0
        if self._weighting == "cosmap":
            return 2 / (math.pi * (1 - 2 * sigma + 2 * sigma**2))
        return torch.ones_like(sigma)
