"""A job followed to its end on the command line: progress on the error output, Ctrl+C stops it. Start reading at `follow`."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

from modules.app import App
from modules.faults import Fault
from modules.jobs import DEVICE, FILES, FINISHED, TRAIN, Job

LOOK_S = 0.5
CANCEL_WAIT_S = 60.0
SAVE_WAIT_S = 1800.0  # a training ends its step and writes its state; pressed once more, it is not waited for
DEATHS_ACCEPTED = 2
OK, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130


class Stopped(Exception):
    """Ctrl+C was pressed; job is what has become of it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.id)
        self.job = job


def follow(app: App, job: Job) -> Job:
    """Run the queue if nobody does, and wait until the job has finished. Raises Stopped after Ctrl+C.

    Raises Fault when no worker can be kept alive; the job is canceled then.
    """
    show = _Progress()
    try:
        with _ctrl_c() as pressed:
            app.start(lanes=(job.lane,))
            return _watch(app, job, show, pressed)
    except KeyboardInterrupt:
        show.end()
        with contextlib.suppress(KeyboardInterrupt):
            app.jobs.cancel(job.id)
            if job.lane == TRAIN:
                sys.stderr.write("saving after this step; press Ctrl+C again to end at once\n")
            job = app.jobs.wait(job.id, SAVE_WAIT_S if job.lane == TRAIN else CANCEL_WAIT_S)
        raise Stopped(job) from None
    except Fault:
        app.jobs.cancel(job.id)
        raise
    finally:
        show.end()


@contextlib.contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Inside, Ctrl+C sets the event. As an exception it could be lost: one raised while an object is being cleared away is dropped."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _watch(app: App, job: Job, show: _Progress, pressed: threading.Event) -> Job:
    deaths, last = 0, ""
    while not (job := app.jobs.wait(job.id, LOOK_S)).finished:
        if pressed.is_set():
            raise KeyboardInterrupt
        if not app.jobs.owns_queue:
            app.start(lanes=(job.lane,))  # the process that ran the queue may have ended
        state = _worker(app, job)["state"]
        deaths += state == "dead" and last != "dead"
        last = state
        if deaths > DEATHS_ACCEPTED:
            raise Fault(f"The worker ends again and again; its logs are in {app.folders.logs}.")
        show.now(app, job)
    return job


def fail(message: str, status: int = FAILED) -> int:
    """Say why on the error output; returns the exit status."""
    sys.stderr.write(f"{message}\n")
    return status


def warn(job: Job) -> None:
    """The warnings of a finished job, on the error output."""
    for warning in (job.result or {}).get("warnings", ()):
        sys.stderr.write(f"warning: {warning}\n")


def _worker(app: App, job: Job) -> dict[str, object]:
    return {DEVICE: app.jobs.worker, FILES: app.jobs.files_worker, TRAIN: app.jobs.train_worker}[job.lane]()


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
            if job.lane == TRAIN:
                return live.text or "training", f"step {live.step} of {live.steps} ({live.fraction:.0%}{left})"
            if job.lane == FILES:
                return str(job.resolved.get("title", job.kind)), f"{live.fraction:.0%}{left}"
            return f"batch {live.batch_no + 1} of {live.batch_count}", f"step {live.step} of {live.steps} ({live.fraction:.0%}{left})"
        counts, _ = app.jobs.group(job.id)
        if counts and job.state == "queued":
            ended = sum(counts.get(state, 0) for state in FINISHED)
            return f"cell {min(ended + 1, sum(counts.values()))} of {sum(counts.values())}", ""
        place = app.jobs.position(job.id)
        if place is not None and not app.jobs.owns_queue:
            return f"waiting, place {place[0]} of {place[1]} in the queue of the running server", ""
        if not app.jobs.owns_queue:
            return "the running server is at work on it", ""
        return (live.text if live is not None and live.text else str(_worker(app, job)["message"])) or "starting", ""

    def end(self) -> None:
        if self._terminal and self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
        self._width = 0
