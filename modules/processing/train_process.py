"""One of the processes of a training on several devices: `accelerate launch -m modules.processing.train_process JOB.json`.

The first one says what happens; all of them stop when a file says so, or when nobody follows them any more. Start reading at `main`.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from accelerate import PartialState

from modules.faults import Cancelled, Fault, RequestFault
from modules.folders import Folders
from modules.hardware.bench import Bench
from modules.processing.train_plan import ResolvedTrain, placed
from modules.processing.train_processes import ALIVE, EVENTS, STOP
from modules.processing.train_run import run_here
from modules.request.train import TrainConfig
from modules.train.loop import Outcome
from modules.train.sessions import Session

LEAST_REPORT_S = 0.2  # between two words about progress; whoever follows does not look more often
ORPHANED_S = 60.0
LOOK_S = 0.2


class Voice:
    """A control that talks through files. speaks: this is the first process."""

    def __init__(self, place: Path, *, speaks: bool) -> None:
        self._place = place
        self._speaks = speaks
        self._looked = (0.0, False)
        self._told = 0.0

    @property
    def interrupted(self) -> bool:
        """There is a file that says stop, or whoever follows is gone. Looked up a few times a second."""
        then, stopped = self._looked
        if stopped or time.monotonic() - then < LOOK_S:
            return stopped
        alive = self._place / ALIVE
        orphaned = not alive.exists() or time.time() - alive.stat().st_mtime > ORPHANED_S
        self._looked = (time.monotonic(), (self._place / STOP).exists() or orphaned)
        return self._looked[1]

    def status(self, message: str, **facts: Any) -> None:
        self.say("status", message)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.say("event", {"kind": kind, "data": data})

    def progress(self, **where: Any) -> None:
        now = time.monotonic()
        if now - self._told >= LEAST_REPORT_S or where["step"] == where["steps"]:
            self._told = now
            self.say("progress", where)

    def say(self, what: str, data: Any) -> None:
        """A line for whoever follows."""
        if self._speaks:
            with (self._place / EVENTS).open("ab") as file:
                file.write(json.dumps({"say": what, "data": data}).encode() + b"\n")


def main(job: Path) -> int:
    """Train as the file says. Returns 0, 1 after a fault."""
    told = json.loads(job.read_text(encoding="utf-8"))
    rank = int(os.environ.get("RANK", "0"))
    voice = Voice(job.parent, speaks=rank == 0)
    folders = Folders.from_data(told["folders"])
    resolved = ResolvedTrain.from_data(told["resolved"])
    config = TrainConfig.from_data(resolved.config)
    try:
        flags = {**told["flags"], "use_cpu": ["all"]} if told["on_cpu"] else {**told["flags"], "device_id": None}
        bench = Bench.choose(flags, 0 if told["on_cpu"] else int(os.environ.get("LOCAL_RANK", "0")), folders.cache / "hardware.json")
        _join(on_cpu=told["on_cpu"])
        session = Session.open(folders, resolved.session)
        outcome = run_here(resolved, session, config, voice, bench)
    except Cancelled:
        outcome = Outcome("canceled", 0, config.total_steps)
    except Fault as fault:
        told_fault = placed(fault, Session.open(folders, resolved.session)) if isinstance(fault, RequestFault) else fault
        Voice(job.parent, speaks=True).say("fault", told_fault.data())
        return 1
    except Exception as error:  # noqa: BLE001 - the one who follows must hear of it, whatever it is
        traceback.print_exc()
        Voice(job.parent, speaks=True).say("fault", {"kind": "unexpected", "message": f"{type(error).__name__}: {error}"})
        return 1
    data = {**vars(outcome), "files": [str(path) for path in outcome.files], "samples": [str(path) for path in outcome.samples]}
    voice.say("outcome", data)
    PartialState().destroy_process_group()
    return 0


def _join(*, on_cpu: bool) -> None:
    """Meet the other processes. Raises Fault when they did not find each other: each would train alone."""
    state = PartialState(cpu=on_cpu)  # accelerate keeps it; whoever asks later gets the same
    wanted = int(os.environ.get("WORLD_SIZE", "1"))
    if state.num_processes != wanted:
        raise Fault(f"{wanted} processes were started and did not find each other; this device cannot train so. Set num_processes to 1.")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
