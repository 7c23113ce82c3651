"""Random numbers that follow from what they are for and from nothing else: the same on every machine and after every restart."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def draws(*parts: int | str) -> random.Random:
    """A generator for one purpose, as in draws(seed, "flip", epoch, index). Only its `random()` is promised to stay the same."""
    digest = hashlib.blake2b("\x1f".join(str(part) for part in parts).encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "little"))  # no secret hangs on it


def shuffled(items: Iterable[T], source: random.Random) -> list[T]:
    """The items in another order. By `random()` alone: what `random.shuffle` does may differ between versions of Python."""
    drawn = [(source.random(), index, item) for index, item in enumerate(items)]
    return [item for _, _, item in sorted(drawn, key=lambda each: each[:2])]
