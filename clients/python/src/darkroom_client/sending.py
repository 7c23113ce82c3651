"""A `Call` as arguments for httpx, and its answer as a record; the same for the sync and the async client. Start reading at `Server`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx

from darkroom_client.calls import BASE, Call
from darkroom_client.errors import DarkroomError, error_of

T = TypeVar("T")


class Server:
    """Where the server is and how it is asked. Raises ValueError for an address without http:// or https://."""

    def __init__(self, url: str, user: str, password: str, token: str, timeout_s: float) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"{url!r} is no address of a server; it should look like http://127.0.0.1:7860")
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._auth = httpx.BasicAuth(user, password) if user and not token else None

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """The arguments of `httpx.Client.request` or `stream`."""
        return {
            "method": call.method,
            "url": self._address(call.path),
            "params": dict(call.params) or None,
            "json": call.json,
            "content": call.content,
            "files": list(call.files) if call.files is not None else None,
            "headers": {**self._headers, **call.headers},
            "auth": self._auth,
            "timeout": self._timeout_s + call.wait_s,
        }

    def answer(self, call: Call[T], response: httpx.Response) -> T:
        """The record of an answer. Raises Problem, or DarkroomError for an answer that is none of Darkroom's."""
        if response.status_code >= 400:
            raise error_of(response)
        try:
            return call.read(response)
        except (ValueError, KeyError, TypeError) as error:
            raise DarkroomError(
                f"The answer to {call.method} {call.path} is not understood; is this Darkroom, and of this version?"
            ) from error

    def _address(self, path: str) -> str:
        """Of a path of the API, or of an address that the server named. Raises DarkroomError for one that leads elsewhere."""
        if path.startswith(BASE):
            return f"{self._url}{path}"
        address = urljoin(f"{self._url}/", path)
        if urlsplit(address)[:2] != urlsplit(self._url)[:2]:
            raise DarkroomError(f"{path!r} leads to another server, which is not asked.")
        return address


def write_whole(path: Path, data: bytes) -> Path:
    """Write a file so that there is the old one or the new one, never a part."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return path
