"""A worker's process: what it is started with, and where its log goes.

Knows the operating system; knows nothing about jobs. Start reading at `start_worker`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from modules.folders import Folders
from modules.jobs.joined import Joining, never
from modules.jobs.records import DEVICE

LOG_LIMIT_BYTES = 10_000_000
Fits = Callable[[str, dict[str, Any]], bool]


@dataclass(frozen=True, kw_only=True)
class WorkerPlan:
    """How to start a worker. runner: "module:function"; folders, flags: plain data; program: the working directory.

    lane: whose jobs it runs; idle_s: seconds without work after which it ends, to be started again for the next job; None: it stays.
    hint: what a person may try when it dies under a job. stall_s: seconds without a word after which steps have stopped; None: STALL_S.
    farewell_s: seconds that a job which can go on later has to save when the program ends; 0 for jobs that cannot.
    joining: which jobs may be made together. words: of Python, for the process; more: what its first line says beside; env: variables for
    it. about: of a worker elsewhere, its machine, for people. fits: which jobs of the lane it takes, by kind and resolved data; None: all.
    """

    runner: str
    folders: dict[str, Any]
    flags: dict[str, Any]
    program: Path
    log: Path
    lane: str = DEVICE
    idle_s: float | None = None
    hint: str = "try a smaller size or batch"
    stall_s: float | None = None
    farewell_s: float = 0.0
    joining: Joining = never
    words: tuple[str, ...] = ("-m", "modules.jobs.worker")
    more: dict[str, Any] = field(default_factory=dict[str, Any])
    env: dict[str, str] = field(default_factory=dict[str, str])
    about: dict[str, Any] = field(default_factory=dict[str, Any])
    fits: Fits | None = None

    def joining_fit(self, kind: str, resolved: dict[str, Any], device: Mapping[str, Any]) -> tuple[str, int, int] | None:
        """As `joining`, of the jobs that this worker takes."""
        return self.joining(kind, resolved, device) if self.fits is None or self.fits(kind, resolved) else None


def start_worker(plan: WorkerPlan) -> subprocess.Popen[bytes]:
    """Raises OSError."""
    with _open_log(plan.log) as log:
        return subprocess.Popen(
            [sys.executable, *plan.words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=plan.program,
            env={**worker_environment(plan.folders), **plan.env},
            start_new_session=os.name != "nt",
        )


def worker_environment(folders: dict[str, Any]) -> dict[str, str]:
    """Of a worker. torch keeps the code that it generates below the program's cache; whoever set another place keeps it."""
    own = {"TORCHINDUCTOR_CACHE_DIR": str(Folders.from_data(folders).backends / "inductor")} if folders else {}
    return {**own, **os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


def _open_log(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        os.replace(path, path.with_suffix(".old.log"))
    return path.open("ab")
