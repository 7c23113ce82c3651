"""GET /sdapi/v1/memory: main and device memory, as the worker reports them.

Knows the shape; the worker knows the figures. Start reading at `routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil
from fastapi import APIRouter

if TYPE_CHECKING:
    from modules.app import App


def routes(app: App) -> APIRouter:
    """The route of the memory figures."""
    router = APIRouter(tags=["server"])

    @router.get("/sdapi/v1/memory")
    def memory() -> dict[str, Any]:
        """ram: {free, used, total} bytes; cuda: figures of the device, or {error} where there is none."""
        reported = app.jobs.worker().get("memory") or {}
        return {"ram": reported.get("ram") or _ram(), "cuda": reported.get("cuda") or {"error": "no device is in use"}}

    return router


def _ram() -> dict[str, int]:
    """Of the whole machine, in bytes; used while no worker has reported."""
    found = psutil.virtual_memory()
    return {"free": found.available, "used": found.total - found.available, "total": found.total}
