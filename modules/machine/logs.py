"""The last lines of the program's logs, narrowed by level and words, with secrets taken out.

Reads from the end of a file, so that its size does not matter. Start reading at `tail`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modules.folders import Folders

LEVELS = ("info", "warning", "error")
READ_BYTES = 500_000  # as far back as is looked for lines that fit
MOST_LINES = 2000
LINE_CHARS = 2000
_ERROR = re.compile(
    r"\b(CRITICAL|FATAL|ERROR|Error:|Traceback \(most recent call last\))|^\s*(?:[\w.]+\.)?\w*(?:Error|Exception|Fault|Died)\b\s*:?"
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")  # how terminals are told to move and to paint
_WARNING = re.compile(r"\b(WARNING|WARN|Warning:|\w+Warning)\b")


@dataclass(frozen=True)
class Line:
    """level: one of LEVELS; text: without secrets."""

    level: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Tail:
    """mark: changes whenever the file does; bytes: its size; more: lines that fit were left out, or not all of the file was read."""

    lines: tuple[Line, ...]
    mark: str
    bytes: int
    more: bool


def files(folders: Folders) -> dict[str, Path]:
    """Name -> log file: those of the data folder, and the program's own install log."""
    found = {path.stem: path for path in folders.logs.glob("*.log") if path.is_file()}
    install = folders.program / "log" / "install.log"
    if install.is_file():
        found["install"] = install
    return dict(sorted(found.items()))


def tail(path: Path, *, lines: int, level: str = "info", text: str = "", clean: Callable[[str], str] = str) -> Tail:
    """The last lines that have this level or a worse one and these words (any case). clean: takes secrets out, before words are looked for.

    Raises OSError when the file cannot be read.
    """
    least, words = LEVELS.index(level), text.casefold().split()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = max(0, size - READ_BYTES)
        file.seek(start)
        raw = file.read(size - start)
    found: list[Line] = []
    for line in _levelled(_as_seen(raw.decode("utf-8", "replace"))[1 if start else 0 :]):
        if LEVELS.index(line.level) >= least:
            shown = Line(line.level, clean(line.text[:LINE_CHARS]))
            if all(word in shown.text.casefold() for word in words):
                found.append(shown)
    wanted = max(1, min(lines, MOST_LINES))
    stat = path.stat()
    mark = f"{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"
    return Tail(lines=tuple(found[-wanted:]), mark=mark, bytes=size, more=start > 0 or len(found) > wanted)


def _as_seen(text: str) -> list[str]:
    """Lines as a terminal would show them: of a bar that was drawn over and over its last state, without colours, without empty lines."""
    lines = [_ESCAPES.sub("", line).rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in lines if line]


def _levelled(lines: list[str]) -> list[Line]:
    """Each line with its level. What is indented belongs to the line before, and a traceback goes on to the line that names the error."""
    found: list[Line] = []
    level, tracing = "info", False
    for line in lines:
        if tracing and line[:1] in (" ", "\t"):
            found.append(Line("error", line))
            continue
        tracing = "Traceback (most recent call last)" in line
        if _ERROR.search(line):
            level = "error"
        elif _WARNING.search(line):
            level = "warning"
        elif line[:1] not in (" ", "\t"):
            level = "info"
        found.append(Line(level, line))
    return found
