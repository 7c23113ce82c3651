"""The program's post on another machine: keeps files, and a worker process, the very one of a single machine, for whoever is attached.

Runs inside a Ray actor (one for each device) and knows nothing of Ray: methods take and give plain data. Whoever starts a bridge attaches
with a token of his own; from then on the token before counts for nothing, so that two heads never lead one worker. When nobody listens
for a while it ends. Start reading at `Post.attach`, then `Post.hear`.
"""

from __future__ import annotations

import collections
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from modules.cluster.blobs import Blobs
from modules.cluster.goods import Digests
from modules.cluster.version import identity
from modules.faults import ModelFault, SetupFault
from modules.folders import PROGRAM, Folders, safe_join, sync_folder
from modules.jobs.process import worker_environment
from modules.jobs.wire import Wire

LINGER_S = 90.0  # without a listener; a head that starts again finds the model still loaded
KEEP_ALIVE_S = 1.0
LAST = ("ready", "status", "idle")  # what a new listener must hear of an old worker


class Stale(SetupFault):
    """Somebody else leads this worker now."""


class Post:
    """home: folder for everything that comes over; budget_bytes: for model files; linger_s: see LINGER_S; ended: called when it is over."""

    def __init__(self, home: str, budget_bytes: int, linger_s: float = LINGER_S, ended: Callable[[], None] | None = None) -> None:
        self._folders = Folders.at(data=Path(home).expanduser())
        self._blobs = Blobs(self._folders.cache / "blobs", budget_bytes)
        self._digests = Digests(self._folders.cache / "digests.json")
        self._linger_s = linger_s
        self._ended = ended
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._words: collections.deque[tuple[int, dict[str, Any]]] = collections.deque()
        self._number = 0
        self._token = ""
        self._asked: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: Wire | None = None
        self._last: dict[str, dict[str, Any]] = {}
        self._jobs: set[str] = set()  # in hand
        self._deaf = False  # they are those of an earlier listener, and are ending
        self._unsaved: set[int] = set()  # what the worker waits for to be saved
        self._heard_s = time.monotonic()
        self._listeners = 0
        threading.Thread(target=self._watch, daemon=True, name="linger").start()

    def about(self) -> dict[str, Any]:
        """host, pid, version, bytes of model files and for them, and what the worker said last of its model, memory and device."""
        status, idle, ready = (self._last.get(name, {}) for name in ("status", "idle", "ready"))
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": identity(),
            **self._blobs.about(),
            "model": status.get("model"),
            "memory": idle.get("memory", {}),
            "device": ready.get("device", {}),
            "jobs": sorted(self._jobs),
        }

    def attach(self, token: str, version: str, runner: str, flags: Mapping[str, Any], words: tuple[str, ...]) -> dict[str, str]:
        """Lead this worker from now on: the one that runs, when it was asked for in the same way, or a new one.

        words: of Python, for the worker process. Returns {"data": its data folder}. Raises SetupFault for another version of the program.
        """
        if version != identity():
            raise SetupFault(f"{socket.gethostname()} has another version of the program: {identity()}, here it is {version}. Update it.")
        with self._news:
            self._token = token
            self._heard_s = time.monotonic()
            self._words.clear()
            asked = {"runner": runner, "flags": dict(flags), "words": list(words)}
            alive = self._process is not None and self._process.poll() is None
            if alive and asked == self._asked:
                self._deaf = bool(self._jobs)
                for job in self._jobs:
                    self._say({"do": "interrupt", "job": job})
                for number in self._unsaved:
                    self._refuse(number)
                self._unsaved.clear()
                for name in LAST:
                    if name in self._last and not (name == "idle" and self._deaf):
                        self._note(self._last[name])
            else:
                self._end()
                self._asked = asked
                self._start()
        return {"data": str(self._folders.data)}

    def tell(self, token: str, order: dict[str, Any]) -> None:
        """Pass an order on to the worker. Raises Stale."""
        with self._news:
            self._check(token)
            if order.get("do") == "saved":
                self._unsaved.discard(order["number"])
            if order.get("do") == "jobs":
                self._jobs.update(job["id"] for job in order["jobs"])
            self._say(order)

    def hear(self, token: str, after: int, wait_s: float) -> list[tuple[int, dict[str, Any]]]:
        """What the worker said after the word of that number, in order; waits so long for the first. Raises Stale."""
        with self._news:
            self._check(token)
            while self._words and self._words[0][0] <= after:
                self._words.popleft()
            self._listeners += 1
            try:
                self._news.wait_for(lambda: token != self._token or bool(self._words), timeout=wait_s)
            finally:
                self._listeners -= 1
                self._heard_s = time.monotonic()
            self._check(token)
            return list(self._words)

    def lacking(self, token: str, digests: Collection[str]) -> dict[str, tuple[int, bool]]:
        """What is here of each: (bytes, it is whole)."""
        self._check(token)
        return {digest: self._blobs.have(digest) for digest in digests}

    def sees(self, token: str, views: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Which paths there lead to the same files here. views: path -> {path below: digest}."""
        self._check(token)
        return [path for path, files in views.items() if all(self._is_same(Path(path) / below, files[below]) for below in files)]

    def make_room(self, token: str, wanted_bytes: int, needed: Collection[str]) -> None:
        """See `Blobs.make_room`."""
        self._check(token)
        self._blobs.make_room(wanted_bytes, needed)

    def could_hold(self, token: str, wanted_bytes: int, needed: Collection[str]) -> bool:
        """See `Blobs.could_hold`."""
        self._check(token)
        return self._blobs.could_hold(wanted_bytes, needed)

    def put(self, token: str, digest: str, offset_bytes: int, data: bytes) -> int:
        """See `Blobs.put`."""
        self._check(token)
        return self._blobs.put(digest, offset_bytes, data)

    def finish(self, token: str, digest: str) -> None:
        """See `Blobs.finish`."""
        self._check(token)
        self._blobs.finish(digest)

    def lay_out(self, token: str, views: Mapping[str, Mapping[str, str]], placed: Mapping[str, str]) -> dict[str, str]:
        """Give files their names; answers path there -> path here. views: path there -> {path below: digest}; placed: path -> digest."""
        self._check(token)
        for below, digest in placed.items():
            self._place(safe_join(self._folders.data, below), digest)
        return {path: str(self._blobs.view(Path(path).name, files)) for path, files in views.items()}

    def fetch(self, token: str, path: str) -> bytes:
        """A file that the worker made, which is removed here. Raises ModelFault when it is none."""
        self._check(token)
        file = safe_join(self._folders.data, os.path.relpath(path, self._folders.data))
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ModelFault(f"A picture is no longer on {socket.gethostname()}: {error.strerror}.") from error
        file.unlink(missing_ok=True)
        return data

    def release(self, token: str) -> None:
        """Nobody needs it any more."""
        self._check(token)
        self._end()
        if self._ended is not None:
            self._ended()

    def _place(self, path: Path, digest: str) -> None:
        """The file is called so, whatever was called so before."""
        source = self._blobs.view(path.name, {"": digest})
        if path.exists() and path.samefile(source):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):  # another worker of this machine was faster
            os.link(source, path)
        sync_folder(path.parent)

    def _is_same(self, path: Path, digest: str) -> bool:
        try:
            return self._digests.of(path) == digest
        except OSError:
            return False

    def _check(self, token: str) -> None:
        if token != self._token:
            raise Stale("Another head leads this worker now.")

    def _start(self) -> None:
        folders = self._folders
        folders.logs.mkdir(parents=True, exist_ok=True)
        with (folders.logs / f"worker-{os.getpid()}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._asked["words"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=PROGRAM,
                env=worker_environment(folders.to_data()), start_new_session=os.name != "nt",
            )  # fmt: skip
        self._wire = Wire(cast(BinaryIO, self._process.stdout), cast(BinaryIO, self._process.stdin))
        self._last.clear()
        self._jobs.clear()
        self._unsaved.clear()
        self._deaf = False
        self._say({"runner": self._asked["runner"], "folders": folders.to_data(), "flags": self._asked["flags"], "device_index": 0})
        threading.Thread(target=self._listen, args=(self._wire, self._process), daemon=True, name="worker").start()

    def _listen(self, wire: Wire, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            for message in wire.messages():
                with self._news:
                    if process is self._process:
                        self._take(message)
        code = process.wait()
        with self._news:
            if process is self._process:
                self._process = self._wire = None
                self._note({"say": "gone", "code": code})

    def _take(self, message: dict[str, Any]) -> None:
        if message["say"] in LAST:
            self._last[message["say"]] = {**self._last.get(message["say"], {}), **message}
        if message["say"] == "done":
            self._jobs.discard(message["job"])
        if not self._deaf:
            if message["say"] == "save":
                self._unsaved.add(message["number"])
            self._note(message)
            return
        if message["say"] == "save":
            self._refuse(message["number"])
        self._deaf = bool(self._jobs)
        if not self._deaf and "idle" in self._last:
            self._note(self._last["idle"])

    def _refuse(self, number: int) -> None:
        """Something is not saved: nobody wants to hear of its job any more."""
        self._say({"do": "saved", "number": number, "fault": "The job belongs to nobody any more."})

    def _note(self, message: dict[str, Any]) -> None:
        self._number += 1
        self._words.append((self._number, message))
        self._news.notify_all()

    def _say(self, order: dict[str, Any]) -> None:
        if self._wire is not None:
            with contextlib.suppress(OSError, ValueError):
                self._wire.send(order)

    def _end(self) -> None:
        process, self._process, self._wire = self._process, None, None
        if process is not None:
            process.kill()
            process.wait()

    def _watch(self) -> None:
        """End when nobody has listened for long enough."""
        while self._listeners or time.monotonic() - self._heard_s < self._linger_s:
            time.sleep(min(KEEP_ALIVE_S, self._linger_s / 4))
        self._end()
        if self._ended is not None:
            self._ended()
