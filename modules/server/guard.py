"""The guard: one ASGI middleware before every route, mounted apps and websockets included.

Knows headers and answers; `Access` knows whom to ask, `Door` who it is, `rules` what they may. Refuses foreign Host names (DNS
rebinding), changes asked for by foreign pages, callers without a name where one is needed or without the role, too many requests,
and bodies that are too large or too slow. Start reading at `Guard`.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modules.server import refusals
from modules.server.access import Access
from modules.server.door import Door, MustWait
from modules.server.errors import http_error
from modules.server.ownership import Ownership
from modules.server.people import Person
from modules.server.rules import PUBLIC, least_role
from modules.server.sending import Incoming, Patience
from modules.server.signin import page
from modules.users import GUEST, Viewer
from modules.users.rates import Rate

READING = frozenset({"GET", "HEAD", "OPTIONS"})
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-ancestors 'self'",
    "Referrer-Policy": "same-origin",
}


class Guard:
    """Lets a request through, or answers it. Leaves the name of the user in `request.state.user` (None: nobody was asked) and the role
    in `request.state.role`.
    """

    def __init__(
        self, app: ASGIApp, access: Access, door: Door, ownership: Ownership, rate: Rate | None = None, patience: Patience | None = None
    ) -> None:
        self._app = app
        self._access = access
        self._door = door
        self._ownership = ownership
        self._rate = rate
        self._patience = patience or Patience()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope, Headers(scope=scope))
        if scope["type"] == "websocket":
            if refusal is None:
                await self._app(scope, receive, send)
            elif "websocket.http.response" in scope.get("extensions", {}):
                await refusal(scope, receive, send)
            else:  # closing before accepting is a 403 on the wire
                await send({"type": "websocket.close", "code": 1008})
            return
        if refusal is None:
            await self._app(scope, Incoming(receive, self._patience), _with_security_headers(send))
        else:
            await refusal(scope, receive, _with_security_headers(send))

    async def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request that may not pass."""
        hosts = headers.getlist("host")
        host = hosts[0] if hosts else ""
        if len(hosts) > 1 or (hosts and not self._access.host_allowed(host)):
            return refusals.foreign_host()
        if not self._origin_fits(scope, headers, host):
            return refusals.foreign_origin()
        if (length := headers.get("content-length", "0")).isdecimal() and int(length[:20]) > self._patience.limit:
            return http_error(413, self._patience.too_large)
        person = await self._person(scope, headers)
        if isinstance(person, Response):
            return person
        viewer = Viewer(person.shown_name, person.role) if person else Viewer()
        scope.setdefault("state", {}).update(user=viewer.name, role=viewer.role)
        return self._too_often(scope, person) or await self._beyond_role(scope, viewer)

    async def _person(self, scope: Scope, headers: Headers) -> Person | Response | None:
        """Who asks; None when nobody is asked here; else the answer to somebody who is not proved."""
        path = own_path(scope)
        sources = self._access.sources_for(path)
        if path in PUBLIC or not sources:
            return None
        found = await self._door.of_request(headers, address_of(scope))
        if isinstance(found, MustWait):
            return refusals.must_wait(found.seconds, "There were too many wrong passwords.")
        if found is not None and found.sources & sources:
            return found
        if scope["type"] == "http" and refusals.wants_page(scope["method"], headers):
            return page(scope, status=401)
        return refusals.needs_name(headers, browser=self._door.session_key(headers) is not None)

    def _too_often(self, scope: Scope, person: Person | None) -> Response | None:
        if self._rate is None:
            return None
        wait_s = self._rate.take(f"user {person.shown_name}" if person else f"address {address_of(scope)}")
        return refusals.must_wait(wait_s, "These are more requests than this server takes from one.") if wait_s else None

    async def _beyond_role(self, scope: Scope, viewer: Viewer) -> Response | None:
        """The answer to somebody whose role does not suffice, or to a guest who asks for what is another's."""
        path = own_path(scope)
        least = GUEST if path in PUBLIC else least_role(scope.get("method", "GET"), path)
        if not viewer.may(least):
            return refusals.needs_role(viewer.role, least)
        if viewer.only is None:
            return None
        return None if await asyncio.to_thread(self._ownership.allows, viewer, path) else refusals.not_theirs()

    def _origin_fits(self, scope: Scope, headers: Headers, host: str) -> bool:
        """No other site's page asks for a change. Programs send no Origin and pass; so does reading, which CORS governs."""
        if scope["type"] == "http" and scope["method"] in READING:
            return True
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        return self._access.origin_allowed(origin, host)


def address_of(scope: Scope) -> str:
    """Of the caller, as the server's own proxies tell it (--forwarded-allow-ips)."""
    return (scope.get("client") or ("?",))[0]


def own_path(scope: Scope) -> str:
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
