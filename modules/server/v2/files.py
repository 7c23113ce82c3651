"""A file as an answer: parts of it on request, and nothing when the caller has it already (RFC 9110, conditional and range requests).

Knows headers and files; knows nothing about what the files are. Start reading at `file_answer`.
"""

from __future__ import annotations

from email.utils import parsedate
from pathlib import Path
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse

from modules.server.errors import Refused

CHECKED = {"Cache-Control": "private, no-cache"}  # kept by the browser, and asked about each time: a file may change under its name
BINARY = {"schema": {"type": "string", "format": "binary"}}


def file_answer(request: Request, path: Path, media_type: str, *, name: str | None = None) -> Response:
    """The file, a range of it, or 304. name: what it is saved as. Raises Refused(404) when it is not there."""
    try:
        stat = path.stat()
    except OSError as error:
        raise Refused(404, "Not Found", errors=f"{name or path.name} is no longer there") from error
    answer = FileResponse(path, media_type=media_type, filename=name, content_disposition_type="inline", stat_result=stat, headers=CHECKED)
    return NotModifiedResponse(answer.headers) if _is_known(answer.headers, request.headers) else answer


def file_responses(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers with `file_answer`."""
    content = dict.fromkeys(media_types, BINARY)
    return {
        200: {"description": "The file, with ETag and Last-Modified.", "content": content},
        206: {"description": "The part that Range asks for.", "content": {**content, "multipart/byteranges": BINARY}},
        304: {"description": "If-None-Match or If-Modified-Since shows that the caller has it."},
    }


def _is_known(own: Headers, asked: Headers) -> bool:
    """The caller has this very file. If-None-Match is the better question; with it the other one does not count."""
    if known := asked.get("if-none-match"):
        return known.strip() == "*" or own["etag"] in (tag.strip().removeprefix("W/") for tag in known.split(","))
    since, changed = parsedate(asked.get("if-modified-since", "")), parsedate(own["last-modified"])
    return since is not None and changed is not None and since >= changed
