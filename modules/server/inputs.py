"""/internal/inputs: pictures that the page sends to begin with, and the same ones back for its canvases.

Knows the input store by references; a picture is named by the digest of its bytes, never by a path. Start reading at `routes`.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from PIL import Image
from starlette.responses import Response

from modules.pixels.sketch import painted_over
from modules.request import REFERENCE
from modules.server.body import Body

if TYPE_CHECKING:
    from modules.app import App

SIDE_PX = 2048
KEPT = {"Cache-Control": "private, max-age=86400, immutable"}
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


def routes(app: App) -> APIRouter:
    """The routes of the input store."""
    router = APIRouter(prefix="/internal/inputs", tags=["page"])

    @router.post("")
    async def put(request: Request) -> dict[str, Any]:
        """Keep the picture file that is the body; answers its reference and its size, upright."""
        data = await request.body()
        return await asyncio.to_thread(_put, app, data)

    @router.post("/painted")
    async def painted(body: Body) -> dict[str, Any]:
        """A picture with a layer laid on it, as a picture of its own; body: image, layer (references)."""
        return await asyncio.to_thread(_painted, app, str(body.get("image")), str(body.get("layer")))

    @router.get("/{digest}", response_class=Response)
    def get(digest: Digest, side: Annotated[int, Query(ge=16, le=4096)] = SIDE_PX) -> Response:
        """The picture, upright, at most `side` pixels on its longer side; layers keep their transparency."""
        return Response(_small(app, REFERENCE + digest, side), media_type="image/png", headers=KEPT)

    return router


def _put(app: App, data: bytes) -> dict[str, Any]:
    reference = app.inputs.put(data)
    with app.inputs.open(reference) as image:
        return {"reference": reference, "width": image.width, "height": image.height}


def _painted(app: App, image: str, layer: str) -> dict[str, Any]:
    result = painted_over(app.inputs.open(image), app.inputs.open(layer))
    return {"reference": app.inputs.put_picture(result), "width": result.width, "height": result.height}


def _small(app: App, reference: str, side: int) -> bytes:
    image = app.inputs.open(reference)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
