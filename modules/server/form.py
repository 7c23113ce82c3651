"""/internal/form: what the forms of the page hold, for whoever asks: kept, given back on another device, named as presets.

Knows who asks and the store of forms; knows nothing about the fields. Start reading at `routes`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request

from modules.forms import Forms
from modules.server.body import Body
from modules.users import GUEST, viewer_of

if TYPE_CHECKING:
    from modules.app import App


def routes(app: App) -> APIRouter:
    """The routes of the forms."""
    router = APIRouter(prefix="/internal/form", tags=["page"])
    forms = Forms(app.folders.forms)

    @router.get("")
    async def mine(request: Request) -> dict[str, Any]:
        """What whoever asks has here: forms by tab with their age in seconds, names of presets by tab, marks."""
        return await asyncio.to_thread(forms.of, viewer_of(request).owner)

    @router.post("")
    async def keep(request: Request, body: Body) -> dict[str, bool]:
        """Keep a form; body: tab, values, age_s (seconds since its change). Answers whether it was the newest: {kept}."""
        owner, guest = _who(request)
        kept = await asyncio.to_thread(forms.keep, owner, str(body.get("tab")), body.get("values"), body.get("age_s", 0), guest=guest)
        return {"kept": kept}

    @router.get("/preset")
    async def preset(
        request: Request, tab: Annotated[str, Query(max_length=40)], name: Annotated[str, Query(max_length=200)]
    ) -> dict[str, Any]:
        """The values of a preset: {values}."""
        return {"values": await asyncio.to_thread(forms.preset, viewer_of(request).owner, tab, name)}

    @router.post("/preset")
    async def save(request: Request, body: Body) -> dict[str, Any]:
        """Keep values as a preset; body: tab, name, values, replace. Answers what is here now, as GET /internal/form does."""
        owner, guest = _who(request)
        replace = body.get("replace") is True
        tab = str(body.get("tab"))
        await asyncio.to_thread(forms.save_preset, owner, tab, body.get("name"), body.get("values"), replace=replace, guest=guest)
        return await asyncio.to_thread(forms.of, owner)

    @router.post("/preset/rename")
    async def rename(request: Request, body: Body) -> dict[str, Any]:
        """Give a preset another name; body: tab, name, to."""
        owner, guest = _who(request)
        await asyncio.to_thread(forms.rename_preset, owner, str(body.get("tab")), body.get("name"), body.get("to"), guest=guest)
        return await asyncio.to_thread(forms.of, owner)

    @router.post("/preset/delete")
    async def delete(request: Request, body: Body) -> dict[str, Any]:
        """Delete a preset; body: tab, name."""
        owner, guest = _who(request)
        await asyncio.to_thread(forms.delete_preset, owner, str(body.get("tab")), body.get("name"), guest=guest)
        return await asyncio.to_thread(forms.of, owner)

    @router.post("/mark")
    async def mark(request: Request, body: Body) -> dict[str, bool]:
        """Remember a word about whoever asks, as that the tour was taken; body: name, value."""
        owner, guest = _who(request)
        await asyncio.to_thread(forms.mark, owner, body.get("name"), body.get("value"), guest=guest)
        return {"kept": True}

    return router


def _who(request: Request) -> tuple[str, bool]:
    """(owner, is a guest)."""
    viewer = viewer_of(request)
    return viewer.owner, viewer.role == GUEST
