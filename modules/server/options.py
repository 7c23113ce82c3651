"""GET and POST /sdapi/v1/options, and GET /sdapi/v1/cmd-flags.

Knows A1111's form of the settings; the settings store keeps them. Start reading at `shown`, then `change`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from modules.faults import Fault, RequestFault, UnknownName
from modules.flags import table
from modules.knobs import knobs_of
from modules.request import Checkpoint
from modules.server.body import Body
from modules.server.dormant import fixed, is_idle
from modules.server.fields import NAME_LIMIT_CHARS
from modules.settings import Settings

if TYPE_CHECKING:
    from modules.app import App

MODEL, MODEL_HASH = "sd_model_checkpoint", "sd_checkpoint_hash"
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}


def routes(app: App) -> APIRouter:
    """The routes of the settings and flags."""
    router = APIRouter(tags=["settings"])

    @router.get("/sdapi/v1/options")
    def get_options() -> dict[str, Any]:
        """Every setting with its value."""
        return shown(app)

    @router.post("/sdapi/v1/options", openapi_extra=_BODY)
    def set_options(body: Body) -> None:
        """Change and save some settings. What equals its present value is left alone, so the whole dict may be sent back."""
        change(app, body)

    @router.get("/sdapi/v1/cmd-flags")
    def get_cmd_flags() -> dict[str, Any]:
        """The command line this server was started with; passwords are not shown."""
        secrets = {item.name for item in table() if item.metadata["secret"]}
        return {name: "***" if value and name in secrets else value for name, value in app.flags.to_data().items()}

    return router


def shown(app: App) -> dict[str, Any]:
    """The options as A1111 shows them: whole numbers whose default is not 0 come as floats."""
    checkpoint = _chosen(app)
    knobs = knobs_of(Settings)
    values = {**app.settings.current.to_data(), **fixed(), **_of_extensions(app)}
    if checkpoint is not None:
        values[MODEL] = checkpoint.title
    values[MODEL_HASH] = (checkpoint.sha256 or "") if checkpoint else ""
    for name, field in knobs.items():
        if field.kind is int and field.default and isinstance(values[name], int):
            values[name] = float(values[name])
    return values


def change(app: App, values: dict[str, Any]) -> None:
    """Set what differs from what is shown. Raises RequestFault naming the option; nothing is changed then."""
    current = app.settings.current.to_data()
    changed: dict[str, Any] = {}
    foreign = _of_extensions(app)
    for name, value in values.items():
        if name == MODEL:
            changed |= _model_change(app, value)
        elif name == MODEL_HASH or name.startswith("api_") or is_idle(name, value):
            continue  # follows the model; not for the API to set; asks for nothing
        elif name in foreign:
            if value != foreign[name] and app.scripts is not None:
                app.scripts.set_option(name, value)
        elif name not in current:
            near = difflib.get_close_matches(name[:200], current)
            raise RequestFault(name[:200], "there is no option of that name", allowed=near or None)
        elif value != current[name]:
            changed[name] = value
    if changed:
        app.settings.set(changed)


def _of_extensions(app: App) -> dict[str, Any]:
    """Options that extensions added, those without a value left out."""
    known = app.scripts.options() if app.scripts is not None else []
    return {str(row["key"]): row["value"] for row in known if row["kind"] != "note"}


def _model_change(app: App, value: Any) -> dict[str, Any]:
    """The setting for that model; nothing when it is the present one."""
    if value in (None, "", app.settings.current.sd_model_checkpoint):
        return {}
    if not isinstance(value, str) or len(value) > NAME_LIMIT_CHARS:
        raise RequestFault(MODEL, f"must be text of at most {NAME_LIMIT_CHARS} characters", got=value)
    try:
        found = app.library.find_checkpoint(value)
    except UnknownName as fault:
        raise RequestFault(MODEL, f"model '{value[:200]}' not found", allowed=fault.extra.get("allowed")) from fault
    present = _chosen(app)
    return {} if present is not None and present.path == found.path else {MODEL: found.title}


def _chosen(app: App) -> Checkpoint | None:
    """The checkpoint in use, its hash as far as it is known by now; None when it cannot be found."""
    try:
        return app.library.default_checkpoint(app.settings.current.sd_model_checkpoint)
    except Fault:
        return None
