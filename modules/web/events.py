"""How every event of the page is made: short, outside Gradio's queue, not part of any public API.

Long work is a job of the App; an event only hands over or reads. Start reading at `QUIET`.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import gradio as gr

from modules.app import App
from modules.faults import Fault, UnknownJob
from modules.jobs import Job
from modules.users import viewer_of

log = logging.getLogger(__name__)
# preprocess=False: values come as the browser has them, so that our own checks judge them and say so in words.
QUIET: dict[str, Any] = {
    "queue": False, "show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple", "preprocess": False,
}  # fmt: skip
BROWSER: dict[str, Any] = {"fn": None, "queue": False, "show_progress": "hidden", "api_visibility": "private"}
THEN: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private", "preprocess": False}


def owner_of(request: gr.Request) -> str:
    """Whose job it is: the user that the server's guard has let in, else "local"."""
    return viewer_of(request).owner


def visible(app: App, request: gr.Request, name: str) -> Job:
    """A job by id or key. Raises UnknownJob, also for one that whoever asks may not see."""
    job = app.jobs.get(name)
    if not viewer_of(request).sees(job.owner):
        raise UnknownJob("No job of that id was ever accepted here.")
    return job


def fault_data(error: Exception) -> dict[str, Any]:
    """What to tell the person; an error that is no Fault goes to the log with its traceback."""
    if isinstance(error, Fault):
        return error.data()
    log.error("An event of the page failed", exc_info=error)
    return {"kind": "bug", "message": f"{type(error).__name__}: {error}. This is a fault of the program; the log has the details."}


def js(function: str, *constants: Any) -> str:
    """A handler that calls a function of the page's script with these constants, then the event's values."""
    given = ", ".join(json.dumps(constant) for constant in constants)
    return f"(...values) => window.darkroom.{function}({given}{', ' if given else ''}...values)"
