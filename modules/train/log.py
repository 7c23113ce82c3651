"""What a training writes down: metrics.jsonl, one JSON a line, and the same figures for TensorBoard.

A training that goes on cuts off what came after the step it goes on from. `modules.train.metrics` reads the file. Start reading at `Log`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from modules.faults import DiskFault
from modules.folders import write_atomic
from modules.train.sessions import Session

_DRAWN = {
    "loss": "loss/train",
    "val_loss": "loss/validation",
    "grad_norm": "grad_norm",
    "it_s": "speed/it_s",
    "memory_bytes": "memory_bytes",
}


class Log:
    """Opened at a step: what was written about later ones is gone. tensorboard: write for it too; warn: told when it is not there."""

    def __init__(self, session: Session, step: int, *, tensorboard: bool, warn: Callable[[str], None]) -> None:
        self._path = session.paths.metrics
        session.paths.log.mkdir(parents=True, exist_ok=True)
        cut(self._path, step)
        try:
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise DiskFault(f"cannot write {self._path}: {error.strerror}.") from error
        self._board = _board(session.paths.log, step, warn) if tensorboard else None

    def row(self, values: dict[str, Any]) -> None:
        """A step's figures; "step" is one of them. On the disk when this returns, as far as the system is concerned."""
        try:
            self._file.write(json.dumps(values) + "\n")
            self._file.flush()
        except OSError as error:
            raise DiskFault(f"cannot write {self._path}: {error.strerror}. Free some space.") from error
        if self._board is not None:
            for name, tag in _DRAWN.items():
                if values.get(name) is not None:
                    self._board.add_scalar(tag, values[name], values["step"])
            for group, rate in values.get("rates", {}).items():
                self._board.add_scalar(f"lr/{group}", rate, values["step"])

    def picture(self, number: int, step: int, image: Image.Image) -> None:
        """A sample, for TensorBoard; its file is written elsewhere."""
        if self._board is not None:
            import numpy  # with the board only

            self._board.add_image(f"samples/{number}", numpy.asarray(image.convert("RGB")), step, dataformats="HWC")

    def settle(self) -> None:
        """Everything to the disk."""
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def cut(path: Path, step: int) -> None:
    """Leave out the lines of later steps, and half a line at the end. Does nothing where there is nothing to leave out."""
    if not path.is_file():
        return
    text = path.read_bytes()
    kept = b"".join(line for line in text.splitlines(keepends=True) if line.endswith(b"\n") and _step_of(line) <= step)
    if kept != text:
        write_atomic(path, kept)


def _step_of(line: bytes) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # no line of ours


def _board(folder: Path, step: int, warn: Callable[[str], None]) -> Any:
    try:
        from tensorboardX import SummaryWriter  # only while training, and only where it is wanted
    except ImportError:
        warn("There is no TensorBoard log: tensorboardX is not installed (pip install tensorboardX). metrics.jsonl has the same figures.")
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None, flush_secs=30)
