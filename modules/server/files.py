"""GET /file=PATH: files as A1111's page served them, for the scripts of extensions and for old clients.

Only pictures under the output folders, and what a page may load from extensions and scripts. Start reading at `allowed`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import FileResponse

from modules.knobs import knobs_of
from modules.server.errors import Refused
from modules.settings import Settings

if TYPE_CHECKING:
    from modules.app import App

PICTURES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".avif": "image/avif", ".gif": "image/gif",
}  # fmt: skip
LOADED_BY_PAGES = {
    **PICTURES, ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".json": "application/json", ".csv": "text/csv",
    ".txt": "text/plain", ".svg": "image/svg+xml", ".woff": "font/woff", ".woff2": "font/woff2", ".wasm": "application/wasm",
}  # fmt: skip
USER_STYLE = "user.css"
EXTENSIONS = ("extensions", "extensions-builtin", "scripts", "javascript")


def routes(app: App) -> APIRouter:
    """The route of files by path."""
    router = APIRouter(tags=["page"])

    @router.get("/file={path:path}", response_class=FileResponse)
    def file(path: str) -> FileResponse:
        """A picture under the output folders, or what a page loads from an extension. path: absolute, or from the program's folder."""
        found = allowed(app, path.partition("?")[0])
        if found is None:
            raise Refused(404, "File not found", errors="path: there is no such file, or it is none of those that are shown")
        return FileResponse(found, media_type=LOADED_BY_PAGES[found.suffix.lower()])

    return router


def allowed(app: App, path: str) -> Path | None:
    """The file of a path when it may be shown; None when it is not there, hidden, of another kind, or elsewhere. Links are followed."""
    if not path or "\x00" in path or len(path) > 4000:
        return None
    settings, program, data = app.settings.current, app.folders.program, app.folders.data
    outputs = [app.folders.outputs, *(data / str(getattr(settings, n)) for n in knobs_of(Settings) if n.startswith("outdir_"))]
    code = [base / name for base in dict.fromkeys((program, data)) for name in EXTENSIONS]
    for start in dict.fromkeys((data, program)):
        try:
            found = (start / path).resolve()
            if not found.is_file():
                continue
        except (OSError, RuntimeError):  # a name too long for the system, a loop of links
            continue
        kind = found.suffix.lower()
        if found == (data / USER_STYLE).resolve():
            return found
        if (kind in PICTURES and _inside(found, outputs)) or (kind in LOADED_BY_PAGES and _inside(found, code)):
            return found
    return None


def _inside(path: Path, folders: list[Path]) -> bool:
    """Below one of the folders, with no hidden file or folder on the way."""
    for folder in folders:
        base = folder.resolve()
        if path.is_relative_to(base):
            return not any(part.startswith(".") for part in path.relative_to(base).parts)
    return False
