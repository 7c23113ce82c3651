"""A runner with knobs for the tests of the cluster: sleeps, and saves small pictures through the saver it is given.

Knobs stand in the job's `resolved` data: pictures, steps, step_s, colour (0 to 255), die_at (step of the first attempt), model (a path),
takes: number of a piece that another worker makes, whose picture's colour is told; foresees: it lasts until it is told what comes next,
whose model is read. A piece is a picture that is kept.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from PIL import Image

from modules.folders import Folders
from modules.saver import Processed, Saver

SETTINGS = {"enable_pnginfo": False, "samples_format": "png", "jpeg_quality": 80, "webp_lossless": False, "save_txt": False}


class SavingRunner:
    def __init__(self, folders: Folders, saver: Saver) -> None:
        self._folders = folders
        self._saver = saver
        self._told = threading.Event()
        self._next = ""

    def look_ahead(self, job: dict[str, Any] | None) -> None:
        if job is not None:
            self._next = Path(job["resolved"]["model"]["path"]).read_bytes().decode()
            self._told.set()

    def device(self) -> dict[str, Any]:
        return {"name": "sleeper", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {"ram": {"free": 1, "used": 1, "total": 2}, "cuda": {"error": "none"}}

    def warm(self, status: Any) -> None:
        status("Ready", model=None)

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        knobs, made = job["resolved"], {p["index"]: p for p in job["made"]}
        if "piece" in job:
            image = Image.new("RGB", (8, 8), (knobs.get("colour", 0), job["piece"], 7))
            return "done", {"images": [{"path": self._saver.keep(image, job=job["id"], name="1")}]}
        if "foresees" in knobs:
            assert self._told.wait(30.0)
            return "done", {"pictures": [], "next": self._next}
        if "takes" in knobs:
            return self._lead(knobs["takes"], control)
        steps, shown = knobs.get("steps", 1), list[dict[str, Any]]()
        read = Path(knobs["model"]["path"]).read_bytes().decode() if "model" in knobs else ""
        for index in range(knobs.get("pictures", 1)):
            if index in made:
                shown.append(made[index])
                continue
            for step in range(1, steps + 1):
                control.progress(fraction=step / steps, step=step, steps=steps, batch_no=index, batch_count=knobs.get("pictures", 1))
                if knobs.get("die_at") == step and job["attempts"] == 1:
                    os._exit(9)
                time.sleep(knobs.get("step_s", 0.0))
                if control.interrupted:
                    return "canceled", {"pictures": shown}
            image = Image.new("RGB", (8, 8), (knobs.get("colour", 0), index, 7))
            work = Processed(image=image, name=f"{job['id']}-{index}")
            path = self._saver.save_processed(work, settings=SETTINGS, folder=Path(knobs["folder"]), place=f"{job['id']}/{index}")
            picture = {"index": index, "path": str(path), "pid": os.getpid()}
            control.event("picture", picture)
            shown.append(picture)
        return "done", {"pictures": shown, "read": read, "model": knobs.get("model")}

    def _lead(self, number: int, control: Any) -> tuple[str, dict[str, Any]]:
        control.lend(number + 1)
        end = time.monotonic() + 30.0
        while not control.pieces.there(number) and time.monotonic() < end:
            time.sleep(0.02)
        found = control.pieces.wait(number, 0.0, lambda: False)
        with Image.open(found["images"][0]["path"]) as image:
            return "done", {"colour": list(image.getpixel((0, 0))), "path": found["images"][0]["path"]}


def build(folders: Folders, flags: dict[str, Any], device_index: int, saver: Saver | None = None) -> SavingRunner:
    return SavingRunner(folders, saver or Saver(folders))
