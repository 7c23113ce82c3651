"""The loop that every part is trained with: AdamW, warm-up and cosine, an average of the weights, resumable at any moment.

Knows no model. The same code runs on one GPU or on the CPU; seeds are fixed. Start reading at `train`.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


@dataclass(frozen=True, kw_only=True)
class Plan:
    """steps, batch, learning_rate: of the whole run; average: decay of the weight average; checkpoint_s: seconds between states."""

    steps: int
    batch: int
    learning_rate: float
    warm_up: int = 200
    flat_share: float = 0.3
    weight_decay: float = 0.01
    average: float = 0.999
    clip: float = 1.0
    checkpoint_s: float = 120.0
    seed: int = 0

    def rate(self, step: int) -> float:
        """Warm up, stay, then fall along a cosine to 2 %."""
        share = step / max(1, self.steps)
        fall = (
            1.0
            if share < self.flat_share
            else 0.5 * (1 + math.cos(math.pi * (share - self.flat_share) / (1 - self.flat_share))) * 0.98 + 0.02
        )
        return self.learning_rate * min(1.0, (step + 1) / self.warm_up) * fall


def device() -> torch.device:
    """The GPU when there is one. On the CPU flush denormals, they are slow."""
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        return torch.device("cuda")
    torch.set_flush_denormal(True)
    return torch.device("cpu")


def half_precision(where: torch.device) -> bool:
    """Is bfloat16 faster than float32 here? On a processor without instructions for it it is some 15 times slower."""
    return where.type != "cpu" or bool(torch.cpu._is_avx512_bf16_supported())


def train(
    modules: dict[str, torch.nn.Module],
    loss: Callable[[random.Random, int], dict[str, torch.Tensor]],
    plan: Plan,
    state: Path,
    report: Callable[[int], None] | None = None,
    report_every: int = 1000,
) -> None:
    """Train until plan.steps, from the saved state if there is one; at the end the modules hold the averaged weights.

    loss(rng, step) -> {"loss": the value to lower, other names: figures to print}; forward passes run in bfloat16 where that is faster.
    """
    where = next(iter(next(iter(modules.values())).parameters())).device
    half = half_precision(where)
    trained = {f"{name}.{key}": p for name, module in modules.items() for key, p in module.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=plan.weight_decay, fused=True)
    averaged = {key: p.detach().clone().float() for key, p in trained.items()}
    begin = _resume(state, trained, averaged, optimizer)
    began = saved = time.monotonic()
    figures: dict[str, list[float]] = {}
    for step in range(begin, plan.steps):
        rng = random.Random(plan.seed * 1_000_003 + step)
        torch.manual_seed(plan.seed * 1_000_003 + step)
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step)
        with torch.autocast(where.type, dtype=torch.bfloat16, enabled=half):
            values = loss(rng, step)
        values["loss"].backward()
        norm = torch.nn.utils.clip_grad_norm_(list(trained.values()), plan.clip)
        if bool(torch.isfinite(norm)):
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        decay = min(plan.average, (1 + step) / (10 + step))
        for key, p in trained.items():
            averaged[key].lerp_(p.detach().float(), 1 - decay)
        for name, value in values.items():
            figures.setdefault(name, []).append(float(value.detach()))
        if (step + 1) % 100 == 0 or step + 1 == plan.steps:
            shown = ", ".join(f"{n} {sum(v) / len(v):.4f}" for n, v in figures.items())
            print(f"step {step + 1}/{plan.steps}  {time.monotonic() - began:.0f} s  {shown}", flush=True)
            figures.clear()
        if time.monotonic() - saved > plan.checkpoint_s or step + 1 == plan.steps:
            _save(state, trained, averaged, optimizer, step + 1)
            saved = time.monotonic()
        if report is not None and (step + 1) % report_every == 0:
            report(step + 1)
    with torch.no_grad():
        for key, p in trained.items():
            p.copy_(averaged[key])


def _save(
    state: Path, trained: dict[str, torch.nn.Parameter], averaged: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer, step: int
) -> None:
    """One safetensors file: weights, their average, the optimizer's moments. Written beside and renamed."""
    tensors = {f"weight.{k}": p.detach() for k, p in trained.items()} | {f"average.{k}": a for k, a in averaged.items()}
    for key, p in trained.items():
        for name, value in optimizer.state.get(p, {}).items():
            tensors[f"optimizer.{name}.{key}"] = value if isinstance(value, torch.Tensor) else torch.tensor(float(value))
    state.parent.mkdir(parents=True, exist_ok=True)
    temporary = state.with_suffix(".tmp")
    save_file({k: t.contiguous().cpu() for k, t in tensors.items()}, temporary, metadata={"step": str(step)})
    os.replace(temporary, state)


def _resume(
    state: Path, trained: dict[str, torch.nn.Parameter], averaged: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer
) -> int:
    """The step to go on from; 0 without a state."""
    if not state.exists():
        return 0
    from safetensors import safe_open

    tensors = load_file(state)
    with safe_open(state, "pt") as file:
        step = int((file.metadata() or {})["step"])
    with torch.no_grad():
        for key, p in trained.items():
            p.copy_(tensors[f"weight.{key}"])
            averaged[key].copy_(tensors[f"average.{key}"])
            names = [name for name in ("step", "exp_avg", "exp_avg_sq") if f"optimizer.{name}.{key}" in tensors]
            found = {name: tensors[f"optimizer.{name}.{key}"] for name in names}
            optimizer.state[p] = {n: t if n == "step" else t.to(p.device) for n, t in found.items()}
    print(f"going on from step {step}", flush=True)
    return step
