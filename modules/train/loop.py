"""The training loop: stages, steps, and when to look, save and stop.

A step is: batches read ahead, gradients, the optimizer; then its line in the log, then validation, samples, the state and files to use
where they are due. Everything random follows from (seed, batch, row) and everything else is in the state, so that a training which was
killed at any moment goes on as if nothing had happened, bit for bit on the same processor. Start reading at `train`.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import psutil
import torch

from modules.request.train import TrainConfig
from modules.train import state
from modules.train.company import Company
from modules.train.feed import Feed, Position
from modules.train.kept import Kept
from modules.train.log import Log
from modules.train.sessions import Session
from modules.train.stepper import Stepper, Told
from modules.train.trainee import Cache, Dataset, Stage, Trainee
from modules.train.watching import Watcher, data_mark

DONE, CANCELED = "done", "canceled"
SMOOTH = 0.9  # of the pace: how much of it is that of the steps before


class Control(Protocol):
    """How a run tells what happens and learns that it should stop; a job's RunControl is one. It hears of every step."""

    interrupted: bool

    def status(self, message: str) -> None: ...

    def event(self, kind: str, data: dict[str, Any]) -> None: ...

    def progress(self, *, fraction: float, step: int, steps: int, batch_no: int, batch_count: int, text: str = "") -> None: ...


@dataclass
class Outcome:
    """state: "done", or "canceled" for one that was stopped and can be gone on with. step: steps done, of steps.

    began_at: the step this run went on from; files: in output/; samples: pictures of this run; loss: of the last step, None without one.
    """

    state: str
    step: int
    steps: int
    began_at: int = 0
    files: list[Path] = field(default_factory=list[Path])
    samples: list[Path] = field(default_factory=list[Path])
    warnings: list[str] = field(default_factory=list[str])
    loss: float | None = None
    seconds: float = 0.0


def train(
    session: Session,
    config: TrainConfig,
    trainee: Trainee,
    dataset: Dataset,
    control: Control,
    *,
    cache: Cache | None = None,
    company: Company | None = None,
) -> Outcome:
    """Train until the config's steps are done or control.interrupted; goes on from the session's state where there is one.

    cache: where encoded pictures and captions are kept on disk; without one they are kept in memory. company: the processes that train
    together, by default those that this one was started with; only the first writes.

    Raises RequestFault (an option that does not go with the rest; a session that is being trained), ModelFault (the loss is no number any
    more; a state of other weights), DiskFault, OutOfMemory of torch as it is. Whatever it raises, the last state stays.
    """
    here = company or Company.here()
    with session.lock() if here.main and not here.led else nullcontext():
        run = _Run(session, config, trainee, dataset, control, cache, here)
        try:
            return run.whole()
        finally:
            run.log.close()


class _Silent:
    """The log of a process that does not write."""

    def row(self, values: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class _Run:
    """One call of `train`."""

    def __init__(
        self,
        session: Session,
        config: TrainConfig,
        trainee: Trainee,
        dataset: Dataset,
        control: Control,
        cache: Cache | None,
        company: Company,
    ) -> None:
        self.session, self.config, self.trainee, self.dataset = session, config, trainee, dataset
        self.control, self.cache, self.company = control, cache, company
        self.warnings: list[str] = []
        self.stages = trainee.stages()
        self.steps = sum(stage.steps for stage in self.stages)
        self.earlier: dict[str, Any] | None = None
        self.position = self._position()
        self.began_at = self.position.step
        self.saved_at = self.position.step if self.earlier is not None else -1
        self.loss: float | None = None
        self.pace_s = 0.0
        self.elapsed_s = float(self.earlier["elapsed_s"]) if self.earlier else 0.0
        self.began = time.perf_counter()
        self.watcher: Watcher | None = None
        self.log: Log | _Silent = _Silent()
        if company.main:
            self.log = Log(session, self.position.step, tensorboard=config.tensorboard, warn=self.warn)
            self.watcher = Watcher(session, config, trainee, dataset, self.log, control.event)

    def warn(self, text: str) -> None:
        """Say it now and beside the result, once."""
        if text not in self.warnings:
            self.warnings.append(text)
            self.control.event("warning", {"text": text})

    def whole(self) -> Outcome:
        """All stages that are left, one after the other."""
        ended = DONE
        while True:
            stage = self.stages[self.position.stage]
            last = self.position.stage == len(self.stages) - 1
            if not self._stage(stage, last=last):
                ended = CANCELED
                break
            if last:
                break
            self.position = replace(self.position, stage=self.position.stage + 1, stage_step=0)
            if self.stages[self.position.stage].most_px != stage.most_px:  # other sizes, other batches: it begins with a new epoch
                self.position = replace(self.position, epoch=self.position.epoch + 1, batch=0)
            self.earlier = None
        outcome = Outcome(ended, self.position.step, self.steps, self.began_at, warnings=self.warnings, loss=self.loss)
        if self.watcher is not None:
            outcome.files, outcome.samples = self.watcher.written, self.watcher.samples
        outcome.seconds = self._elapsed()
        return outcome

    def _stage(self, stage: Stage, *, last: bool) -> bool:
        """One stage from where it stands. Returns False when it was stopped before its end."""
        self.trainee.begin(stage)
        if self.earlier is not None:
            self.trainee.load_state_dict(self.earlier["trained"])
        stepper = Stepper(self.config, self.trainee, stage, self.company)
        if self.earlier is not None and self.earlier["stepper"] is not None:
            for text in stepper.restore(self.earlier["stepper"]):
                self.warn(text)
        kept = Kept(self.config, self.trainee, self.cache)
        dataset = self.dataset.no_larger(stage.most_px) if stage.most_px else self.dataset
        feed = Feed(self.config, dataset, kept, self.company, self.position)
        if self.position.stage_step < stage.steps and not self._prepare(stage, kept, feed, dataset):
            return False
        self._catch_up(stage, stepper, feed)
        with feed.running():
            while self.position.stage_step < stage.steps:
                self._step(stage, stepper, feed, kept)
                if self._stopped():
                    self._save(stepper)
                    return False
        if last and self.watcher is not None:
            self._save(stepper)
            self.watcher.export(stepper, feed, self.position, last=True)
        stepper.finish()
        return True

    def _prepare(self, stage: Stage, kept: Kept, feed: Feed, dataset: Dataset) -> bool:
        """Encode ahead what is to be cached. Returns False when stopped."""
        left = (stage.steps - self.position.stage_step) * self.config.gradient_accumulation_steps
        epochs = range(self.position.epoch, self.position.epoch + 1 + -(-left // len(feed.order(self.position.epoch))))

        def told(done: int, count: int) -> None:
            self.control.status(f"Encoding pictures and captions, {done} of {count}")

        alone = self.company.size == 1  # several have lists of different lengths and cannot ask each other in between
        done = kept.fill(dataset, epochs, self.company, told, self._stopped if alone else lambda: False)
        self.control.status(stage.title)
        return done

    def _catch_up(self, stage: Stage, stepper: Stepper, feed: Feed) -> None:
        """What a killed run had not come to: files and samples of the step its state is of."""
        step = self.position.step
        if self.watcher is None:
            return
        if step == 0 and self.config.sample_at_first and not self.watcher.has_samples(0):
            self.watcher.sample(stepper, 0)
        elif self.earlier is not None and self._due(self.config.sample_every, stage) and not self.watcher.has_samples(step):
            self.watcher.sample(stepper, step)
        if self.earlier is not None and self._export_due(stage) and not self.watcher.has_export(step):
            self.watcher.export(stepper, feed, self.position, last=False)

    def _step(self, stage: Stage, stepper: Stepper, feed: Feed, kept: Kept) -> None:
        """A step of the optimizer and what is due after it."""
        began = time.perf_counter()
        batches = [feed.next() for _ in range(self.config.gradient_accumulation_steps)]
        told = stepper.step(batches, self.position.stage_step)
        done = self.position
        self.position = replace(feed.place, stage=done.stage, stage_step=done.stage_step + 1, step=done.step + 1)
        took = time.perf_counter() - began
        self.pace_s = took if not self.pace_s else SMOOTH * self.pace_s + (1 - SMOOTH) * took
        self.loss = told.loss
        if not told.counted:
            self.warn("Steps whose loss or gradients were no numbers were left out; a lower learning rate or bf16 helps.")
        self._report(stage, told)
        watched = self.watcher
        if watched is None:
            self.log.row({})
            return
        row = self._row(feed, told)
        if self._due(self.config.validate_every, stage) and (loss := watched.validate(stepper, kept)) is not None:
            row["val_loss"] = loss
        self.log.row(row)
        if self._due(self.config.sample_every, stage):
            self.control.status("Making samples")
            watched.sample(stepper, self.position.step)
            self.control.status(stage.title)
        if self._due(self.config.save_every, stage):
            self._save(stepper)
        if self._export_due(stage):
            watched.export(stepper, feed, self.position, last=False)

    def _due(self, every: int, stage: Stage) -> bool:
        """Whether something of so many steps is due now; at the end of a stage too."""
        return every > 0 and (self.position.step % every == 0 or self.position.stage_step == stage.steps)

    def _export_due(self, stage: Stage) -> bool:
        step, final = self.position.step, self.position.stage == len(self.stages) - 1 and self.position.stage_step == stage.steps
        return step % self.config.save_every == 0 and step >= max(1, self.config.save_from) and not final

    def _save(self, stepper: Stepper) -> None:
        """The state, unless that of this step is on the disk."""
        if self.watcher is not None and self.saved_at != self.position.step:
            self.watcher.save(stepper, self.position, self.stages[self.position.stage].name, self._elapsed())
            self.saved_at = self.position.step

    def _row(self, feed: Feed, told: Told) -> dict[str, Any]:
        return {
            "step": self.position.step,
            "epoch": feed.share_of_epoch(),
            "stage": self.stages[self.position.stage].name,
            "loss": told.loss,
            "lr": next(iter(told.rates.values())),
            "rates": told.rates,
            "grad_norm": told.grad_norm,
            "it_s": round(1 / self.pace_s, 4) if self.pace_s else None,
            "time_s": round(self._elapsed(), 3),
            "memory_bytes": _memory(),
        }

    def _report(self, stage: Stage, told: Told) -> None:
        left_s = (self.steps - self.position.step) * self.pace_s
        text = f"{stage.title}, loss {told.loss:.4f}, {_pace(self.pace_s)}, {_duration(left_s)} left"
        share = self.position.step / max(1, self.steps)
        self.control.progress(fraction=share, step=self.position.step, steps=self.steps, batch_no=0, batch_count=1, text=text)

    def _elapsed(self) -> float:
        return self.elapsed_s + time.perf_counter() - self.began

    def _stopped(self) -> bool:
        """Whether to stop; all processes hear the same answer."""
        if self.company.size == 1:
            return self.control.interrupted
        device = next(param for group in self.trainee.parameters() for param in group.params).device
        return bool(self.company.total(torch.tensor(float(self.control.interrupted), device=device)) > 0)

    def _position(self) -> Position:
        """Where the session's state stands; the beginning without one. Sets what the state holds."""
        found = state.load(self.session.paths.state, self.warn)
        if found is None:
            return Position()
        _, self.earlier = found
        position = Position(**self.earlier["position"])
        names = [stage.name for stage in self.stages]
        if self.earlier["stage"] in names:
            position = replace(position, stage=names.index(self.earlier["stage"]))
        else:
            self.warn("The stage that this training stood in is no longer asked for; the next one begins with what was learnt.")
            self.earlier["stepper"] = None
            position = replace(position, stage=0, stage_step=0)
        if self.earlier["data"] != data_mark(self.config, self.dataset):
            self.warn("Pictures, captions, seed or batch size are others than when this training was stopped; it goes on with a new epoch.")
            position = replace(position, epoch=position.epoch + 1, batch=0)
        return position


def _memory() -> int:
    """Bytes: the most a GPU has held, else what this process holds now."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return psutil.Process().memory_info().rss


def _pace(seconds: float) -> str:
    return f"{1 / seconds:.2f} it/s" if 0 < seconds < 1 else f"{seconds:.2f} s/it"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
