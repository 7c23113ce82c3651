"""POST /sdapi/v1/png-info: the parameters that a picture carries.

Knows A1111's answer; `pixels.metadata` reads the picture and `infotext` parses. Start reading at `routes`.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from modules import infotext
from modules.faults import RequestFault
from modules.pixels.metadata import read_parameters
from modules.server.body import Body
from modules.server.errors import Refused
from modules.server.sent import INVALID, UNREADABLE, received

if TYPE_CHECKING:
    from modules.app import App

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


def routes(app: App) -> APIRouter:
    """The route of png-info."""
    router = APIRouter(tags=["pictures"])

    @router.post("/sdapi/v1/png-info", openapi_extra=_BODY)
    def png_info(body: Body) -> dict[str, Any]:
        """info: the parameters text, "" when there is none; items: other metadata; parameters: the text, parsed."""
        text, items = _read(received(body.get("image"), "image", app.settings.current))
        return {"info": text, "items": items, "parameters": infotext.parse(text)}

    return router


def _read(data: bytes) -> tuple[str, dict[str, str]]:
    try:
        return read_parameters(io.BytesIO(data))
    except RequestFault as fault:
        raise Refused(UNREADABLE, INVALID, errors=fault.message) from fault
