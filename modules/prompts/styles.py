"""Styles: saved pieces of prompt in styles.csv, A1111's layout (name, prompt, negative_prompt).

Start reading at `Styles.apply`.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modules.faults import RequestFault, UnknownName
from modules.folders import write_atomic

PLACEHOLDER = "{prompt}"
NAME_LIMIT = 200


@dataclass(frozen=True)
class Style:
    """A named piece of prompt. `{prompt}` in it stands for the prompt it is added to; without one it goes behind a comma."""

    name: str
    prompt: str
    negative_prompt: str


class Styles:
    """The styles of a styles.csv. Read again when the file changes; saved atomically."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._rows: dict[str, Style] = {}

    def list(self) -> list[Style]:
        """Every style, in file order."""
        return list(self._current().values())

    def get(self, name: str) -> Style:
        """Raises UnknownName."""
        rows = self._current()
        if name not in rows:
            raise UnknownName("styles", name, rows)
        return rows[name]

    def apply(self, prompt: str, negative_prompt: str, names: Iterable[str]) -> tuple[str, str, list[str]]:
        """(prompt, negative prompt, names that do not exist). Source: A1111's rule of merging."""
        rows, unknown = self._current(), []
        for name in names:
            style = rows.get(name)
            if style is None:
                unknown.append(name)
                continue
            prompt = _merge(style.prompt, prompt)
            negative_prompt = _merge(style.negative_prompt, negative_prompt)
        return prompt, negative_prompt, unknown

    def save(self, style: Style) -> None:
        """Add a style, or replace the one of that name. Raises RequestFault("name"), DiskFault."""
        if not style.name.strip() or len(style.name) > NAME_LIMIT or "\n" in style.name:
            raise RequestFault("name", f"a style needs a name of one line, at most {NAME_LIMIT} characters", got=style.name)
        self._write({**self._current(), style.name: style})

    def delete(self, name: str) -> None:
        """Raises UnknownName, DiskFault."""
        self.get(name)
        self._write({n: s for n, s in self._current().items() if n != name})

    def _current(self) -> dict[str, Style]:
        with self._lock:
            try:
                stat = self._path.stat()
            except OSError:
                self._stamp, self._rows = None, {}
                return self._rows
            if (stamp := (stat.st_mtime_ns, stat.st_size)) != self._stamp:
                self._rows, self._stamp = _read(self._path), stamp
            return self._rows

    def _write(self, rows: dict[str, Style]) -> None:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["name", "prompt", "negative_prompt"])
        writer.writerows([s.name, s.prompt, s.negative_prompt] for s in rows.values())
        write_atomic(self._path, text.getvalue().encode("utf-8-sig"))
        with self._lock:
            self._stamp = None


def _read(path: Path) -> dict[str, Style]:
    rows: dict[str, Style] = {}
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        for row in csv.DictReader(file, strict=False):
            name = row.get("name") or ""
            if name and not name.startswith("#"):
                rows[name] = Style(name, row.get("prompt") or row.get("text") or "", row.get("negative_prompt") or "")
    return rows


def _merge(style: str, prompt: str) -> str:
    if PLACEHOLDER in style:
        return style.replace(PLACEHOLDER, prompt)
    return ", ".join(part for part in (prompt.strip(), style.strip()) if part)
