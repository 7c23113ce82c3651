"""A bridge to a worker far away: a process that speaks a worker's words with the supervisor, and Ray with the other machine.

`python -m modules.cluster.bridge` stands where `python -m modules.jobs.worker` would. It sends a job's files ahead, puts the other
machine's paths into the job, passes words on in both directions, and saves what comes home. When the other side is silent for
BEAT_S it ends, and the supervisor puts the job back as it does after a crash; when the supervisor is gone it ends too, and the worker
waits a while for the next bridge. Start reading at `Bridge.run`.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import queue
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from modules.cluster.ahead import Ahead
from modules.cluster.goods import Digests, goods_of, goods_of_paths, with_paths
from modules.cluster.hosts import Place
from modules.cluster.sending import Calls, send
from modules.cluster.version import identity
from modules.faults import Cancelled, Fault, ModelFault, SetupFault, WorkerDied
from modules.folders import Folders
from modules.jobs.wire import Wire
from modules.jobs.worker import begin
from modules.request import ResolvedRequest
from modules.saver import Processed, Saver

HEAR_S = 2.0
BEAT_S = 10.0  # without an answer the other side counts as gone
START_S = 60.0
FETCH_S = 120.0
LOST = (WorkerDied, SetupFault)  # the other side is gone, is led by somebody else, or is another version: no job is to blame
WORDS = ("-m", "modules.cluster.far")


class Bridge:
    """wire: to the supervisor; post: the other side; init: the supervisor's first words. words: of Python for the worker there.

    leave: ends the process, when the supervisor is gone or wants no more.
    """

    def __init__(
        self,
        wire: Wire,
        post: Calls,
        init: Mapping[str, Any],
        words: tuple[str, ...] = WORDS,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._wire = wire
        self._post = post
        self._init = init
        self._words = words
        self._leave = leave
        self._shared = bool(init.get("cluster", {}).get("shared"))
        self._token = secrets.token_hex(16)
        self._folders = Folders.from_data(init["folders"])
        self._saver = Saver(self._folders)
        self._digests = Digests(self._folders.cache / "cluster-digests.json")
        self._home: dict[str, str] = {}  # path there -> path here
        self._travelling: dict[str, threading.Event] = {}  # jobs whose files are on their way -> stop
        self._present: set[str] = set()  # digests of the files of the jobs in hand
        self._ahead = Ahead(
            post, self._token, goods=lambda job: goods_of(job, self._folders, self._digests), busy=lambda: bool(self._travelling),
            stays=lambda: self._present,
            tell=self._tell, shared=self._shared,
        )  # fmt: skip
        self._to_save: queue.Queue[dict[str, Any]] = queue.Queue()
        self._failure: Fault | None = None

    def run(self) -> None:
        """Until the other side is gone, which raises WorkerDied, or is another version, which raises SetupFault."""
        flags = dict(self._init["flags"])
        self._post.call("attach", self._token, identity(), self._init["runner"], flags, self._words, timeout_s=START_S)
        threading.Thread(target=self._orders, daemon=True, name="orders").start()
        threading.Thread(target=self._save_all, daemon=True, name="saving").start()
        after = 0
        while True:
            if self._failure is not None:  # an order was lost on the way
                raise self._failure
            for number, message in self._post.call("hear", self._token, after, HEAR_S, timeout_s=BEAT_S):
                after = number
                if message["say"] == "gone":
                    raise ModelFault(f"The worker there ended (exit {message['code']}).")
                if message["say"] == "save":
                    self._to_save.put(message)
                else:
                    self._wire.send(with_paths(message, self._home))
                if message["say"] == "idle":
                    self._wire.send({"say": "about", "about": self._post.call("about", timeout_s=BEAT_S)})

    def _orders(self) -> None:
        for order in self._wire.messages():
            match order.get("do"):
                case "jobs":
                    self._ahead.look(None)
                    self._travelling = {job["id"]: threading.Event() for job in order["jobs"]}
                    threading.Thread(target=self._send_jobs, args=(order,), daemon=True, name="sending").start()
                case "interrupt" | "pause" | "skip" if order.get("job") in self._travelling:
                    self._travelling[order["job"]].set()
                case "piece" if order["result"] is not None:
                    threading.Thread(target=self._send_piece, args=(order,), daemon=True, name="piece").start()
                case "ahead":
                    self._ahead.look(order["next"])
                case "quit":
                    self._quit()
                case _:
                    self._tell(order)
        self._leave(0)  # the supervisor is gone; the worker waits for the next one

    def _quit(self) -> None:
        try:
            self._post.call("release", self._token)
        except Fault as fault:
            logging.getLogger(__name__).info("%s", fault)
        self._leave(0)

    def _tell(self, order: dict[str, Any]) -> None:
        try:
            self._post.call("tell", self._token, order, timeout_s=BEAT_S)
        except LOST as fault:
            self._failure = fault

    def _send_jobs(self, order: dict[str, Any]) -> None:
        ready: list[dict[str, Any]] = []
        self._present = set()
        for job in order["jobs"]:
            answer: dict[str, Any] = {"state": "failed", "result": None, "fault": None}
            try:
                goods = goods_of(job, self._folders, self._digests)
                self._present |= goods.files.keys()
                there = send(goods, self._post, self._token, say=self._say, stopped=self._travelling[job["id"]].is_set, shared=self._shared)
                if self._travelling[job["id"]].is_set():
                    raise Cancelled
                self._home |= {far: own for own, far in there.items()}
                ready.append(with_paths(job, there))
                continue
            except Cancelled:
                answer["state"] = "canceled"
            except LOST as fault:
                self._failure = fault
                return
            except Fault as fault:
                answer["fault"] = fault.data()
            except OSError as error:
                answer["fault"] = ModelFault(f"A file of this job cannot be read: {error}.").data()
            self._wire.send({"say": "done", "job": job["id"], **answer})
        self._travelling = {}
        if ready:
            self._tell({**order, "jobs": ready})
            self._ahead.go_on()
        else:
            self._wire.send({"say": "idle", "memory": {}})

    def _send_piece(self, order: dict[str, Any]) -> None:
        """What another worker made of a job that the worker there leads. What cannot be sent it makes itself."""
        try:
            goods = goods_of_paths(order["result"])
            there = send(goods, self._post, self._token, say=lambda text: None, stopped=lambda: False)
            self._tell({**order, "result": with_paths(order["result"], there)})
            for path in goods.files.values():
                path.unlink(missing_ok=True)
        except LOST as fault:
            self._failure = fault
        except (Fault, OSError) as fault:
            logging.getLogger(__name__).warning("%s", fault)
            self._tell({**order, "result": None})

    def _say(self, text: str) -> None:
        self._wire.send({"say": "status", "message": text})

    def _save_all(self) -> None:
        while True:
            message = self._to_save.get()
            answer: dict[str, Any] = {"do": "saved", "number": message["number"]}
            try:
                answer["answer"] = self._saved(message)
            except Fault as fault:
                answer["fault"] = fault.message
            except Exception as error:  # the worker there waits for an answer, whatever went wrong here
                logging.getLogger(__name__).exception("saving")
                answer["fault"] = f"{type(error).__name__}: {error}. The head's log has the details."
            self._tell(answer)

    def _saved(self, message: dict[str, Any]) -> Any:
        """What the saver answers, as plain data. Raises ModelFault when the picture came over damaged, DiskFault."""
        data: bytes = self._post.call("fetch", self._token, message["file"], timeout_s=FETCH_S)
        if hashlib.sha256(data).hexdigest() != message["sha256"]:
            raise ModelFault("A picture came over damaged.")
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            image = opened.copy()
        image.info.clear()
        words = with_paths(message["words"], self._home)
        match message["what"]:
            case "save":
                resolved = ResolvedRequest.from_data(words.pop("resolved"))
                return self._saver.save(image, resolved=resolved, **words).to_data()
            case "save_processed":
                work = Processed(image=image, **words["work"])
                rest = {name: words[name] for name in ("settings", "place", "saved")}
                return str(self._saver.save_processed(work, folder=Path(words["folder"]), **rest))
            case "keep":
                return self._saver.keep(image, **words)
            case _:
                return self._saver.save_input(image, words["settings"])


def main() -> None:
    """Entry of the process."""
    if (begun := begin(Wire)) is None:
        return
    wire, init = begun
    from modules.cluster.ties import connect, tie  # Ray's libraries, after the wire has standard output

    place = Place(**init["cluster"])
    try:
        connect(place.address)
        Bridge(wire, tie(place), init).run()
    except LOST as fault:
        _lost(wire, fault)
    except Fault as fault:  # the worker there ended, perhaps by its job
        sys.stderr.write(f"{fault}\n")
    finally:
        sys.stderr.flush()
        os._exit(1)


def _lost(wire: Wire, fault: Fault) -> None:
    """The other machine is gone; no job is to blame."""
    sys.stderr.write(f"{fault}\n")
    wire.send({"say": "lost", "message": fault.message})


if __name__ == "__main__":
    main()
