"""How the guard says no: A1111's error shape for programs, the sign-in page for people, and nothing that makes a browser ask itself.

Knows answers; the guard knows when. Start reading at `needs_name`.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import Response

from modules.server.errors import http_error

CHALLENGE, QUIET_CHALLENGE = {"WWW-Authenticate": "Basic"}, {"WWW-Authenticate": "Bearer"}
HOW_TO_GET_IN = "Incorrect username or password"  # A1111's words


def wants_page(method: str, headers: Headers) -> bool:
    """A person opens an address in a browser: what comes back is looked at, not read by a program."""
    return method == "GET" and "text/html" in headers.get("accept", "")


def needs_name(headers: Headers, *, browser: bool) -> Response:
    """401. A program is asked for Basic, as A1111 asks; a browser would open its own box for that, so it is not."""
    quiet = browser or "sec-fetch-mode" in headers
    return http_error(401, HOW_TO_GET_IN, headers=QUIET_CHALLENGE if quiet else CHALLENGE)


def needs_role(role: str, least: str) -> Response:
    """403."""
    return http_error(403, "Forbidden", errors=f"Your role here is {role}; this takes the role {least}. An administrator can change it.")


def not_theirs() -> Response:
    """404: what a guest may not see is not there for them."""
    return http_error(404, "Not Found", errors="there is nothing here that is yours")


def must_wait(seconds: int, why: str) -> Response:
    """429."""
    return http_error(429, "Too Many Requests", errors=f"{why} Try again in {seconds} s.", headers={"Retry-After": str(seconds)})


def foreign_host() -> Response:
    """403 for a name that is not this server's."""
    return http_error(403, "This name does not belong to this server.", errors="If it does, start with --cors-allow-origins http://NAME.")


def foreign_origin() -> Response:
    """403 for a change that another site's page asks for."""
    return http_error(
        403, "Another site may not make changes here.", errors="To allow it, start with --cors-allow-origins and its address."
    )
