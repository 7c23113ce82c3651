"""/internal/styles: the styles of styles.csv, for the editor on the Settings tab. Start reading at `routes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from modules.faults import RequestFault
from modules.prompts.styles import TEXT_LIMIT, Style
from modules.server.body import Body
from modules.users import ADMIN, require

if TYPE_CHECKING:
    from modules.app import App


def routes(app: App) -> APIRouter:
    """The routes of the styles editor."""
    router = APIRouter(prefix="/internal/styles", tags=["page"])

    @router.get("")
    def styles() -> dict[str, Any]:
        """Every style in the file's order, and what is wrong with the file."""
        rows = [{"name": s.name, "prompt": s.prompt, "negative_prompt": s.negative_prompt} for s in app.styles.list()]
        return {"rows": rows, "damage": app.styles.damage}

    @router.post("")
    def save(request: Request, body: Body) -> dict[str, bool]:
        """Body: name, prompt, negative_prompt; was, the name it had so far; place, where among the styles a new one stands."""
        require(request, ADMIN, "change styles")
        was, place = body.get("was"), body.get("place")
        if was is not None and not isinstance(was, str):
            raise RequestFault("was", "must be the name of a style", got=was)
        if place is not None and (not isinstance(place, int) or isinstance(place, bool) or place < 0):
            raise RequestFault("place", "must be a number from 0", got=place)
        new = Style(_text(body, "name"), _text(body, "prompt"), _text(body, "negative_prompt"))
        if was is None and any(style.name == new.name for style in app.styles.list()):
            raise RequestFault("name", "is taken by another style; choose another one", got=new.name)
        app.styles.save(new, was=was, place=place)
        return {"ok": True}

    @router.post("/delete")
    def delete(request: Request, body: Body) -> dict[str, bool]:
        """Body: name."""
        require(request, ADMIN, "change styles")
        app.styles.delete(_text(body, "name"))
        return {"ok": True}

    return router


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or len(value) > TEXT_LIMIT:
        raise RequestFault(name, f"must be text of at most {TEXT_LIMIT} characters")
    return value
