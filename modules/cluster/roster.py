"""Which workers a queue has on other machines: listens to a scout and tells the queue which plans there are now.

Runs in the web process and imports nothing of Ray. Start reading at `Roster.start`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, BinaryIO, cast

from modules.cluster.fitting import fits
from modules.cluster.hosts import Host, Place, places_of
from modules.cluster.joining import reach
from modules.cluster.version import identity
from modules.flags import table
from modules.folders import PROGRAM
from modules.jobs.process import WorkerPlan
from modules.jobs.wire import Wire

WORDS = ("-m", "modules.cluster.bridge")
SCOUT = ("-m", "modules.cluster.scout")
AGAIN_S = 2.0


class Roster:
    """changed: called with name -> plan of every worker there can be, whenever that changes. plan: of a worker here.

    pattern: what all places have in common. Of the flags only those about devices go over: others hold secrets.
    """

    def __init__(self, plan: WorkerPlan, pattern: Place, changed: Callable[[Mapping[str, WorkerPlan]], None]) -> None:
        self._plan = replace(plan, flags={f.name: plan.flags.get(f.name) for f in table() if f.metadata["group"] == "Device"})
        self._pattern = pattern
        self._address = pattern.address
        self._changed = changed
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._follow, name="roster", daemon=True)
        self._seen: dict[tuple[str, str], dict[str, Any]] = {}  # by name and address: a machine that comes back has another node
        self.hosts: list[Host] = []
        self.problem = f"Looking for the cluster at {pattern.address}…"

    def to_data(self) -> dict[str, Any]:
        """For people: address of the cluster, what is wrong ("" for nothing), the version that is needed, machines that offer workers.

        Of those since_s, since when they are there, and losses: how often they were gone before; gone: those that were there, and lost_s.
        """
        gone = [{"name": name, "address": address, **seen} for (name, address), seen in self._seen.items() if seen["lost_s"] is not None]
        hosts = [{**host.to_data(), **self._seen[host.name, host.address]} for host in self.hosts]
        return {"address": self._address, "problem": self.problem, "version": identity(), "hosts": hosts, "gone": gone}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Listen no more. The workers are the queue's to end."""
        self._stopping.set()
        if self._process is not None:
            self._process.kill()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            with self._scout() as process:
                self._process = process
                if self._stopping.is_set():
                    process.kill()
                wire = Wire(cast(BinaryIO, process.stdout), cast(BinaryIO, process.stdin))
                with contextlib.suppress(OSError, ValueError):
                    wire.send({"address": self._address})
                    for message in wire.messages():
                        self._take(message)
            self._stopping.wait(AGAIN_S)

    def _scout(self) -> subprocess.Popen[bytes]:
        folder = self._plan.log.parent
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "cluster.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *SCOUT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=PROGRAM,
                env={**os.environ, **reach(self._address)},
            )  # fmt: skip

    def _take(self, message: dict[str, Any]) -> None:
        self.problem = message.get("problem", "")
        if "hosts" not in message:
            return
        hosts = [Host.from_data(row) for row in message["hosts"]]
        if hosts == self.hosts:
            return
        self._see(hosts)
        self.hosts = hosts
        self._changed({place.actor: self._plan_of(host, place) for host, place in places_of(hosts, self._pattern)})

    def _see(self, hosts: list[Host]) -> None:
        """Who came and who is gone."""
        here = {(host.name, host.address) for host in hosts}
        for who in here - {who for who, seen in self._seen.items() if seen["lost_s"] is None}:
            losses = self._seen[who]["losses"] + 1 if who in self._seen else 0
            self._seen[who] = {"since_s": time.time(), "lost_s": None, "losses": losses}
        for who in self._seen.keys() - here:
            self._seen[who]["lost_s"] = self._seen[who]["lost_s"] or time.time()

    def _plan_of(self, host: Host, place: Place) -> WorkerPlan:
        about = {
            "node": host.node,
            "host": host.name,
            "address": host.address,
            "card": host.card if place.gpu else "",
            "place": place.index,
        }
        return replace(
            self._plan, words=WORDS, more={"cluster": asdict(place)}, about=about, fits=fits, env=reach(self._address),
            log=self._plan.log.with_name(f"{place.actor}.log"), hint="look at the log on that machine",
        )  # fmt: skip
