"""Which files pass through Gradio: pictures of ours out, as they are; uploads in, and nothing else.

Start reading at `serve_in_place`, then `OnlyUploads`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.utils import get_upload_folder, is_static_file
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


def serve_folders(folders: list[Path]) -> None:
    """Files below these folders are served from where they are. The folders need not exist yet."""
    gr.set_static_paths([str(folder) for folder in folders])


def serve_in_place(path: str) -> str:
    """The path of a picture that the App made, served from where it lies, also when the settings put it elsewhere."""
    if not is_static_file(path):
        gr.set_static_paths([path])
    return path


class OnlyUploads:
    """An ASGI layer around Gradio: a file that a client names in an event must be one that was uploaded, or a picture of ours.

    Gradio looks for files in the values of every component. In an app that is mounted it does not check where they lie, so that
    any file of this machine would be copied into its cache, and it fetches web addresses for whoever names one.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"].rstrip("/").endswith("/upload"):
            await self._inner(scope, receive, send)
            return
        body = await _body(receive)
        try:
            foreign = next((path for path in _named_files(json.loads(body or b"null")) if not _is_ours(path)), None)
        except (ValueError, RecursionError):
            await PlainTextResponse("The body is not JSON.", 400)(scope, receive, send)
            return
        if foreign is not None:
            await PlainTextResponse("Only files that were uploaded can be used.", 403)(scope, receive, send)
            return
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._inner(scope, replay, send)


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _named_files(value: Any) -> Iterator[str]:
    """Every path in what Gradio would take for a file, however deep."""
    if isinstance(value, dict):
        if "path" in value and "meta" in value:
            yield str(value["path"])
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _named_files(one)


def _is_ours(path: str) -> bool:
    if "://" in path or "\x00" in path:
        return False
    resolved = Path(path).resolve()
    return resolved.is_relative_to(Path(get_upload_folder()).resolve()) or is_static_file(str(resolved))
