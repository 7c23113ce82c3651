"""Which program this is, to the letter: two machines work together only when theirs is the same. Start reading at `identity`."""

from __future__ import annotations

import functools
import hashlib

import modules
from modules.folders import PROGRAM

CODE = ("modules", "scripts", "extensions")


@functools.cache
def identity() -> str:
    """The version and a digest of the code, such as "0.1.0 (3f6c0a91b2d4)"."""
    digest = hashlib.sha256()
    files = sorted((p for top in CODE for p in (PROGRAM / top).rglob("*.py")), key=lambda p: p.relative_to(PROGRAM).as_posix())
    for path in files:
        digest.update(f"{path.relative_to(PROGRAM).as_posix()}\n".encode())
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return f"{modules.__version__} ({digest.hexdigest()[:12]})"
