"""`python launch.py txt2img`: submits one job, shows its progress, prints the paths of its pictures.

The job goes through the same queue as the page's; when a server runs on the same data folder, that server does it.
Start reading at `main`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Sequence

from modules.app import App, build
from modules.cli.arguments import help_text, read
from modules.faults import Fault, RequestFault
from modules.flags import Flags
from modules.jobs import Job
from modules.request import GenerationRequest

LOOK_S = 0.5
CANCEL_WAIT_S = 60.0
DEATHS_ACCEPTED = 2
OK, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130


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
        return _fail(fault.message, WRONG)
    except Fault as fault:
        return _fail(fault.message)
    try:
        return _carry_out(app, request)
    finally:
        app.stop()


def _carry_out(app: App, request: GenerationRequest) -> int:
    try:
        job = app.submit(request, owner="cli")
    except RequestFault as fault:
        return _fail(fault.message, WRONG)
    except Fault as fault:
        return _fail(fault.message)
    show = _Progress()
    try:
        app.start()
        job = _follow(app, job, show)
    except KeyboardInterrupt:
        show.end()
        return _interrupt(app, job)
    except Fault as fault:
        show.end()
        app.jobs.cancel(job.id)
        return _fail(fault.message)
    show.end()
    return _report(job)


def _follow(app: App, job: Job, show: _Progress) -> Job:
    """Wait until the job has finished. Raises Fault when no worker can be kept alive."""
    deaths, last = 0, ""
    while not (job := app.jobs.wait(job.id, LOOK_S)).finished:
        if not app.jobs.owns_queue:
            app.start()  # the process that ran the queue may have ended
        state = app.jobs.worker()["state"]
        deaths += state == "dead" and last != "dead"
        last = state
        if deaths > DEATHS_ACCEPTED:
            raise Fault(f"The worker ends again and again; its log is {app.folders.logs / 'worker.log'}.")
        show.now(app, job)
    return job


def _interrupt(app: App, job: Job) -> int:
    """After Ctrl+C: stop the job, keep what is finished."""
    with contextlib.suppress(KeyboardInterrupt):
        app.jobs.cancel(job.id)
        job = app.jobs.wait(job.id, CANCEL_WAIT_S)
        _print_paths(job)
    sys.stderr.write("canceled\n")
    return INTERRUPTED


def _report(job: Job) -> int:
    for warning in (job.result or {}).get("warnings", ()):
        sys.stderr.write(f"warning: {warning}\n")
    _print_paths(job)
    if job.state == "done":
        return OK
    fault = job.fault or {}
    return _fail(fault.get("message", "The job was canceled."))


def _print_paths(job: Job) -> None:
    """One path a line: the pictures, then the grid."""
    pictures = (job.result or {}).get("pictures", ())
    for picture in sorted(pictures, key=lambda p: p["kind"] == "grid"):
        sys.stdout.write(f"{picture['path']}\n")
    sys.stdout.flush()


def _fail(message: str, status: int = FAILED) -> int:
    sys.stderr.write(f"{message}\n")
    return status


class _Progress:
    """One line on the error output: redrawn on a terminal, written anew only when it changes in words elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = ""
        self._width = 0

    def now(self, app: App, job: Job) -> None:
        text, percent = self._text(app, job)
        if self._terminal:
            line = f"{text} {percent}".rstrip()
            sys.stderr.write("\r" + line.ljust(self._width))
            self._width = len(line)
        elif text != self._last:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
        self._last = text

    def _text(self, app: App, job: Job) -> tuple[str, str]:
        """(words, figures that change all the time)."""
        live = app.jobs.live(job.id)
        if live is not None and live.steps and live.step:
            left = f", {live.eta_s:.0f} s left" if live.eta_s is not None else ""
            return f"batch {live.batch_no + 1} of {live.batch_count}", f"step {live.step} of {live.steps} ({live.fraction:.0%}{left})"
        place = app.jobs.position(job.id)
        if place is not None and not app.jobs.owns_queue:
            return f"waiting, place {place[0]} of {place[1]} in the queue of the running server", ""
        if not app.jobs.owns_queue:
            return "the running server is at work on it", ""
        return (live.text if live is not None and live.text else app.jobs.worker()["message"]) or "starting", ""

    def end(self) -> None:
        if self._terminal and self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
