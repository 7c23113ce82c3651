"""X/Y/Z grids on the page: what the panel holds becomes a grid of jobs, or a line that says what it will take.

The panel itself is drawn by the page's script. Start reading at `submit`.
"""

from __future__ import annotations

import json

from modules.app import App
from modules.faults import RequestFault
from modules.grids.asked import GridAsked, names_grid
from modules.jobs import Job
from modules.request import GenerationRequest

PLACE = '<div class="dr-grid-place"></div>'


def asked_of(request: GenerationRequest) -> GridAsked:
    """The grid that the panel holds. Raises RequestFault."""
    text = next((value for value in request.script_args if isinstance(value, str) and value.strip()), "")
    try:
        return GridAsked.from_data(json.loads(text) if text else {})
    except ValueError as error:
        raise RequestFault("script_args", "the panel of X/Y/Z plot holds something else than a grid; choose its axes anew") from error


def submit(app: App, request: GenerationRequest, owner: str, key: str | None) -> tuple[Job, bool]:
    """(the job, it gathers a grid). The job of a form: that of a grid when the script for grids is chosen. Raises Fault."""
    if not names_grid(request.script_name):
        return app.submit(request, owner=owner, key=key), False
    return app.submit_grid(request, asked_of(request), owner=owner, key=key), True


def words_for(app: App, request: GenerationRequest, owner: str) -> dict[str, str]:
    """What the grid of a form will take, in words; or what is wrong and with which axis. Never raises RequestFault."""
    try:
        return {"words": app.plan_grid(request, asked_of(request), owner=owner).estimate.words}
    except RequestFault as fault:
        return {"fault": fault.message, "axis": str(fault.extra.get("axis", ""))}


def forecast(app: App, request: GenerationRequest, owner: str) -> dict[str, object]:
    """About how long a request will take: pictures, seconds (None: not known yet), sure, loads, memory_bytes (of the weights), peak_bytes
    (measured before; 0: not known), policy (of memory, "" while not known), forecast_bytes (needed under it; 0: not known), main_bytes (of
    main memory, for parts that work on the CPU beside the device; 0 also where none does).

    {} where a script decides what is made. Raises Fault as submitting does.
    """
    if request.script_name not in (None, "", "None"):
        return {}
    about = app.forecast(request, owner=owner)
    return {
        "pictures": about.pictures, "seconds": about.seconds, "sure": about.sure, "loads": about.loads, "memory_bytes": about.memory_bytes,
        "peak_bytes": about.peak_bytes, "policy": about.policy, "forecast_bytes": about.forecast_bytes,
        "main_bytes": about.main_bytes,
    }  # fmt: skip
