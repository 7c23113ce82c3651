"""One of the processes of a training on several devices: `accelerate launch -m modules.processing.train_process JOB.json`.

Over a cluster `modules.cluster.rank` calls `take_part` in its place.

The first one says what happens; all of them stop when a file says so, or when nobody follows them any more. Start reading at `main`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState

from modules.faults import Cancelled, Fault, RequestFault
from modules.folders import Folders
from modules.hardware.bench import Bench
from modules.processing.train_plan import ResolvedTrain, placed
from modules.processing.train_run import run_here
from modules.processing.train_voice import Voice, unexpected
from modules.request.train import TrainConfig
from modules.train.loop import Outcome
from modules.train.sessions import Session


def main(job: Path) -> int:
    """Train as the file says. Returns 0, 1 after a fault."""
    told = json.loads(job.read_text(encoding="utf-8"))
    voice = Voice(job.parent, speaks=int(os.environ.get("RANK", "0")) == 0)
    try:
        outcome = take_part(told, voice)
    except Fault as fault:
        Voice(job.parent, speaks=True).say("fault", fault.data())
        return 1
    except Exception as error:  # noqa: BLE001 - the one who follows must hear of it, whatever it is
        traceback.print_exc()
        Voice(job.parent, speaks=True).say("fault", unexpected(error))
        return 1
    voice.say("outcome", outcome_data(outcome))
    PartialState().destroy_process_group()
    return 0


def take_part(told: Mapping[str, Any], control: Any, *, led: bool = False) -> Outcome:
    """Train as one of the processes, which stand in the environment. told: "resolved", "folders", "flags", "on_cpu"; led: see `Company`.

    Raises Fault.
    """
    folders = Folders.from_data(told["folders"])
    resolved = ResolvedTrain.from_data(told["resolved"])
    session, config = Session.open(folders, resolved.session), TrainConfig.from_data(resolved.config)
    flags = {**told["flags"], "use_cpu": ["all"]} if told["on_cpu"] else {**told["flags"], "device_id": None}
    try:
        bench = Bench.choose(flags, 0 if told["on_cpu"] else int(os.environ.get("LOCAL_RANK", "0")), folders.cache / "hardware.json")
        _join(on_cpu=told["on_cpu"])
        return run_here(resolved, session, config, control, bench, led=led)
    except Cancelled:
        return Outcome("canceled", 0, config.total_steps)
    except RequestFault as fault:
        raise placed(fault, session) from fault


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """An outcome as it is told."""
    return {**vars(outcome), "files": [str(path) for path in outcome.files], "samples": [str(path) for path in outcome.samples]}


def _join(*, on_cpu: bool) -> None:
    """Meet the other processes. Raises Fault when they did not find each other: each would train alone."""
    state = PartialState(cpu=on_cpu)  # accelerate keeps it; whoever asks later gets the same
    wanted = int(os.environ.get("WORLD_SIZE", "1"))
    if state.num_processes != wanted:
        raise Fault(f"{wanted} processes were started and did not find each other; this device cannot train so. Set num_processes to 1.")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
