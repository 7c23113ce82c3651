"""What a run's settings and request say to its sampler, as `SamplerOptions`. No torch.

Start reading at `sampler_options`; `effective` is what `resolve` keeps of a request.
"""

from __future__ import annotations

from typing import Any

from modules.request import ResolvedRequest, Sampling
from modules.samplers import SAMPLERS, SamplerOptions
from modules.settings import Settings

# Option of the sampler <- setting.
FROM_SETTINGS = {
    "rng": "randn_source",
    "sigma_min": "sigma_min",
    "sigma_max": "sigma_max",
    "rho": "rho",
    "old_karras": "use_old_karras_scheduler_sigmas",
    "beta_alpha": "beta_dist_alpha",
    "beta_beta": "beta_dist_beta",
    "discard_penultimate": "always_discard_next_to_last_sigma",
    "sgm_noise_multiplier": "sgm_noise_multiplier",
    "whole_times": "enable_quantization",
    "unipc_variant": "uni_pc_variant",
    "unipc_order": "uni_pc_order",
    "unipc_lower_order_final": "uni_pc_lower_order_final",
    "ensd": "eta_noise_seed_delta",
}
CHURN = ("s_churn", "s_tmin", "s_tmax")
NO_CHANGE = {"s_churn": 0.0, "s_tmin": 0.0, "s_tmax": 0.0, "s_noise": 1.0, "s_min_uncond": 0.0}


def effective(asked: Sampling, settings: Settings, sampler_name: str) -> Sampling:
    """What of the request, or else of the settings, changes something for this sampler; None for all that does not."""
    row = SAMPLERS.get(sampler_name)
    eta = asked.eta if asked.eta is not None else getattr(settings, row.eta_setting) if row.eta_setting else None
    values: dict[str, Any] = {"eta": None if row.eta is None or eta == row.eta else eta}
    for name, idle in NO_CHANGE.items():
        own = getattr(asked, name)
        value = getattr(settings, name) if own is None else own
        values[name] = None if value == idle or (name in CHURN and not row.churn) else value
    if values["s_churn"] is None:
        values |= dict.fromkeys(CHURN)
    if not (row.churn or row.eta is not None):
        values["s_noise"] = None
    return Sampling(**values)


def eta_key(sampler_name: str) -> str:
    """The name of eta in the parameters text."""
    return "Eta DDIM" if SAMPLERS.get(sampler_name).eta_setting == "eta_ddim" else "Eta"


def sampler_options(
    resolved: ResolvedRequest, seeds: tuple[int, ...], architecture: str, *, denoising: float | None = None, exact_steps: bool = False
) -> SamplerOptions:
    """For one run of these seeds. denoising: of a run that begins with a picture; exact_steps: as in `SamplerOptions`."""
    asked: dict[str, Any] = {name: value for name, value in vars(resolved.sampling).items() if value is not None and name != "s_min_uncond"}
    chosen: dict[str, Any] = {name: resolved.settings[key] for name, key in FROM_SETTINGS.items() if key in resolved.settings}
    table = "sdxl" if architecture == "sdxl" else "sd1"
    return SamplerOptions(seeds=seeds, architecture=table, denoising=denoising, exact_steps=exact_steps, **chosen, **asked)
