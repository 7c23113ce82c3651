"""Jobs of Extras through the true worker process: done, stopped midway, done again after the worker was killed."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator

import pytest
from PIL import Image

from modules.app import App, build
from modules.flags import Flags
from modules.jobs import Jobs
from modules.request.extras import ExtrasRequest
from tests.jobs.test_service import until
from tests.processing.pictures import data_of, noise
from tests.upscale.networks import tiny

BACKEND = "tests.processing.extras_backend:build"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("extras")
    tiny(folder / "models" / "ESRGAN" / "Tiny2x.safetensors")
    made = build(Flags(data_dir=str(folder)))
    made.jobs.stop()
    made = dataclasses.replace(made, jobs=Jobs(made.folders, {}, runner=BACKEND))
    made.settings.set({"ESRGAN_tile": 64})
    made.start()
    yield made
    made.stop()


def request(app: App, *sizes: int) -> ExtrasRequest:
    images = [app.inputs.put(data_of(noise(side, side, seed=n))) for n, side in enumerate(sizes)]
    return ExtrasRequest(images=images, upscaler_1="Tiny2x", upscaling_resize=2, image_names=[f"{n}.png" for n in range(len(sizes))])


def test_done(app: App) -> None:
    job = app.jobs.wait(app.submit_extras(request(app, 30, 40)).id, 60)
    assert job.state == "done", job.fault
    assert [Image.open(picture["path"]).size for picture in (job.result or {})["pictures"]] == [(60, 60), (80, 80)]
    assert [event.type for event in app.jobs.events(job.id)].count("picture") == 2


def test_stopped_midway(app: App) -> None:
    job = app.submit_extras(request(app, 30, 1500, 30))
    until(lambda: any(event.type == "picture" for event in app.jobs.events(job.id)), 30)
    until(lambda: (live := app.jobs.live(job.id)) is not None and live.step > 2 and live.fraction > 0.33, 30)
    assert app.jobs.cancel(job.id)
    ended = app.jobs.wait(job.id, 30)
    assert ended.state == "canceled"
    assert len((ended.result or {})["pictures"]) == 1


def test_a_killed_worker_begins_where_it_stood(app: App) -> None:
    job = app.submit_extras(request(app, 30, 800))
    until(lambda: any(event.type == "picture" for event in app.jobs.events(job.id)), 30)
    os.kill(app.jobs.worker()["pid"], signal.SIGKILL)
    ended = app.jobs.wait(job.id, 90)
    assert (ended.state, ended.attempts) == ("done", 2)
    pictures = (ended.result or {})["pictures"]
    assert [picture["index"] for picture in pictures] == [0, 1]
    first = next(event.data for event in app.jobs.events(job.id) if event.type == "picture")
    assert pictures[0]["path"] == first["path"]


def test_a_picture_that_is_gone_is_told_in_words(app: App) -> None:
    app.jobs.pause()
    asked = request(app, 32)
    job = app.submit_extras(asked)
    app.inputs.path(asked.images[0]).unlink()
    app.jobs.resume()
    ended = app.jobs.wait(job.id, 30)
    assert ended.state == "failed"
    assert "send it again" in (ended.fault or {})["message"]
