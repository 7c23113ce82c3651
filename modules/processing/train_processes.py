"""A training on several devices: `accelerate launch` starts a process for each, this one follows them and passes on what they say.

Over a cluster `modules.cluster.training` stands in its place: the same processes on other machines, the same words.

They talk through files in a folder of the cache: "job.json" (what to do), "events.jsonl" (what the first process says, a JSON a line),
"stop" (it is there: save and end), "alive" (touched as long as somebody follows; when it gets old they save and end by themselves).
Start reading at `run_several`; the other side is `modules.processing.train_process`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from modules.faults import Fault
from modules.folders import Folders, write_atomic
from modules.processing.train_plan import ResolvedTrain
from modules.processing.train_voice import ALIVE, EVENTS, JOB, LOG, STOP
from modules.request.train import TrainConfig
from modules.train.loop import Outcome

CLUSTER = ("-m", "modules.cluster.training")  # of Python; a room that is none of ours to import
LOOK_S = 0.2
TOLD_CHARS = 1500
END_S = 600.0  # that processes have to save and end after "stop"; after a fault of one of them the others are ended


def run_several(job: str, resolved: ResolvedTrain, control: Any, folders: Folders, flags: dict[str, Any], *, on_cpu: bool) -> Outcome:
    """The training in `num_processes` processes. Raises the fault that the first of them met, Fault when they ended without a word."""
    place = folders.cache / "train" / f"run-{job}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    told = {"resolved": resolved.to_data(), "folders": folders.to_data(), "flags": flags, "on_cpu": on_cpu}
    write_atomic(place / JOB, json.dumps(told).encode())
    (place / ALIVE).touch()
    config = TrainConfig.from_data(resolved.config)
    count, on_cluster = config.num_processes, config.on_cluster
    started = f"{count} processes, which take {config.global_batch} pictures at each step" if count > 1 else "a process"
    control.status(f"Starting {started}{' on the cluster' if on_cluster else ''}…")
    words = [sys.executable, *CLUSTER, str(place / JOB)] if on_cluster else command(place / JOB, count)
    with (place / LOG).open("wb") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folders.program,
            env=environment(on_cpu=on_cpu and not on_cluster), start_new_session=os.name != "nt",
        )  # fmt: skip
    try:
        outcome = _followed(process, place, control)
    finally:
        _end(process)
    if outcome is None:
        text = (place / LOG).read_text(encoding="utf-8", errors="replace")[-TOLD_CHARS:]
        control.event("log", {"text": text})
        raise Fault(f"The processes that trained ended without a word (exit {process.returncode}). The job's log has their last lines.")
    shutil.rmtree(place, ignore_errors=True)
    return outcome


def command(job: Path, count: int) -> list[str]:
    """`accelerate launch` of `modules.processing.train_process`, on this machine."""
    return [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(count), "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
        "--module", "modules.processing.train_process", str(job),
    ]  # fmt: skip


def environment(*, on_cpu: bool) -> dict[str, str]:
    """Of the processes. Without a device they talk over gloo and share the processor's cores."""
    more = {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    if on_cpu:
        more |= {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, **more}


def _followed(process: subprocess.Popen[bytes], place: Path, control: Any) -> Outcome | None:
    """Pass on what is said until the processes have ended. Raises the fault that was told."""
    says: dict[str, Callable[[Any], None]] = {
        "status": control.status,
        "progress": lambda data: control.progress(**data),
        "event": lambda data: control.event(data["kind"], data["data"]),
    }
    outcome: Outcome | None = None
    fault: Fault | None = None
    lines = _lines(place / EVENTS)
    while True:
        ended = process.poll() is not None
        os.utime(place / ALIVE)
        if control.interrupted:
            (place / STOP).touch()
        for line in lines:
            if line is None:
                break
            if line["say"] == "outcome":
                outcome = _outcome(line["data"])
            elif line["say"] == "fault":
                fault = _fault(line["data"])
            else:
                says[line["say"]](line["data"])
        if fault is not None:
            raise fault
        if ended:
            return outcome
        time.sleep(LOOK_S)


def _lines(path: Path) -> Iterator[dict[str, Any] | None]:
    """What is added to a file, line by line; None whenever there is nothing new."""
    position, rest = 0, b""
    while True:
        if path.is_file():
            with path.open("rb") as file:
                file.seek(position)
                data = file.read()
            position += len(data)
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield json.loads(line)
        yield None


def _outcome(data: dict[str, Any]) -> Outcome:
    paths: dict[str, Any] = {name: [Path(path) for path in data[name]] for name in ("files", "samples")}
    return Outcome(**{**data, **paths})


def _fault(data: dict[str, Any]) -> Fault:
    """As it was told, with its kind."""
    kind, message = str(data.pop("kind", Fault.kind)), str(data.pop("message", ""))
    found = Fault(message, **data)
    found.extra["kind"] = kind  # `data()` lets the extra values speak last
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is still there of the processes."""
    if process.poll() is not None:
        return
    if os.name == "nt":
        process.terminate()
    else:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
