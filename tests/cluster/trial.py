"""`python -m tests.cluster.trial [--jobs 200] [--kills 20] [--seed 0]`: kill -9 of workers, raylets, bridges and the web process at random.

Ray's own cluster of several raylets on this machine, a queue in a process of its own, jobs that sleep and paint. Afterwards every job must
be done, every picture be there once, and every pixel be what it is without kills. Start reading at `Trial.run`.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from modules.cluster.joining import LOOPBACK, QUIET, reach
from modules.folders import PROGRAM, Folders
from modules.jobs.records import FINISHED
from modules.jobs.store import JobStore

WORKERS = 2
PICTURES = 2
STUCK_S = 240.0
SMALL = {"object_store_memory": 80 * 2**20, "node_ip_address": LOOPBACK}
KINDS = ("worker", "raylet", "bridge", "web")


@dataclass
class Report:
    """lost: jobs that are not done; doubled: files beyond those of the jobs; wrong: pictures with other pixels.

    killed: what was killed how often; back_s: from a kill of the web process until a worker was ready again. again_s: from a kill of a
    worker or a raylet until the job that it had in hand was given to a worker again.
    """

    jobs: int
    seconds: float = 0.0
    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])
    killed: Counter[str] = field(default_factory=Counter[str])
    back_s: list[float] = field(default_factory=list[float])
    again_s: list[float] = field(default_factory=list[float])


class Raylets:
    """A cluster of this machine: a head without workers, and raylets with one each."""

    def __init__(self, count: int) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **SMALL})
        self.address: str = self._cluster.address
        self._nodes: list[Any] = []
        for _ in range(count):
            self.add_one()

    def add_one(self) -> None:
        self._nodes.append(self._cluster.add_node(num_cpus=0, resources={"darkroom": 1}, **SMALL))

    def lose_one(self, chance: random.Random) -> None:
        """One raylet is gone at once."""
        self._cluster.remove_node(self._nodes.pop(chance.randrange(len(self._nodes))), allow_graceful=False)

    def stop(self) -> None:
        self._cluster.shutdown()


@contextmanager
def raylets(count: int) -> Iterator[Raylets]:
    """On loopback alone, and without the token that Ray would ask for: they end with the process. To be called before Ray is imported.

    With a home of their own, where they find a file that keeps them from asking which cloud they are in.
    """
    home = tempfile.mkdtemp()
    (Path(home) / "ray_bootstrap_config.yaml").write_text("{}")
    own = {**QUIET, **reach(LOOPBACK), "RAY_AUTH_MODE": "disabled", "HOME": home}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    found = Raylets(count)
    try:
        yield found
    finally:
        found.stop()
        shutil.rmtree(home)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Trial:
    """folder: for everything."""

    def __init__(self, folder: Path, cluster: Raylets, *, jobs: int, kills: int, seed: int, kinds: tuple[str, ...] = KINDS) -> None:
        self._folders = Folders.at(data=folder)
        self._cluster = cluster
        self._chance = random.Random(seed)
        self._count = jobs
        self._kills = [kinds[n % len(kinds)] for n in range(kills)]
        self._chance.shuffle(self._kills)
        self._head: subprocess.Popen[bytes] | None = None
        self.report = Report(jobs=jobs)

    def run(self) -> Report:
        self._folders.cache.mkdir(parents=True, exist_ok=True)
        self._start()
        store = JobStore(self._folders.jobs_file)
        try:
            ids = [self._submit(store, n) for n in range(self._count)]
            began, moved = time.monotonic(), (0, time.monotonic())
            left = [*self._kills]
            while (done := sum(store.count(state) for state in ("done", "failed", "parked", "canceled"))) < self._count:
                if done > moved[0]:
                    moved = (done, time.monotonic())
                if time.monotonic() - moved[1] > STUCK_S:
                    break
                if left and done >= self._count * (len(self._kills) - len(left)) // (len(self._kills) + 1):
                    self._kill(left.pop(), store)
                time.sleep(self._chance.uniform(0.05, 0.6))
            self.report.seconds = time.monotonic() - began
            self._judge(store, ids)
        finally:
            store.close()
            self._stop()
        return self.report

    def _submit(self, store: JobStore, n: int) -> str:
        data = {
            "pictures": PICTURES, "steps": 3, "step_s": 0.05, "colour": n % 256, "folder": str(self._folders.outputs), "visit": None,
            "settings": {}, "control": [],
        }  # fmt: skip
        return store.submit("txt2img", {}, data, owner="ann", key=None)[0].id

    def _start(self) -> None:
        self._folders.logs.mkdir(parents=True, exist_ok=True)
        with (self._folders.logs / "head.log").open("ab") as log:
            self._head = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.head", str(self._folders.data), self._cluster.address],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=PROGRAM,
            )  # fmt: skip
        assert self._head.stdout is not None
        assert self._head.stdout.readline() == b"started\n"

    def _stop(self) -> None:
        if self._head is not None and self._head.stdin is not None:
            self._head.stdin.close()
            self._head.wait(30)

    def _kill(self, what: str, store: JobStore) -> None:
        self.report.killed[what] += 1
        running, began = {job.id: job.started_s for job in store.list(states=("running",))}, time.monotonic()
        if what == "raylet":
            self._cluster.lose_one(self._chance)
            self._await_again(store, running, began)
            self._cluster.add_one()
        elif what == "web":
            assert self._head is not None
            self._head.kill()
            self._head.wait()
            self._start()
            began, before = time.monotonic(), self._begun(store)
            while self._begun(store) == before and time.monotonic() - began < STUCK_S:
                time.sleep(0.05)
            self.report.back_s.append(time.monotonic() - began)
        else:
            own = self._bridges() if what == "bridge" else [p for p in processes() if "modules.cluster.far" in p.cmdline() and _of_ray(p)]
            if own:
                os.kill(self._chance.choice(own).pid, signal.SIGKILL)
                if what == "worker":
                    self._await_again(store, running, began)

    def _await_again(self, store: JobStore, running: dict[str, float | None], began: float) -> None:
        """Until one of these is given to a worker once more, or all have ended, since what was killed had none in hand."""
        while time.monotonic() - began < STUCK_S:
            jobs = [store.get(job) for job in running]
            if any(job.started_s != running[job.id] for job in jobs):
                self.report.again_s.append(time.monotonic() - began)
                return
            if all(job.state in FINISHED for job in jobs):
                return
            time.sleep(0.02)

    def _bridges(self) -> list[psutil.Process]:
        assert self._head is not None
        return [p for p in psutil.Process(self._head.pid).children() if "modules.cluster.bridge" in p.cmdline()]

    def _begun(self, store: JobStore) -> int:
        return sum(job.attempts for job in store.list(states=("running",))) + store.count("done")

    def _judge(self, store: JobStore, ids: list[str]) -> None:
        wanted = {f"{job}-{index}.png": (n % 256, index, 7) for n, job in enumerate(ids) for index in range(PICTURES)}
        for job in map(store.get, ids):
            if job.state != "done":
                self.report.lost.append(f"{job.id}: {job.state} {job.fault}")
        found = {path.name: path for path in self._folders.outputs.glob("*.png")}
        self.report.doubled = sorted(set(found) - set(wanted))
        for name, colour in wanted.items():
            if name not in found:
                self.report.lost.append(name)
                continue
            with Image.open(found[name]) as image:
                if set(image.get_flattened_data()) != {colour}:
                    self.report.wrong.append(name)


def processes() -> Iterator[psutil.Process]:
    """Those of this machine that can be looked at."""
    for process in psutil.process_iter():
        try:
            process.cmdline()
        except psutil.Error:  # gone, or not ours
            continue
        yield process


def _of_ray(process: psutil.Process) -> bool:
    """An actor started it."""
    parent = process.parent()
    return parent is not None and "".join(parent.cmdline()).startswith("ray::")


def main(argv: list[str]) -> int:
    """Print what happened; 1 when something was lost, doubled or wrong."""
    reader = argparse.ArgumentParser(prog="python -m tests.cluster.trial")
    for name, default in (("jobs", 200), ("kills", 20), ("seed", 0)):
        reader.add_argument(f"--{name}", type=int, default=default)
    asked = reader.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, raylets(WORKERS) as cluster:
        report = Trial(Path(folder), cluster, jobs=asked.jobs, kills=asked.kills, seed=asked.seed).run()
    back = f"; a worker began again {min(report.back_s):.1f} to {max(report.back_s):.1f} s after the web process" if report.back_s else ""
    if report.again_s:
        back += f"; re-lease after at most {max(report.again_s):.1f} s ({len(report.again_s)} jobs in hand of a worker or raylet that died)"
    sys.stdout.write(
        f"{report.jobs} jobs of {PICTURES} pictures in {report.seconds:.0f} s, killed {dict(report.killed)}: {len(report.lost)} lost, "
        f"{len(report.doubled)} doubled, {len(report.wrong)} wrong{back}\n"
    )
    for text in (*report.lost, *report.doubled, *report.wrong):
        sys.stdout.write(f"  {text}\n")
    return 1 if report.lost or report.doubled or report.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
