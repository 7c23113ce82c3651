"""Does a copy of the program run on a data folder? By the same lock that `modules.jobs.holder` takes, without any library.

Start reading at `holder`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK, TOLD = "darkroom.lock", "darkroom.holder.json"


def holder(data: Path) -> str | None:
    """Who runs on this data folder, in words; None when nobody does."""
    lock = data / "cache" / LOCK
    if not lock.exists() or not _held(lock):
        return None
    try:
        told = json.loads((lock.parent / TOLD).read_text(encoding="utf-8"))
        return f"process {told['pid']}" + (f" at {told['url']}" if told.get("url") else "")
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _held(lock: Path) -> bool:
    try:
        handle = os.open(lock, os.O_RDWR)
    except OSError:  # on Windows a lock that is held may not even be opened
        return True
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
