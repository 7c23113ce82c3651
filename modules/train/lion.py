"""Lion: steps of one size in the direction of an averaged gradient's sign. Source: arXiv:2302.06675, algorithm 2."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class Lion(torch.optim.Optimizer):
    """lr: about a tenth of AdamW's; weight_decay: about ten times AdamW's, counted times lr. Keeps one tensor a parameter."""

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-5, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        told = None
        if closure is not None:
            with torch.enable_grad():
                told = closure()
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            if params:
                self._advance(group, params)
        return told

    def _advance(self, group: dict[str, Any], params: list[torch.Tensor]) -> None:
        first, second = group["betas"]
        for param in params:
            if "exp_avg" not in self.state[param]:
                self.state[param]["exp_avg"] = torch.zeros_like(param)
            average: torch.Tensor = self.state[param]["exp_avg"]
            gradient: Any = param.grad
            param.mul_(1 - group["lr"] * group["weight_decay"])
            param.add_(average.lerp(gradient, 1 - first).sign_(), alpha=-group["lr"])
            average.lerp_(gradient, 1 - second)
