"""How every event of the page is made: short, outside Gradio's queue, not part of any public API.

Long work is a job of the App; an event only hands over or reads. Start reading at `QUIET`.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import gradio as gr

from modules.faults import Fault

log = logging.getLogger(__name__)
# preprocess=False: values come as the browser has them, so that our own checks judge them and say so in words.
QUIET: dict[str, Any] = {
    "queue": False, "show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple", "preprocess": False,
}  # fmt: skip
BROWSER: dict[str, Any] = {"fn": None, "queue": False, "show_progress": "hidden", "api_visibility": "private"}
THEN: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private", "preprocess": False}


def owner_of(request: gr.Request) -> str:
    """Whose job it is: the user that the server's guard has let in, else "local"."""
    state = getattr(getattr(request, "request", None), "state", None)
    return str(getattr(state, "user", None) or "local")


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
