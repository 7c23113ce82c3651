"""The guard: one ASGI middleware before every route, mounted apps and websockets included.

Knows headers, sizes and `Access`; knows nothing about routes. Refuses foreign Host names (DNS rebinding), changes asked for
by foreign pages, callers without a password where one is needed, and bodies that are too large. Start reading at `Guard`.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modules.server.access import Access, user_of
from modules.server.errors import http_error

BODY_LIMIT_BYTES = 64 * 1024 * 1024
READING = frozenset({"GET", "HEAD", "OPTIONS"})
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-ancestors 'self'",
    "Referrer-Policy": "same-origin",
}


class Guard:
    """Lets a request through, or answers it. Leaves the name of the user in `request.state.user` (None: nobody was asked)."""

    def __init__(self, app: ASGIApp, access: Access, body_limit: int = BODY_LIMIT_BYTES) -> None:
        self._app = app
        self._access = access
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if refusal is None:
                await self._app(scope, receive, send)
            else:  # closing before accepting is a 403 on the wire
                await send({"type": "websocket.close", "code": 1008})
            return
        if refusal is None:
            await self._app(scope, self._limited(receive), _with_security_headers(send))
        else:
            await refusal(scope, receive, _with_security_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        """The answer to a request that may not pass."""
        hosts = headers.getlist("host")
        host = hosts[0] if hosts else ""
        if len(hosts) > 1 or (hosts and not self._access.host_allowed(host)):
            return http_error(
                403, "This name does not belong to this server.", errors="If it does, start with --cors-allow-origins http://NAME."
            )
        if not self._origin_fits(scope, headers, host):
            return http_error(
                403, "Another site may not make changes here.", errors="To allow it, start with --cors-allow-origins and its address."
            )
        users = self._access.users_for(_own_path(scope))
        user = user_of(headers.get("authorization", ""), users) if users is not None else None
        if users is not None and user is None:
            return http_error(401, "Incorrect username or password", headers={"WWW-Authenticate": "Basic"})
        scope.setdefault("state", {})["user"] = user
        if (length := headers.get("content-length", "0")).isdecimal() and int(length[:20]) > self._body_limit:
            return http_error(413, self._too_large)
        return None

    def _origin_fits(self, scope: Scope, headers: Headers, host: str) -> bool:
        """No other site's page asks for a change. Programs send no Origin and pass; so does reading, which CORS governs."""
        if scope["type"] == "http" and scope["method"] in READING:
            return True
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        return self._access.origin_allowed(origin, host)

    def _limited(self, receive: Receive) -> Receive:
        """The body, cut off where it exceeds the limit (a chunked body does not say its length beforehand)."""
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._body_limit:
                raise HTTPException(413, self._too_large)
            return message

        return limited

    @property
    def _too_large(self) -> str:
        return f"The body is larger than {self._body_limit // (1024 * 1024)} MB"


def _own_path(scope: Scope) -> str:
    """The path as routes see it: without the prefix that a proxy put before it (--subpath)."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _with_security_headers(send: Send) -> Send:
    async def send_with(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with
