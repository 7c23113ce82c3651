"""The App with its real worker: from a request to a file, twice the same, also after everything was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from modules.app import App, build
from modules.faults import RequestFault
from modules.flags import Flags
from modules.folders import PROGRAM
from modules.request import GenerationRequest, Result

OWNER = """
import sys, time
from modules.app import build
from modules.flags import Flags
app = build(Flags(data_dir=sys.argv[1]))
app.start(required=True)
end = time.monotonic() + 120
while (live := app.jobs.live(sys.argv[2])) is None or live.step < 3:
    assert time.monotonic() < end, "the job does not begin"
    time.sleep(0.02)
print("at work", flush=True)
time.sleep(600)
"""
LONG = 60  # steps that nobody can make between being seen at work and being killed
APPLE = {"prompt": "a red apple, 3d", "steps": 10, "cfg_scale": 5, "seed": 42}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    made = build(Flags(data_dir=str(tmp_path_factory.mktemp("app"))))
    assert made.start()
    yield made
    made.stop()


def make(app: App, **request: object) -> Result:
    job = app.jobs.wait(app.submit(GenerationRequest.from_data({**APPLE, **request})).id, 120)
    assert job.state == "done", job.fault
    return Result.from_data(job.result or {})


def test_building_the_app_imports_no_torch_and_starts_nothing() -> None:
    code = (
        "import sys, tempfile; from modules.app import build; from modules.flags import Flags; build(Flags(data_dir=tempfile.mkdtemp()));"
        "print([m for m in ('torch', 'diffusers', 'transformers', 'gradio', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROGRAM, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_request_becomes_a_file_that_carries_its_text(app: App) -> None:
    [picture] = make(app).pictures
    with Image.open(picture.path) as image:
        assert image.size == (128, 128)
        assert image.info["parameters"] == picture.infotext
    assert "Seed: 42, Size: 128x128, Model hash: " in picture.infotext
    assert Path(picture.path).is_relative_to(app.folders.data / "outputs" / "txt2img-images")


def test_the_worker_tells_its_device_model_and_memory(app: App) -> None:
    make(app)
    worker = app.jobs.worker()
    assert worker["model"].startswith("darkroom-starter [")
    assert worker["device"]["kind"] in ("cpu", "cuda", "rocm", "xpu", "mps", "directml")
    assert "float32" in worker["device"]["dtypes"]
    assert worker["memory"]["ram"]["used"] > 100_000_000


def test_the_same_key_makes_one_picture(app: App) -> None:
    request = GenerationRequest.from_data(APPLE)
    first, second = app.submit(request, key="click-1"), app.submit(request, key="click-1")
    assert first.id == second.id
    app.jobs.wait(first.id, 60)


def test_a_bad_request_is_refused_before_it_is_queued(app: App) -> None:
    before = len(app.jobs.list(limit=1000))
    with pytest.raises(RequestFault):
        app.submit(GenerationRequest.from_data({**APPLE, "sampler_name": "Oiler"}))
    assert len(app.jobs.list(limit=1000)) == before


def test_unsaved_pictures_stay_out_of_outputs(app: App) -> None:
    [picture] = make(app, save_images=False, seed=77).pictures
    assert not picture.saved
    assert Path(picture.path).is_relative_to(app.folders.job_files)


@pytest.mark.slow
def test_a_job_that_the_whole_program_was_killed_in_is_made_again_with_the_same_pixels(app: App, tmp_path: Path) -> None:
    waiting = build(Flags(data_dir=str(tmp_path)))
    slow = waiting.submit(GenerationRequest.from_data({**APPLE, "seed": -1, "steps": LONG}))
    queued = waiting.submit(GenerationRequest.from_data(APPLE))
    command = [sys.executable, "-c", OWNER, str(tmp_path), slow.id]
    owner = subprocess.Popen(command, cwd=PROGRAM, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "at work\n"
    assert waiting.jobs.get(slow.id).state == "running"
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert waiting.start(required=True)
    again = waiting.jobs.wait(slow.id, 180)
    assert (again.state, again.attempts) == ("done", 2)
    assert waiting.jobs.wait(queued.id, 60).state == "done"
    [remade] = Result.from_data(again.result or {}).pictures
    [reference] = make(app, seed=remade.seed, steps=LONG).pictures
    with Image.open(remade.path) as a, Image.open(reference.path) as b:
        assert a.tobytes() == b.tobytes()
    waiting.stop()
