"""Where an extension's folder came from: the address, branch and commit that its .git names. git itself is not asked.

Start reading at `origin_of`.
"""

from __future__ import annotations

import configparser
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

OBJECT_BYTES = 1_000_000
_HASH = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """remote: without a name and password in it; branch: "" while none is checked out; date_s: since 1970, None if not told."""

    remote: str
    branch: str
    commit: str
    date_s: int | None


def origin_of(folder: Path) -> Origin | None:
    """What a folder says about itself; None when it did not come by git."""
    git = folder / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        branch = head.removeprefix("ref: refs/heads/") if head.startswith("ref: ") else ""
        commit = _commit(git, head.removeprefix("ref: ")) if head.startswith("ref: ") else head
        remote = _remote(git)
    except (OSError, UnicodeDecodeError, configparser.Error):
        return None
    if not _HASH.fullmatch(commit):
        return None
    return Origin(remote=remote, branch=branch, commit=commit, date_s=_date(git, commit))


def plain_address(url: str) -> str:
    """An address without the name and password in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "://" in url else url


def _commit(git: Path, ref: str) -> str:
    """The commit that a branch stands at, from its own file or the packed ones."""
    own = git / ref
    if ".." not in ref and own.is_file():
        return own.read_text(encoding="utf-8").strip()
    lines = (git / "packed-refs").read_text(encoding="utf-8").splitlines()
    return next((line[:40] for line in lines if line[41:] == ref), "")


def _remote(git: Path) -> str:
    config = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    config.read_string("\n".join(line.strip() for line in (git / "config").read_text(encoding="utf-8").splitlines()))
    return plain_address(config.get('remote "origin"', "url", fallback="") or "")


def _date(git: Path, commit: str) -> int | None:
    """Of a commit that lies by itself; one in a pack is not looked for."""
    try:
        packed = (git / "objects" / commit[:2] / commit[2:]).read_bytes()[:OBJECT_BYTES]
        text = zlib.decompressobj().decompress(packed, OBJECT_BYTES).decode("utf-8", "replace")
    except (OSError, zlib.error):
        return None
    found = re.search(r"^committer .* (\d{1,12}) [+-]\d{4}$", text, re.MULTILINE)
    return int(found[1]) if found else None
