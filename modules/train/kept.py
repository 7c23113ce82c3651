"""What the encoders said of pictures and captions: kept in memory up to a limit, on disk beyond it, made when it is missing.

A picture's key comes from the dataset, the model's from the trainee, so that an edited picture, another crop or another VAE is encoded
anew. Start reading at `Kept.fill` and `Kept.given`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence

from modules.request.train import TrainConfig
from modules.train.company import Company
from modules.train.trainee import Cache, Dataset, Example, Tensors, Trainee

MEMORY_BYTES = 1_000_000_000
AT_ONCE = 4  # pictures or captions encoded together
QUIET_EPOCHS = 3  # epochs without a new picture or caption after which there will hardly be any
MOST_EPOCHS = 16


class Kept:
    """Latents and texts by key. pixels, text: whether each is kept at all; that depends on the stage."""

    def __init__(self, config: TrainConfig, trainee: Trainee, cache: Cache | None) -> None:
        self.pixels = config.cache_latents
        drawn = config.shuffle_caption or config.caption_tag_dropout > 0  # hardly a caption comes twice
        self.text = config.cache_text and trainee.text_is_frozen() and not drawn
        self._trainee = trainee
        self._disk = cache
        self._near: dict[str, Tensors] = {}
        self._bytes = 0
        self._names = {
            "pixels": trainee.cache_name("pixels") if self.pixels else "",
            "text": trainee.cache_name("text") if self.text else "",
        }

    def example(self, dataset: Dataset, index: int, epoch: int) -> Example:
        """An example with what is kept of it; with pixels only when its latents are missing. Encodes nothing: for the reading thread."""
        example = dataset.example(index, epoch, pixels=not self.pixels)
        text = self._get(self._text_key(example.caption)) if self.text else None
        latents = self._get(self._pixel_key(example)) if self.pixels else None
        if self.pixels and latents is None:
            example = dataset.example(index, epoch)
        return dataclasses.replace(example, latents=latents, text=text)

    def given(self, examples: Sequence[Example]) -> list[Example]:
        """The examples with everything that is to be kept; what was missing is encoded now."""
        if self.pixels and (missing := [each for each in examples if each.latents is None]):
            for example, made in zip(missing, self._trainee.encode_pixels(missing), strict=True):
                self._put(self._pixel_key(example), made)
        if self.text and (captions := list(dict.fromkeys(each.caption for each in examples if each.text is None))):
            for caption, made in zip(captions, self._trainee.encode_text(captions), strict=True):
                self._put(self._text_key(caption), made)
        return [self._completed(each) for each in examples]

    def fill(
        self, dataset: Dataset, epochs: range, company: Company, told: Callable[[int, int], None], stopped: Callable[[], bool]
    ) -> bool:
        """Encode what the coming epochs need, before the first step; several processes share the work over the disk.

        epochs: those to come; only the first ones are looked at, what later ones draw is encoded when it comes. Returns False when stopped.
        """
        if not (self.pixels or self.text):
            return True
        wanted = self._wanted(dataset, epochs)
        mine = wanted[company.rank :: company.size] if self._disk is not None else wanted
        for first in range(0, len(mine), AT_ONCE):
            if stopped():
                return False
            told(first, len(mine))
            self._encode(dataset, mine[first : first + AT_ONCE])
        company.wait()
        self._trainee.encoders_not_needed(pixels=self.pixels, text=self.text)
        return True

    def _wanted(self, dataset: Dataset, epochs: range) -> list[tuple[int, int]]:
        """(index, epoch) of examples that hold something new: of one size after another, so that they can be encoded together."""
        seen: set[str] = set()
        found: list[tuple[tuple[int, int], int, int]] = []
        quiet = 0
        for epoch in epochs[:MOST_EPOCHS]:
            before = len(seen)
            for index in _indices(dataset, epochs, epoch):
                example = dataset.example(index, epoch, pixels=False)
                keys = ([self._pixel_key(example)] if self.pixels else []) + ([self._text_key(example.caption)] if self.text else [])
                new = [key for key in keys if key not in seen]
                if new and any(self._get(key) is None for key in new):
                    found.append((example.target_size, index, epoch))
                seen.update(new)
            quiet = quiet + 1 if len(seen) == before else 0
            if quiet == QUIET_EPOCHS:
                break
        return [(index, epoch) for _, index, epoch in sorted(found)]

    def _encode(self, dataset: Dataset, places: Sequence[tuple[int, int]]) -> None:
        examples = [self.example(dataset, index, epoch) for index, epoch in places]
        for size in dict.fromkeys(each.target_size for each in examples):
            self.given([each for each in examples if each.target_size == size])

    def _completed(self, example: Example) -> Example:
        latents = example.latents or (self._get(self._pixel_key(example)) if self.pixels else None)
        text = example.text or (self._get(self._text_key(example.caption)) if self.text else None)
        return dataclasses.replace(example, latents=latents, text=text)

    def _pixel_key(self, example: Example) -> str:
        return f"{self._names['pixels']}-{example.key}"

    def _text_key(self, caption: str) -> str:
        whole = "\n".join((self._names["text"], caption))
        return f"text-{hashlib.sha256(whole.encode()).hexdigest()[:40]}"

    def _get(self, key: str) -> Tensors | None:
        near = self._near.get(key)
        if near is not None or self._disk is None:
            return near
        found = self._disk.get(key)
        if found is not None:
            self._hold(key, found)
        return found

    def _put(self, key: str, tensors: Tensors) -> None:
        if self._disk is not None:
            self._disk.put(key, tensors)
            found = self._disk.get(key)  # as every later run will find it: numbers may be stored in fewer bits
            self._hold(key, found if found is not None else tensors, always=found is None)
        else:
            self._hold(key, tensors, always=True)

    def _hold(self, key: str, tensors: Tensors, *, always: bool = False) -> None:
        size = sum(each.nbytes for each in tensors.values())
        if key not in self._near and (always or self._bytes + size <= MEMORY_BYTES):
            self._near[key] = tensors
            self._bytes += size


def _indices(dataset: Dataset, epochs: range, epoch: int) -> Iterable[int]:
    """What an epoch reads; the pictures for validation beside the first."""
    return [*range(len(dataset)), *(dataset.validation() if epoch == epochs.start else ())]
