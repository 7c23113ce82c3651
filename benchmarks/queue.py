"""The queue under load: many clients that ask how a job is doing, a queue of thousands, several who submit at once.

    python -m benchmarks.queue [--clients 200] [--every-s 1] [--queued 10000] [--pairs 5] [--steps 150] [--quick]

Starts the program with one thread for the model, as the clients here need processor time too. Prints
- how fast progress is answered to all clients together, and how much longer the running job takes meanwhile (pairs of runs),
- how fast a job is taken while one runs, from five clients at once, and whether all were done once and in order,
- how fast one is taken behind thousands.
Start reading at `main`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.program import Program, machine, running_program
from modules.folders import Folders
from modules.jobs import Jobs

STEPS = 150
SUBMITTERS, EACH = 5, 10


def told(name: str, values_s: list[float]) -> None:
    """One line: middle, 99th of a hundred, and longest, in milliseconds."""
    values = sorted(values_s)
    middle, p99 = statistics.median(values), values[min(len(values) - 1, int(len(values) * 0.99))]
    print(
        f"{name}: {len(values)} answers, p50 {middle * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, longest {values[-1] * 1000:.1f} ms",
        flush=True,
    )


def post(program: Program, path: str, body: dict[str, Any]) -> Any:
    """A POST of JSON."""
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{program.url}{path}", data, headers), timeout=600) as answer:
        return json.load(answer)


def submit(program: Program, **request: Any) -> Any:
    """The job, queued over /api/v2."""
    return post(program, "/api/v2/jobs", {"kind": "txt2img", "request": {"prompt": "a dog, 3d", "save_images": False, **request}})


def made_s(program: Program, steps: int) -> float:
    """Seconds from asking for a picture of many steps until it is there."""
    began = time.perf_counter()
    post(program, "/sdapi/v1/txt2img", {"prompt": "a red apple, 3d", "steps": steps, "width": 128, "height": 128, "send_images": False})
    return time.perf_counter() - began


# ---- those who ask -------------------------------------------------------------------------------------------------


class Crowd:
    """Clients on connections that stay open, each asking for progress every so often. spent: seconds of every answer."""

    def __init__(self, program: Program, clients: int, every_s: float) -> None:
        self._at = urlsplit(program.url)
        self._clients, self._every_s = clients, every_s
        self.spent: list[float] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._asking: list[Any] = []

    def __enter__(self) -> Crowd:
        self._thread.start()
        self._asking = [self._begin(self._client(n)) for n in range(self._clients)]
        time.sleep(2 * self._every_s)
        return self

    def _begin(self, client: Coroutine[Any, Any, None]) -> Any:
        return asyncio.run_coroutine_threadsafe(client, self._loop)

    def __exit__(self, *_: object) -> None:
        for one in self._asking:
            one.cancel()
        time.sleep(0.2)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _client(self, n: int) -> None:
        await asyncio.sleep(self._every_s * n / self._clients)
        reader, writer = await asyncio.open_connection(self._at.hostname, self._at.port)
        words = f"GET /sdapi/v1/progress?skip_current_image=true HTTP/1.1\r\nHost: {self._at.netloc}\r\n\r\n".encode()
        try:
            while True:
                began = time.perf_counter()
                writer.write(words)
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                if " 200 " not in head.split("\r\n", 1)[0]:
                    raise SystemExit(head)
                await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
                self.spent.append(time.perf_counter() - began)
                await asyncio.sleep(max(0.0, self._every_s - (time.perf_counter() - began)))
        finally:
            writer.close()


def polling(program: Program, clients: int, every_s: float, pairs: int, steps: int) -> None:
    """Answers while a job runs, and what they cost it."""
    made_s(program, steps)
    ratios: list[float] = []
    spent: list[float] = []
    for _ in range(pairs):
        alone = made_s(program, steps)
        with Crowd(program, clients, every_s) as crowd:
            crowd.spent.clear()
            ratios.append(made_s(program, steps) / alone)
            spent += crowd.spent
    told(f"progress, {clients} clients that ask every {every_s:g} s", spent)
    middle, least, most = statistics.median(ratios), min(ratios), max(ratios)
    print(f"the running job meanwhile / alone: median {middle:.3f} of {pairs} pairs, {least:.3f} to {most:.3f}", flush=True)


# ---- those who submit ----------------------------------------------------------------------------------------------


def busy(program: Program, n_iter: int) -> str:
    """A job that runs, by its id."""
    job = submit(program, steps=STEPS, n_iter=n_iter)["id"]
    while program.get(f"/api/v2/jobs/{job}")["state"] != "running":
        time.sleep(0.05)
    return job


def submitters(program: Program, jobs: Jobs) -> None:
    """Several clients at once, each with jobs in a row."""
    spent: list[float] = []
    mine: dict[int, list[str]] = {}
    busy(program, 3)

    def client(n: int) -> None:
        mine[n] = []
        for seed in range(EACH):
            began = time.perf_counter()
            mine[n].append(submit(program, steps=2, seed=seed)["id"])
            spent.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(SUBMITTERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = {n: [jobs.wait(job, 600) for job in ids] for n, ids in mine.items()}
    told(f"enqueue, {SUBMITTERS} clients at once", spent)
    done = sum(job.state == "done" for own in rows.values() for job in own)
    in_order = all([job.started_s for job in own] == sorted(job.started_s or 0 for job in own) for own in rows.values())
    print(f"{SUBMITTERS * EACH} jobs: {done} done, in order per client: {in_order}")


def behind_many(program: Program, jobs: Jobs, count: int) -> None:
    """One job after another behind a long queue, while one runs."""
    job = jobs.get(busy(program, 1000))
    resolved = {**job.resolved, "n_iter": 1, "all_seeds": job.resolved["all_seeds"][:1], "all_subseeds": job.resolved["all_subseeds"][:1]}
    for n in range(count):
        jobs.submit("txt2img", job.request, resolved, owner=f"owner {n % 50}")
    spent: list[float] = []
    for seed in range(300):
        began = time.perf_counter()
        submit(program, steps=2, seed=seed)
        spent.append(time.perf_counter() - began)
    told(f"enqueue behind {count}", spent)
    reads: list[float] = []
    for _ in range(100):
        began = time.perf_counter()
        program.get("/sdapi/v1/progress?skip_current_image=true")
        reads.append(time.perf_counter() - began)
    told(f"progress with {count} waiting", reads)


def main() -> None:
    """Print all figures. --quick: small numbers, to see that everything works."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--every-s", type=float, default=1.0)
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    pairs, queued, steps = (1, 500, 20) if args.quick else (args.pairs, args.queued, args.steps)
    print(machine())
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "")
    with tempfile.TemporaryDirectory() as folder, running_program(Path(folder), threads=1) as program, contextlib.ExitStack() as stack:
        program.wait_for_model()
        jobs = Jobs(Folders.at(Path(folder)), {})
        stack.callback(jobs.stop)
        polling(program, args.clients, args.every_s, pairs, steps)
        submitters(program, jobs)
        behind_many(program, jobs, queued)


if __name__ == "__main__":
    main()
