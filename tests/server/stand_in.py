"""The program's server over the real queue, with a runner that answers every kind of job at once and draws nothing.

For tests of the doors with thousands of requests, and of clients where the picture does not matter. Start reading at `stand_in_app`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from PIL import Image

from modules.app import App, build
from modules.flags import Flags
from modules.folders import Folders
from modules.grids.gathering import run_grid
from modules.grids.records import GRID
from modules.inputs import Inputs
from modules.jobs import Jobs
from modules.pixels.incoming import flatten
from modules.request import Picture, ResolvedRequest, Result
from modules.request.control_map import MAPS_JOB
from modules.request.extras import EXTRAS, ResolvedExtras
from modules.saver import Saver
from modules.server import create
from tests.browser.servers import free_port

PICTURES = ("txt2img", "img2img")
MOST = 2
SIDE_PX = 16


class StandIn:
    """Runs in the worker process. Pictures are plain and small; those of Extras are what was sent."""

    def __init__(self, folders: Folders) -> None:
        self._saver = Saver(folders)
        self._inputs = Inputs(folders)
        self._folder = folders.job_files

    def device(self) -> dict[str, Any]:
        return {"name": "stand-in", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {"ram": {"free": 1, "used": 1, "total": 2}, "cuda": {"error": "none"}}

    def warm(self, status: Any) -> None:
        status("Ready", model="stand-in [0000000000]")

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        kind, resolved = job["kind"], job["resolved"]
        if kind == GRID:
            return run_grid(job, control, self._saver)
        if kind in PICTURES:
            return "done", self._pictures(job["id"], ResolvedRequest.from_data(resolved))
        if kind == EXTRAS:
            return "done", self._extras(job["id"], ResolvedExtras.from_data(resolved))
        if kind == "caption":
            captions = [{"index": n, "name": "", "caption": "a picture"} for n, _ in enumerate(resolved["sources"])]
            told = {"captions": captions, "pictures": [], "warnings": [], "notes": [], "seconds": {}, "interrupted": False}
            return "done", told
        if kind == MAPS_JOB:
            return "done", self._maps(resolved)
        return "done", {"files": [str(resolved.get("target", ""))], "warnings": [], "notes": {}, "seconds": {}}

    def _maps(self, resolved: dict[str, Any]) -> dict[str, Any]:
        """What was sent, in place of maps."""
        made = [
            {"reference": one, "width": 1, "height": 1, "seconds": 0.0, "cached": False, "text": "", "pose": None}
            for one in resolved["images"]
        ]
        return {"maps": made, "pictures": [], "warnings": [], "notes": [], "seconds": {}, "interrupted": False}

    def _pictures(self, job: str, resolved: ResolvedRequest) -> dict[str, Any]:
        image = Image.new("RGB", (SIDE_PX, SIDE_PX), (200, 30, 30))
        indices = range(min(MOST, len(resolved.all_seeds)))
        made = [self._saver.save(image, resolved=resolved, index=n, job=job, saved=resolved.save_images) for n in indices]
        return Result(pictures=tuple(made), warnings=tuple(resolved.warnings)).to_data()

    def _extras(self, job: str, resolved: ResolvedExtras) -> dict[str, Any]:
        made: list[Picture] = []
        for index, source in enumerate(resolved.sources[:MOST]):
            image = flatten(self._inputs.open(source.reference))
            image.thumbnail((SIDE_PX, SIDE_PX))
            path = self._folder / job / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
            made.append(Picture(index=index, path=str(path), seed=-1, width=image.width, height=image.height, infotext="", saved=False))
        return Result(pictures=tuple(made)).to_data()


def build_runner(folders: Folders, flags: dict[str, Any], device_index: int) -> StandIn:
    """For the worker processes, of the device and of the files."""
    return StandIn(folders)


@contextlib.contextmanager
def stand_in_app(data: Path, **flags: Any) -> Iterator[App]:
    """The real App whose jobs are done by the stand-in."""
    runner = "tests.server.stand_in:build_runner"
    made = build(Flags(data_dir=str(data), **flags))
    made.jobs.stop()
    made = dataclasses.replace(made, jobs=Jobs(made.folders, {}, runner=runner, files_runner=runner, train_runner=runner))
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def serving(api: FastAPI) -> Iterator[str]:
    """The address of a server in a thread, without a slash at the end."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(api, port=port, log_level="error", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 240
    while not server.started:
        if time.monotonic() > end or not thread.is_alive():
            raise TimeoutError("the server did not begin to answer")
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        api.state.closing.begin()
        server.should_exit = True
        thread.join(20)


@contextlib.contextmanager
def stand_in_server(data: Path, **flags: Any) -> Iterator[tuple[App, str]]:
    """Both together: (app, address)."""
    with stand_in_app(data, **flags) as app, serving(create(app)) as url:
        yield app, url
