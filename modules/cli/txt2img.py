"""`python launch.py txt2img`: submits one job, shows its progress, prints the paths of its pictures.

The job goes through the same queue as the page's; when a server runs on the same data folder, that server does it.
Start reading at `main`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from modules.app import App, build
from modules.cli.arguments import help_text, read
from modules.cli.following import INTERRUPTED, OK, WRONG, Stopped, fail, follow, warn
from modules.faults import Fault, RequestFault
from modules.flags import Flags
from modules.jobs import Job
from modules.request import GenerationRequest


def main(flags: Flags, rest: Sequence[str]) -> int:
    """Make the pictures that `rest` asks for. Returns 0, 1 when it failed, 2 for wrong arguments, 130 after Ctrl+C."""
    if "--help" in rest or "-h" in rest:
        sys.stdout.write(help_text())
        return OK
    try:
        values = read(rest)
        if flags.ckpt:  # for this job only; the page keeps its model
            values["override_settings"] = {"sd_model_checkpoint": flags.ckpt, **values.get("override_settings", {})}
        request = GenerationRequest.from_data(values)
        app = build(dataclasses.replace(flags, ckpt=None))
    except RequestFault as fault:
        return fail(fault.message, WRONG)
    except Fault as fault:
        return fail(fault.message)
    try:
        return _carry_out(app, request)
    finally:
        app.stop()


def _carry_out(app: App, request: GenerationRequest) -> int:
    try:
        job = app.submit(request, owner="cli")
    except RequestFault as fault:
        return fail(fault.message, WRONG)
    except Fault as fault:
        return fail(fault.message)
    try:
        job = follow(app, job)
    except Stopped as stopped:
        _print_paths(stopped.job)
        sys.stderr.write("canceled\n")
        return INTERRUPTED
    except Fault as fault:
        return fail(fault.message)
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
