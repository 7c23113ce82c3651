"""Wildcard files: wildcards/name.txt, one choice a line, that prompts ask for as `__name__` or `__folder/*__`.

Knows files and names; knows nothing about prompts. Start reading at `WildcardFiles.lines`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from modules.faults import RequestFault
from modules.folders import Folders

FILE_LIMIT_BYTES = 32 * 1024**2


def places(folders: Folders) -> list[Path]:
    """Where wildcards are looked for, the person's own folder first."""
    return [folders.data / "wildcards", *folders.model_folders("wildcards")]


class WildcardFiles:
    """The .txt files below some folders. Looked up when first asked for and read once, so make a new one for each request.

    A name is a file's path below its folder without ".txt"; of two files with the same name the one in the earlier folder counts.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._found: dict[str, Path] | None = None
        self._lines: dict[Path, list[str]] = {}

    def names(self) -> list[str]:
        """Every name, sorted."""
        return sorted(self._files())

    def lines(self, pattern: str) -> list[str]:
        """The choices of every file that a name or pattern means, in order of the names; empty when there is none.

        "*" stands for a part of a name and "**" for folders too; capital letters do not matter. Empty lines and lines that begin
        with "#" are no choices. Raises RequestFault for a file that cannot be read.
        """
        wanted = re.compile(_regex(pattern), re.IGNORECASE)
        return [line for name in self.names() if wanted.fullmatch(name) for line in self._read(self._files()[name])]

    def _files(self) -> dict[str, Path]:
        if self._found is None:
            self._found = {}
            for folder in self._folders:
                for path in sorted(folder.rglob("*.txt")):
                    self._found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
        return self._found

    def _read(self, path: Path) -> list[str]:
        if path not in self._lines:
            try:
                if path.stat().st_size > FILE_LIMIT_BYTES:
                    raise RequestFault("prompt", f"asks for the wildcard file {path.name}, which is larger than {FILE_LIMIT_BYTES} bytes")
                text = path.read_text(encoding="utf-8-sig", errors="replace")
            except OSError as error:
                raise RequestFault("prompt", f"asks for the wildcard file {path.name}, which cannot be read ({error.strerror})") from error
            rows = (line.strip() for line in text.splitlines())
            self._lines[path] = [row for row in rows if row and not row.startswith("#")]
        return self._lines[path]


def _regex(pattern: str) -> str:
    """A pattern of names as a regular expression."""
    parts = re.split(r"(\*+)", pattern)
    return "".join(re.escape(part) if "*" not in part else "[^/]*" if part == "*" else ".*" for part in parts)
