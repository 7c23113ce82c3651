"""Pictures that go through a conversation: those a tool takes, by name or as bytes, and those it shows, small enough for a chat.

Start reading at `take` and `shown`.
"""

from __future__ import annotations

import base64
import io
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_types import ImageContent
from PIL import Image, ImageOps

from modules.faults import RequestFault
from modules.pixels.metadata import formats
from modules.server.sent import keep

if TYPE_CHECKING:
    from modules.app import App

OWN = "picture:"  # before the id of a picture in the library
AS_IT_IS_BYTES = 700_000  # chat programs take about a megabyte
SIDE_PX = 1024
QUALITY = 90
TYPES = ("image/png", "image/jpeg", "image/webp")


def take(app: App, sent: str, field: str) -> str:
    """The reference of a picture that a tool was given: "picture:ID", "input:...", base64 or a data URI.

    Raises RequestFault, or Refused for what is no picture.
    """
    if not sent.startswith(OWN):
        return keep(sent, field, app.inputs, app.settings.current)
    row = app.pictures.row(sent.removeprefix(OWN))
    if row is None:
        raise RequestFault(field, "names a picture that is not there any more", got=sent)
    try:
        return app.inputs.put(Path(row.path).read_bytes(), field)
    except OSError as error:
        raise RequestFault(field, f"names a picture whose file cannot be read: {error.strerror}", got=sent) from error


def name_of(app: App, path: str) -> str:
    """The name by which tools take a picture of ours again; "" when it was not kept."""
    row = app.pictures.at(Path(path))
    return f"{OWN}{row.id}" if row else ""


def shown(path: Path) -> ImageContent | None:
    """A picture for a chat: the file itself when it is small, else a smaller JPEG of it. None when it cannot be read any more."""
    try:
        data, media_type = path.read_bytes(), mimetypes.guess_type(path.name)[0] or ""
        if len(data) > AS_IT_IS_BYTES or media_type not in TYPES:
            data, media_type = _smaller(data), "image/jpeg"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what PIL raises for broken pictures
        return None
    return ImageContent(type="image", data=base64.b64encode(data).decode(), mime_type=media_type)


def _smaller(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=formats()) as image:
        small = (ImageOps.exif_transpose(image) or image).convert("RGB")
        small.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=QUALITY)
        return buffer.getvalue()
