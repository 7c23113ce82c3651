"""The learning rate as a pure function of the step: a factor on each group's own rate, so that going on needs no state of a scheduler.

Names and curves are those of `diffusers.optimization.get_scheduler`, which the tests compare with. Start reading at `rate_factor`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from modules.request.train import TrainConfig, rates_by_step

LEAST_POLYNOMIAL = 1e-7  # where a polynomial ends, as a rate; source: diffusers' lr_end


def rate_factor(config: TrainConfig, step: int, steps: int, base_lr: float) -> float:
    """What a group's rate is multiplied with in a step. step: 0 for the first of `steps`; base_lr: the group's own rate.

    The warm-up rises from 0 over lr_warmup_steps, with "constant" too when it is asked for. piecewise_constant takes its rates from
    lr_steps; they are meant for learning_rate, and other groups follow in proportion.
    """
    warm = config.lr_warmup_steps
    if config.lr_scheduler == "piecewise_constant":
        return _piecewise(config, step) * (min(1.0, step / warm) if warm else 1.0)
    if step < warm:
        return step / warm
    least = LEAST_POLYNOMIAL / base_lr if base_lr > LEAST_POLYNOMIAL else 0.0
    return CURVES[config.lr_scheduler]((step - warm) / max(1, steps - warm), config, least)


def _cosine(share: float) -> float:
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * share)))


def _restarts(share: float, config: TrainConfig, _least: float) -> float:
    return 0.0 if share >= 1.0 else _cosine((share * config.lr_scheduler_num_cycles) % 1.0)


def _polynomial(share: float, config: TrainConfig, least: float) -> float:
    return least if share >= 1.0 else (1.0 - least) * (1.0 - share) ** config.lr_scheduler_power + least


def _piecewise(config: TrainConfig, step: int) -> float:
    rates = rates_by_step(config.lr_steps)
    rate = next((rate for rate, until in rates if until is None or step < until), rates[-1][0])
    return rate / config.learning_rate if config.learning_rate else 0.0


# (share of the way after the warm-up, 0..1; config; least factor) -> factor
CURVES: Mapping[str, Callable[[float, TrainConfig, float], float]] = {
    "constant": lambda _share, _config, _least: 1.0,
    "constant_with_warmup": lambda _share, _config, _least: 1.0,
    "linear": lambda share, _config, _least: max(0.0, 1.0 - share),
    "cosine": lambda share, _config, _least: _cosine(min(share, 1.0)),
    "cosine_with_restarts": _restarts,
    "polynomial": _polynomial,
}
