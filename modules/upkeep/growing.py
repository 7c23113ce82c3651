"""Files and folders that grow in hiding and take their name when they are whole, so that nobody meets half a model.

Start reading at `growing`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modules.faults import DiskFault


@contextmanager
def growing(target: Path) -> Iterator[Path]:
    """A hidden place beside `target` to write to; it takes its name when the block ends well and goes when it does not."""
    part = target.with_name(f".{target.name}.part")
    remove(part)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if target.exists():
            raise DiskFault(f"{target.name} has appeared meanwhile and is not written over. Choose another name.")
        os.replace(part, target)
    except OSError as error:
        raise DiskFault(f"{target.name} cannot be put in place: {error.strerror}.") from error
    finally:
        remove(part)


@contextmanager
def scratch_beside(target: Path, suffix: str = ".safetensors") -> Iterator[Path]:
    """A hidden place beside `target` for something that is gone when the block ends."""
    scratch = target.with_name(f".{target.stem}.scratch{suffix}")
    remove(scratch)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield scratch
    finally:
        remove(scratch)


def remove(path: Path) -> None:
    """Take away a file or folder of ours, if it is there."""
    if path.is_dir():
        for inner in sorted(path.rglob("*"), reverse=True):
            inner.rmdir() if inner.is_dir() else inner.unlink()
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
