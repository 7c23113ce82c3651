"""A stand-in for the work of a job, in the real worker process: it draws a small picture a seed and saves it as the program does.

Words of the prompt steer it: "slowly" takes 0.1 s a step, "please fail" ends in a fault. Also the server around it: the real App,
store, API and page, so that only the painting is not real. Start reading at `drawing_server`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image, ImageDraw

from modules import web
from modules.app import build as build_app
from modules.faults import RequestFault
from modules.flags import Flags
from modules.folders import Folders
from modules.grids.gathering import run_grid
from modules.grids.records import GRID
from modules.jobs import Jobs
from modules.request import Picture, ResolvedRequest, Result
from modules.saver import Saver
from modules.server import create
from tests.browser.servers import Server, free_port, wait_for_page

SLOW_S, QUICK_S = 0.1, 0.002


class DrawingRunner:
    def __init__(self, folders: Folders) -> None:
        self._saver = Saver(folders)

    def device(self) -> dict[str, Any]:
        return {"name": "pencil", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {}

    def warm(self, status: Any) -> None:
        status("Ready", model="drawing")

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        if job["kind"] == GRID:
            return run_grid(job, control, self._saver)
        resolved = ResolvedRequest.from_data(job["resolved"])
        made: list[Picture] = []
        for index, seed in enumerate(resolved.all_seeds):
            self._steps(resolved, index, control)
            if control.interrupted:
                break
            picture = self._saver.save(drawing(seed), resolved=resolved, index=index, job=job["id"], saved=resolved.save_images)
            control.event("picture", picture.to_data())
            made.append(picture)
        result = Result(pictures=tuple(made), seconds={"total": 0.1}, interrupted=control.interrupted)
        return ("canceled" if control.interrupted else "done"), result.to_data()

    def _steps(self, resolved: ResolvedRequest, index: int, control: Any) -> None:
        count = len(resolved.all_seeds)
        for step in range(1, resolved.steps + 1):
            done = (index + step / resolved.steps) / count
            control.progress(fraction=done, step=step, steps=resolved.steps, batch_no=index, batch_count=count)
            if "please fail" in resolved.prompt and step > 1:
                raise RequestFault("prompt", "asks <b>for</b> a failure; ask for something else")
            if control.watched:
                control.preview(_jpeg(step / resolved.steps))
            if control.interrupted or control.take_skip():
                return
            time.sleep(SLOW_S if "slowly" in resolved.prompt else QUICK_S)


def drawing(seed: int) -> Image.Image:
    """The picture of a seed, 64 pixels a side."""
    image = Image.new("RGB", (64, 64), (seed * 37 % 200, seed * 91 % 200, seed * 53 % 200))
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), fill=(255, seed * 29 % 256, 255))
    return image


def _jpeg(share: float) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (round(255 * share), 90, 120)).save(buffer, "jpeg")
    return buffer.getvalue()


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> DrawingRunner:
    return DrawingRunner(folders)


@contextlib.contextmanager
def drawing_server(data: Path, port: int | None = None, **flags: Any) -> Iterator[Server]:
    """The program with this runner, in a thread of this process; with the same folder and port it is the same one started again.

    Workers on other machines are processes of this one.
    """
    app = build_app(Flags(data_dir=str(data), **flags))
    app.jobs.stop()
    app = dataclasses.replace(app, jobs=Jobs(app.folders, {}, runner="tests.browser.drawing_runner:build"))
    if app.roster is not None:
        jobs = app.jobs
        app.roster._changed = lambda plans: jobs.elsewhere({n: dataclasses.replace(jobs.plan, about=one.about) for n, one in plans.items()})
    api = create(app)
    web.mount(api, app)
    port = port or free_port()
    server = uvicorn.Server(uvicorn.Config(api, port=port, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    app.start()
    thread.start()
    try:
        wait_for_page(f"http://127.0.0.1:{port}", 240)
        yield Server(f"http://127.0.0.1:{port}", data, app)
    finally:
        server.should_exit = True
        thread.join(10)
        app.stop()
