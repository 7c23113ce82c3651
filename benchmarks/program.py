"""The program under measurement: started in its own processes on a free port, with an empty data folder."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Program:
    """url: where it answers; starter: folder of the starter model; started_s: when it was started (perf_counter)."""

    url: str
    starter: Path
    started_s: float
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
            return json.load(answer)

    def wait_for(self, path: str, timeout_s: float = 120) -> float:
        """Seconds since the start until the path answers."""
        while time.perf_counter() - self.started_s < timeout_s:
            try:
                urllib.request.urlopen(f"{self.url}{path}", timeout=10).read(1)
                return time.perf_counter() - self.started_s
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.01)
        raise SystemExit(f"{path} did not answer within {timeout_s} s")

    def wait_for_model(self, timeout_s: float = 300) -> float:
        """Seconds since the start until a model is loaded and the worker is idle."""
        self.wait_for("/internal/ping")
        while time.perf_counter() - self.started_s < timeout_s:
            worker = self.get("/internal/jobs")["worker"]
            if worker["state"] == "idle" and worker["model"]:
                return time.perf_counter() - self.started_s
            time.sleep(0.05)
        raise SystemExit("no model was loaded in time")


@contextlib.contextmanager
def running_program(data: Path, *flags: str, threads: int | None = None) -> Iterator[Program]:
    """Start `launch.py` with this interpreter; end it afterwards. threads: that torch may use."""
    env = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(ROOT / "launch.py"), "--no-venv", "--skip-install", "--port", str(port), "--data-dir", str(data), *flags]
    with (data / "program.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=env)
    try:
        yield Program(f"http://127.0.0.1:{port}", ROOT / "models" / "Stable-diffusion" / "darkroom-starter", began, process)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def machine() -> str:
    """One line: processor, cores, Python and the libraries that matter."""
    names = ("torch", "diffusers", "transformers", "gradio")
    versions = ", ".join(f"{n} {metadata.version(n)}" for n in names)
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        cpu = next(
            line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cpu}, {cores} cores, Python {platform.python_version()}, {versions}"
