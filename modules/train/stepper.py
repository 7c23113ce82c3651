"""One stage's steps: from batches to gradients to changed weights, with clipping, schedule, EMA and half precision.

Start reading at `Stepper.step`; `used` is the weights as people get them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.training_utils import EMAModel

from modules.faults import ModelFault, RequestFault
from modules.request.train import TrainConfig
from modules.train.company import Company
from modules.train.feed import Batch
from modules.train.optimizers import optimizer_of, set_mode
from modules.train.schedules import rate_factor
from modules.train.trainee import Example, Stage, StepNoise, Trainee, seed_of

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
BAD_STEPS = 10  # steps in a row without a number for a loss, after which training ends
BAD_STEPS_FP16 = 40  # half precision looks for its scale first
_OWN = ("base_lr", "name", "weight_decay", "betas", "eps")  # of a param group: as the config says, not as a state does


@dataclass(frozen=True)
class Told:
    """What a step says of itself. loss: the mean over its batches; rates: by group; counted: False for a step that was left out."""

    loss: float
    grad_norm: float
    rates: dict[str, float]
    counted: bool


class Stepper:
    """Optimizer, averages and scale of a stage that the trainee has begun."""

    def __init__(self, config: TrainConfig, trainee: Trainee, stage: Stage, company: Company) -> None:
        groups = trainee.parameters()
        self._params = [param for group in groups for param in group.params]
        if not self._params:
            raise RequestFault("target_blocks", "leaves nothing to train; name other blocks, or none")
        self._config, self._trainee, self._stage, self._company = config, trainee, stage, company
        self.device = self._params[0].device
        self._optimizer: Any = optimizer_of(config, groups)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=config.mixed_precision == "fp16")
        self._average = EMAModel(self._params, decay=config.ema_decay, foreach=True) if config.ema_decay else None
        self._bad = 0
        set_mode(self._optimizer, config.optimizer, training=True)

    def step(self, batches: Sequence[Batch], number: int) -> Told:
        """One step of the optimizer. number: the stage's steps done so far. Raises ModelFault when the loss has stopped being a number."""
        rates = self._set_rates(number)
        share = torch.stack([self._gradients(batch) / len(batches) for batch in batches]).sum()
        loss = float(self._company.total(share))
        self._company.sum_gradients(self._params)
        self._scaler.unscale_(self._optimizer)
        norm = float(self._clip())
        counted = math.isfinite(norm) and math.isfinite(loss)
        if counted or self._scaler.is_enabled():
            self._scaler.step(self._optimizer)  # leaves out a step whose gradients are no numbers
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        if counted:
            self._trainee.after_step()
            if self._average is not None:
                self._average.step(self._params)
        self._count_bad(counted, number)
        return Told(loss, norm, rates, counted)

    def validation(self, batch: Batch, draw: int) -> float:
        """The sum of the losses of a batch, its noise the same at every call. draw: which noise."""
        with torch.no_grad(), self._number_type():
            self._seed(seed_of(self._config.seed, "validation", draw, batch.micro))
            noise = StepNoise(seed_of(self._config.seed, "validation", draw), batch.micro, batch.rows)
            return float(self._trainee.loss(batch.examples, noise).sum())

    @contextmanager
    def used(self) -> Iterator[None]:
        """The weights as they will be used, while inside: averaged by EMA, or by a schedule-free optimizer. Training's come back."""
        set_mode(self._optimizer, self._config.optimizer, training=False)
        if self._average is not None:
            self._average.store(self._params)
            self._average.copy_to(self._params)
        try:
            yield
        finally:
            if self._average is not None:
                self._average.restore(self._params)
            set_mode(self._optimizer, self._config.optimizer, training=True)

    def finish(self) -> None:
        """The stage is over: its weights stay as they will be used."""
        set_mode(self._optimizer, self._config.optimizer, training=False)
        if self._average is not None:
            self._average.copy_to(self._params)

    def tree(self) -> dict[str, Any]:
        """All of it, for a state."""
        average = self._average.state_dict() if self._average is not None else None
        return {
            "kind": self._config.optimizer,
            "optimizer": self._optimizer.state_dict(),
            "average": average,
            "scaler": self._scaler.state_dict(),
            "bad": self._bad,
        }

    def restore(self, tree: dict[str, Any]) -> list[str]:
        """Back from `tree`. Returns sentences about what could not be taken over: the config may have changed since.

        Raises ModelFault when the state is of other weights.
        """
        told: list[str] = []
        own = [{name: row[name] for name in _OWN if name in row} for row in self._optimizer.param_groups]
        if tree["kind"] != self._config.optimizer:
            told.append(f"The optimizer was {tree['kind']} and is {self._config.optimizer} now; it begins anew with the weights there are.")
        else:
            try:
                self._optimizer.load_state_dict(tree["optimizer"])
            except (ValueError, KeyError) as error:
                raise ModelFault(f"The state of this training is of another choice of weights ({error}). Train anew.") from error
            for row, values in zip(self._optimizer.param_groups, own, strict=True):
                row.update(values)
        if self._average is not None and tree["average"] is not None:
            self._average.load_state_dict({**tree["average"], "decay": self._config.ema_decay})
            self._average.to(self.device)
        elif self._average is not None:
            told.append("EMA was off before; it averages from here on.")
        if self._scaler.is_enabled() and tree["scaler"]:
            self._scaler.load_state_dict(tree["scaler"])
        self._bad = tree["bad"]
        return told

    def _gradients(self, batch: Batch) -> torch.Tensor:
        """Add a batch's gradients. Returns its loss, this process's part of it.

        Where fewer processes train than were asked for, each has more of a batch than it would have had, and takes it in pieces of that.
        """
        size = max(1, -(-(batch.instances + batch.priors) // self._config.num_processes))
        self._seed(seed_of(self._config.seed, "dropout", batch.micro, self._company.rank))
        total = torch.zeros((), device=self.device)
        for first in range(0, len(batch.examples), size):
            piece = slice(first, first + size)
            noise = StepNoise(self._config.seed, batch.micro, batch.rows[piece])
            total = total + self._piece(batch, batch.examples[piece], noise)
        return total

    def _piece(self, batch: Batch, examples: list[Example], noise: StepNoise) -> torch.Tensor:
        with self._number_type():
            losses = self._trainee.loss(examples, noise)
        weight = self._config.prior_loss_weight
        counts = [weight / batch.priors if each.is_prior else 1.0 / batch.instances for each in examples]
        loss = (losses.float() * torch.tensor(counts, device=losses.device)).sum()
        self._scaler.scale(loss / self._config.gradient_accumulation_steps).backward()
        return loss.detach()

    def _seed(self, seed: int) -> None:
        """torch's own generators, for dropout. `torch.manual_seed` would queue a call for each device that is never used."""
        torch.default_generator.manual_seed(seed)
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(seed)

    def _number_type(self) -> Any:
        dtype = DTYPES.get(self._config.mixed_precision, torch.float32)
        return torch.autocast(self.device.type, dtype=dtype, enabled=self._config.mixed_precision in DTYPES)

    def _set_rates(self, number: int) -> dict[str, float]:
        for row in self._optimizer.param_groups:
            row["lr"] = row["base_lr"] * rate_factor(self._config, number, self._stage.steps, row["base_lr"])
        return {row["name"]: row["lr"] * row.get("d", 1.0) for row in self._optimizer.param_groups}

    def _clip(self) -> torch.Tensor:
        grads = [param.grad for param in self._params if param.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        if self._config.max_grad_norm:
            torch.nn.utils.clip_grads_with_norm_(self._params, self._config.max_grad_norm, norm)
        return norm

    def _count_bad(self, counted: bool, number: int) -> None:
        self._bad = 0 if counted else self._bad + 1
        if self._bad < (BAD_STEPS_FP16 if self._scaler.is_enabled() else BAD_STEPS):
            return
        raise ModelFault(
            f"The loss is not a number any more, {self._bad} steps in a row up to step {number + 1} of this stage. Training ends; its last "
            "state stays. Take a lower learning rate, precision bf16 or no instead of fp16, or a VAE that is made for half precision."
        )
