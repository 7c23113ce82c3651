"""/sign-in and /sign-out: a page of our own instead of the browser's box, and the session cookie that it gives.

Knows forms and cookies; `Door` knows passwords and sessions. Also /internal/me: who one is here. Start reading at `routes`.
"""

from __future__ import annotations

import string
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from modules.server.access import Access
from modules.server.credentials import Password
from modules.server.door import Door, MustWait
from modules.server.rules import SIGN_IN, SIGN_OUT
from modules.users import viewer_of

PAGE = string.Template(Path(__file__).with_name("signin.html").read_text(encoding="utf-8"))
FORM_BYTES, FORM_FIELDS, NEXT_CHARS = 16 * 1024, 10, 2000
COOKIE_S = 400 * 24 * 3600  # as long as browsers keep one: the server ends sessions, and a cookie without one tells that a person asks
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "WWW-Authenticate": "Bearer",  # 401 must name a way, and this one opens no box
}


def routes(access: Access, door: Door) -> APIRouter:
    """The routes of signing in and out."""
    router = APIRouter(include_in_schema=False)

    @router.get(SIGN_IN)
    async def form(request: Request, next: str = "") -> Response:
        """The page; where nobody is asked for a password, or somebody is signed in already, the way on."""
        if not access.asks_anywhere or door.signed_in(request.headers) is not None:
            return RedirectResponse(_inside(request.scope, next), 303)
        return page(request.scope, to=next)

    @router.post(SIGN_IN)
    async def sign_in(request: Request) -> Response:
        """Takes the form: name, password, next."""
        if not access.asks_anywhere:
            return RedirectResponse(_inside(request.scope, ""), 303)
        name, password, to = await _form(request)
        address = request.client.host if request.client else "?"
        found = await door.try_password(Password(name.strip(), password), address) if name.strip() and password else None
        if isinstance(found, MustWait):
            wait = f"There were too many wrong passwords. Try again in {_time(found.seconds)}."
            answer = page(request.scope, to=to, name=name, problem=wait, status=429)
            answer.headers["Retry-After"] = str(found.seconds)
            return answer
        if found is None:
            return page(request.scope, to=to, name=name, problem="The name or the password is not right.", status=401)
        if former := door.session_key(request.headers):
            door.sessions.end(former)
        answer = RedirectResponse(_inside(request.scope, to), 303)
        _set_cookie(answer, request.scope, door.cookie, door.sessions.begin(found, address), COOKIE_S)
        return answer

    @router.post(SIGN_OUT)
    async def sign_out(request: Request) -> Response:
        """Ends the session here, not only its cookie."""
        if key := door.session_key(request.headers):
            door.sessions.end(key)
        answer = RedirectResponse(f"{_root(request.scope)}{SIGN_IN}", 303)
        _set_cookie(answer, request.scope, door.cookie, "", 0)
        return answer

    @router.get("/internal/me", include_in_schema=True, tags=["page"])
    async def me(request: Request) -> dict[str, Any]:
        """Who asks: name (null: nobody was asked), role, and whether there is a session to sign out of."""
        viewer = viewer_of(request)
        return {"name": viewer.name, "role": viewer.role, "session": door.signed_in(request.headers) is not None}

    return router


def page(scope: Scope, *, to: str | None = None, name: str = "", problem: str = "", status: int = 200) -> HTMLResponse:
    """The sign-in page. to: where to go afterwards; None: to the address that was asked for."""
    query = scope.get("query_string", b"").decode("latin-1")
    asked_for = scope["path"] + (f"?{query}" if query else "")
    values = {
        "action": f"{_root(scope)}{SIGN_IN}",
        "next": _inside(scope, asked_for if to is None else to),
        "name": name[:200],
        "problem": problem,
    }
    plain = {key: escape(value) for key, value in values.items()}
    focus = {"name_focus": "" if name else "autofocus", "password_focus": "autofocus" if name else ""}
    return HTMLResponse(PAGE.substitute(plain, **focus), status, HEADERS)


def _inside(scope: Scope, to: str) -> str:
    """An address on this server and nowhere else; the page itself for anything odd."""
    home = f"{_root(scope)}/"
    plain = to.startswith("/") and not to.startswith("//") and "\\" not in to and to.isprintable() and len(to) <= NEXT_CHARS
    return to if plain and not to.startswith((f"{_root(scope)}{SIGN_IN}", f"{_root(scope)}{SIGN_OUT}")) else home


def _root(scope: Scope) -> str:
    return scope.get("root_path", "").rstrip("/")


async def _form(request: Request) -> tuple[str, str, str]:
    """Name, password and where to go then; "" for what is missing or no form at all."""
    body = await request.body()
    try:
        given = parse_qs(body.decode("utf-8", "replace"), max_num_fields=FORM_FIELDS) if len(body) <= FORM_BYTES else {}
    except ValueError:  # too many fields
        given = {}
    name, password, to = (given.get(key, [""])[0] for key in ("name", "password", "next"))
    return name, password, to


def _set_cookie(answer: Response, scope: Scope, name: str, value: str, max_age_s: int) -> None:
    secure = scope["scheme"] in ("https", "wss")
    answer.set_cookie(name, value, max_age=max_age_s, path=_root(scope) or "/", secure=secure, httponly=True, samesite="lax")


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 90 else f"{round(seconds / 60)} minutes"
