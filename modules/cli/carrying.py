"""A command from its words to its exit status: what went wrong is said in one line on the error output, and the App is stopped.

Knows nothing about any command. Start reading at `carried_out`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from modules.app import App
from modules.cli.following import WRONG, fail
from modules.faults import Fault, RequestFault

T = TypeVar("T")


def carried_out(understood: Callable[[], T], built: Callable[[], App], work: Callable[[App, T], int]) -> int:
    """`work(built(), understood())`, which gives the exit status; the words are understood before anything is built.

    A RequestFault, from wherever, is status 2 (wrong arguments), every other Fault 1.
    """
    app: App | None = None
    try:
        values = understood()
        app = built()
        return work(app, values)
    except RequestFault as fault:
        return fail(fault.message, WRONG)
    except Fault as fault:
        return fail(fault.message)
    finally:
        if app is not None:
            app.stop()
