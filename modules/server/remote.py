"""/internal/remote: who is connected, the addresses of this server with their QR codes, and the tunnel's buttons. For administrators.

Knows sessions, callers and the tunnel; gives no key, token or password away. Start reading at `routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from modules.faults import RequestFault, SetupFault, UnknownName
from modules.remote import CLIENTS, Tunnel, asked_of, picture
from modules.remote.asked import OWN_COMMAND
from modules.remote.programs import is_there
from modules.server.access import LOOPBACK_NAMES, Access
from modules.server.body import Body
from modules.server.door import Door
from modules.server.errors import Refused
from modules.server.ways import require_names, ways_in

if TYPE_CHECKING:
    from modules.app import App

LONGEST_MINUTES = 43200
SVG = "image/svg+xml"


def routes(app: App, access: Access, door: Door, tunnel: Tunnel) -> APIRouter:
    """The routes of the part "Connected" of the System tab."""
    router = APIRouter(prefix="/internal/remote", tags=["page"])

    @router.get("")
    def connected(request: Request) -> dict[str, Any]:
        """Sessions, programs, addresses, the tunnel and which of them could be opened. asks: a name is needed for everything here."""
        mine = door.sessions.named(door.session_key(request.headers))
        return {
            "asks": access.protects_everything,
            "sessions": [_session(one, mine) for one in door.sessions.all()],
            "programs": [_caller(one) for one in door.programs.all()],
            "addresses": _addresses(app, tunnel),
            "tunnel": tunnel.state.to_data() | {"on": tunnel.state.on},
            "kinds": _kinds(app),
            "minutes": app.flags.tunnel_expires or 0,
        }

    @router.get("/qr", responses={200: {"content": {SVG: {}}}}, response_class=Response)
    def qr(address: str) -> Response:
        """The QR code of one of the addresses that `connected` names, as SVG."""
        if address not in _addresses(app, tunnel):
            raise RequestFault("address", "is none of this server's", got=address)
        return Response(picture(address), media_type=SVG, headers={"Cache-Control": "no-store"})

    @router.post("/tunnel", responses={409: {"description": "the program of the tunnel is not here, or does not do what is asked"}})
    def switch(body: Body) -> dict[str, Any]:
        """on: open or close; name: which tunnel; minutes: after which it is closed by itself, 0 for never.

        Never without names: 403 while anybody may come in without one. What programs are run, and with which tokens, is the command
        line's business alone.
        """
        if not body.get("on"):
            tunnel.stop()
            return tunnel.state.to_data()
        require_names(access)
        name, minutes = body.get("name"), body.get("minutes", 0)
        known = [row["name"] for row in _kinds(app)]
        if not isinstance(name, str) or name not in known:
            raise UnknownName("name", str(name), known)
        if not isinstance(minutes, int) or isinstance(minutes, bool) or not 0 <= minutes <= LONGEST_MINUTES:
            raise RequestFault("minutes", f"must be a whole number from 0 to {LONGEST_MINUTES}", got=minutes)
        try:
            return tunnel.start(name, asked_of(app.flags, name, minutes)).to_data()
        except SetupFault as fault:
            raise Refused(409, fault.message) from fault

    @router.post("/sessions/{session_id}/end")
    def end(session_id: str) -> dict[str, bool]:
        """Sign that browser out; ok is false when it was already."""
        return {"ok": door.sessions.end_named(session_id)}

    return router


def _session(one: Any, mine: str) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.person.name,
        "role": one.person.role,
        "address": one.address,
        "since_s": one.since_s,
        "seen_s": one.seen_s,
        "mine": one.id == mine,
    }


def _caller(one: Any) -> dict[str, Any]:
    return {
        "name": one.person.name,
        "role": one.person.role,
        "token": one.person.token,
        "address": one.address,
        "since_s": one.since_s,
        "seen_s": one.seen_s,
        "requests": one.requests,
    }


def _addresses(app: App, tunnel: Tunnel) -> list[str]:
    """The tunnel's first, then those in the network."""
    flags = app.flags
    url = f"{'https' if flags.tls_certfile else 'http'}://127.0.0.1:{flags.port}"
    host = "127.0.0.1" if flags.host in LOOPBACK_NAMES else flags.host
    return [*filter(None, [tunnel.state.address]), *ways_in(url, host, flags)]


def _kinds(app: App) -> list[dict[str, Any]]:
    """The tunnels that could be opened; one's own command when the command line gives it."""
    return [
        {
            "name": name,
            "words": client.words,
            "public": client.public,
            "there": is_there(name, asked_of(app.flags, name)),
            "install": client.install,
            "wished": name == app.flags.tunnel_name,
        }
        for name, client in CLIENTS
        if name != OWN_COMMAND or app.flags.tunnel_command
    ]
