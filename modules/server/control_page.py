"""/internal/control: what the page's ControlNet units can choose from, and a look at the map that a preprocessor makes.

Knows names, sliders, and which models go with a checkpoint; what runs a preprocessor is elsewhere. Start reading at `routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from modules.control.maps.files import lacking
from modules.control.maps.row import MapRow
from modules.control.maps.table import MAPS, control_types, models_of_type, of_type
from modules.families import FAMILIES
from modules.faults import Fault
from modules.folders import Folders
from modules.knobs import KnobField, knobs_of
from modules.request.control import NONE, ControlUnit
from modules.request.control_map import MapRequest
from modules.server.body import Body
from modules.server.errors import job_failed
from modules.server.generate import Closing
from modules.server.owner import owner_of

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job
    from modules.library.rows import ModelRow

SLIDERS = ("processor_res", "threshold_a", "threshold_b")
FOLDER = "models/ControlNet"
STOPPED = {"kind": "canceled", "message": "The map was stopped before it was made. Ask again."}


def routes(app: App, closing: Closing) -> APIRouter:
    """The routes of the units' panels."""
    router = APIRouter(prefix="/internal/control", tags=["page"])

    @router.get("")
    def panel(checkpoint: str = "", again: bool = False) -> dict[str, Any]:
        """Words, ranges and lists for the units, with the models that go with a checkpoint marked. again: look for new files first."""
        if again:
            app.library.refresh("controlnet")
        return lists_of(app, checkpoint)

    @router.post("/preview", response_model=None)
    async def preview(request: Request, body: Body) -> Any:
        """The map of one picture, made in a job before those that wait. Body: `MapRequest` with image and mask (references); answers
        {module, reference, width, height, seconds}, seconds 0 or more, the same as before when it was made before.
        """
        owner = owner_of(request)
        job = await run_in_threadpool(_submit, app, body, owner)
        ended = await closing.wait_for(app.jobs.finished(job.id))
        maps = (ended.result or {}).get("maps") or []
        if ended.state != "done" or not maps:
            return job_failed(ended.id, ended.fault or STOPPED)
        return {"module": body.get("module"), **{name: maps[0][name] for name in ("reference", "width", "height", "seconds")}}

    return router


def _submit(app: App, body: dict[str, Any], owner: str) -> Job:
    """Raises RequestFault, UnknownName, ModelFault."""
    pictures = {name: [str(body[one])] if body.get(one) else [] for name, one in (("images", "image"), ("masks", "mask"))}
    given = {name: value for name, value in body.items() if value is not None}
    return app.submit_maps(MapRequest.from_data({**given, **pictures}), owner=owner)


def lists_of(app: App, checkpoint: str) -> dict[str, Any]:
    """What the panels are drawn from. checkpoint: its title, "" for the one in use."""
    architecture, family = _family(app, checkpoint)
    models = {title_of(row): _model(row, architecture) for row in app.library.sure_rows("controlnet")}
    return {
        "units": app.settings.current.control_net_unit_count,
        "family": family,
        "folder": FOLDER,
        "knobs": {name: _knob(field) for name, field in knobs_of(ControlUnit).items()},
        "types": [_type(name, list(models)) for name in control_types()],
        "modules": {row.name: _module(row, app.folders) for _, row in MAPS},
        "aliases": {other: row.name for _, row in MAPS for other in (*row.aliases, row.shown) if other != row.name},
        "models": models,
    }


def title_of(row: ModelRow) -> str:
    """How a ControlNet model is called on the page and over the API."""
    return f"{row.name} [{row.sha256[:8]}]" if row.sha256 else row.name


def _family(app: App, title: str) -> tuple[str, str]:
    """(architecture, title for people) of a checkpoint's family; empty without a model."""
    try:
        found = app.library.default_checkpoint(title or app.settings.current.sd_model_checkpoint)
    except Fault:
        return "", ""
    family = FAMILIES.get(found.family)
    return family.architecture, family.title


def _model(row: ModelRow, architecture: str) -> dict[str, Any]:
    """family: for people. fits: it goes with the checkpoint, or nobody knows. union: it reads several kinds of maps."""
    families = [family.title for _, family in FAMILIES if family.architecture == row.architecture]
    return {
        "family": families[0] if families else "",
        "fits": not row.architecture or not architecture or row.architecture == architecture,
        "union": row.extra.get("control") == "union",
    }


def _type(name: str, titles: list[str]) -> dict[str, Any]:
    rows = of_type(name)
    models = [NONE, *models_of_type(name, titles)]
    first = next((row for row in rows if row.first), rows[0]) if name != control_types()[0] else rows[0]
    return {"name": name, "modules": [row.name for row in rows], "models": models, "module": first.name}


def _module(row: MapRow, folders: Folders) -> dict[str, Any]:
    """free: a unit with it needs no model. absent: this version does not have it; lacking: why it cannot be used now, in words."""
    sliders = dict(zip(SLIDERS, (row.resolution, row.a, row.b), strict=True))
    return {
        "shown": row.shown,
        "sliders": {
            name: {"label": s.name, "value": s.value, "low": s.low, "high": s.high, "step": s.step}
            for name, s in sliders.items()
            if s is not None
        },
        "free": row.model_free,
        "absent": bool(row.why_not),
        "lacking": lacking(row, folders),
    }


def _knob(field: KnobField) -> dict[str, Any]:
    low, high = field.knob.range
    choices = list(field.knob.choices) if isinstance(field.knob.choices, tuple) else None
    return {
        "label": field.knob.label, "help": field.knob.help, "value": field.default, "low": low, "high": high, "step": field.knob.step,
        "choices": choices,
    }  # fmt: skip
