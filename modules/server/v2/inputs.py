"""/api/v2/inputs: pictures to begin with, sent once as bytes and then named in requests, so that a request stays small.

Knows the input store by references; a picture is named by the digest of its bytes, never by a path. Start reading at `routes`.
"""

from __future__ import annotations

import asyncio
import mimetypes
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from modules.faults import RequestFault
from modules.request import REFERENCE
from modules.server.errors import Refused
from modules.server.v2.files import BINARY, file_answer, file_responses
from modules.server.v2.shapes import Answer, problems

if TYPE_CHECKING:
    from modules.app import App

TYPES = ("image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "image/bmp", "image/tiff")
BODY: dict[str, Any] = {"requestBody": {"required": True, "content": dict.fromkeys((*TYPES, "application/octet-stream"), BINARY)}}
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="the reference without its first word")]


class Input(Answer):
    """A picture that is kept for requests. reference: what fields such as init_images, mask and image take; width, height: upright."""

    reference: str
    width: int
    height: int


def routes(app: App) -> APIRouter:
    """The routes of inputs."""
    router = APIRouter(prefix="/api/v2/inputs", tags=["v2 inputs"])

    @router.post("", summary="Send a picture to begin with", responses=problems(413, 422), openapi_extra=BODY)
    async def put(request: Request) -> Input:
        """Keep the picture file that is the body. The same bytes have the same reference; unused ones go after 30 days."""
        data = await request.body()
        return await asyncio.to_thread(_put, app, data)

    file_route: dict[str, Any] = {"response_class": Response, "responses": file_responses(*TYPES) | problems(400, 404, 416, 422)}

    @router.head("/{digest}", include_in_schema=False)
    @router.get("/{digest}", summary="Fetch a picture that was sent", **file_route)
    def get(request: Request, digest: Digest) -> Response:
        """The file as it was sent."""
        try:
            path = app.inputs.path(REFERENCE + digest)
        except RequestFault as fault:
            raise Refused(404, "Not Found", errors=fault.message) from fault
        return file_answer(request, path, mimetypes.guess_type(path.name)[0] or "application/octet-stream")

    return router


def _put(app: App, data: bytes) -> Input:
    reference = app.inputs.put(data, "body")
    with app.inputs.open(reference, "body") as image:
        return Input(reference=reference, width=image.width, height=image.height)
