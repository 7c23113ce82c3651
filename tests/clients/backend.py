"""A runner without a model: its pictures are drawn, everything else is real: the saver, the parameters text, progress and previews.

It runs in the real worker process. Words of the prompt are its knobs: "slow" takes a tenth of a second a step, "fail" fails.
"""

from __future__ import annotations

import io
import time
from typing import Any

from PIL import Image

from modules.faults import BlankPicture
from modules.folders import Folders
from modules.request import ResolvedRequest, Result
from modules.saver import Saver


class DrawingRunner:
    def __init__(self, folders: Folders) -> None:
        self._saver = Saver(folders)

    def device(self) -> dict[str, Any]:
        return {"name": "drawing", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {}

    def warm(self, status: Any) -> None:
        status("Ready", model="drawing")

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        if job["kind"] == "caption":
            names = range(len(job["resolved"]["sources"]))
            return "done", {"captions": [{"index": n, "name": f"{n}.png", "caption": "a red apple"} for n in names]}
        resolved = ResolvedRequest.from_data(job["resolved"])
        prompt = resolved.all_prompts[0]
        made = []
        for index, seed in enumerate(resolved.all_seeds):
            for step in range(1, resolved.steps + 1):
                control.progress(fraction=step / resolved.steps, step=step, steps=resolved.steps, batch_no=index, batch_count=1)
                if control.watched:
                    control.preview(_bytes(_drawing(32, 32, seed), "JPEG"))
                time.sleep(0.1 if "slow" in prompt else 0)
                if control.interrupted:
                    return "canceled", Result(pictures=tuple(made), interrupted=True).to_data()
            if "fail" in prompt:
                raise BlankPicture("There is no picture. Try another sampler.")
            image = _drawing(resolved.width, resolved.height, seed)
            made.append(self._saver.save(image, resolved=resolved, index=index, job=job["id"], saved=resolved.save_images))
            control.event("picture", made[-1].to_data())
        return "done", Result(pictures=tuple(made), warnings=resolved.warnings, notes=()).to_data()


def _drawing(width: int, height: int, seed: int) -> Image.Image:
    return Image.new("RGB", (width, height), (seed * 37 % 256, seed * 91 % 256, seed * 53 % 256))


def _bytes(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> DrawingRunner:
    return DrawingRunner(folders)
