"""Pictures that people send to begin with, kept by what they hold, so that a job row names them and stays small.

Knows files under cache/inputs and their references ("input:<sha256>"); knows nothing about requests or jobs. Doors put what they
receive; whoever paints opens it again, also after a restart. Start reading at `Inputs.put`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import time
from collections.abc import Collection
from pathlib import Path

from PIL import Image

from modules.faults import RequestFault
from modules.folders import Folders, write_atomic
from modules.pixels.incoming import read_picture
from modules.pixels.metadata import picture_format
from modules.request import REFERENCE

KEPT_S = 30 * 86400
_REFERENCE = re.compile(re.escape(REFERENCE) + "[0-9a-f]{64}")
_EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "MPO": "jpg", "WEBP": "webp", "GIF": "gif", "AVIF": "avif", "BMP": "bmp", "TIFF": "tiff"}


class Inputs:
    """The store of input pictures of a data folder. Safe to use from several threads and processes."""

    def __init__(self, folders: Folders) -> None:
        self._folder = folders.inputs

    def put(self, data: bytes, field: str = "init_images") -> str:
        """Keep the bytes of a picture file; its reference, the same for the same bytes. field: the request's, for the message.

        Raises RequestFault(field) when it is no picture, is damaged or too large, DiskFault when it cannot be written.
        """
        reference = REFERENCE + hashlib.sha256(data).hexdigest()
        known = self._find(reference)
        if known is not None:
            with contextlib.suppress(OSError):  # swept at this moment: then it is written again
                os.utime(known)
                return reference
        read_picture(data, field)
        name = f"{reference.removeprefix(REFERENCE)}.{_EXTENSIONS[picture_format(data)]}"
        write_atomic(self._folder / name, data)
        return reference

    def put_picture(self, image: Image.Image, field: str = "init_images") -> str:
        """Keep a picture that is not a file yet, without loss."""
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        return self.put(buffer.getvalue(), field)

    def path(self, reference: str, field: str = "init_images") -> Path:
        """The file of a reference. Raises RequestFault(field) when it is none, or the picture is no longer kept."""
        if not _REFERENCE.fullmatch(reference):
            raise RequestFault(field, "must name a picture that was sent before; send the picture itself", got=reference)
        found = self._find(reference)
        if found is None:
            raise RequestFault(field, "is a picture that is not kept here any more; send it again", got=reference)
        return found

    def open(self, reference: str, field: str = "init_images") -> Image.Image:
        """The picture, upright, RGB or RGBA; text that its file carries stays in `info`. Raises RequestFault(field)."""
        return read_picture(self.path(reference, field), field)

    def sweep(self, named: Collection[str], now_s: float | None = None) -> int:
        """Remove what was sent more than 30 days ago and is not among the named references. Returns how many went."""
        before = (time.time() if now_s is None else now_s) - KEPT_S
        gone = 0
        for path in self._folder.glob("*.*"):
            if f"{REFERENCE}{path.stem}" in named:
                continue
            with contextlib.suppress(OSError):  # gone meanwhile
                if path.stat().st_mtime < before:
                    path.unlink()
                    gone += 1
        return gone

    def _find(self, reference: str) -> Path | None:
        stem = reference.removeprefix(REFERENCE)
        return next((path for end in dict.fromkeys(_EXTENSIONS.values()) if (path := self._folder / f"{stem}.{end}").is_file()), None)


def references_in(text: str) -> set[str]:
    """Every reference that a text names, such as the JSON of a job."""
    return set(_REFERENCE.findall(text))
