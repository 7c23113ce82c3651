"""A data folder with a tiny random model and a session of a few pictures, and trainings of it in this process."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from modules.faults import Fault
from modules.folders import Folders
from modules.hardware.bench import Bench
from modules.library import Library
from modules.processing.train_plan import ResolvedTrain, resolve_train
from modules.processing.train_run import TrainDesk, run_train
from modules.request.train import TrainConfig
from modules.settings import Settings
from modules.train.sessions import Session
from modules.train.taking import take
from tests.model.tiny import BUILDERS

FLAGS = {"use_cpu": ["all"]}
USUAL: dict[str, Any] = {
    "checkpoint": "tiny", "resolution": 64, "any_resolution": True, "network_dim": 2, "network_alpha": 1, "target_blocks": ["mid_block."],
    "learning_rate": 1e-2,
    "max_train_steps": 4, "save_every": 100, "sample_every": 0, "tensorboard": False, "save_precision": "float32", "trigger_word": "zork",
}  # fmt: skip


class Heard:
    """A control that notes what it is told. stop_at: the step after which it says stop, of a training in this process.

    stopped: it says so from the beginning; a training in several processes, which looks now and then, ends after its first step.
    """

    def __init__(self, stop_at: int = 0, *, pause: bool = False, stopped: bool = False) -> None:
        self.interrupted = stopped
        self.paused = False
        self.rooms = 0
        self.said: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._stop_at = stop_at
        self._pause = pause

    def status(self, message: str, **facts: Any) -> None:
        self.said.append(message)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))

    def progress(self, **where: Any) -> None:
        if where["step"] == self._stop_at:
            self.interrupted, self.paused = True, self._pause

    def make_room(self) -> bool:
        self.rooms += 1
        return True


class Place:
    """A data folder. family: of its tiny model."""

    def __init__(self, data: Path, family: str = "sd15") -> None:
        self.folders = Folders.at(data)
        BUILDERS[family](self.folders.models / "Stable-diffusion" / "tiny")
        self.bench = Bench.choose(FLAGS, 0)

    def session(self, name: str, **config: Any) -> Session:
        made = Session.create(self.folders, name, TrainConfig.from_data({**USUAL, **config}))
        take(made, [(f"{number}.png", drawing(number)) for number in range(4)])
        return made

    def plan(self, session: Session, *, again: bool = False) -> ResolvedTrain:
        library = Library(self.folders)
        try:
            library.refresh()
            return resolve_train(session, Settings(), self.folders, library, again=again)
        finally:
            library.close()

    def train(self, session: Session, control: Heard | None = None, *, again: bool = False, job: str = "job") -> tuple[str, dict[str, Any]]:
        work = {"id": job, "kind": "train", "resolved": self.plan(session, again=again).to_data(), "attempts": 1, "made": []}
        return run_train(work, control or Heard(), TrainDesk(self.folders, self.bench, dict(FLAGS)))

    def fault(self, session: Session) -> Fault:
        """What planning it is refused with."""
        try:
            self.plan(session)
        except Fault as fault:
            return fault
        raise AssertionError("it was accepted")


def drawing(number: int) -> bytes:
    """A small picture of its own."""
    image = Image.new("RGB", (64, 64), (40 * number, 200, 90))
    ImageDraw.Draw(image).rectangle((8 * number, 10, 30 + 6 * number, 50), fill=(250, 30 * number, 0))
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()
