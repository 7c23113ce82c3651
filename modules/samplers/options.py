"""`SamplerOptions`: what a person may set beside the sampler and the schedule. Plain data, A1111's meanings; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

SOURCES = ("CPU", "GPU", "NV")


@dataclass(frozen=True, kw_only=True)
class SamplerOptions:
    """Options of one run. The defaults change nothing.

    seeds: one a picture; empty: noise comes from the generators that the pipeline hands to each step. rng: where noise is
    drawn, one of SOURCES ("NV": on the processor, with the numbers an NVIDIA card gives). ensd: added to the seeds for all
    noise after the first, 0 for none.

    eta: share of fresh noise in a step, 0 to 1 and above; None takes the sampler's own (`Sampler.eta`). s_churn, s_tmin,
    s_tmax: noise stirred in before a step while s_tmin <= sigma <= s_tmax, for the samplers marked "churn" (s_tmax 0: no upper
    end). s_noise: factor on the noise of churn, ancestral and SDE steps.

    sigma_min, sigma_max, rho: ends and shape of the schedule; 0 takes the model's and the schedule's own. old_karras: ends 0.1
    and 10 instead of the model's. beta_alpha, beta_beta: shape of the Beta schedule. discard_penultimate: one step more is
    planned and the last noise level before the end left out. sgm_noise_multiplier: the start is scaled by sqrt(1 + sigma^2)
    instead of sigma. whole_times: noise levels are told to the model as whole timesteps.
    architecture: "sdxl" takes the Align Your Steps table made for SDXL.

    denoising: None, or 0 to 1 for a run that starts from a picture: only the end of the schedule runs
    (`modules.samplers.sigmas.image_steps`). exact_steps: as many steps run as were asked for, with a longer schedule.
    unipc_variant, unipc_order, unipc_lower_order_final: "bh1" or "bh2", 1 to 3, whether the last steps take a lower order.
    """

    seeds: tuple[int, ...] = ()
    rng: str = "CPU"
    ensd: int = 0
    eta: float | None = None
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = 0.0
    s_noise: float = 1.0
    sigma_min: float = 0.0
    sigma_max: float = 0.0
    rho: float = 0.0
    old_karras: bool = False
    beta_alpha: float = 0.6
    beta_beta: float = 0.6
    discard_penultimate: bool = False
    sgm_noise_multiplier: bool = False
    whole_times: bool = False
    architecture: str = "sd1"
    denoising: float | None = None
    exact_steps: bool = False
    unipc_variant: str = "bh1"
    unipc_order: int = 3
    unipc_lower_order_final: bool = True

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data; `from_data` reads it."""
        return asdict(self) | {"seeds": list(self.seeds)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The options of such data; names that are not known are passed over."""
        known: dict[str, Any] = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        known["seeds"] = tuple(data.get("seeds", ()))
        return cls(**known)


PLAIN = SamplerOptions()
