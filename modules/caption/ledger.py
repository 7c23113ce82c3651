"""What a run over a folder did, line by line, so that it can be gone on with, looked through, and undone.

A line is on the disk before the caption's file is, and says what stood there before; so nothing is done twice and nothing is lost.
Start reading at `Ledger.open`.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from modules.caption.sidecars import Shelf
from modules.faults import DiskFault
from modules.folders import Folders, write_atomic

FILE, MOST_RUNS = "ledger.jsonl", 200
FAULTS_TOLD = 1000


@dataclass
class Entry:
    """A picture of a run. text: its caption as it was written down, or as it was found when it was skipped; before: what stood there.

    caption: as the model wrote it; fault: why there is none; edited: a person changed it since.
    """

    name: str
    text: str = ""
    before: str | None = None
    caption: str = ""
    skipped: bool = False
    fault: str = ""
    edited: bool = False

    @property
    def wrote(self) -> bool:
        """The run or a person has changed the caption's file."""
        return not self.fault and (self.edited or not self.skipped)


@dataclass
class Ledger:
    """path: of its file; head: {"folder", "output"}; entries: by name, in the order they were done; undone: it was taken back."""

    path: Path
    head: dict[str, Any] = field(default_factory=dict[str, Any])
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    undone: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def open(cls, folders: Folders, job: str) -> Self | None:
        """The ledger of a job; None when there is none."""
        path = runs(folders) / job / FILE
        if Path(job).name != job or not path.is_file():
            return None
        found = cls(path)
        for line in path.read_bytes().split(b"\n")[:-1]:  # a last line without its end was cut off while it was written
            found._take(json.loads(line))
        return found

    @classmethod
    def begin(cls, folders: Folders, job: str, head: dict[str, Any], entries: Iterable[Entry] = ()) -> Self:
        """A new ledger, with what an earlier run did. Older runs than the newest few are forgotten."""
        _prune(runs(folders))
        made = cls(runs(folders) / job / FILE)
        lines = [{"head": head}, *(_line(entry) for entry in entries)]
        write_atomic(made.path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
        for line in lines:
            made._take(line)
        return made

    def add(self, entries: Iterable[Entry]) -> None:
        """Note what was done, or will be at once; on the disk when this returns. Raises DiskFault."""
        self._append([_line(entry) for entry in entries])

    def note_undone(self) -> None:
        """The run was taken back."""
        self._append([{"undone": True}])

    def _append(self, lines: list[dict[str, Any]]) -> None:
        data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
        with self._lock:
            try:
                with self.path.open("r+b") as file:
                    file.seek(0, os.SEEK_END)
                    _cut_torn_line(file)
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise DiskFault(f"the list of what was done cannot be written: {error.strerror}. Free some space.") from error
            for line in lines:
                self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        if "head" in line:
            self.head = line["head"]
        elif "undone" in line:
            self.undone = True
        else:
            self.entries[line["name"]] = Entry(**line)


def runs(folders: Folders) -> Path:
    """Where ledgers lie, a folder a job."""
    return folders.cache / "caption-runs"


def summary(ledger: Ledger) -> dict[str, Any]:
    """What a run came to: {"folder", "output", "captioned", "skipped", "failed", "faults"}."""
    entries = ledger.entries.values()
    faults = [{"name": entry.name, "why": entry.fault} for entry in entries if entry.fault]
    skipped = sum(entry.skipped for entry in entries)
    return {
        **ledger.head,
        "captioned": len(entries) - skipped - len(faults),
        "skipped": skipped,
        "failed": len(faults),
        "faults": faults[:FAULTS_TOLD],
    }


def settle(ledger: Ledger, shelf: Shelf) -> int:
    """Write what the ledger says and a cut-off run did not get to. Returns how many captions that were."""
    made = [entry for entry in ledger.entries.values() if entry.wrote and not entry.edited and entry.before != entry.text]
    missing: dict[str, str | None] = {entry.name: entry.text for entry in made if shelf.get(entry.name) == entry.before}
    shelf.put_all(missing)
    shelf.flush()
    return len(missing)


def undo(ledger: Ledger, shelf: Shelf) -> tuple[int, list[str]]:
    """Put back what stood there before the run: (how many captions, names of those that were changed by others since and stay)."""
    back, changed = dict[str, str | None](), list[str]()
    for entry in ledger.entries.values():
        if not entry.wrote:
            continue
        if shelf.get(entry.name) != entry.text:
            changed.append(entry.name)
        else:
            back[entry.name] = entry.before
    shelf.put_all(back)
    shelf.flush()
    ledger.note_undone()
    return len(back), changed


def _line(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, **{key: value for key, value in vars(entry).items() if key != "name" and value not in ("", None, False)}}


def _cut_torn_line(file: Any) -> None:
    """Let what follows begin on a line of its own. file: open for reading and writing, at its end."""
    end = file.tell()
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    kept = file.read().rfind(b"\n") + 1
    file.truncate(kept)
    file.seek(kept)


def _prune(folder: Path) -> None:
    if not folder.is_dir():
        return
    kept = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in kept[MOST_RUNS:]:
        shutil.rmtree(old, ignore_errors=True)
