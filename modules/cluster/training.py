"""A training over the machines of a cluster: which processes there are, and what happens when one of them is lost.

`python -m modules.cluster.training JOB.json` stands where `accelerate launch` does for the devices of one machine. It becomes
`modules.cluster.trainer`, which holds the session's lock, starts the same processes through Ray Train and speaks the same words with
whoever follows (`modules.processing.train_processes`). A lost process ends the others; the session goes on from its last state with the
places that are left, which take the same batches between them. Start reading at `lead`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

from modules.cluster.hosts import Host
from modules.cluster.joining import QUIET, reach
from modules.faults import Fault, RequestFault, SetupFault
from modules.train.sessions import Session, last_position

MOST_BARREN = 2  # tries after which no further state was written
LEADER = ("-m", "modules.cluster.trainer")
# Seconds that the processes of a try have to start; and they stay in their own folder.
TRAIN = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "120", "RAY_CHDIR_TO_TRIAL_DIR": "0"}
Attempt = Callable[[Sequence[str], bool], str]  # (node of each process, on the CPU) -> "" when it ended by itself, else why not


def seats(hosts: Sequence[Host], wanted: int) -> tuple[list[str], bool]:
    """(node for each process, as many as wanted if there are so many; whether they compute on the CPU).

    A machine has as many places as it may have workers, and no more than cards. Where no machine has cards they compute on the CPU.
    The processes are spread: one on each machine, then a second one.
    """
    on_cpu = not any(host.cards for host in hosts)
    columns = [[host.node] * (host.workers if on_cpu else min(host.workers, host.cards)) for host in hosts]
    found = [node for row in zip_longest(*columns) for node in row if node is not None]
    return found[:wanted], on_cpu


def lead(
    session: Session,
    wanted: int,
    hosts: Callable[[], Sequence[Host]],
    attempt: Attempt,
    warn: Callable[[str], None],
) -> None:
    """Train until it has ended by itself. hosts: those that answer, asked before each try; warn: told of each loss.

    Raises RequestFault("num_processes") when there are too few places at first, SetupFault when none is left, Fault when trying again does
    not help.
    """
    nodes, on_cpu = seats(hosts(), wanted)
    if len(nodes) < wanted:
        raise RequestFault("num_processes", f"the cluster has {len(nodes)} places for a training; see docs/cluster.md", got=wanted)
    step, barren = last_position(session.paths.state), 0
    while lost := attempt(nodes, on_cpu):
        now = last_position(session.paths.state)
        step, barren = now, 0 if now > step else barren + 1
        if barren > MOST_BARREN:
            raise Fault(f"Processes of the training were lost {barren} times at the same step: {lost}. It goes on from its last state.")
        nodes, on_cpu = seats(hosts(), wanted)
        if not nodes:
            raise SetupFault("No machine of the cluster is left. The training goes on from its last state when there is one again.")
        warn(
            f"A process of the training was lost. It goes on from step {step} with {len(nodes)} of {wanted} processes, "
            "which take the same batches between them."
        )


def main(job: Path) -> None:
    """Entry of the process, which becomes the one that leads: Ray reads variables when it is imported."""
    address = str(json.loads(job.read_text(encoding="utf-8"))["flags"]["cluster"])
    os.execve(sys.executable, [sys.executable, *LEADER, str(job)], {**os.environ, **QUIET, **TRAIN, **reach(address)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
