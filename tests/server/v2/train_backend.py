"""A runner that trains nothing: it writes figures, a sample and a result as a training would, and stops when it is told to."""

from __future__ import annotations

import json
import time
from typing import Any

from PIL import Image

from modules.folders import Folders
from modules.train.sessions import Session

STEP_S = 0.02


class Training:
    """As many steps as the session's configuration says."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def device(self) -> dict[str, Any]:
        return {"name": "stand-in", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {"ram": {"free": 1, "used": 1, "total": 2}, "cuda": {"error": "none"}}

    def warm(self, status: Any) -> None:
        """Nothing to get ready."""

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        session = Session.open(self._folders, job["resolved"]["session"])
        steps, step = int(job["resolved"]["n_iter"]), session.summary().step
        with session.lock(), session.paths.metrics.open("a") as log:
            while step < steps and not control.interrupted:
                step += 1
                log.write(json.dumps({"step": step, "epoch": step / 10, "loss": 1 / step, "lr": 1e-4}) + "\n")
                log.flush()
                control.progress(fraction=step / steps, step=step, steps=steps, batch_no=0, batch_count=1, text="Training")
                time.sleep(STEP_S)
            state = session.paths.state / f"step-{step:06d}"
            state.mkdir(parents=True, exist_ok=True)
            (state / "manifest.json").write_text(json.dumps({"step": step}))
            Image.new("RGB", (16, 16), "red").save(session.paths.samples / f"{step:06d}-0.png")
            if step == steps:
                (session.paths.output / f"{session.name}.safetensors").write_bytes(b"weights")
        told = {"pictures": [], "files": [], "step": step, "warnings": [], "notes": [], "seconds": {}}
        return ("done" if step == steps else "paused" if control.paused else "canceled"), told


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> Training:
    return Training(folders)
