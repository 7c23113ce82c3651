"""What a session would train: its pictures with sizes, crops, captions and repeats, and the batches of an epoch. No torch.

Both the check before the training and the dataset are made of this, so that they cannot disagree. Start reading at `Plan.of`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

from modules.pixels.crop import Box
from modules.pixels.resizing import Size
from modules.request.train import TrainConfig
from modules.train.data import captions, crops
from modules.train.data.buckets import MIDDLE, Cut, Rules, cut
from modules.train.data.captions import Caption
from modules.train.data.class_pictures import wanted
from modules.train.data.crops import Crop
from modules.train.data.draws import draws, shuffled
from modules.train.data.facts import Facts, Told, facts_of
from modules.train.data.naming import folder_words, in_order, same
from modules.train.sessions import Session


@dataclass(frozen=True)
class Entry:
    """A picture file. name: relative to its folder, as on the disk; repeats: times an epoch shows it; crop: None where it has none.

    held: kept apart for validation; is_prior: a picture of the class. Only pictures without a fault have a size.
    """

    name: str
    path: Path
    facts: Facts
    caption: Caption
    repeats: int = 1
    crop: Crop | None = None
    held: bool = False
    is_prior: bool = False

    @property
    def box(self) -> Box | None:
        """The part that is trained; None for the whole picture, and where the crop was made for another picture."""
        return self.crop.box if self.crop is not None and self.crop.fits(self.facts.size) else None


@dataclass(frozen=True)
class Plan:
    """pictures, class_pictures: the usable ones in order; broken: those that cannot be used. rules: of sizes."""

    pictures: tuple[Entry, ...]
    class_pictures: tuple[Entry, ...]
    broken: tuple[Entry, ...]
    rules: Rules

    @classmethod
    def of(cls, session: Session, config: TrainConfig, told: Told | None = None) -> Plan:
        """Reads every file. told: is called with (done, of how many). Raises RequestFault("crop") for a damaged crops.json, DiskFault."""
        root = session.paths.pictures
        names = sorted((path.relative_to(root).as_posix() for path in session.pictures()), key=in_order)
        prior = wanted(session, config)
        paths = [*(root / name for name in names), *(prior.folder / name for name in prior.there)]
        facts = facts_of(session.paths.cache, paths, told)
        boxes, table = crops.read(session.paths.crops), captions.read_table(root)
        own = [
            Entry(
                name=name,
                path=root / name,
                facts=known,
                caption=captions.read(root, name, table, config.trigger_word),
                repeats=folder_words(name)[0] * config.repeats,
                crop=boxes.get(same(name)),
            )
            for name, known in zip(names, facts, strict=False)
        ]
        spoken = Caption(captions.one_line(config.class_prompt), captions.TXT)
        others = [
            Entry(
                name=name, path=prior.folder / name, facts=known, caption=captions.written(prior.folder, name, {}) or spoken, is_prior=True
            )
            for name, known in zip(prior.there, facts[len(names) :], strict=True)
        ]
        usable = [entry for entry in own if not entry.facts.fault]
        return cls(
            pictures=tuple(_split(usable, config)),
            class_pictures=tuple(entry for entry in others if not entry.facts.fault),
            broken=tuple(entry for entry in (*own, *others) if entry.facts.fault),
            rules=Rules.of(config),
        )

    @property
    def trained(self) -> list[Entry]:
        """The pictures of an epoch, as often as it shows them: all once, then those that come twice, and so on."""
        own = [entry for entry in self.pictures if not entry.held]
        most = max((entry.repeats for entry in own), default=0)
        return [entry for time in range(most) for entry in own if entry.repeats > time]

    @property
    def held(self) -> list[Entry]:
        """The pictures kept apart for validation, those of one bucket together."""
        return sorted((entry for entry in self.pictures if entry.held), key=lambda entry: (self.cut(entry).bucket, in_order(entry.name)))

    def cut(self, entry: Entry, focus: tuple[float, float] = MIDDLE) -> Cut:
        """How a picture becomes training pixels; a focus counts only where it has no crop."""
        return cut(entry.facts.size, self.rules, entry.box, MIDDLE if entry.box else focus)


def _split(entries: list[Entry], config: TrainConfig) -> list[Entry]:
    """The pictures with those marked that are kept apart: which ones follows from what they hold, not from how many there are."""
    if not config.validation_split or len(entries) < 2:
        return entries
    count = min(len(entries) - 1, max(1, round(config.validation_split * len(entries))))
    drawn = sorted(entries, key=lambda entry: (draws(config.seed, "validation", entry.facts.digest).random(), in_order(entry.name)))
    held = {entry.name for entry in drawn[:count]}
    return [dataclasses.replace(entry, held=True) if entry.name in held else entry for entry in entries]


def batches(buckets: list[Size], size: int, *, prior: bool, seed: int, epoch: int) -> list[list[int]]:
    """Indices below len(buckets), twice that with prior, in batches of one bucket each, in an order that follows from seed and epoch.

    buckets: of each trained picture. prior: index len(buckets) + i is the picture of the class that goes with i, and stands beside it.
    """
    by_bucket: dict[Size, list[int]] = {}
    for index, bucket in enumerate(buckets):
        by_bucket.setdefault(bucket, []).append(index)
    found: list[list[int]] = []
    for bucket in sorted(by_bucket):
        order = shuffled(by_bucket[bucket], draws(seed, "order", epoch, *bucket))
        if prior:
            order = [each for index in order for each in (index, len(buckets) + index)]
        found += [order[start : start + size] for start in range(0, len(order), size)]
    return shuffled(found, draws(seed, "batches", epoch))


def batch_count(buckets: list[Size], size: int, *, prior: bool) -> int:
    """How many `batches` gives."""
    return sum(math.ceil(buckets.count(bucket) * (2 if prior else 1) / size) for bucket in set(buckets))
