"""Sessions with drawn pictures, and runs of the loop over them, for tests of training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from modules.folders import Folders
from modules.request.train import TrainConfig
from modules.train.data.cache import DiskCache
from modules.train.data.dataset import Dataset
from modules.train.loop import Outcome, train
from modules.train.sessions import Session
from tests.train.tiny_trainee import TinyTrainee

PLAIN = {
    "resolution": 64, "any_resolution": True, "min_bucket_reso": 32, "max_bucket_reso": 128, "bucket_reso_steps": 32,
    "smart_crop": False,
    "train_batch_size": 2, "learning_rate": 1e-3, "max_train_steps": 12, "save_every": 4, "validate_every": 4, "sample_every": 6,
    "seed": 7, "tensorboard": False,
}  # fmt: skip
FULL = {
    **PLAIN, "flip_aug": True, "caption_dropout": 0.2, "repeats": 2, "gradient_accumulation_steps": 2, "validation_split": 0.25,
    "sample_prompts": ["a square --w 48 --d 5"], "ema_decay": 0.9, "lr_scheduler": "cosine", "lr_warmup_steps": 2,
    "scale_weight_norms": 4.0,
}  # fmt: skip


class Quiet:
    """A control that keeps what it is told."""

    def __init__(self) -> None:
        self.interrupted = False
        self.told: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.steps: list[int] = []

    def stop(self) -> None:
        self.interrupted = True

    def status(self, message: str) -> None:
        self.told.append(message)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))

    def progress(self, *, fraction: float, step: int, steps: int, batch_no: int, batch_count: int, text: str = "") -> None:
        self.steps.append(step)


def session_at(home: Path, config: dict[str, Any], pictures: int = 8, name: str = "cat") -> Session:
    """A session in home/models/train with pictures of two shapes, each with a caption."""
    session = Session.create(Folders.at(data=home), name, TrainConfig.from_data(config))
    drawn = np.random.default_rng(3)
    for number in range(pictures):
        size = (64, 64) if number % 3 else (96, 64)
        pixels = drawn.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(session.paths.pictures / f"{number}.png")
        (session.paths.pictures / f"{number}.txt").write_text(f"picture {number}, square", encoding="utf-8")
    return session


def run(
    session: Session,
    control: Quiet | None = None,
    *,
    steps: int = 0,
    cached: bool = True,
    slow_s: float = 0.0,
    broken_after: int | None = None,
    **changed: Any,
) -> tuple[Outcome, TinyTrainee]:
    """Train the tiny trainee on a session, from its state where there is one. steps: stop after so many; 0: to the end.

    broken_after: steps of this run from which on the loss is no number.
    """
    torch.set_num_threads(1)
    control = control or Quiet()
    config = session.config().changed(**changed)
    trainee = TinyTrainee(config, slow_s=slow_s)
    trainee.broken_after = broken_after
    if steps:
        trainee.stop, trainee.stop_after = control.stop, steps
    cache = DiskCache(session.paths.cache) if cached else None
    return train(session, config, trainee, Dataset.of(session, config), control, cache=cache), trainee


def curve(session: Session) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what depends on the clock."""
    rows = [json.loads(line) for line in session.paths.metrics.read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in row.items() if name not in ("it_s", "time_s", "memory_bytes")} for row in rows]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
