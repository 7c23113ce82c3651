"""Styles: saved pieces of prompt in styles.csv, A1111's layout (name, prompt, negative_prompt).

Knows text only, nothing about what a prompt means. Start reading at `Styles.apply`.
"""

from __future__ import annotations

import contextlib
import csv
import io
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from modules.faults import DiskFault, RequestFault, UnknownName
from modules.folders import write_atomic
from modules.request import PROMPT_LIMIT

PLACEHOLDER = "{prompt}"
NONE = "None"
NAME_LIMIT = 200
TEXT_LIMIT = 100_000
COLUMNS = ("name", "prompt", "negative_prompt")
Names = list[str]


@dataclass(frozen=True)
class Style:
    """A named piece of prompt. `{prompt}` in it stands for the prompt it is added to; without one it goes behind a comma."""

    name: str
    prompt: str
    negative_prompt: str


StyleList = list[Style]  # inside the class below, `list` is a method


@dataclass(frozen=True)
class _Sheet:
    """A styles.csv as it was read. rows: as they stand, also those that are no styles; damage: why it must not be written over."""

    columns: tuple[str, ...] = COLUMNS
    rows: tuple[dict[str, str], ...] = ()
    damage: str = ""
    styles: dict[str, Style] = field(default_factory=dict[str, Style])


class Styles:
    """The styles of a styles.csv. Read again when the file changes; saved atomically.

    Rows whose name begins with "#" are comments, and columns of other programs are theirs: both are kept as they are.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._sheet = _Sheet()

    @property
    def damage(self) -> str:
        """Why the file could not be read to its end, in words; "" when all is well."""
        return self._current().damage

    def list(self) -> StyleList:
        """Every style, in file order."""
        return [*self._current().styles.values()]

    def get(self, name: str) -> Style:
        """Raises UnknownName."""
        styles = self._current().styles
        if name not in styles:
            raise UnknownName("styles", name, styles)
        return styles[name]

    def apply(self, prompt: str, negative_prompt: str, names: Iterable[str]) -> tuple[str, str, Names]:
        """(prompt, negative prompt, names that do not exist). Styles are merged in the order given, as A1111 does.

        Raises RequestFault("styles") when a prompt would grow longer than one may be.
        """
        styles = self._current().styles
        unknown: Names = []
        for name in names:
            style = styles.get(name)
            if style is not None:
                prompt = _merge(style.prompt, prompt)
                negative_prompt = _merge(style.negative_prompt, negative_prompt)
            elif name != NONE:  # A1111's empty style
                unknown.append(name)
        return prompt, negative_prompt, unknown

    def save(self, style: Style, *, was: str | None = None, place: int | None = None) -> None:
        """Add a style, or replace the one of that name. Raises RequestFault, UnknownName, DiskFault; nothing is changed then.

        was: the name it had so far, which must be there; place: where among the styles a new one stands (0 the first), None the last.
        """
        check(style)
        name = style.name
        with self._lock:
            sheet = self._fresh()
            if was is not None and was not in sheet.styles:
                raise UnknownName("was", was, sheet.styles)
            if was not in (None, name) and name in sheet.styles:
                raise RequestFault("name", "is taken by another style; choose another one", got=name)
            row, now = _row(style), name if was is None else was
            if now in sheet.styles:
                rows = [{**r, **row, **_text_column(r, row)} if r.get("name") == now else r for r in sheet.rows]
            else:
                rows = list(sheet.rows)
                after = [*sheet.styles][place:][:1] if place is not None else []
                at = next((i for i, r in enumerate(rows) if r.get("name") in after), len(rows))
                rows.insert(at, {**row, **_text_column(dict.fromkeys(sheet.columns, ""), row)})
            self._write(sheet, rows)

    def add(self, styles: Iterable[Style]) -> StyleList:
        """Add those whose names are free, with one change of the file. Returns them. Raises DiskFault; nothing is changed then."""
        with self._lock:
            sheet = self._fresh()
            added: dict[str, Style] = {}
            for style in styles:
                with contextlib.suppress(RequestFault):
                    check(style)
                    if style.name not in sheet.styles:
                        added.setdefault(style.name, style)
            columns = dict.fromkeys(sheet.columns, "")
            rows = [{**_row(style), **_text_column(columns, _row(style))} for style in added.values()]
            if rows:
                self._write(sheet, [*sheet.rows, *rows])
            return [*added.values()]

    def drop(self, styles: Iterable[Style]) -> StyleList:
        """Take out those that are still just so. Returns them. Raises DiskFault."""
        with self._lock:
            sheet = self._fresh()
            gone = [style for style in styles if sheet.styles.get(style.name) == style]
            names = {style.name for style in gone}
            if gone:
                self._write(sheet, [r for r in sheet.rows if r.get("name") not in names])
            return gone

    def delete(self, name: str) -> None:
        """Raises UnknownName, DiskFault."""
        with self._lock:
            sheet = self._fresh()
            if name not in sheet.styles:
                raise UnknownName("styles", name, sheet.styles)
            self._write(sheet, [r for r in sheet.rows if r.get("name") != name])

    def _current(self) -> _Sheet:
        with self._lock:
            return self._fresh()

    def _fresh(self) -> _Sheet:
        """The file as it is now; it is read again only when it changed. Call with the lock held."""
        try:
            stat = self._path.stat()
        except OSError:
            self._stamp, self._sheet = None, _Sheet()
            return self._sheet
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp != self._stamp:
            self._sheet, self._stamp = _read(self._path), stamp
        return self._sheet

    def _write(self, sheet: _Sheet, rows: Iterable[dict[str, str]]) -> None:
        if sheet.damage:
            raise DiskFault(f"{self._path.name} cannot be changed: {sheet.damage}. Mend the file, or move it away, and save again.")
        text = io.StringIO()
        writer = csv.DictWriter(text, [*sheet.columns, *(c for c in COLUMNS if c not in sheet.columns)], restval="")
        writer.writeheader()
        writer.writerows(rows)
        write_atomic(self._path, text.getvalue().encode("utf-8-sig", "replace"))
        self._stamp = None


def check(style: Style) -> None:
    """Raises RequestFault for a name or a text that no style may have."""
    name = style.name
    if not name.strip() or len(name) > NAME_LIMIT or "\n" in name or "\r" in name or name.startswith("#") or name == NONE:
        raise RequestFault("name", f"a style needs a name of one line, of 1 to {NAME_LIMIT} characters, without # in front", got=name)
    for where, text in (("prompt", style.prompt), ("negative_prompt", style.negative_prompt)):
        if len(text) > TEXT_LIMIT:
            raise RequestFault(where, f"of a style is {len(text)} characters long; the longest accepted is {TEXT_LIMIT}")


def read_styles(path: Path) -> tuple[StyleList, str]:
    """(the styles of a file, what is wrong with it or ""). Nothing is changed."""
    sheet = _read(path)
    return [*sheet.styles.values()], sheet.damage


def _read(path: Path) -> _Sheet:
    """Whatever can be read; what cannot is named in `damage`, so that saving does not destroy it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        return _Sheet(damage=f"it cannot be read ({error.strerror})")
    damage = ""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text, damage = raw.decode("utf-8-sig", "replace"), f"it is not UTF-8 (at byte {error.start})"
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
    rows: list[dict[str, str]] = []
    try:
        columns = tuple(reader.fieldnames or COLUMNS)
        if "name" not in columns:
            return _Sheet(damage="its first line does not name a column called name")
        for row in reader:
            if row.pop("", None):
                damage = damage or f"line {reader.line_num} has more fields than the first line"
            rows.append(row)
    except csv.Error as error:
        columns, damage = COLUMNS, f"line {reader.line_num}: {error}"
    return _Sheet(columns, tuple(rows), damage, {s.name: s for s in map(_style, rows) if s.name and not s.name.startswith("#")})


def _style(row: dict[str, str]) -> Style:
    return Style(row.get("name") or "", row.get("prompt") or row.get("text") or "", row.get("negative_prompt") or "")


def _row(style: Style) -> dict[str, str]:
    return {"name": style.name, "prompt": style.prompt, "negative_prompt": style.negative_prompt}


def _text_column(row: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    """A1111's first files call the prompt `text`; a file that has the column keeps it in step."""
    return {"text": new["prompt"]} if "text" in row else {}


def _merge(style: str, prompt: str) -> str:
    # "{prompt} {prompt}" doubles the prompt each time it is used
    length = len(style) + max(1, style.count(PLACEHOLDER)) * len(prompt)
    if length > PROMPT_LIMIT + TEXT_LIMIT:
        raise RequestFault("styles", f"make the prompt {length} characters long; the longest accepted is {PROMPT_LIMIT}")
    if PLACEHOLDER in style:
        return style.replace(PLACEHOLDER, prompt)
    return ", ".join(part for part in (prompt.strip(), style.strip()) if part)
