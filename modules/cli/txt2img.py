"""`python launch.py txt2img` and `img2img`: submit one job, show its progress, print the paths of its pictures.

The job goes through the same queue as the page's; when a server runs on the same data folder, that server does it.
Start reading at `main`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modules.app import App, build
from modules.cli.arguments import FILES, UNITS, help_text, read
from modules.cli.carrying import carried_out
from modules.cli.following import INTERRUPTED, OK, Stopped, fail, follow, warn
from modules.faults import RequestFault
from modules.flags import Flags
from modules.jobs import Job
from modules.request import GenerationRequest
from modules.request.control import PICTURES as UNIT_PICTURES
from modules.request.control import ControlUnit

IMG2IMG = "img2img"


def main(flags: Flags, rest: Sequence[str], command: str = "txt2img") -> int:
    """Make the pictures that `rest` asks for. Returns 0, 1 when it failed, 2 for wrong arguments, 130 after Ctrl+C.

    command: "img2img" needs a picture to begin with, and takes its size when no other is asked for.
    """
    if "--help" in rest or "-h" in rest:
        sys.stdout.write(help_text(command))
        return OK
    return carried_out(lambda: _understood(flags, rest, command), lambda: build(dataclasses.replace(flags, ckpt=None)), _carry_out)


def _understood(flags: Flags, rest: Sequence[str], command: str) -> dict[str, Any]:
    """Fields of the request. Raises RequestFault."""
    values = read(rest, command=command)
    if command == IMG2IMG:
        values = _begun(values)
    if flags.ckpt:  # for this job only; the page keeps its model
        values["override_settings"] = {"sd_model_checkpoint": flags.ckpt, **values.get("override_settings", {})}
    return values


def _begun(values: dict[str, Any]) -> dict[str, Any]:
    """Raises RequestFault without a picture to begin with."""
    if not values.get("init_images"):
        raise RequestFault("init_images", "a picture to begin with is needed: --init-image FILE")
    sized = any(values.get(name) is not None for name in ("width", "height", "scale_by"))
    return values if sized else {**values, "scale_by": 1.0}


def with_inputs(app: App, values: dict[str, Any]) -> dict[str, Any]:
    """The picture files put into the input store. Raises RequestFault naming the field."""
    found = dict(values)
    for name in FILES:
        given = values.get(name)
        if isinstance(given, list):
            found[name] = [_put(app, path, name) for path in given]
        elif given is not None:
            found[name] = _put(app, given, name)
    if UNITS in values:
        found[UNITS] = [_unit(app, unit, f"{UNITS}[{n}]") for n, unit in enumerate(values[UNITS])]
    return found


def _unit(app: App, unit: Any, place: str) -> dict[str, Any]:
    """A ControlNet unit with its picture files in the input store. Raises RequestFault."""
    read_unit = ControlUnit.from_data(unit, place).to_data()
    return {name: _put(app, value, f"{place}.{name}") if name in UNIT_PICTURES and value else value for name, value in read_unit.items()}


def _put(app: App, path: str, field: str) -> str:
    try:
        return app.inputs.put(Path(path).read_bytes(), field)
    except OSError as error:
        raise RequestFault(field, f"cannot be read: {error.strerror}", got=path) from error


def _carry_out(app: App, values: dict[str, Any]) -> int:
    job = app.submit(GenerationRequest.from_data(with_inputs(app, values)), owner="cli")
    try:
        job = follow(app, job)
    except Stopped as stopped:
        _print_paths(stopped.job)
        sys.stderr.write("canceled\n")
        return INTERRUPTED
    return _report(job)


def _report(job: Job) -> int:
    warn(job)
    _print_paths(job)
    if job.state == "done":
        return OK
    fault = job.fault or {}
    return fail(fault.get("message", "The job was canceled."))


def _print_paths(job: Job) -> None:
    """One path a line: the pictures, then the grid."""
    pictures = (job.result or {}).get("pictures", ())
    for picture in sorted(pictures, key=lambda p: p["kind"] == "grid"):
        sys.stdout.write(f"{picture['path']}\n")
    sys.stdout.flush()
