"""Whether whoever asks sits at the machine that the server runs on, as an administrator: for what reaches any folder of that machine.

Start reading at `why_not_here`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request

from modules.faults import NotAllowed
from modules.server.access import LOOPBACK_NAMES, is_loopback
from modules.users import ADMIN, viewer_of

if TYPE_CHECKING:
    from modules.app import App


def why_not_here(app: App, request: Request) -> str:
    """Why this may not be done from where the request comes; "" when it may.

    A server that is shared meets everybody from this machine's own address, so there only the command line is left.
    """
    if not viewer_of(request).may(ADMIN):
        return "only administrators may do that"
    if app.flags.share:
        return "the page is open to the internet by --share; start without it, or use the command line"
    address = request.client.host if request.client else ""
    if not is_loopback(address) or (request.url.hostname or "").lower() not in LOOPBACK_NAMES:
        return "it reaches any folder of the machine that the program runs on; open the page there, or use the command line"
    return ""


def must_be_here(app: App, request: Request) -> None:
    """Raises NotAllowed."""
    if why := why_not_here(app, request):
        raise NotAllowed(f"This cannot be done from here: {why}.", needs=ADMIN)
