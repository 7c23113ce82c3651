"""Describes what the index has open: in the caller's thread, or as a process of its own when there is much of it.

    python -m modules.library.reader INDEX       ends when nothing is open, or when its parent has gone

Reading twenty thousand headers is minutes of pure Python; in the server's own process it would hold up every answer of the
page. Start reading at `describe_open`, then `main`.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from modules.library.describe import describe
from modules.library.index import Index

BATCH = 50
NICENESS = 5


def describe_open(index: Index, kinds: tuple[str, ...] = (), *, stopped: Callable[[], bool], within_s: float = math.inf) -> None:
    """Describe the rows that are not described yet, of some kinds or all. within_s: go home after that long; at least one is done."""
    ends = time.monotonic() + within_s
    while not stopped() and time.monotonic() < ends and (batch := index.open_rows(kinds, BATCH)):
        said = []
        for key, found in batch:
            if said and (stopped() or time.monotonic() > ends):
                break
            said.append((key, found, describe(found)))
        index.put(said)


def main(path: str) -> None:
    """Fill the index at path."""
    parent = os.getppid()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    index = Index(Path(path))
    describe_open(index, stopped=lambda: os.getppid() != parent)
    index.close()


if __name__ == "__main__":
    main(sys.argv[1])
