"""What the whole program costs over a plain diffusers call, as a ratio, on this machine.

    python -m benchmarks.overhead [--pairs 10] [--steps 20] [--poll-ms 0]

Starts the program as a user would (its own processes, no page open), then makes the same picture in turn: A through
POST /sdapi/v1/txt2img, B by a plain pipeline call in this process that also writes its PNG, A, B, ... and prints the
median of A/B pair by pair. While one side works the other is idle. --poll-ms asks for progress that often during A. Each
picture has a prompt of its own, since the program remembers what it has encoded. Processor time is that of all the program's
processes against this one's; other programs on the machine disturb it less.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import statistics
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from benchmarks.program import Program, machine, running_program


def prompt_of(seed: int) -> str:
    return f"a red apple, 3d, number {seed}"


def worked_s(process: psutil.Process) -> float:
    """Processor time of a process and all that it started."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(one.cpu_times()[:2])
    return total


def plain(folder: Path, steps: int) -> Any:
    """The plain script: load once, then one call and one PNG a picture."""
    import torch
    from diffusers import StableDiffusionPipeline

    from modules.samplers.build import build_scheduler

    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, safety_checker=None, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    config = dict(pipeline.scheduler.config)

    def make(seed: int, out: Path) -> Any:
        pipeline.scheduler = build_scheduler("DPM++ 2M", "Automatic", config)
        generator = torch.Generator("cpu").manual_seed(seed)
        image = pipeline(
            prompt=prompt_of(seed), negative_prompt="", num_inference_steps=steps, guidance_scale=5.0, generator=generator
        ).images[0]
        image.save(out)
        return image

    return make


def ask(url: str, seed: int, steps: int) -> bytes:
    body = {
        "prompt": prompt_of(seed),
        "steps": steps,
        "cfg_scale": 5,
        "seed": seed,
        "sampler_name": "DPM++ 2M",
        "width": 128,
        "height": 128,
        "save_images": True,
    }
    request = urllib.request.Request(f"{url}/sdapi/v1/txt2img", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return base64.b64decode(json.load(answer)["images"][0])


def poll(url: str, every_s: float, stop: threading.Event, latencies: list[float]) -> None:
    while not stop.is_set():
        began = time.perf_counter()
        urllib.request.urlopen(f"{url}/sdapi/v1/progress", timeout=60).read()
        latencies.append(time.perf_counter() - began)
        stop.wait(every_s)


def measure(program: Program, make: Any, args: argparse.Namespace, out: Path) -> tuple[list[float], list[float], list[float], list[float]]:
    from PIL import Image

    ours, theirs, latencies, worked = [], [], [], []
    url, root = program.url, psutil.Process(program.process.pid)
    for n in range(args.pairs + 2):
        stop = threading.Event()
        poller = threading.Thread(target=poll, args=(url, args.poll_ms / 1000, stop, latencies))
        if args.poll_ms:
            poller.start()
        began, before = time.perf_counter(), worked_s(root)
        png = ask(url, n, args.steps)
        middle = time.perf_counter()
        stop.set()
        if args.poll_ms:
            poller.join()
        between, spent, own = time.perf_counter(), worked_s(root) - before, time.process_time()
        image = make(n, out / "plain.png")
        ended, own = time.perf_counter(), time.process_time() - own
        same = Image.open(io.BytesIO(png)).convert("RGB").tobytes() == image.tobytes()
        if not same:
            raise SystemExit(f"seed {n}: the two pictures differ, so their times cannot be compared")
        if n >= 2:  # two pairs to warm up
            ours.append(middle - began)
            theirs.append(ended - between)
            worked.append(spent / own)
    return ours, theirs, latencies, worked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--poll-ms", type=float, default=0)
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder, running_program(Path(folder)) as program:
        program.wait_for_model()
        make = plain(program.starter, args.steps)
        ours, theirs, latencies, worked = measure(program, make, args, Path(folder))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"{args.pairs} pairs, {args.steps} steps, 128x128, equal pictures")
    print(f"through the API : median {statistics.median(ours):.3f} s  (min {min(ours):.3f}, max {max(ours):.3f})")
    print(f"plain diffusers : median {statistics.median(theirs):.3f} s  (min {min(theirs):.3f}, max {max(theirs):.3f})")
    print(f"ratio, pair by pair: median {statistics.median(ratios):.3f}  (min {min(ratios):.3f}, max {max(ratios):.3f})")
    print(f"processor time, pair by pair: median {statistics.median(worked):.3f}  (min {min(worked):.3f}, max {max(worked):.3f})")
    if latencies:
        latencies.sort()
        p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
        print(f"progress answers: {len(latencies)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms")


if __name__ == "__main__":
    main()
