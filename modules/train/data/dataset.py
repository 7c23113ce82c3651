"""The pictures of a session as the loop reads them: batches of one size, each example a pure function of (seed, epoch, index).

torch lives here.

Indices: 0 to n-1 are the pictures of an epoch, with repeats; with prior preservation n to 2n-1 are the pictures of the class that stand
beside them, cut to the same size; what follows is kept apart for validation. Start reading at `Dataset.of`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from modules.faults import RequestFault
from modules.pixels.incoming import flatten, read_picture
from modules.pixels.resizing import LANCZOS
from modules.request.train import TrainConfig
from modules.train.data import captions
from modules.train.data.buckets import MIDDLE, Cut, Rules, cut_to
from modules.train.data.cropping import focuses
from modules.train.data.draws import draws
from modules.train.data.plan import Entry, Plan, batches
from modules.train.sessions import Session
from modules.train.trainee import Example

PIXELS_VERSION = 1  # changes when the same file and cut would give other pixels
_SHOWN = 5
Status = Callable[[str], None]


class Dataset:
    """What `modules.train.trainee.Dataset` asks for, over a session's pictures."""

    def __init__(self, plan: Plan, config: TrainConfig, middles: dict[str, tuple[float, float]]) -> None:
        self._plan = plan
        self._config = config
        self._middles = middles
        self._trained = plan.trained
        self._held = plan.held
        self._cuts = [self._cut(entry) for entry in self._trained]
        self._buckets = [each.bucket for each in self._cuts]

    @classmethod
    def of(cls, session: Session, config: TrainConfig, status: Status | None = None) -> Dataset:
        """Reads every file once; with the smart crop, looks for what each picture shows, once. status: is told how far it is.

        Raises RequestFault("pictures") when there are none or some cannot be used, with their names, or pictures of the class are missing;
        RequestFault("crop"), DiskFault.
        """
        told = _told(status, "Looking at the pictures") if status else None
        plan = Plan.of(session, config, told)
        if plan.broken:
            shown = "; ".join(f"{entry.name} {entry.facts.fault}" for entry in plan.broken[:_SHOWN])
            more = f" and {len(plan.broken) - _SHOWN} more" if len(plan.broken) > _SHOWN else ""
            raise RequestFault("pictures", f"some cannot be used: {shown}{more}. Remove them or put good copies in their place")
        if not plan.trained:
            raise RequestFault("pictures", "there are none in this session yet; add some")
        if config.prior_preservation and not plan.class_pictures:
            raise RequestFault("pictures", "prior preservation needs pictures of the class, and there are none yet")
        looking = _told(status, "Looking for what the pictures show") if status else None
        entries = [*plan.pictures, *plan.class_pictures]
        middles = focuses(plan, entries, session.paths.cache, looking) if config.smart_crop else {}
        return cls(plan, config, middles)

    def __len__(self) -> int:
        """Examples of an epoch: pictures with their repeats, twice as many with prior preservation."""
        return len(self._trained) * (2 if self._config.prior_preservation else 1)

    def order(self, epoch: int, seed: int) -> list[list[int]]:
        """The batches of an epoch, each of one size, of up to `TrainConfig.global_batch` indices. A pure function of its arguments."""
        return batches(self._buckets, self._config.global_batch, prior=self._config.prior_preservation, seed=seed, epoch=epoch)

    def validation(self) -> Sequence[int]:
        """Indices of the pictures kept apart, those of one size together."""
        return range(len(self), len(self) + len(self._held))

    def example(self, index: int, epoch: int, *, pixels: bool = True) -> Example:
        """The example of that index in that epoch. pixels=False: without opening the picture.

        Raises RequestFault("pictures") when its file has gone or was damaged since the start.
        """
        entry, place = self._place(index, epoch)
        held, config = index >= len(self), self._config
        source = draws(config.seed, "example", epoch, index)
        mirrored = source.random() < 0.5 and config.flip_aug and not held
        plainly = held or entry.is_prior
        caption = entry.caption.text if entry.is_prior else captions.plain(entry.caption.text, config)
        (left, top), (width, height) = place.left_top, place.bucket
        return Example(
            pixels=_pixels(entry, place, mirrored) if pixels else None,
            caption=caption if plainly else captions.said(entry.caption.text, config, source),
            original_size=(place.original[1], place.original[0]),
            crop_top_left=(top, place.scaled[0] - width - left if mirrored else left),
            target_size=(height, width),
            is_prior=entry.is_prior,
            key=_key(entry, place, mirrored),
            name=entry.name,
        )

    def captions(self) -> list[str]:
        """Every caption that some epoch can ask for while nothing is shuffled or thinned out, each once; "" when captions are dropped."""
        found = [captions.plain(entry.caption.text, self._config) for entry in (*self._trained, *self._held)]
        found += [entry.caption.text for entry in self._plan.class_pictures if self._config.prior_preservation]
        return list(dict.fromkeys([*found, *([""] if self._config.caption_dropout else [])]))

    def no_larger(self, resolution: int) -> Dataset:
        """The same pictures in sizes of at most this resolution, in pixels; itself where they are no larger."""
        if self._plan.rules.side <= resolution:
            return self
        config = dataclasses.replace(self._config, resolution=resolution)
        return Dataset(dataclasses.replace(self._plan, rules=Rules.of(config)), config, self._middles)

    def fingerprint(self) -> str:
        """A hash of everything the order and the examples follow from: files, captions, crops, sizes, options; 32 hexadecimal digits."""
        config = self._config
        rows = [
            (entry.facts.digest, entry.name, entry.caption.text, repr(self._cut(entry)), entry.repeats, entry.held, entry.is_prior)
            for entry in (*self._plan.pictures, *(self._plan.class_pictures if config.prior_preservation else ()))
        ]
        options = [
            config.seed, config.global_batch, config.flip_aug, config.trigger_word, config.caption_separator, config.shuffle_caption,
            config.keep_tokens, config.caption_dropout, config.caption_tag_dropout, PIXELS_VERSION,
        ]  # fmt: skip
        options += [config.text_encoder_resolution] if config.text_encoder_resolution else []
        return hashlib.blake2b(repr((rows, options)).encode(), digest_size=16).hexdigest()

    def _place(self, index: int, epoch: int) -> tuple[Entry, Cut]:
        """The picture of an index in an epoch, and how it is cut."""
        count = len(self._trained)
        if not 0 <= index < len(self) + len(self._held):
            raise IndexError(f"{index} is none of {len(self) + len(self._held)} examples")
        if index < count:
            return self._trained[index], self._cuts[index]
        if index < len(self):
            others = self._plan.class_pictures
            entry = others[(epoch * count + index - count) % len(others)]  # each has its turn
            return entry, cut_to(self._cuts[index - count].bucket, (0, 0, *entry.facts.size), self._middle(entry))
        entry = self._held[index - len(self)]
        return entry, self._cut(entry)

    def _cut(self, entry: Entry) -> Cut:
        return self._plan.cut(entry, self._middle(entry))

    def _middle(self, entry: Entry) -> tuple[float, float]:
        return self._middles.get(entry.facts.digest, MIDDLE)


def _pixels(entry: Entry, place: Cut, mirrored: bool) -> torch.Tensor:
    """(3, H, W) float32, -1 to 1."""
    try:
        image = flatten(read_picture(entry.path, "pictures"))
    except RequestFault as fault:
        raise RequestFault("pictures", f"{entry.name} {fault.why}; it could be read when the training began") from fault
    if image.size != entry.facts.size:
        raise RequestFault("pictures", f"{entry.name} was replaced by another picture while it was trained; start again")
    image = image.resize(place.bucket, LANCZOS, box=place.part, reducing_gap=3.0)
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    values = np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1
    return torch.from_numpy(np.ascontiguousarray(values))


def _key(entry: Entry, place: Cut, mirrored: bool) -> str:
    """Names exactly the pixels that `_pixels` gives."""
    asked = repr((PIXELS_VERSION, entry.facts.digest, place.part, place.bucket, mirrored))
    return hashlib.blake2b(asked.encode(), digest_size=20).hexdigest()


def _told(status: Status, what: str) -> Callable[[int, int], None]:
    """Says how far it is, at the first, every tenth and the last picture."""

    def tell(done: int, count: int) -> None:
        if done in (1, count) or done % 10 == 0:
            status(f"{what} ({done} of {count})")

    return tell
