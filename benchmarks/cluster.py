"""Workers on a cluster of this machine: jobs a second with one, two and eight of them, and the starter model with two against one.

    python -m benchmarks.cluster [--jobs 64] [--seconds 0.5] [--pictures 16] [--steps 20] [--only sleep|starter]

Ray is started on loopback, with `requirements-cluster.txt` installed. The sleeping jobs need no core and show what the way over Ray costs.
The starter model runs in workers of one thread each, so two of them need two cores. Start reading at `main`.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.program import machine
from modules.app import build as build_app
from modules.cluster.hosts import Place
from modules.cluster.joining import LOOPBACK, start_words, stop_words, surroundings, token_here
from modules.cluster.roster import Roster
from modules.flags import Flags
from modules.folders import PROGRAM, Folders
from modules.jobs import Jobs
from modules.request import GenerationRequest

SLEEPER = "benchmarks.cluster:sleeper"
WAIT_S = 300.0


class Sleeper:
    """A worker's runner that sleeps as long as a job says."""

    def device(self) -> dict[str, Any]:
        return {"name": "sleeper", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {}

    def warm(self, status: Any) -> None:
        status("Ready", model=None)

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        time.sleep(job["resolved"]["seconds"])
        return "done", {"pictures": []}


def sleeper(folders: Folders, flags: dict[str, Any], device_index: int, saver: object = None) -> Sleeper:
    """For the worker process."""
    return Sleeper()


@contextmanager
def cluster(workers: int) -> Iterator[str]:
    """The address of a cluster on loopback with so many places for workers. Ends whatever Ray runs on this machine."""
    token = token_here()
    env = {**surroundings(token, LOOPBACK), "OMP_NUM_THREADS": "1"}
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    quiet: dict[str, Any] = {"env": env, "cwd": PROGRAM, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(start_words(host=LOOPBACK, port=port, workers=workers), check=True, **quiet)
    try:
        yield f"{LOOPBACK}:{port}"
    finally:
        subprocess.run(stop_words(), check=False, **quiet)


def sleeping(workers: int, count: int, seconds: float) -> float:
    """Jobs a second."""
    with tempfile.TemporaryDirectory() as folder, cluster(workers) as address:
        folders = Folders.at(data=Path(folder))
        jobs = Jobs(folders, {"cluster": address}, runner=SLEEPER, fits=lambda kind, data: False)
        roster = Roster(jobs.plan, Place(address=address, home=f"{folder}/there"), jobs.elsewhere)
        data = {"visit": None, "settings": {}, "control": [], "seconds": seconds}
        try:
            jobs.start(required=True)
            roster.start()
            _until(lambda: _ready(jobs) == workers)
            ids = [jobs.submit("txt2img", {}, data).id for _ in range(count)]
            _until(lambda: all(jobs.get(job).state == "done" for job in ids))
            rows = [jobs.get(job) for job in ids]
            return count / (max(row.finished_s or 0 for row in rows) - min(row.started_s or 0 for row in rows))
        finally:
            roster.stop()
            jobs.stop()


def starter(workers: int, pictures: int, steps: int) -> float:
    """Pictures a second of the starter model, each a job."""
    with tempfile.TemporaryDirectory() as folder, cluster(workers) as address:
        app = build_app(Flags(data_dir=folder, cluster=address, cluster_only=True, cluster_home=f"{folder}/there"))
        request: dict[str, Any] = {"prompt": "a red apple, 3d", "steps": steps, "width": 128, "height": 128, "cfg_scale": 5}
        try:
            app.start(required=True)
            _until(lambda: _ready(app.jobs) == workers)

            def made(count: int) -> float:
                ids = [app.submit(GenerationRequest.from_data({**request, "seed": seed})).id for seed in range(count)]
                _until(lambda: all(app.jobs.get(job).state == "done" for job in ids))
                rows = [app.jobs.get(job) for job in ids]
                return count / (max(row.finished_s or 0 for row in rows) - min(row.started_s or 0 for row in rows))

            made(2 * workers)  # files are sent, the model is loaded
            return made(pictures)
        finally:
            app.stop()


def _ready(jobs: Jobs) -> int:
    return sum(worker["state"] == "idle" and "host" in worker for worker in jobs.workers())


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("the workers did not come to an end")
        time.sleep(0.05)


def main() -> None:
    """Measure and print."""
    reader = argparse.ArgumentParser(prog="python -m benchmarks.cluster")
    reader.add_argument("--jobs", type=int, default=64)
    reader.add_argument("--seconds", type=float, default=0.5)
    reader.add_argument("--pictures", type=int, default=16)
    reader.add_argument("--steps", type=int, default=20)
    reader.add_argument("--only", choices=("sleep", "starter"), default="")
    asked = reader.parse_args()
    print(machine())
    if asked.only != "starter":
        one, two, eight = (sleeping(n, asked.jobs, asked.seconds) for n in (1, 2, 8))
        print(f"sleeping jobs of {asked.seconds} s, {asked.jobs} of them: {one:.2f} a second with one worker; with two {two / one:.2f}"
              f" times as many, with eight {eight / one:.2f}")  # fmt: skip
    if asked.only != "sleep":
        one, two = (starter(n, asked.pictures, asked.steps) for n in (1, 2))
        print(f"starter model, {asked.steps} steps, one thread a worker, {asked.pictures} jobs: {one:.2f} pictures a second with one; "
              f"with two {two / one:.2f} times as many")  # fmt: skip


if __name__ == "__main__":
    main()
