"""GET /sdapi/v1/scripts, script-info and extensions.

Knows A1111's shapes. Start reading at `routes`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import BaseModel

from modules.knobs import knobs_of
from modules.plugins.origin import origin_of
from modules.request import Repaint
from modules.server.control_units import FILMS, TITLE
from modules.server.fields import SOFT, SOFT_ARGS

if TYPE_CHECKING:
    from modules.app import App


class ScriptArg(BaseModel):
    """One value of script_args or args, in order."""

    label: str
    value: Any = None
    minimum: Any = None
    maximum: Any = None
    step: Any = None
    choices: Any = None


class ScriptItem(BaseModel):
    """A script. name: its title in lower case; is_alwayson: it goes under alwayson_scripts, else under script_name."""

    name: str
    is_alwayson: bool
    is_img2img: bool
    args: list[ScriptArg]


class ScriptsList(BaseModel):
    """Titles in lower case."""

    txt2img: list[str]
    img2img: list[str]


class ExtensionItem(BaseModel):
    """An extension that came by git. version: the first eight digits of the commit; commit_date: seconds since 1970, null if not told."""

    name: str
    remote: str
    branch: str
    commit_hash: str
    version: str
    commit_date: int | None
    enabled: bool


def routes(app: App) -> APIRouter:
    """The routes of scripts and extensions."""
    router = APIRouter(tags=["scripts"])

    @router.get("/sdapi/v1/scripts")
    def scripts() -> ScriptsList:
        """The scripts that a request may name, by what they can be used with."""
        found = listed(app)
        names = {task: list(dict.fromkeys(s.name for s in found if s.is_img2img == (task == "img2img"))) for task in ("txt2img", "img2img")}
        return ScriptsList(**names)

    @router.get("/sdapi/v1/script-info")
    def script_info() -> list[ScriptItem]:
        """The same with the values they take, in order."""
        return listed(app)

    @router.get("/sdapi/v1/extensions")
    def extensions() -> list[ExtensionItem]:
        """The extensions that came by git."""
        known = app.scripts.extensions() if app.scripts is not None else ()
        return [item for one in known if (item := extension(one.folder, enabled=one.enabled)) is not None]

    return router


def listed(app: App) -> list[ScriptItem]:
    """The scripts that are switched on, and Soft inpainting, which is a script with A1111; what it does is part of img2img here."""
    knobs = knobs_of(Repaint)
    fields = [knobs[name] for name in SOFT_ARGS]
    args = [ScriptArg(label=f.knob.label, value=f.default, minimum=f.knob.low, maximum=f.knob.high, step=f.knob.step) for f in fields]
    soft = ScriptItem(name=SOFT, is_alwayson=True, is_img2img=True, args=args)
    control = _control(app.settings.current.control_net_unit_count)
    return [*(ScriptItem(**row) for row in (app.scripts.infos() if app.scripts is not None else ())), soft, *control]


def _control(units: int) -> list[ScriptItem]:
    """ControlNet, which takes units in either task, and the film script by which clients know that it is there."""
    args = [ScriptArg(label=f"ControlNet Unit {n}") for n in range(units)]
    return [
        ScriptItem(name=name, is_alwayson=name == TITLE, is_img2img=again, args=args if name == TITLE else [])
        for again in (False, True)
        for name in (TITLE, FILMS)
    ]


def extension(folder: Path, *, enabled: bool = True) -> ExtensionItem | None:
    """What an extension's folder says about itself; None when it did not come by git. git itself is not asked."""
    found = origin_of(folder)
    if found is None:
        return None
    return ExtensionItem(
        name=folder.name,
        remote=found.remote,
        branch=found.branch,
        commit_hash=found.commit,
        version=found.commit[:8],
        commit_date=found.date_s,
        enabled=enabled,
    )
