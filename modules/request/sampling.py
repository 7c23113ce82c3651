"""What a sampler may be told beside its name. None takes the setting of the same meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """A1111's sampler parameters of one run."""

    eta: Annotated[float | None, Knob("Eta", 0, 10, ui=(0, 1), step=0.01, help="Share of fresh noise in a step.")] = None
    s_churn: Annotated[
        float | None, Knob("Sigma churn", 0, 100, step=0.01, infotext="Sigma churn", help="Noise stirred in before a step.")
    ] = None
    s_tmin: Annotated[float | None, Knob("Sigma tmin", 0, 10000, step=0.01, infotext="Sigma tmin", help="Lower end of the churn.")] = None
    s_tmax: Annotated[
        float | None, Knob("Sigma tmax", 0, 10000, step=0.01, infotext="Sigma tmax", help="Upper end of the churn; 0 for none.")
    ] = None
    s_noise: Annotated[
        float | None, Knob("Sigma noise", 0, 10, step=0.001, infotext="Sigma noise", help="Factor on noise of the steps.")
    ] = None
    s_min_uncond: Annotated[
        float | None,
        Knob(
            "Negative Guidance minimum sigma",
            0,
            1000,
            ui=(0, 15),
            step=0.01,
            infotext="NGMS",
            help="Below it every other step is unguided.",
        ),
    ] = None
