"""GET /internal/localization.js: the words of the page's language, as the script that the page loads first.

Start reading at `routes`.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import Response

from modules.plugins import assets

if TYPE_CHECKING:
    from modules.app import App

log = logging.getLogger(__name__)


def routes(app: App) -> APIRouter:
    """The route of the page's words."""
    router = APIRouter(prefix="/internal", tags=["page"])

    @router.get("/localization.js", response_class=Response)
    def localization() -> Response:
        """A script that sets window.localization (A1111's name) to {English: other}; empty for English."""
        extensions = app.scripts.extensions() if app.scripts is not None else ()
        paths = assets.localizations(app.folders, extensions).get(app.settings.current.localization, [])
        words, rtl, notices = assets.words_of(paths)
        for notice in notices:
            log.warning("%s", notice)
        text = f"window.localization = {_script(words)}; window.localization_rtl = {_script(rtl)};"
        return Response(text, media_type="text/javascript", headers={"Cache-Control": "no-store"})

    return router


def _script(value: object) -> str:
    """JSON that is JavaScript too."""
    return json.dumps(value)
