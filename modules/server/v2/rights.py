"""Which jobs a caller may see and change through /api/v2. Which role a route needs at all stands in `modules.server.rules`.

Start reading at `visible`, then `own`.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request, WebSocket

from modules.faults import NotAllowed, UnknownJob
from modules.server.errors import Refused
from modules.users import ADMIN, viewer_of

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

PICTURE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "image/bmp", "image/tiff"})


def visible(app: App, request: Request | WebSocket, id_or_key: str) -> Job:
    """The job. Raises UnknownJob, also for one that the caller may not know of."""
    job = app.jobs.get(id_or_key)
    if not viewer_of(request).sees(job.owner):
        raise UnknownJob(f"There is no job {id_or_key[:80]!r}.", id=id_or_key[:80])
    return job


def own(app: App, request: Request, id_or_key: str) -> Job:
    """The job, when it is the caller's own or the caller an administrator. Raises UnknownJob, NotAllowed."""
    job, viewer = visible(app, request, id_or_key), viewer_of(request)
    theirs = job.owner == viewer.owner or job.owner.startswith(f"{viewer.owner}/")  # NAME/TOKEN: a program of theirs sent it
    if not viewer.may(ADMIN) and not theirs:
        raise NotAllowed("This job belongs to somebody else; an administrator can change it.", needs=ADMIN)
    return job


def media_type_of(path: Path) -> str:
    """Of a picture file. Raises Refused(404) for what is handed out to nobody."""
    found = mimetypes.guess_type(path.name)[0]
    if found not in PICTURE_TYPES:
        raise Refused(404, "Not Found", errors="This is no picture that is handed out.")
    return found
