"""/internal/extensions: what the Extensions tab shows and does: grades, faults, times, switching, options, installing, updates, the bin.

Knows who may do what from where; `Steward` does the work. What takes long runs in a thread, one thing at a time, and is asked about.
Start reading at `routes`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response

from modules.faults import Fault, NotAllowed, RequestFault
from modules.plugins import assets, removal
from modules.plugins.bringing import is_remote
from modules.plugins.steward import Steward
from modules.server.access import LOOPBACK_NAMES, is_loopback
from modules.server.body import Body
from modules.server.errors import Refused
from modules.server.extension_rows import rows_of
from modules.server.power import RESTART, Power
from modules.users import ADMIN, require, viewer_of

if TYPE_CHECKING:
    from modules.app import App

log = logging.getLogger(__name__)
LINES = 200
INSECURE = "--enable-insecure-extension-access"


class Errand:
    """What is being done at the moment, in a thread. lines: what it said; fault: why it failed; number: counts up with each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = False
        self.number = 0
        self.title = ""
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.fault = ""

    def begin(self, title: str, work: Callable[[Callable[[str], None]], list[str]]) -> None:
        """Do it. Raises RequestFault while another one is being done."""
        with self._lock:
            if self._busy:
                raise RequestFault("extensions", f"wait until this has ended: {self.title}")
            self._busy = True
            self.number += 1
            self.title, self.lines, self.notes, self.fault = title, [], [], ""
        threading.Thread(target=self._work, args=(work,), daemon=True, name="extensions").start()

    def _work(self, work: Callable[[Callable[[str], None]], list[str]]) -> None:
        try:
            self.notes = work(self.lines.append)
        except Fault as fault:
            self.fault = fault.message
        except Exception as error:
            log.exception("%s failed", self.title)
            self.fault = f"{type(error).__name__}: {error}"
        finally:
            self._busy = False

    def to_data(self) -> dict[str, Any]:
        return {
            "busy": self._busy, "number": self.number, "title": self.title, "lines": self.lines[-LINES:], "notes": self.notes,
            "fault": self.fault,
        }  # fmt: skip


def routes(app: App, power: Power) -> APIRouter:
    """The routes of the Extensions tab."""
    router = APIRouter(prefix="/internal/extensions", tags=["page"])
    steward = Steward(app.folders, app.settings, app.flags.to_data())
    errand = Errand()
    updates: dict[str, dict[str, Any]] = {}
    began = off_now(app)

    @router.get("")
    def shown(request: Request) -> dict[str, Any]:
        """Every extension and script with how well it fits, what lies in the bin, and what is being done."""
        viewer = viewer_of(request)
        return {
            **rows_of(app, steward, updates),
            "bin": removal.binned(app.folders),
            "language": app.settings.current.localization,
            "languages": [assets.NONE, *assets.localizations(app.folders, steward.all())],
            "errand": errand.to_data(),
            "changes": viewer.may(ADMIN),
            "installs": why_not(app, request),
            "restart": power.restartable and viewer.may(ADMIN),
            "changed": off_now(app) != began or bool(errand.number),
        }

    @router.get("/errand")
    def doing() -> dict[str, Any]:
        """What is being done, or was done last."""
        return errand.to_data()

    _add_switches(router, app, steward)
    _add_errands(router, app, steward, errand, updates)

    @router.post("/restart", response_model=None)
    def restart(request: Request) -> Response:
        """End the server and start it again with the same command line; queued jobs stay, the running one is made once more."""
        require(request, ADMIN, "start the server again")
        if not power.restartable:
            raise Refused(409, "Conflict", errors="nobody would start the server again; only launch.py does")
        return JSONResponse({"ok": True}, background=BackgroundTask(power.ask, RESTART))

    return router


def _add_switches(router: APIRouter, app: App, steward: Steward) -> None:
    @router.post("/switch")
    def switch(request: Request, body: Body) -> dict[str, bool]:
        """Body: name, on. The worker follows with the next job, the page when it is built anew."""
        require(request, ADMIN, "switch extensions")
        steward.switch(_text(body, "name"), on=bool(body.get("on")))
        return {"ok": True}

    @router.post("/all")
    def everyone(request: Request, body: Body) -> dict[str, bool]:
        """Body: value, of the setting disable_all_extensions."""
        require(request, ADMIN, "switch extensions")
        app.settings.set({"disable_all_extensions": body.get("value")})
        return {"ok": True}

    @router.post("/forgive")
    def forgive(request: Request, body: Body) -> dict[str, bool]:
        """Body: guest. One that was switched off for its faults may try again."""
        require(request, ADMIN, "switch extensions")
        if app.scripts is not None:
            app.scripts.forgive(_text(body, "guest"))
        return {"ok": True}

    @router.post("/options")
    def options(request: Request, body: Body) -> dict[str, bool]:
        """Body: key, value: an option that an extension added. It is kept in config.json."""
        require(request, ADMIN, "change settings")
        if app.scripts is None:
            raise RequestFault("key", "there are no scripts here")
        app.scripts.set_option(_text(body, "key"), body.get("value"))
        return {"ok": True}

    @router.post("/remove")
    def remove(request: Request, body: Body) -> dict[str, str]:
        """Body: name. Into the bin; answers its place there."""
        require(request, ADMIN, "remove extensions")
        return {"place": steward.remove(_text(body, "name"))}

    @router.post("/restore")
    def restore(request: Request, body: Body) -> dict[str, str]:
        """Body: place. Out of the bin."""
        require(request, ADMIN, "put extensions back")
        return {"name": steward.restore(_text(body, "place"))}


def _add_errands(router: APIRouter, app: App, steward: Steward, errand: Errand, updates: dict[str, dict[str, Any]]) -> None:
    @router.post("/install")
    def install(request: Request, body: Body) -> dict[str, bool]:
        """Body: source, branch. Brings an extension in; nothing of it is run."""
        must_be_here(app, request)
        source, branch = _text(body, "source"), str(body.get("branch") or "")

        def work(say: Callable[[str], None]) -> list[str]:
            name, notes = steward.install(source, say, branch=branch)
            return [f"{name} is installed.", *notes]

        errand.begin(f"Installing {'from ' if is_remote(source) else ''}{source[:200]}", work)
        return {"ok": True}

    @router.post("/setup")
    def set_up(request: Request, body: Body) -> dict[str, bool]:
        """Body: name. Installs what an extension wants and runs its install.py, after a person has agreed to that."""
        must_be_here(app, request)
        name = steward.named(_text(body, "name")).folder.name
        errand.begin(f"Setting up {name}", lambda say: [f"{name} is set up.", *steward.set_up(name, say)])
        return {"ok": True}

    @router.post("/check")
    def check(request: Request) -> dict[str, bool]:
        """Ask where the extensions came from whether there is something newer."""
        must_be_here(app, request)

        def work(say: Callable[[str], None]) -> list[str]:
            found = steward.look_for_updates(say)
            updates.clear()
            updates.update(found)
            newer = sum(1 for news in found.values() if news["behind"])
            return [f"{newer} of {len(found)} extensions that came by git have something newer."]

        errand.begin("Looking for updates", work)
        return {"ok": True}

    @router.post("/update")
    def update(request: Request, body: Body) -> dict[str, bool]:
        """Body: name. Takes over what is newer."""
        must_be_here(app, request)
        name = steward.named(_text(body, "name")).folder.name

        def work(say: Callable[[str], None]) -> list[str]:
            notes = steward.update(name, say)
            updates.pop(name, None)
            return notes

        errand.begin(f"Updating {name}", work)
        return {"ok": True}


def off_now(app: App) -> tuple[Any, ...]:
    """What decides which extensions are on."""
    settings = app.settings.current
    return (sorted(settings.disabled_extensions), settings.disable_all_extensions)


def why_not(app: App, request: Request) -> str:
    """Why whoever asks may not install anything; "" when they may. An extension is a program that runs here with all rights."""
    if not viewer_of(request).may(ADMIN):
        return "only administrators install extensions"
    if app.flags.enable_insecure_extension_access:
        return ""
    if app.flags.tunnel_name or not is_loopback(app.flags.host):
        return f"the server answers other machines; start it without --listen, --server-name, --share and --tunnel, or with {INSECURE}"
    if request.app.state.tunnel.state.on:
        return f"a tunnel leads here from elsewhere; close it first, or start with {INSECURE}"
    address = request.client.host if request.client else ""
    if not is_loopback(address) or (request.url.hostname or "").lower() not in LOOPBACK_NAMES:
        return f"you are not at the machine the server runs on; use the command line there, or start it with {INSECURE}"
    return ""


def must_be_here(app: App, request: Request) -> None:
    """Raises NotAllowed."""
    if why := why_not(app, request):
        raise NotAllowed(f"Extensions cannot be installed from here: {why}.", needs=ADMIN)


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > 2000:
        raise RequestFault(name, "must be text", got=value)
    return value.strip()
