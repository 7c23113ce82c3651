"""Many requests at once: eight that wait, one that asks for eight, and what previews cost; against plain diffusers, round by round.

    python -m benchmarks.throughput [--rounds 5] [--steps 20] [--size 128] [--previews 4] [--threads 1] [--quick]

Starts the program in its own processes, no page open. In each round, in turn:
- eight queued requests, each made by itself (join_jobs "Never"), and joined ("Always"), from the first one's start to the last one's end,
- one request for eight pictures,
- a plain loop of eight diffusers calls, and a plain call for eight pictures, which also write their PNGs.
Prints the median of the ratios of each round, of time and of processor time. On a machine that is busy with other things only the second
tells anything; all processes of the program count in it, its page server too, and saving that overlaps. Then a long request with live
previews and without, both asked about every half second as the page does. Start reading at `main`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.program import Program, machine, running_program
from modules.folders import Folders
from modules.jobs import Job, Jobs

MANY = 8
RATIOS = (
    (f"{MANY} queued requests / a plain loop", "alone", "loop"),
    (f"a request for {MANY} pictures / a plain call for {MANY}", "batch", "call"),
    (f"{MANY} joined requests / a plain call for {MANY}", "joined", "call"),
    ("by themselves / joined", "alone", "joined"),
)
PROMPTS = tuple(f"a {colour} {thing}, 3d" for colour in ("red", "blue") for thing in ("apple", "car", "cat", "dog"))


class Side:
    """The program, asked over HTTP; times are those of its own rows, so that waiting for an answer is not in them."""

    def __init__(self, program: Program, jobs: Jobs, args: argparse.Namespace) -> None:
        self._program, self._jobs, self._args = program, jobs, args
        self._main = psutil.Process(program.process.pid)

    def cpu_s(self) -> float:
        """Processor time of the program so far, of all its processes."""
        times = [one.cpu_times() for one in (self._main, *self._main.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    def submit(self, **request: Any) -> str:
        body = {"steps": self._args.steps, "width": self._args.size, "height": self._args.size, "cfg_scale": 5, "sampler_name": "DPM++ 2M"}
        return self.post("/api/v2/jobs", {"kind": "txt2img", "request": {**body, **request}})["id"]

    def post(self, path: str, body: dict[str, Any]) -> Any:
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{self._program.url}{path}", data, headers), timeout=600) as answer:
            return json.load(answer)

    def queued(self, joined: str) -> float:
        """Seconds for eight requests that wait together."""
        self.post("/api/v2/queue/pause", {})
        ids = [self.submit(prompt=p, seed=n, override_settings={"join_jobs": joined}) for n, p in enumerate(PROMPTS)]
        self.post("/api/v2/queue/resume", {})
        rows = [self._jobs.wait(one, 600) for one in ids]
        notes = sum("one batch" in note for row in rows for note in (row.result or {}).get("notes", ()))
        if notes != (MANY if joined == "Always" else 0) or any(row.state != "done" for row in rows):
            raise SystemExit(f"{notes} of {MANY} requests were joined; states {[row.state for row in rows]}")
        return spent(rows)

    def batch(self) -> float:
        """Seconds for one request of eight pictures."""
        override = {"return_grid": False, "grid_save": False}
        return spent([self._jobs.wait(self.submit(prompt=PROMPTS[0], seed=0, batch_size=MANY, override_settings=override), 600)])

    def watched(self, *, previews: bool) -> float:
        """Seconds for a long request that somebody looks at."""
        long = self.submit(prompt=PROMPTS[0], seed=0, steps=10 * self._args.steps, override_settings={"live_previews_enable": previews})
        while not self._jobs.get(long).finished:
            self.post("/internal/progress", {"id_task": long, "id_live_preview": -1, "live_preview": previews})
            time.sleep(0.5)
        return spent([self._jobs.get(long)])


def spent(rows: list[Job]) -> float:
    """From the first start to the last end."""
    return max(row.finished_s or 0 for row in rows) - min(row.started_s or 0 for row in rows)


def plain(folder: Path, out: Path, args: argparse.Namespace) -> tuple[Callable[[], float], Callable[[], float]]:
    """(a loop of eight calls, one call for eight) of a bare diffusers pipeline, in seconds."""
    import torch
    from diffusers import StableDiffusionPipeline

    from modules.samplers.build import build_scheduler

    torch.set_num_threads(args.threads)
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, safety_checker=None, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    config = dict(pipeline.scheduler.config)

    def call(prompts: list[str], seeds: list[int]) -> None:
        pipeline.scheduler = build_scheduler("DPM++ 2M", "Automatic", config)
        drawn = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        size = {"width": args.size, "height": args.size, "num_inference_steps": args.steps, "guidance_scale": 5.0}
        for seed, image in zip(seeds, pipeline(prompt=prompts, generator=drawn, **size).images, strict=True):
            image.save(out / f"{seed}.png")

    def timed(work: Callable[[], None]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    def loop() -> float:
        return timed(lambda: [call([prompt], [seed]) for seed, prompt in enumerate(PROMPTS)] and None)

    return loop, lambda: timed(lambda: call([PROMPTS[0]] * MANY, [*range(MANY)]))


def both(work: Callable[[], float], side: Side) -> tuple[float, float]:
    """(seconds, seconds of processor time) of the program or of this process, of which one is idle."""
    program, own = side.cpu_s(), time.process_time()
    wall = work()
    return wall, max(side.cpu_s() - program, time.process_time() - own)


def told(name: str, ratios: list[tuple[float, float]]) -> None:
    """One line."""
    parts = []
    for what, values in zip(("time", "processor time"), zip(*ratios, strict=True), strict=True):
        parts.append(f"{what} {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})")
    print(f"{name}: {', '.join(parts)}, {len(ratios)} times", flush=True)


def main() -> None:
    """Print all figures. --quick: one round of few steps, to see that everything works."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--previews", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.steps, args.previews = 1, 3, 1
    print(machine())
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "", flush=True)
    with tempfile.TemporaryDirectory() as folder, running_program(Path(folder), threads=args.threads) as program:
        program.wait_for_model()
        jobs = Jobs(Folders.at(Path(folder)), {})
        side = Side(program, jobs, args)
        loop, call = plain(program.starter, Path(folder), args)
        names = ("alone", "joined", "batch", "loop", "call")
        work = (lambda: side.queued("Never"), lambda: side.queued("Always"), side.batch, loop, call)
        rounds: list[dict[str, tuple[float, float]]] = []
        for n in range(args.rounds + 1):  # the first one warms up
            taken = {name: both(one, side) for name, one in zip(names, work, strict=True)}
            print(f"round {n}: " + ", ".join(f"{name} {wall:.2f} s ({cpu:.2f} s)" for name, (wall, cpu) in taken.items()), flush=True)
            rounds += [taken] if n else []
        for about, over, under in RATIOS:
            told(about, [(one[over][0] / one[under][0], one[over][1] / one[under][1]) for one in rounds])
        pairs = [[both(lambda p=p: side.watched(previews=p), side) for p in (True, False)] for _ in range(args.previews)]
        told("with previews / without", [(a[0] / b[0], a[1] / b[1]) for a, b in pairs])
        jobs.stop()


if __name__ == "__main__":
    main()
