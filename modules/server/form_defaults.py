"""/internal/form-defaults: what the controls of txt2img and img2img begin with, kept in ui-config.json. Start reading at `routes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from modules.faults import Fault, RequestFault
from modules.knobs import KnobField, coerce
from modules.server.body import Body
from modules.settings import form_defaults
from modules.users import ADMIN, require

if TYPE_CHECKING:
    from modules.app import App

Row = dict[str, Any]


def routes(app: App) -> APIRouter:
    """The routes of the forms' defaults."""
    router = APIRouter(prefix="/internal/form-defaults", tags=["page"])

    @router.get("")
    def defaults() -> dict[str, list[Row]]:
        """The controls that begin differently from the program's own: rows of {key, tab, name, label, value, own}."""
        now = form_defaults.read(app.folders)
        return {"rows": [row for row in _rows(app, now) if row["value"] != row["own"]]}

    @router.post("/look")
    def look(request: Request, body: Body) -> dict[str, list[Row]]:
        """Body: tab, values by field name. What keeping them would change: rows of {key, tab, name, label, value, now}."""
        require(request, ADMIN, "change defaults")
        now = {row["key"]: row for row in _rows(app, form_defaults.read(app.folders))}
        wanted = _checked(body)
        return {"rows": [{**now[k], "now": now[k]["value"], "value": v} for k, v in wanted.items() if k in now and now[k]["value"] != v]}

    @router.post("")
    def keep(request: Request, body: Body) -> dict[str, bool]:
        """Body: tab, values by field name. They are what the controls begin with from the next start of the program on."""
        require(request, ADMIN, "change defaults")
        form_defaults.change(app.folders, _checked(body))
        return {"ok": True}

    @router.post("/forget")
    def forget(request: Request, body: Body) -> dict[str, bool]:
        """Body: keys, of those to begin as the program's own do; all of them when there are none."""
        require(request, ADMIN, "change defaults")
        keys = body.get("keys") or [row["key"] for row in _rows(app, form_defaults.read(app.folders))]
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise RequestFault("keys", "must be a list of keys", got=keys)
        own = form_defaults.shipped(app.folders)
        form_defaults.change(app.folders, {key: own.get(key) for key in keys})
        return {"ok": True}

    return router


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    values = body.get("values")
    if not isinstance(values, dict):
        raise RequestFault("values", "must be an object of names and values", got=values)
    return form_defaults.checked(str(body.get("tab")), values)


def _rows(app: App, now: dict[str, Any]) -> list[Row]:
    """Every control that has a default, with the one in use and the program's own."""
    own = form_defaults.shipped(app.folders)
    found: list[Row] = []
    for tab in form_defaults.FORMS:
        for key, field in form_defaults.keys_of(tab).items():
            start = _value(field, own[key], field.default) if key in own else field.default
            value = _value(field, now[key], start) if key in now else start
            found.append({"key": key, "tab": tab, "name": field.name, "label": field.knob.label, "value": value, "own": start})
    return found


def _value(field: KnobField, value: Any, start: Any) -> Any:
    try:
        return coerce(field, value)
    except Fault:  # the page says so and takes its own
        return start
