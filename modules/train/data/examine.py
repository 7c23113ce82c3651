"""The check before the first step: every file looked at, everything that is wrong told by name, and what an epoch would be. No torch.

Start reading at `examine`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.request.files import Checkpoint
from modules.request.train import TrainConfig
from modules.train.data import captions
from modules.train.data.class_pictures import wanted
from modules.train.data.facts import Told
from modules.train.data.naming import same, stem_of
from modules.train.data.plan import Plan, batch_count
from modules.train.data.problems import CHECKS, Found, Problem, of_class
from modules.train.sessions import PICTURE_ENDINGS, Session

_BESIDE = (".json", ".jsonl", ".npz")  # tables of captions, and other programs' caches
_SYSTEM = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class PictureRow:
    """A usable picture. bucket: (width, height) it is trained in; caption: with the trigger word; source: see `captions`.

    crop: left, top, right, bottom in pixels, or None; crop_by: "hand", "smart" or "". held: kept apart for validation.
    """

    name: str
    width: int
    height: int
    bucket: tuple[int, int]
    repeats: int
    caption: str
    source: str
    crop: tuple[int, int, int, int] | None
    crop_by: str
    held: bool


@dataclass(frozen=True)
class BucketRow:
    """width, height in pixels; pictures: different ones; examples: of an epoch, with repeats, without those of the class."""

    width: int
    height: int
    pictures: int
    examples: int


@dataclass(frozen=True)
class Counts:
    """examples: of an epoch, repeats and pictures of the class counted; batches: of an epoch, all devices together; epochs: begun ones."""

    pictures: int
    broken: int
    held: int
    examples: int
    class_pictures: int
    class_missing: int
    batches: int
    steps_per_epoch: int
    epochs: int


@dataclass(frozen=True)
class Report:
    """What the check found. summary: a sentence for people."""

    problems: tuple[Problem, ...]
    pictures: tuple[PictureRow, ...]
    buckets: tuple[BucketRow, ...]
    counts: Counts
    summary: str

    @property
    def fatal(self) -> tuple[Problem, ...]:
        """The problems that keep the training from starting."""
        return tuple(problem for problem in self.problems if problem.fatal)

    def to_data(self) -> dict[str, Any]:
        """JSON-ready; "ok" says whether a training can start."""
        return {**dataclasses.asdict(self), "ok": not self.fatal}


def examine(session: Session, config: TrainConfig, checkpoint: Checkpoint | None = None, told: Told | None = None) -> Report:
    """Look at everything that a training of this session would read. Changes nothing but the cache.

    checkpoint: the model that is trained, for the check of sizes; None leaves that out. told: is called with (pictures done, of how many).
    Raises RequestFault("crop") when crops.json is damaged, DiskFault.
    """
    plan = Plan.of(session, config, told)
    missing = len(wanted(session, config).missing)
    found = Found(plan, config, checkpoint, _unused(session.paths.pictures))
    problems = tuple(problem for check in CHECKS for problem in check(found)) + tuple(of_class(found, missing))
    counts = _counts(plan, config, missing)
    return Report(
        problems=tuple(sorted(problems, key=lambda problem: not problem.fatal)),
        pictures=tuple(_row(plan, config, index) for index in range(len(plan.pictures))),
        buckets=_buckets(plan),
        counts=counts,
        summary=_summary(counts, config, len(_buckets(plan))),
    )


def _row(plan: Plan, config: TrainConfig, index: int) -> PictureRow:
    entry = plan.pictures[index]
    return PictureRow(
        name=entry.name,
        width=entry.facts.width,
        height=entry.facts.height,
        bucket=plan.cut(entry).bucket,
        repeats=entry.repeats,
        caption=captions.plain(entry.caption.text, config),
        source=entry.caption.source,
        crop=entry.box,
        crop_by=entry.crop.by if entry.crop is not None and entry.box else "",
        held=entry.held,
    )


def _buckets(plan: Plan) -> tuple[BucketRow, ...]:
    rows: dict[tuple[int, int], tuple[int, int]] = {}
    for entry in plan.pictures:
        if not entry.held:
            bucket = plan.cut(entry).bucket
            pictures, examples = rows.get(bucket, (0, 0))
            rows[bucket] = pictures + 1, examples + entry.repeats
    return tuple(BucketRow(*bucket, *rows[bucket]) for bucket in sorted(rows))


def _counts(plan: Plan, config: TrainConfig, missing: int) -> Counts:
    trained = [plan.cut(entry).bucket for entry in plan.trained]
    batches = batch_count(trained, config.global_batch, prior=config.prior_preservation)
    steps = math.ceil(batches / config.gradient_accumulation_steps)
    return Counts(
        pictures=len(plan.pictures),
        broken=len(plan.broken),
        held=len(plan.held),
        examples=len(trained) * (2 if config.prior_preservation else 1),
        class_pictures=len(plan.class_pictures),
        class_missing=missing,
        batches=batches,
        steps_per_epoch=steps,
        epochs=math.ceil(config.total_steps / steps) if steps else 0,
    )


def _summary(counts: Counts, config: TrainConfig, buckets: int) -> str:
    if not counts.examples:
        return "Nothing to train."
    shown = f"{counts.pictures - counts.held} pictures, {counts.examples} examples an epoch with repeats"
    kept = f", {counts.held} kept apart for validation" if counts.held else ""
    sizes = f"{buckets} sizes" if buckets > 1 else "one size"
    return (
        f"{shown}{kept}, {sizes}. {counts.steps_per_epoch} steps an epoch with batches of {config.global_batch}; "
        f"{config.total_steps} steps are {counts.epochs} epochs."
    )


def _unused(root: Path) -> tuple[str, ...]:
    """Files in the folder that nobody reads: other kinds, captions of pictures that are not there; hidden ones left out."""
    if not root.is_dir():
        return ()
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()]
    names = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    pictures = {same(stem_of(name)) for name in names if name.lower().endswith(PICTURE_ENDINGS)}
    return tuple(name for name in names if not _has_use(name, pictures))


def _has_use(name: str, pictures: set[str]) -> bool:
    lower = name.lower()
    if lower.endswith((captions.TXT, captions.CAPTION)):
        return same(stem_of(name)) in pictures
    return lower.endswith((*PICTURE_ENDINGS, *_BESIDE)) or lower.rpartition("/")[2] in _SYSTEM
