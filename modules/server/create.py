"""`create`: the FastAPI app with every route of ours and the guard before it. The page is mounted on it afterwards.

Knows which parts there are and their order. Start reading at `create`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from modules import __version__
from modules.server import errors, generate, internal, lists, memory, model_lists, models, options, picture_info, progress
from modules.server.access import Access
from modules.server.generate import Closing
from modules.server.guard import Guard
from modules.server.lane import Lane
from modules.server.timing import Timing

if TYPE_CHECKING:
    from modules.app import App

DOCS_PAGE = Path(__file__).with_name("docs.html")
GZIP_FROM_BYTES = 1000
GZIP_LEVEL = 4


def create(app: App) -> FastAPI:
    """Our routes, with the guard, compression and headers around them and around whatever is mounted later.

    Leaves `api.state.access` (add the host of a share link to it) and `api.state.closing`.
    Raises SetupFault for credentials that cannot be read.
    """
    access = Access.from_flags(app.flags)
    api = FastAPI(
        title="Darkroom", version=__version__, docs_url=None, redoc_url=None, description="Stable Diffusion over A1111's REST API."
    )
    api.state.access, api.state.closing = access, Closing()
    errors.install(api)
    lane = Lane()
    for router in (
        generate.routes(app, api.state.closing),
        progress.routes(app, lane),
        options.routes(app),
        lists.routes(app),
        model_lists.routes(app),
        models.routes(app),
        picture_info.routes(),
        memory.routes(app),
        internal.routes(app, lane),
    ):
        api.router.routes.extend(router.routes)  # flat, so that a walk over api.routes meets every route
    _add_docs(api)
    _add_layers(api, access, log_api=app.flags.api_log)
    if prefix := (app.flags.subpath or "").strip("/"):
        api.add_middleware(Subpath, prefix=f"/{prefix}")
    return api


def _add_layers(api: FastAPI, access: Access, *, log_api: bool) -> None:
    """Middleware from the inside out."""
    api.add_middleware(errors.LastNet)
    api.add_middleware(Guard, access=access)
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
    api.add_middleware(Timing, log_api=log_api)


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
