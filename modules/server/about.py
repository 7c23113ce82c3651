"""What the server says about itself: /internal/sysinfo, sysinfo-download, profile-startup and quicksettings-hint.

Knows versions, figures and settings; passwords and the name of the home folder never appear. Start reading at `sysinfo`.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from modules import __version__
from modules.knobs import knobs_of
from modules.settings import Settings

if TYPE_CHECKING:
    from modules.app import App


class Startup:
    """How long the parts of the start took. records: part -> seconds, in order."""

    def __init__(self) -> None:
        self.records: dict[str, float] = {}
        self._last_s = psutil.Process().create_time()

    def mark(self, part: str) -> None:
        """A part ends now, and the next begins."""
        now = time.time()
        self.records[part] = round(max(0.0, now - self._last_s), 3)
        self._last_s = now


def routes(app: App, startup: Startup) -> APIRouter:
    """The routes of what the server says about itself."""
    router = APIRouter(prefix="/internal", tags=["server"])

    @router.get("/quicksettings-hint")
    def quicksettings_hint() -> list[dict[str, str]]:
        """Every setting with what it is called."""
        return [{"name": name, "label": f.knob.label} for name, f in knobs_of(Settings).items()]

    @router.get("/sysinfo", response_class=PlainTextResponse)
    def get_sysinfo(attachment: bool = False) -> PlainTextResponse:
        """This machine and this program as JSON text, for a report about a fault. attachment: as a file."""
        headers = _attached() if attachment else {}
        return PlainTextResponse(json.dumps(sysinfo(app), indent=4), headers=headers)

    @router.get("/sysinfo-download", response_class=PlainTextResponse)
    def download_sysinfo() -> PlainTextResponse:
        """The same as a file."""
        return PlainTextResponse(json.dumps(sysinfo(app), indent=4), headers=_attached())

    @router.get("/profile-startup")
    def profile_startup() -> dict[str, Any]:
        """How long the parts of the start took, in seconds."""
        return {"total": round(sum(startup.records.values()), 3), "records": startup.records}

    return router


def sysinfo(app: App) -> dict[str, Any]:
    """JSON-ready, in A1111's words where it has some."""
    worker = app.jobs.worker()
    memory = psutil.virtual_memory()
    found = {
        "Platform": platform.platform(),
        "Python": platform.python_version(),
        "Version": __version__,
        "Script path": str(app.folders.program),
        "Data path": str(app.folders.data),
        "Commandline": app.flags.given(),
        "CPU": {"model": platform.processor() or platform.machine(), "count logical": os.cpu_count()},
        "RAM": {"total": memory.total, "used": memory.total - memory.available, "free": memory.available},
        "Device": worker["device"],
        "Model": worker["model"],
        "Worker": worker["state"],
        "Models": app.library.counts(),
        "Config": app.settings.current.to_data(),
        "Packages": sorted(f"{d.name}=={d.version}" for d in importlib.metadata.distributions() if d.name),
    }
    return _without_home(found)


def _without_home(value: Any) -> Any:
    """The same without the name of the home folder in its texts."""
    home = str(Path.home())
    if isinstance(value, str):
        return value.replace(home, "~") if len(home) > 1 else value
    if isinstance(value, dict):
        return {key: _without_home(item) for key, item in value.items()}
    return [_without_home(item) for item in value] if isinstance(value, list | tuple) else value


def _attached() -> dict[str, str]:
    name = time.strftime("sysinfo-%Y-%m-%d-%H-%M.json")
    return {"Content-Disposition": f'attachment; filename="{name}"'}
