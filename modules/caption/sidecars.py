"""Files that hold captions: one beside each picture, or one for a whole folder (JSON lines as Hugging Face reads them, or CSV).

A shelf reads what is there and writes what is new; whole files, never parts. Start reading at `shelf_of`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from modules.faults import DiskFault, RequestFault
from modules.folders import sync_folder, write_atomic
from modules.request.caption_folder import JSONL, SIDECARS

MOST_BYTES = 200_000_000
WRITERS = 4  # a disk makes many small files sure in about the time of one when it is asked for them together
NAME, TEXT = "file_name", "text"


class Shelf(Protocol):
    """Captions of the pictures of a folder. Names are relative to it, with slashes."""

    def get(self, name: str) -> str | None:
        """The caption that is there, None when there is none."""
        ...

    def put(self, name: str, text: str | None) -> None:
        """Write a caption; None takes it away. Raises DiskFault."""
        ...

    def put_all(self, texts: Mapping[str, str | None]) -> None:
        """As `put` for each name, together. Raises DiskFault; the others are written then nevertheless."""
        ...

    def flush(self) -> None:
        """What was put is on the disk afterwards. Raises DiskFault."""
        ...


def shelf_of(folder: Path, output: str) -> Shelf:
    """Where captions go. Raises RequestFault("output") when a file that is there cannot be read."""
    return Beside(folder, output) if output in SIDECARS else Table(folder / output)


class Beside:
    """A text file beside each picture: UTF-8, ends with the caption's last letter."""

    def __init__(self, folder: Path, ending: str) -> None:
        self._folder = folder
        self._ending = ending

    def path(self, name: str) -> Path:
        """The caption's file."""
        return (self._folder / name).with_suffix(self._ending)

    def get(self, name: str) -> str | None:
        try:
            return self.path(name).read_text(encoding="utf-8-sig", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskFault(f"{self.path(name).name} cannot be read: {error.strerror}. Look at its rights.") from error

    def put(self, name: str, text: str | None) -> None:
        self._put(name, text, sync=True)

    def _put(self, name: str, text: str | None, *, sync: bool) -> None:
        path = self.path(name)
        if text is not None:
            write_atomic(path, text.encode(), sync=sync)
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DiskFault(f"{path.name} cannot be removed: {error.strerror}. Look at its rights.") from error

    def put_all(self, texts: Mapping[str, str | None]) -> None:
        if not texts:
            return
        with ThreadPoolExecutor(min(WRITERS, len(texts)), thread_name_prefix="captions") as writers:
            done = [writers.submit(self._put, name, text, sync=False) for name, text in texts.items()]
        for one in done:
            one.result()
        for folder in {self.path(name).parent for name in texts}:
            if folder.is_dir():
                sync_folder(folder)

    def flush(self) -> None:
        """Every file is written at once."""


class Table:
    """One file for all: metadata.jsonl ({"file_name", "text"} a line) or a CSV file with the same columns. Other entries stay."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = _read(path)
        self._changed = False

    def get(self, name: str) -> str | None:
        row = self._rows.get(name)
        return None if row is None else str(row.get(TEXT) or "")

    def put(self, name: str, text: str | None) -> None:
        self._changed = True
        if text is None:
            self._rows.pop(name, None)
        else:
            self._rows[name] = {**self._rows.get(name, {}), NAME: name, TEXT: text}

    def put_all(self, texts: Mapping[str, str | None]) -> None:
        for name, text in texts.items():
            self.put(name, text)

    def flush(self) -> None:
        if not self._changed:
            return
        if self._rows:
            write_atomic(self._path, _written(self._path, self._rows))
        else:
            self._path.unlink(missing_ok=True)
        self._changed = False


def _read(path: Path) -> dict[str, dict[str, object]]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RequestFault("output", f"{path.name} is too large to go on with; move it away")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise RequestFault("output", f"{path.name} in this folder cannot be read ({error}); move it away or choose another") from error
    try:
        lines: Iterable[Any] = (json.loads(line) for line in text.splitlines() if line.strip())
        rows: list[Any] = [*(lines if path.name == JSONL else csv.DictReader(io.StringIO(text)))]
        return {str(row[NAME]): row for row in rows}
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        why = f"{path.name} in this folder is not as expected: entries need {NAME} and {TEXT} ({error}); move it away or choose another"
        raise RequestFault("output", why) from error


def _written(path: Path, rows: dict[str, dict[str, object]]) -> bytes:
    ordered = [rows[name] for name in sorted(rows)]
    if path.name == JSONL:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ordered).encode()
    buffer = io.StringIO()
    columns = list(dict.fromkeys([NAME, TEXT, *(key for row in ordered for key in row)]))
    writer = csv.DictWriter(buffer, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(ordered)
    return buffer.getvalue().encode()
