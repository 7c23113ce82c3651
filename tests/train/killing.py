"""Training in a process of its own that is killed by SIGKILL, and what is compared afterwards."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from modules.folders import Folders
from modules.train.sessions import Session
from tests.train.runs import curve, run, same

NAME = "cat"


def child(home: Path, slow_s: float, begun: Any) -> None:
    """The process that is killed: goes on from what is there. begun: an event, set when it has been imported."""
    begun.set()
    run(Session.open(Folders.at(data=home), NAME), slow_s=slow_s)


def processes() -> Any:
    """Where children come from: a process that has imported everything once, so that each begins at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.killing"])
    return context


@dataclass
class Kill:
    """One kill: seconds after the start, and the step that the state on disk stood at then (-1: ended before it was killed)."""

    after_s: float
    step: int


def killed_run(home: Path, kills: int, drawn: random.Random, span_s: float, slow_s: float, context: Any) -> list[Kill]:
    """Start the child and kill it at a random moment within span_s, `kills` times, then let it come to its end. Raises RuntimeError."""
    done: list[Kill] = []
    while len(done) < kills:
        begun = context.Event()
        process = context.Process(target=child, args=(home, slow_s, begun))
        process.start()
        begun.wait()
        wait = drawn.uniform(0.0, span_s)
        process.join(wait)
        if process.exitcode is not None:
            done.append(Kill(wait, -1))
            break
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        done.append(Kill(wait, Session.open(Folders.at(data=home), NAME).summary().step))
    begun = context.Event()
    last = context.Process(target=child, args=(home, slow_s, begun))
    last.start()
    last.join()
    if last.exitcode != 0:
        raise RuntimeError(f"the last run ended with {last.exitcode}")
    return done


def timed(session: Session, slow_s: float) -> float:
    """Seconds of an unbroken run."""
    began = time.perf_counter()
    run(session, slow_s=slow_s)
    return time.perf_counter() - began


def differences(one: Session, other: Session) -> list[str]:
    """What is not equal bit for bit: the curve, the final weights, each sample and each file on the way."""
    found = [] if curve(one) == curve(other) else ["the loss curve"]
    for part in ("output", "samples"):
        names = {path.name for path in (one.folder / part).iterdir()} | {path.name for path in (other.folder / part).iterdir()}
        for name in sorted(names):
            mine, theirs = one.folder / part / name, other.folder / part / name
            if not (mine.is_file() and theirs.is_file()):
                found.append(f"{name} is missing")
            elif name.endswith(".safetensors"):
                found += [] if same(load_file(mine), load_file(theirs)) else [name]
            elif mine.read_bytes() != theirs.read_bytes():
                found.append(name)
    return found
