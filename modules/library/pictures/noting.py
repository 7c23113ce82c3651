"""Tells the picture index about a file that was saved just now, from whichever process saved it. Start reading at `Noting.saved`.

A convenience: what is not told is found by the next look at the folders, only without the job that made it.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from modules.folders import Folders
from modules.library.pictures import facts
from modules.library.pictures.index import PictureIndex
from modules.library.pictures.scan import found_at

log = logging.getLogger(__name__)


class Noting:
    """Opens the index when the first picture is told. One a process; the caller keeps threads apart."""

    def __init__(self, folders: Folders) -> None:
        self._file = folders.pictures_file
        self._index: PictureIndex | None = None

    def saved(self, path: Path, infotext: str, size: tuple[int, int], *, kind: str, job: str) -> None:
        """A picture lies at a path. size: width and height in pixels; kind: one of KINDS, "" when the text tells. Never raises."""
        try:
            found = found_at(path, kind)
            if self._index is None:
                self._index = PictureIndex(self._file)
            self._index.add(found, facts.of_text(infotext, *size), job)
        except (OSError, sqlite3.Error) as error:
            log.warning("%s was not noted in the list of pictures: %s", path.name, error)
