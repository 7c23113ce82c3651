"""Small pictures for the cards: made once from a preview, kept in the cache, made anew when the preview changes.

Start reading at `Thumbnails.of`.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from PIL import Image, ImageOps

from modules.folders import write_atomic
from modules.library.rows import ModelRow
from modules.library.sidecars import embedded_preview, preview_of
from modules.pixels.metadata import formats

SIDE_PX = 400
QUALITY = 82
SOURCE_LIMIT_BYTES = 60_000_000
SOURCE_LIMIT_PIXELS = 120_000_000


class Thumbnails:
    """folder: where the small pictures are kept; it may be emptied at any time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, row: ModelRow, metadata: dict[str, str]) -> Path | None:
        """A WebP picture of at most SIDE_PX on a side; None when the model has no preview that can be read."""
        if (preview := preview_of(row)) is not None:
            return self.of_file(preview)
        data = embedded_preview(metadata)
        return self._kept(hashlib.sha256(data).hexdigest(), io.BytesIO(data)) if data else None

    def of_file(self, path: Path) -> Path | None:
        """The same of a picture file; None when it cannot be read or is too large."""
        try:
            stat = path.stat()
        except OSError:
            return None
        return None if stat.st_size > SOURCE_LIMIT_BYTES else self._kept(f"{path}:{stat.st_size}:{stat.st_mtime_ns}", path)

    def _kept(self, mark: str, source: Path | io.BytesIO) -> Path | None:
        try:
            kept = self._folder / f"{hashlib.sha256(mark.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.webp"
            if not kept.is_file():
                write_atomic(kept, _small(source))
        except (OSError, ValueError, Image.DecompressionBombError, SyntaxError):  # what PIL raises for broken pictures
            return None
        return kept


def _small(source: Path | io.BytesIO) -> bytes:
    with Image.open(source, formats=formats()) as image:
        if image.width * image.height > SOURCE_LIMIT_PIXELS:
            raise ValueError("too many pixels")
        image.draft("RGB", (SIDE_PX * 2, SIDE_PX * 2))
        small = ImageOps.exif_transpose(image) or image
        small = small.convert("RGBA" if "A" in small.getbands() or "transparency" in small.info else "RGB")
        small.thumbnail((SIDE_PX, SIDE_PX))
        data = io.BytesIO()
        small.save(data, "WEBP", quality=QUALITY, method=2)
        return data.getvalue()
