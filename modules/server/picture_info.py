"""POST /sdapi/v1/png-info: the parameters that a picture carries.

Knows how a picture arrives in JSON; `pixels.metadata` reads it and `infotext` parses. Start reading at `routes`.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from typing import Any

from fastapi import APIRouter

from modules import infotext
from modules.faults import RequestFault
from modules.pixels.metadata import read_parameters
from modules.server.body import Body
from modules.server.errors import Refused

INVALID = "Invalid encoded image"
_DATA_URI = re.compile(r"data:image/[\w.+-]{1,40};base64,", re.IGNORECASE)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {"image": {"type": "string", "description": "base64, bare or as a data URI"}},
                }
            }
        },
    }
}


def routes() -> APIRouter:
    """The route of png-info."""
    router = APIRouter(tags=["pictures"])

    @router.post("/sdapi/v1/png-info", openapi_extra=_BODY)
    def png_info(body: Body) -> dict[str, Any]:
        """info: the parameters text, "" when there is none; items: other metadata; parameters: the text, parsed."""
        text, items = _read(decode(body.get("image")))
        return {"info": text, "items": items, "parameters": infotext.parse(text)}

    return router


def decode(image: Any) -> bytes:
    """The file behind a base64 text or data URI. Raises RequestFault without one, Refused for what is not base64."""
    if not isinstance(image, str):
        raise RequestFault("image", "a picture in base64 is needed", got=image)
    text = image.strip()
    if text[:8].lower().startswith(("http://", "https://")):
        raise Refused(422, "Requests not allowed", errors="image: send the picture itself, in base64")
    prefix = _DATA_URI.match(text)
    try:
        data = base64.b64decode("".join(text[prefix.end() if prefix else 0 :].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(422, INVALID, errors=f"image: {error}") from error
    if not data:
        raise Refused(422, INVALID, errors="image: it is empty")
    return data


def _read(data: bytes) -> tuple[str, dict[str, str]]:
    try:
        return read_parameters(io.BytesIO(data))
    except RequestFault as fault:
        raise Refused(422, INVALID, errors=fault.message) from fault
