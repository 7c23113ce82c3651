"""A small web server on this machine that misbehaves where it is told to: cuts connections, changes files, redirects.

`Site` is the server; a test puts files into `site.files` and reads `site.asked`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from modules.upkeep.reach import Reach


@dataclass
class Page:
    """body; cuts: after how many bytes of each answer in turn the connection is closed; headers: more of them."""

    body: bytes
    cuts: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    ranges: bool = True
    length: bool = True

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


class Site:
    """Serves `files` (path -> Page) on a port of its own until it is closed."""

    def __init__(self) -> None:
        self.files: dict[str, Page] = {}
        self.asked: list[tuple[str, str]] = []
        self.told: list[dict[str, str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def do_CONNECT(self) -> None:
                site.asked.append((self.path, self.headers.get("Proxy-Authorization", "")))
                self.send_error(403)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that hangs up is no error here."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def reach(self) -> Reach:
        return Reach(test_port=self.port, timeout_s=5, pauses_s=(0.01,))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def put_repository(self, repo: str, files: dict[str, bytes]) -> None:
        """The hub's listing of a repository and the files themselves; .safetensors are in its large storage, with digests."""
        rows = []
        for path, body in files.items():
            large = {"lfs": {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}} if path.endswith(".safetensors") else {}
            rows.append({"rfilename": path, "size": len(body), **large})
            self.files[f"/{repo}/resolve/abc123/{path}"] = Page(body)
        listing = json.dumps({"sha": "abc123", "siblings": rows}).encode()
        self.files[f"/api/models/{repo}/revision/main"] = Page(listing)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        wanted = handler.headers.get("Range", "")
        self.asked.append((path, wanted))
        self.told.append(dict(handler.headers))
        page = self.files.get(path)
        if page is None:
            handler.send_error(404)
            return
        start, status = 0, page.status
        span = re.fullmatch(r"bytes=(\d+)-", wanted)
        if span and page.ranges and status == 200 and handler.headers.get("If-Range", page.etag) == page.etag:
            start, status = int(span[1]), 206
            if start >= len(page.body):
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{len(page.body)}")
                handler.end_headers()
                return
        body = page.body[start:]
        handler.send_response(status)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(page.body) - 1}/{len(page.body)}")
        if page.length:
            handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", page.etag)
        for name, value in page.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if page.cuts:
            body = body[: page.cuts.pop(0)]
        handler.wfile.write(body)
