"""A bridge and a post in one process, without Ray: calls go straight over, and can be made to fail."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modules.cluster.bridge import Bridge
from modules.cluster.post import Post
from modules.faults import Fault, WorkerDied
from modules.folders import Folders
from modules.jobs.wire import Wire

RUNNER = "tests.cluster.backend:build"
WAIT_S = 60.0


class Straight:
    """Calls of a post without anything between. cut: from now on nothing comes through. calls: the names of the methods called."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self.cut = False
        self.calls: list[str] = []
        self.before: dict[str, Callable[..., None]] = {}

    def call(self, method: str, *values: Any, timeout_s: float = 10.0) -> Any:
        if self.cut:
            raise WorkerDied("The other machine did not answer.")
        self.calls.append(method)
        if method in self.before:
            self.before[method](*values)
        return getattr(self._post, method)(*values)


class Head:
    """The supervisor's end of a bridge that runs on a thread of this process."""

    def __init__(self, folders: Folders, post: Post, runner: str = RUNNER, *, shared: bool = False) -> None:
        self.folders = folders
        self.line = Straight(post)
        self.said: queue.Queue[dict[str, Any]] = queue.Queue()
        self.fault: Fault | None = None
        (to_bridge, orders), (heard, from_bridge) = (
            [os.fdopen(n, mode) for n, mode in zip(os.pipe(), ("rb", "wb"), strict=True)] for _ in "ab"
        )
        self._wire = Wire(heard, orders)
        init = {"runner": runner, "folders": folders.to_data(), "flags": {}, "cluster": {"shared": shared}}
        bridge = Bridge(Wire(to_bridge, from_bridge), self.line, init, leave=lambda code: None)
        threading.Thread(target=self._run, args=(bridge,), daemon=True).start()
        threading.Thread(target=self._listen, daemon=True).start()

    def _run(self, bridge: Bridge) -> None:
        try:
            bridge.run()
        except Fault as fault:
            self.fault = fault
            self.said.put({"say": "ended", "message": fault.message})

    def _listen(self) -> None:
        for message in self._wire.messages():
            self.said.put(message)

    def order(self, **order: Any) -> None:
        self._wire.send(order)

    def job(self, job_id: str, *, made: tuple[dict[str, Any], ...] = (), attempts: int = 1, kind: str = "txt2img", **resolved: Any) -> None:
        resolved = {"folder": str(self.folders.outputs), **resolved}
        job = {"id": job_id, "kind": kind, "resolved": resolved, "attempts": attempts, "made": list(made)}
        self.order(do="jobs", jobs=[job])

    def hear(self, say: str) -> dict[str, Any]:
        """The next message of that kind; others are passed over."""
        end = time.monotonic() + WAIT_S
        while True:
            message = self.said.get(timeout=max(0.1, end - time.monotonic()))
            if message["say"] == say:
                return message
            assert message["say"] != "ended", message


def post_at(tmp_path: Path, **options: Any) -> Post:
    return Post(str(tmp_path / "there"), 10_000_000, **options)


def head_at(tmp_path: Path, post: Post, runner: str = RUNNER, *, shared: bool = False) -> Head:
    return Head(Folders.at(data=tmp_path / "here"), post, runner, shared=shared)
