"""`Pictures`: every picture under the output folders, with search, marks and the bin. One an App.

Each question looks first whether folders have changed, so that what was saved, moved or deleted by anybody shows. Knows nothing
about pages and routes. Start reading at `Pictures.page`.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules import infotext
from modules.faults import DiskFault, Fault
from modules.folders import Folders
from modules.infotext import control
from modules.infotext.keys import PICTURES as INPUTS
from modules.library.index import id_of
from modules.library.pictures import facts, removal
from modules.library.pictures.favourites import Favourites
from modules.library.pictures.index import Changes, PictureIndex
from modules.library.pictures.reader import read_open
from modules.library.pictures.rows import PictureRow, Wish
from modules.library.pictures.scan import found_at, look, roots
from modules.request import REFERENCE
from modules.settings import SettingsStore

log = logging.getLogger(__name__)
LOOK_S = 0.5  # how often the folders' times are looked at
AT_ONCE_S = 0.15  # how long an answer may wait for new files to be read
READER = "import sys; from modules.library.pictures.reader import main; main(sys.argv[1])"
MANY = 300  # unread files from which on a process of its own reads them


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some rows of a list. total: how many there are; unread: files whose text is not known yet.

    looking: the folders have not been looked through since the start, so that more may come. place: where the next rows begin, for
    `after`; None when these are the last.
    """

    rows: list[PictureRow]
    total: int
    unread: int
    looking: bool = False
    place: list[Any] | None = None


class Pictures:
    """The pictures of a data folder. Making one costs nothing; the index is opened by the first question or `start`."""

    def __init__(self, folders: Folders, settings: SettingsStore) -> None:
        self._folders = folders
        self._settings = settings
        self._favourites = Favourites(folders.data)
        self._opened: PictureIndex | None = None
        self._opening = threading.Lock()
        self._looking = threading.Lock()
        self._looked_s = -math.inf
        self._first: threading.Thread | None = None
        self._seen = threading.Event()  # the first look, a thorough one, has come to its end
        self._reading: threading.Thread | None = None
        self._stop = threading.Event()

    def start(self) -> None:
        """Look at all folders and files in the background; they may have changed in place since the last start."""
        with self._opening:
            if self._first is None:
                self._first = threading.Thread(target=self._first_look, daemon=True, name="pictures")
                self._first.start()

    def close(self) -> None:
        """End the reading and close the index."""
        self._stop.set()
        for thread in (self._first, self._reading):
            if thread is not None:
                thread.join(5)
        with self._looking, self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    # ---- questions -------------------------------------------------------------------------------------------------

    def page(self, wish: Wish, offset: int = 0, limit: int = 100) -> Page:
        """Some of the pictures of a wish, as the folders are now; while they are looked through for the first time, those met so far."""
        looking = self._brought_up_to_date()
        with self._index() as index:
            rows, total = index.page(wish, offset, limit), index.count(wish)
            return Page(rows=rows, total=total, unread=index.open_count(), looking=looking)

    def after(self, wish: Wish, place: list[Any] | None = None, limit: int = 100) -> Page:
        """The pictures of a wish behind a place in its order, as a page before gave it; None: from the beginning."""
        looking = self._brought_up_to_date()
        with self._index() as index:
            found, total = index.after(wish, place, limit + 1), index.count(wish)
            last = found[limit - 1][1] if len(found) > limit else None
            return Page(rows=[row for row, _ in found[:limit]], total=total, unread=index.open_count(), looking=looking, place=last)

    def _brought_up_to_date(self) -> bool:
        """Look whether folders have changed; True while they are looked through for the first time."""
        if not self._seen.is_set():
            self.start()
            self._seen.wait(AT_ONCE_S)
        looking = not self._seen.is_set()
        if not looking:
            self.refresh(wait=False)
        return looking

    def choices(self) -> dict[str, list[tuple[str, int]]]:
        """What can be filtered by: "kind", "model" and "sampler", each with its values and how many pictures have them."""
        with self._index() as index:
            return {column: index.values_of(column) for column in ("kind", "model", "sampler")}

    def rows(self, ids: Sequence[str]) -> list[PictureRow]:
        """The rows of these ids, read now if the background has not come to them; without those that are gone."""
        with self._index() as index:
            found = index.rows_of(ids)
            if stale := [row for row in found if not self._is_current(row)]:
                for row in stale:
                    self._read_again(index, row)
                found = index.rows_of(ids)
            return found

    def row(self, key: str) -> PictureRow | None:
        """The row of an id."""
        return next(iter(self.rows([key])), None)

    def at(self, path: Path) -> PictureRow | None:
        """The row of a file that lies under the output folders."""
        self.refresh()
        return self.row(id_of(str(path)))

    def unread(self) -> int:
        """How many files are not read yet, of those that the last look met."""
        with self._index() as index:
            return index.open_count()

    def named_inputs(self) -> set[str] | None:
        """References of the pictures that kept pictures began from, so that those can be made again.

        None when that is not known: not every file has been read, or the index cannot be opened.
        """
        found: set[str] = set()
        try:
            with self._index() as index:
                if index.open_count() or not index.folder_stamps():
                    return None
                for key in INPUTS.values():
                    for text in index.texts_with(f"{key}: "):
                        found |= {REFERENCE + digest for digest in infotext.parse(text).get(key, "").split()}
                for text in index.texts_with(f"{control.KEY} "):
                    found |= control.references(infotext.parse(text))
        except (DiskFault, sqlite3.Error) as error:
            log.warning("what kept pictures began from is not known: %s", error)
            return None
        return found

    @staticmethod
    def _is_current(row: PictureRow) -> bool:
        try:
            return row.described and found_at(Path(row.path), row.kind).stamp == row.stamp
        except OSError:
            return False

    def _read_again(self, index: PictureIndex, row: PictureRow) -> None:
        path = Path(row.path)
        try:
            found = found_at(path, "" if row.kind == "other" else row.kind)
        except OSError:
            index.remove([row.id])
            return
        index.apply(Changes(new=[found]), self._favourites.all())
        index.put([(found, facts.read(path))])

    # ---- changes ---------------------------------------------------------------------------------------------------

    def set_favourite(self, rows: Sequence[PictureRow], on: bool) -> None:
        """Mark pictures, or take the mark away. Raises DiskFault."""
        stamps = {row.path: row.stamp for row in rows}
        self._favourites.change(add=stamps if on else None, drop=None if on else stamps)
        with self._index() as index:
            index.set_favourite([row.id for row in rows], on)

    def remove(self, row: PictureRow) -> removal.Binned:
        """Move a picture into the bin. Raises RequestFault when it is gone, DiskFault."""
        binned = removal.remove(self._folders, Path(row.path))
        with self._index() as index:
            index.remove([row.id])
        return binned

    def restore(self, place: str) -> PictureRow | None:
        """Put a picture back from a place of the bin. Raises RequestFault, DiskFault."""
        path = removal.restore(self._folders, place, roots(self._folders, self._settings.current))
        self.refresh(force=True)
        return self.row(id_of(str(path)))

    def in_bin(self) -> list[removal.Binned]:
        """What lies in the bin, the latest first."""
        return removal.listed(self._folders)

    def rebuild(self) -> None:
        """Forget the index and make it anew from the files; marks are kept. Returns once every file has a row."""
        with self._looking, self._index() as index:
            index.clear()
        self.refresh(thorough=True)

    def refresh(self, *, force: bool = False, thorough: bool = False, wait: bool = True) -> None:
        """Bring the index in line with the folders; new files are read here when few, else in the background.

        force: also when that was done just now; thorough: look at every file; wait=False: not when another thread is at it.
        """
        if not self._looking.acquire(blocking=wait):
            return
        try:
            if force or thorough or time.monotonic() - self._looked_s >= LOOK_S:
                self._look(thorough=thorough or not self._seen.is_set())
                self._looked_s = time.monotonic()
        finally:
            self._looking.release()

    def _look(self, *, thorough: bool) -> None:
        with self._index() as index:

            def write(changes: Changes) -> None:
                if changes or changes.folders:
                    index.apply(changes, self._marks(changes))

            changes = look(index, roots(self._folders, self._settings.current), thorough=thorough, early=write)
            write(changes)
            if changes.new:
                read_open(index, stopped=self._stop.is_set, within_s=AT_ONCE_S)
            if index.open_count() and not self._stop.is_set():
                self._read_rest()
        self._seen.set()

    def _marks(self, changes: Changes) -> dict[str, str]:
        """The marks, those of moved pictures moved with them."""
        kept = self._favourites.all()
        moved = {old: found for old, found in changes.moved.items() if kept.get(old) == found.stamp}
        if moved:
            self._favourites.change(add={str(f.path): f.stamp for f in moved.values()}, drop=dict.fromkeys(moved, ""))
        return self._favourites.all() if moved else kept

    # ---- the background --------------------------------------------------------------------------------------------

    def _first_look(self) -> None:
        try:
            self.refresh(thorough=True)
        except (Fault, OSError, sqlite3.Error):
            if not self._stop.is_set():
                log.exception("looking for pictures")
        finally:
            self._seen.set()

    def _read_rest(self) -> None:
        if self._reading is None or not self._reading.is_alive():
            self._reading = threading.Thread(target=self._read, daemon=True, name="pictures reader")
            self._reading.start()

    def _read(self) -> None:
        """Read what is open: many files in a process of their own, and what that leaves here."""
        try:
            with self._index() as index:
                if index.open_count() > MANY:
                    self._read_apart()
                read_open(index, stopped=self._stop.is_set)
        except (Fault, OSError, sqlite3.Error):
            if not self._stop.is_set():
                log.exception("reading pictures")

    def _read_apart(self) -> None:
        command = [sys.executable, "-c", READER, str(self._folders.pictures_file)]
        try:
            reader = subprocess.Popen(command, cwd=self._folders.program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        except OSError:
            log.exception("starting the reader of pictures")
            return
        while reader.poll() is None and not self._stop.wait(0.1):
            pass
        if reader.poll() is None:
            reader.terminate()
        if reader.wait() and not self._stop.is_set():
            log.error("The process that reads pictures ended with %s; the server reads the rest itself.", reader.returncode)

    @contextmanager
    def _index(self) -> Iterator[PictureIndex]:
        """The index, opened when it is not yet. Raises DiskFault when it cannot be used."""
        with self._opening:
            if self._opened is None:
                if self._stop.is_set():
                    raise DiskFault("The program is ending; the list of pictures is closed.")
                try:
                    self._opened = PictureIndex(self._folders.pictures_file)
                except (OSError, sqlite3.Error) as error:
                    raise DiskFault(f"The list of pictures {self._folders.pictures_file} cannot be opened: {error}.") from error
            index = self._opened
        yield index
