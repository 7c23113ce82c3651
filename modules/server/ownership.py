"""Whether what a path names is the caller's: jobs by id, files by the job that made them.

Knows the job store, the list of pictures and the folders; `Viewer` decides who sees whose. Start reading at `Ownership`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modules.faults import Fault, UnknownJob
from modules.server.rules import FILES, OWNED
from modules.users import Viewer

if TYPE_CHECKING:
    from modules.app import App


class Ownership:
    """Looks into the store of jobs, so it is asked from a thread, and only about guests."""

    def __init__(self, app: App) -> None:
        self._app = app

    def allows(self, viewer: Viewer, path: str) -> bool:
        """The path names nothing of one job, or of a job that this viewer sees. path: as routes see it."""
        if match := OWNED.fullmatch(path):
            return self._sees_job(viewer, match["job"])
        if match := FILES.fullmatch(path):
            return self._sees_file(viewer, match["path"])
        return True

    def _sees_job(self, viewer: Viewer, name: str) -> bool:
        try:
            return viewer.sees(self._app.jobs.get(name).owner)
        except UnknownJob:
            return False

    def _sees_file(self, viewer: Viewer, name: str) -> bool:
        """A picture that a job made. What Gradio keeps for the page lies under digests that nobody can guess."""
        try:
            path = Path(name).resolve()
            if path.is_relative_to((self._app.folders.cache / "page").resolve()):
                return True
            kept = self._app.folders.job_files.resolve()
            if path.is_relative_to(kept):
                return self._sees_job(viewer, path.relative_to(kept).parts[0])
            row = self._app.pictures.at(path)
        except (Fault, OSError, ValueError, IndexError):
            return False
        return row is not None and bool(row.job) and self._sees_job(viewer, row.job)
