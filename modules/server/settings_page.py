"""/internal/settings: every setting with its declaration for the Settings tab; changing them, older versions, export and import.

Knows declarations as JSON; the settings store keeps the values, and scripts those of extensions. Start reading at `shown`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from modules import __version__
from modules.faults import Fault, RequestFault, UnknownName
from modules.knobs import KnobField, coerce, knobs_of
from modules.server.body import Body
from modules.server.here import why_not_here
from modules.server.power import Power
from modules.server.v2.choices import lists_of
from modules.settings import Settings, check
from modules.settings.declared import HERE_ONLY
from modules.users import ADMIN, USER, require, viewer_of

if TYPE_CHECKING:
    from modules.app import App

# Pages in the order that people need them; others follow.
PAGES = (
    "Stable Diffusion", "User interface", "Live previews", "Saving images", "Saving to a directory", "Paths for saving", "Folders",
    "Sampler parameters", "Optimizations", "img2img", "Upscaling", "ControlNet", "Interrogate", "Extra networks", "Infotext",
)  # fmt: skip
FORMAT = "darkroom settings"
BAR = "quicksettings_list"
KNOBS = knobs_of(Settings)


def routes(app: App, power: Power) -> APIRouter:
    """The routes of the settings themselves."""
    router = APIRouter(prefix="/internal/settings", tags=["page"])
    began = app.settings.current

    @router.get("")
    def settings(request: Request) -> dict[str, Any]:
        """Every setting: {pages: [{name, rows}], bar, changes, here, restart, waiting}."""
        return {**shown(app), **_standing(app, request, power, began)}

    @router.get("/bar")
    def bar() -> dict[str, Any]:
        """The settings that stand above the tabs, in order."""
        lists = lists_of(app)
        names = [name for name in dict.fromkeys(map(str, app.settings.current.quicksettings_list)) if name in KNOBS]
        return {"rows": [_row(app, name, KNOBS[name], lists) for name in names]}

    @router.post("")
    def change(request: Request, body: Body) -> dict[str, Any]:
        """Body: values, {name: value}. All or nothing; answers the rows as they are now."""
        require(request, ADMIN, "change settings")
        values = body.get("values")
        if not isinstance(values, dict) or not values:
            raise RequestFault("values", "must be an object of names and values")
        store(app, values, anywhere=not why_not_here(app, request))
        return {**shown(app, set(values)), **_standing(app, request, power, began)}

    _add_older(router, app)
    _add_files(router, app)
    return router


def _standing(app: App, request: Request, power: Power, began: Settings) -> dict[str, Any]:
    """What whoever asks may do, and what waits for a restart."""
    may = viewer_of(request).may(ADMIN)
    now = app.settings.current
    waiting = [name for name, field in KNOBS.items() if field.knob.restart and getattr(now, name) != getattr(began, name)]
    return {
        "changes": may, "here": why_not_here(app, request), "restart": may and power.restartable and not why_not_here(app, request),
        "waiting": waiting, "bar": list(now.quicksettings_list),
    }  # fmt: skip


def shown(app: App, only: set[str] | None = None) -> dict[str, Any]:
    """{"pages": [{"name", "rows"}]}: the program's settings, then those of extensions. only: these names."""
    lists = lists_of(app)
    pages: dict[str, list[dict[str, Any]]] = {name: [] for name in PAGES}
    for name, field in KNOBS.items():
        if only is None or name in only:
            pages.setdefault(field.knob.section or "Other", []).append(_row(app, name, field, lists))
    foreign = app.scripts.options() if app.scripts is not None else []
    for row in foreign:
        if only is None or row["key"] in only:
            pages.setdefault(row["section"] or "Extensions", []).append(_foreign(row))
    return {"pages": [{"name": name, "rows": rows} for name, rows in pages.items() if rows]}


def _row(app: App, name: str, field: KnobField, lists: Mapping[str, Any]) -> dict[str, Any]:
    knob = field.knob
    choices = knob.choices
    found = [[row.value, row.label] for row in lists[choices]()] if isinstance(choices, str) else [[c, c] for c in choices or ()]
    return {
        "key": name, "label": knob.label, "help": knob.help, "kind": field.kind.__name__, "value": getattr(app.settings.current, name),
        "default": field.default, "low": knob.low, "high": knob.high, "step": knob.step, "choices": found if choices is not None else None,
        "free": isinstance(choices, str), "long": knob.multiline or (knob.max_chars or 0) > 1000, "chars": knob.max_chars,
        "restart": knob.restart, "infotext": knob.infotext, "here": name in HERE_ONLY,
    }  # fmt: skip


def _foreign(row: Mapping[str, Any]) -> dict[str, Any]:
    """An option of an extension in the same shape."""
    kinds = {"bool": "bool", "number": "float", "choice": "str", "many": "list", "text": "str", "note": "note"}
    choices = [[c, str(c)] for c in row["choices"]] if row["choices"] else None
    return {
        "key": row["key"], "label": row["label"], "help": row["note"], "kind": kinds[row["kind"]], "value": row["value"],
        "default": row["default"], "low": row["minimum"], "high": row["maximum"], "step": row["step"], "choices": choices, "free": False,
        "long": False, "chars": None, "restart": False, "infotext": None, "here": False, "extension": True,
    }  # fmt: skip


def store(app: App, values: Mapping[str, Any], *, anywhere: bool) -> None:
    """Keep values of the program and of extensions. Raises UnknownName, RequestFault, DiskFault naming the setting."""
    foreign = {row["key"] for row in app.scripts.options()} if app.scripts is not None else set[str]()
    lists = lists_of(app)
    own: dict[str, Any] = {}
    for name, value in values.items():
        if name in KNOBS:
            own[name] = _chosen(name, coerce(KNOBS[name], value), getattr(app.settings.current, name), lists)
        elif name not in foreign:
            raise UnknownName("setting", name[:200], [*KNOBS, *foreign])
    app.settings.set(own, anywhere=anywhere)
    for name in values:
        if name in foreign and name not in KNOBS and app.scripts is not None:
            app.scripts.set_option(name, values[name])


def _chosen(name: str, value: Any, now: Any, lists: Mapping[str, Any]) -> Any:
    """The value, which stands in the list that it is chosen from, or is what it was or begins with. Raises UnknownName."""
    field = KNOBS[name]
    if not isinstance(field.knob.choices, str) or value in (now, field.default):
        return value
    known = {row.value for row in lists[field.knob.choices]()}
    before = now if isinstance(now, list) else [now]
    for item in value if isinstance(value, list) else [value]:
        if item not in known and item not in before:
            raise UnknownName(name, str(item)[:200], known)
    return value


def _add_older(router: APIRouter, app: App) -> None:
    @router.get("/older")
    def older(request: Request) -> dict[str, Any]:
        """The older versions of config.json, each with what differs from now: {n, saved_s, changes: [{key, label, now, then}]}."""
        require(request, USER, "see settings")
        now = app.settings.current
        return {"rows": [{"n": one.n, "saved_s": one.saved_s, "changes": _differing(now, one.settings)} for one in app.settings.older()]}

    @router.post("/restore")
    def restore(request: Request, body: Body) -> dict[str, Any]:
        """Body: n, saved_s, as `older` told them. What is so now becomes the latest of the older versions."""
        require(request, ADMIN, "change settings")
        n, saved_s = body.get("n"), body.get("saved_s")
        if not isinstance(n, int) or isinstance(n, bool) or not isinstance(saved_s, int | float):
            raise RequestFault("n", "must be the number of an older version, with its saved_s", got=n)
        app.settings.restore(n, saved_s)
        return {"ok": True}


def _differing(now: Settings, then: Settings) -> list[dict[str, Any]]:
    pairs = ((name, getattr(now, name), getattr(then, name)) for name in KNOBS)
    return [{"key": name, "label": KNOBS[name].knob.label, "now": a, "then": b} for name, a, b in pairs if a != b]


def _add_files(router: APIRouter, app: App) -> None:
    @router.get("/export")
    def export(request: Request) -> dict[str, Any]:
        """What differs from the defaults, as a file that `import` reads."""
        require(request, ADMIN, "export settings")
        values = {name: value for name, value in app.settings.current.to_data().items() if value != KNOBS[name].default}
        foreign = app.scripts.options() if app.scripts is not None else []
        others = {row["key"]: row["value"] for row in foreign if row["kind"] != "note" and row["value"] != row["default"]}
        return {"format": FORMAT, "version": __version__, "values": {**values, **others}}

    @router.post("/import")
    def bring(request: Request, body: Body) -> dict[str, Any]:
        """Body: file, an exported file or a config.json; dry, True to look only. Good values are taken, the others told with the reason."""
        require(request, ADMIN, "change settings")
        file = body.get("file")
        if not isinstance(file, dict):
            raise RequestFault("file", "must be the content of a file of settings, a JSON object")
        values = file.get("values", file) if file.get("format") == FORMAT else file
        if not isinstance(values, dict):
            raise RequestFault("file", "has no object of names and values in it")
        anywhere = not why_not_here(app, request)
        good, left = _sorted_out(app, values, anywhere=anywhere)
        before = shown(app, set(good))
        if good and body.get("dry") is not True:
            store(app, good, anywhere=anywhere)
        rows = {row["key"]: row for page in before["pages"] for row in page["rows"]}
        changes = [{"key": k, "label": rows[k]["label"], "now": rows[k]["value"], "then": v} for k, v in good.items()]
        return {"changes": changes, "left": left}


def _sorted_out(app: App, values: Mapping[str, Any], *, anywhere: bool) -> tuple[dict[str, Any], list[list[str]]]:
    """(the values that would change something and are good, [name, why] of those that are not)."""
    foreign = {row["key"]: row["value"] for row in (app.scripts.options() if app.scripts is not None else [])}
    lists = lists_of(app)
    good: dict[str, Any] = {}
    left: list[list[str]] = []
    for name, value in values.items():
        try:
            if name in KNOBS:
                now = getattr(app.settings.current, name)
                checked = _chosen(name, coerce(KNOBS[name], value), now, lists)
                check({name: checked}, app.settings.current, anywhere=anywhere)
                good |= {name: checked} if checked != now else {}
            elif name in foreign:
                good |= {name: value} if value != foreign[name] else {}
            else:
                left.append([str(name)[:200], "no setting of this version"])
        except Fault as fault:
            left.append([name, fault.message])
    return good, left
