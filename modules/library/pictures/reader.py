"""Reads the files that the picture index has open: in the caller's thread, or as a process of its own when there are many.

That process ends when nothing is open, or when its parent has gone. Start reading at `read_open`, then `main`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from modules.library.pictures import facts
from modules.library.pictures.index import PictureIndex
from modules.library.pictures.rows import Facts, Found

BATCH = 50
NICENESS = 5


def read_open(index: PictureIndex, *, stopped: Callable[[], bool], within_s: float = math.inf) -> None:
    """Read the files that are not read yet, the newest first. within_s: go home after that long; at least one is done."""
    ends = time.monotonic() + within_s
    while not stopped() and time.monotonic() < ends and (batch := index.open_files(BATCH)):
        said: list[tuple[Found, Facts]] = []
        for found in batch:
            if said and (stopped() or time.monotonic() > ends):
                break
            said.append((found, facts.read(found.path)))
        index.put(said)


def main(path: str) -> None:
    """Fill the index at path."""
    parent = os.getppid()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    index = PictureIndex(Path(path))
    read_open(index, stopped=lambda: os.getppid() != parent)
    index.close()
