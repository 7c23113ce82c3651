"""Jobs that are cancelled at random moments, by several at once, through the real store, supervisor and worker process.

    python -m tests.faults.cancelling --jobs 1000

Prints how they ended, how many steps still began afterwards, and how soon the device was free. Start reading at `race`.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from modules.folders import Folders
from modules.jobs import Job, Jobs

RUNNER = "tests.faults.backend:build"
STEPS = 4
ARRIVES_S = 0.5  # what an order may take on a machine that is busy with other things


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """One job of the race. ends: the states that it ended in, by its events; began: state when it was cancelled.

    later: steps that began after `cancel` had returned; late: those of them that began after the order had every time to arrive.
    free_s: from the cancel until the device waited for work again; None for a job that never had it.
    """

    began: str
    state: str
    ends: tuple[str, ...]
    later: int
    late: int
    free_s: float | None


def race(data: Path, count: int, seed: int = 1, step_s: float = 0.05) -> list[Cancelled]:
    """Each job is submitted, cancelled after a random time by three threads at once, and followed to its end."""
    jobs, drawn = Jobs(Folders.at(data), {}, runner=RUNNER), random.Random(seed)
    jobs.start(required=True)
    try:
        _until(lambda: jobs.worker()["state"] == "idle")
        return [_one(jobs, drawn, step_s) for _ in range(count)]
    finally:
        jobs.stop()


def _one(jobs: Jobs, drawn: random.Random, step_s: float) -> Cancelled:
    knobs = {"steps": STEPS, "step_s": step_s}
    waits = drawn.random() < 0.3  # behind another job, or on its own
    first = jobs.submit("fake", {}, knobs) if waits else None
    job = jobs.submit("fake", {}, knobs)
    time.sleep(drawn.random() * STEPS * step_s * 1.2)
    began = jobs.get(job.id).state
    threads = [threading.Thread(target=jobs.cancel, args=(job.id,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cancelled = time.monotonic()
    ended = jobs.wait(job.id, 30)
    free_s = None
    if first is None:
        _until(lambda: jobs.worker()["state"] == "idle")
        free_s = time.monotonic() - cancelled
    else:
        jobs.wait(first.id, 30)
    return _judged(jobs, ended, began, cancelled, free_s)


def _judged(jobs: Jobs, ended: Job, began: str, cancelled: float, free_s: float | None) -> Cancelled:
    steps = (ended.result or {}).get("begun", [])
    return Cancelled(
        began=began,
        state=ended.state,
        ends=tuple(event.data["state"] for event in jobs.events(ended.id) if event.type == "done"),
        later=sum(step > cancelled for step in steps),
        late=sum(step > cancelled + ARRIVES_S for step in steps),
        free_s=free_s if steps else None,
    )


def _until(reached: object, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not reached():  # pyright: ignore[reportCallIssue]
        if time.monotonic() > end:
            raise TimeoutError("the worker is not idle again")
        time.sleep(0.005)


def main() -> int:
    """Print what came out; 1 when a job ended twice or otherwise than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--step-ms", type=float, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = race(Path(folder), args.jobs, args.seed, args.step_ms / 1000)
    free = sorted(one.free_s for one in found if one.free_s is not None)
    later = Counter(one.later for one in found)
    print("was -> became:", dict(Counter((one.began, one.state) for one in found)))
    print("ended more than once, or as nothing:", sum(len(one.ends) != 1 for one in found))
    print(f"steps of {args.step_ms:g} ms begun after the cancel:", dict(sorted(later.items())))
    middle, p99, most = (1000 * free[int((len(free) - 1) * share)] for share in (0.5, 0.99, 1))
    print(f"device free: median {middle:.0f} ms, p99 {p99:.0f} ms, longest {most:.0f} ms")
    return int(any(one.state not in ("done", "canceled") or len(one.ends) != 1 or one.later > 1 for one in found) or free[-1] > 1)


if __name__ == "__main__":
    sys.exit(main())
