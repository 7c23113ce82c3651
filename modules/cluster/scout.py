"""Says which machines a cluster has, again whenever that changes: a process of its own, so that the page never depends on Ray.

`python -m modules.cluster.scout`: the first line on stdin is {"address": ...}; lines on stdout are {"hosts": [...]} or {"problem": why}.
Start reading at `main`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time

import ray

from modules.cluster.hosts import hosts_of
from modules.cluster.ties import connect
from modules.faults import SetupFault
from modules.jobs.wire import Wire
from modules.jobs.worker import begin

LOOK_S = 1.0
BEAT_LOOKS = 5  # it says the same again now and then, so that a listener knows it lives


def main() -> None:
    """Entry of the process."""
    if (begun := begin(Wire)) is None:
        return
    wire, init = begun
    threading.Thread(target=_end_with, args=(wire,), daemon=True, name="leash").start()
    said: object = None
    looks = 0
    while True:
        try:
            if not ray.is_initialized():
                connect(init["address"])
            hosts = [host.to_data() for host in hosts_of(ray.nodes())]
        except SetupFault as fault:
            wire.send({"problem": fault.message})
            os._exit(1)
        except Exception as error:  # noqa: BLE001 - whatever Ray raises when its head is gone: whoever started this starts it again
            wire.send({"problem": f"The cluster at {init['address']} does not answer: {str(error).splitlines()[0][:200]}"})
            os._exit(1)
        if hosts != said or looks % BEAT_LOOKS == 0:
            said = hosts
            wire.send({"hosts": hosts})
        looks += 1
        time.sleep(LOOK_S)


def _end_with(wire: Wire) -> None:
    """The process ends when whoever started it is gone."""
    with contextlib.suppress(OSError, ValueError):
        for _ in wire.messages():
            pass
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
