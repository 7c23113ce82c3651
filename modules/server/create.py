"""`create`: the FastAPI app with every route of ours and the guard before it. The page is mounted on it afterwards.

Knows which parts there are and their order. Start reading at `create`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from modules import __version__
from modules.server import (
    about,
    again,
    caption,
    caption_folders,
    caption_page,
    cards,
    control_page,
    controlnet,
    errors,
    extensions,
    extras,
    files,
    form,
    form_defaults,
    generate,
    imports_page,
    inputs,
    internal,
    keep,
    lists,
    localization,
    memory,
    model_lists,
    model_work,
    models,
    options,
    picture_info,
    pictures,
    power,
    progress,
    prompt_words,
    queue,
    remote,
    scripts,
    settings_page,
    signin,
    styles_page,
    system,
    system_bench,
    system_cluster,
    system_logs,
    tokens,
    upscalers,
    ways,
)
from modules.server.access import Access
from modules.server.body import describe_bodies
from modules.server.door import Door
from modules.server.generate import Closing
from modules.server.guard import Guard
from modules.server.lane import Lane
from modules.server.ownership import Ownership
from modules.server.timing import Timing
from modules.server.v2 import captioners as v2_captioners
from modules.server.v2 import choices as v2_choices
from modules.server.v2 import computing as v2_computing
from modules.server.v2 import events as v2_events
from modules.server.v2 import grids as v2_grids
from modules.server.v2 import inputs as v2_inputs
from modules.server.v2 import jobs as v2_jobs
from modules.server.v2 import models as v2_models
from modules.server.v2 import pictures as v2_pictures
from modules.server.v2 import train as v2_train
from modules.server.v2 import train_pictures as v2_train_pictures
from modules.server.v2 import train_runs as v2_train_runs
from modules.server.v2.problems import Api, Problems
from modules.users.rates import Rate

if TYPE_CHECKING:
    from modules.app import App

DOCS_PAGE = Path(__file__).with_name("docs.html")
GZIP_FROM_BYTES = 1000
GZIP_LEVEL = 5


def create(app: App) -> FastAPI:
    """Our routes, with the guard, compression and headers around them and around whatever is mounted later.

    Leaves `api.state.access` (add the host of a share link to it), `api.state.closing`, `api.state.power`, `api.state.startup`,
    `api.state.system` and `api.state.tunnel`.
    Raises SetupFault for credentials that cannot be read.
    """
    startup = about.Startup()
    startup.mark("program")
    access = Access.from_flags(app.flags, app.allowance.users)
    door = Door(access, hours=app.flags.session_hours, port=app.flags.port)
    api = Api(title="Darkroom", version=__version__, docs_url=None, redoc_url=None, description="Stable Diffusion over A1111's REST API.")
    api.state.access, api.state.closing, api.state.power, api.state.startup = access, Closing(), power.Power(), startup
    api.state.tunnel = ways.tunnel_of(access)
    api.state.system = system.System(app)
    errors.install(api)
    for router in _routers(api, app, access, door, startup):
        api.router.routes.extend(router.routes)  # flat, so that a walk over api.routes meets every route
    if app.flags.api_server_stop:
        api.router.routes.extend(power.routes(api.state.power).routes)
    _add_docs(api)
    if app.flags.mcp:
        from modules.server.mcp import mount  # loads the SDK, which nobody else needs

        mount.add(api, app)
    describe_bodies(api.router.routes)
    startup.mark("routes")
    _add_layers(api, app, access, door)
    if prefix := (app.flags.subpath or "").strip("/"):
        api.add_middleware(Subpath, prefix=f"/{prefix}")
    return api


def _routers(api: FastAPI, app: App, access: Access, door: Door, startup: about.Startup) -> tuple[APIRouter, ...]:
    """Every topic's routes, in the order in which they are tried."""
    lane = Lane()
    return (
        signin.routes(access, door),
        remote.routes(app, access, door, api.state.tunnel),
        generate.routes(app, api.state.closing),
        extras.routes(app, api.state.closing),
        caption.routes(app, api.state.closing),
        caption_page.routes(app),
        caption_folders.routes(app),
        progress.routes(app, lane),
        options.routes(app),
        lists.routes(app),
        model_lists.routes(app),
        model_work.routes(app, api.state.closing),
        scripts.routes(app),
        extensions.routes(app, api.state.power),
        localization.routes(app),
        settings_page.routes(app, api.state.power),
        styles_page.routes(app),
        form_defaults.routes(app),
        imports_page.routes(app),
        cards.routes(app),
        files.routes(app),
        form.routes(app),
        prompt_words.routes(app),
        about.routes(app, startup),
        system.routes(app, api.state.system),
        system_cluster.routes(app),
        system_logs.routes(app, access),
        system_bench.routes(api.state.system.benchmark),
        upscalers.routes(app),
        models.routes(app),
        picture_info.routes(app),
        inputs.routes(app),
        control_page.routes(app, api.state.closing),
        controlnet.routes(app, api.state.closing),
        keep.routes(app),
        pictures.routes(app),
        again.routes(app),
        memory.routes(app),
        tokens.routes(app),
        internal.routes(app, lane),
        queue.routes(app, lane),
        v2_jobs.routes(app),
        v2_events.routes(app, api.state.closing),
        v2_grids.routes(app),
        v2_pictures.routes(app),
        v2_models.routes(app),
        v2_captioners.routes(app),
        v2_choices.routes(app),
        v2_computing.routes(app),
        v2_inputs.routes(app),
        v2_train.routes(app),
        v2_train_pictures.routes(app),
        v2_train_runs.routes(app),
    )


def _add_layers(api: FastAPI, app: App, access: Access, door: Door) -> None:
    """Middleware from the inside out. Raises SetupFault for a rate that is none."""
    rate = Rate(app.flags.rate_limit, "--rate-limit") if app.flags.rate_limit else None
    api.add_middleware(errors.LastNet)
    api.add_middleware(Guard, access=access, door=door, ownership=Ownership(app), rate=rate)
    api.add_middleware(Problems)
    if access.origins or access.origins_regex:
        everyone = "*" in access.origins
        api.add_middleware(
            CORSMiddleware,
            allow_origins=list(access.origins),
            allow_origin_regex=access.origins_regex,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_credentials=not everyone,  # stored passwords are not for every site there is
        )
    api.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL)
    api.add_middleware(Timing, log_api=app.flags.api_log)


def _add_docs(api: FastAPI) -> None:
    """/docs without an outside host: FastAPI's own page loads its script from one."""
    page = DOCS_PAGE.read_text(encoding="utf-8")

    @api.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page)

    @api.get("/redoc", include_in_schema=False)
    async def redoc() -> RedirectResponse:
        return RedirectResponse("docs")


class Subpath:
    """Tells everything inside under which prefix a proxy shows it (--subpath), whether or not the proxy cuts the prefix off."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope["root_path"] = self._prefix
        await self._app(scope, receive, send)
