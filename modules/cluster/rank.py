"""One process of a training over a cluster, in the hands of Ray Train, and the desk on the page's machine that it talks to.

Knows the training function of one process, and where its words and files go; nothing of Ray Train. Start reading at `rank`.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import filelock

from modules.cluster.blobs import Blobs
from modules.cluster.fetching import is_seen, settled_in
from modules.cluster.goods import Goods
from modules.cluster.returning import Homeward, settle
from modules.cluster.sending import PIECE_BYTES, PIECE_S, Calls
from modules.cluster.ties import Tie
from modules.cluster.version import identity
from modules.faults import Fault, SetupFault
from modules.folders import Folders
from modules.processing.train_voice import Voice
from modules.train.sessions import Session

LAST = ("outcome", "fault")
NEWS = ("saved", "made", "sample")  # events after which there are files to bring home
OTHER_S = 60.0  # that a process of an earlier try has to end


class Desk(Voice):
    """An actor on the page's machine, for one try: words go to whoever follows, files are handed out and taken in.

    folder: the session's; goods: for every process, and for the first one.
    """

    def __init__(self, place: str, folder: str, goods: tuple[Goods, Goods]) -> None:
        super().__init__(Path(place), speaks=True)
        self._folder = Path(folder)
        self._goods = goods
        self._blobs = Blobs(Path(place) / "coming", 0)
        self._ended = False

    def say(self, what: str, data: Any) -> None:
        """One last word is heard of a try: the first."""
        if not (what in LAST and self._ended):
            super().say(what, data)
        self._ended = self._ended or what in LAST

    def ended(self) -> bool:
        """The last word was said."""
        return self._ended

    def luggage(self, first: bool) -> dict[str, Any]:
        """views, placed: see `Goods`; sizes: digest -> bytes."""
        goods = self._goods[int(first)]
        return {"views": goods.views, "placed": goods.placed, "sizes": {digest: goods.size_bytes(digest) for digest in goods.files}}

    def piece(self, digest: str, offset_bytes: int) -> bytes:
        """Raises OSError."""
        with self._goods[1].files[digest].open("rb") as file:
            file.seek(offset_bytes)
            return file.read(PIECE_BYTES)

    def lacking(self, token: str, digests: Collection[str]) -> dict[str, tuple[int, bool]]:
        """This and the next ones as `modules.cluster.sending` calls them; a desk is for one try, its token counts for nothing."""
        return {digest: self._blobs.have(digest) for digest in digests}

    def make_room(self, token: str, wanted_bytes: int, needed: Collection[str]) -> None:
        self._blobs.make_room(wanted_bytes, needed)

    def put(self, token: str, digest: str, offset_bytes: int, data: bytes) -> int:
        return self._blobs.put(digest, offset_bytes, data)

    def finish(self, token: str, digest: str) -> None:
        self._blobs.finish(digest)

    def lay_out(self, token: str, views: Mapping[str, Any], placed: Mapping[str, str]) -> dict[str, str]:
        settle(self._blobs, self._folder, placed)
        return {}


class FarVoice(Voice):
    """A control that talks to a desk. speaks: this is the first process; homeward: brings home what there is to tell of."""

    def __init__(self, desk: Calls, *, speaks: bool) -> None:
        super().__init__(Path(), speaks=speaks)
        self._desk = desk
        self.homeward: Homeward | None = None

    def stopped(self) -> bool:
        return self._desk.call("stopped", timeout_s=PIECE_S)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        if kind in NEWS and self.homeward is not None:
            self.homeward.bring()
        super().event(kind, data)

    def say(self, what: str, data: Any) -> None:
        if self._speaks:
            self._desk.call("say", what, data, timeout_s=PIECE_S)


def rank(work: Mapping[str, Any]) -> None:
    """Train as one of the processes. work: "told", as `take_part` takes it and more (see `Trainer`), and "desk", an actor.

    Raises RuntimeError after a fault, which was told, so that the others do not wait for this one; WorkerDied without the desk.
    """
    told, desk, number = work["told"], Tie(work["desk"]), int(os.environ["RANK"])
    voice = FarVoice(desk, speaks=number == 0)
    data = Path(told["home"]).expanduser() / "training" / str(number)
    data.mkdir(parents=True, exist_ok=True)
    try:
        if told["version"] != identity():
            raise SetupFault(f"{socket.gethostname()} has another version of the program: {identity()}, here it is {told['version']}.")
        with filelock.FileLock(data.with_suffix(".lock"), timeout=OTHER_S):
            outcome = _train(told, desk, voice, data, first=number == 0)
    except filelock.Timeout as error:
        raise RuntimeError(f"another training runs on {socket.gethostname()}") from error
    except Fault as fault:
        desk.call("say", "fault", fault.data(), timeout_s=PIECE_S)
        raise RuntimeError(fault.message) from fault
    voice.say("outcome", outcome)


def _train(told: Mapping[str, Any], desk: Calls, voice: FarVoice, data: Path, *, first: bool) -> dict[str, Any]:
    """The outcome as it is told, with the paths of the page's machine."""
    from modules.processing.train_process import outcome_data, take_part

    os.environ.pop("ACCELERATE_TORCH_DEVICE", None)
    mine = settled_in(told, desk, data, results=first, say=voice.status)
    if is_seen(told):
        return outcome_data(take_part(mine, voice, led=True))
    folder = Session.open(Folders.from_data(mine["folders"]), told["resolved"]["session"]).folder
    if first:
        voice.homeward = Homeward(folder, desk, data / "digests.json")
    outcome = take_part(mine, voice, led=True)
    if voice.homeward is not None:
        voice.homeward.bring()
    for paths in (outcome.files, outcome.samples):  # where they have come to
        paths[:] = [Path(told["session_folder"]) / path.relative_to(folder) for path in paths]
    if outcome.step == outcome.steps:
        shutil.rmtree(folder)
    return outcome_data(outcome)
