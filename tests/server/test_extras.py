"""The routes of Extras and the lists of upscalers: A1111's shapes, over jobs that are really done, in this process."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from modules.app import App
from modules.inputs import Inputs
from modules.jobs import Job
from modules.processing.extras import Desk, run_extras
from modules.request.extras import ExtrasRequest
from modules.saver import Saver
from modules.upscale.shelf import Shelf
from tests.processing.pictures import PARAMETERS, data_of, noise, with_text
from tests.processing.test_extras import Control
from tests.server.fake_jobs import FakeJobs
from tests.upscale.networks import tiny

ONE_SERVER = True

SINGLE, BATCH = "/sdapi/v1/extra-single-image", "/sdapi/v1/extra-batch-images"


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.fixture(autouse=True)
def really(app: App, jobs: FakeJobs) -> None:
    """Jobs are done at once, by the code that the worker runs."""
    tiny(app.folders.models / "ESRGAN" / "4x-Tiny.safetensors", scale=4)
    desk = Desk(folders=app.folders, saver=Saver(app.folders), inputs=Inputs(app.folders), shelf=Shelf())

    def done(job: Job) -> None:
        row = {"id": job.id, "kind": job.kind, "resolved": job.resolved, "made": []}
        state, result = run_extras(row, Control(), desk)
        jobs.change(job, state=state, result={**result, "pictures": list(result["pictures"])})

    jobs.at_once = done


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_a_single_picture(client: TestClient, app: App, prefix: str) -> None:
    image = prefix + text_of(with_text(noise(), parameters=PARAMETERS))
    answer = client.post(SINGLE, json={"image": image, "upscaler_1": "4x-Tiny", "upscaling_resize": "3", "unknown": 1, "resize_mode": None})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"html_info", "image"}
    result = opened(body["image"])
    assert result.size == (120, 90)
    assert result.info["parameters"] == PARAMETERS
    assert "Postprocess upscale by: 3" in body["html_info"]
    assert not (app.folders.data / "outputs").exists()


def test_defaults_are_those_of_the_api(client: TestClient) -> None:
    body = client.post(SINGLE, json={"image": text_of(data_of(noise())), "upscaler_1": "Lanczos", "show_extras_results": True}).json()
    assert opened(body["image"]).size == (80, 60)
    untouched = client.post(SINGLE, json={"image": text_of(data_of(noise()))}).json()
    assert opened(untouched["image"]).size == (40, 30)


def test_several_pictures_in_order(client: TestClient) -> None:
    pictures = [{"data": text_of(data_of(noise(20 + n, 10, seed=n))), "name": f"{n}.png"} for n in range(3)]
    size = {"resize_mode": 1, "upscaling_resize_w": 64, "upscaling_resize_h": 32, "upscaling_crop": False}
    body = client.post(BATCH, json={"imageList": pictures, "upscaler_1": "Nearest", **size}).json()
    assert set(body) == {"html_info", "images"}
    assert [opened(text).size[1] for text in body["images"]] == [32, 32, 32]
    assert [opened(text).size[0] for text in body["images"]] == [64, 67, 70]


def test_nobody_is_asked_for_folders_over_the_api(client: TestClient, jobs: FakeJobs) -> None:
    image = text_of(data_of(noise()))
    answer = client.post(
        SINGLE, json={"image": image, "input_dir": "/etc", "output_dir": "/tmp", "save_images": True, "upscaler_1": "Nearest"}
    )
    assert answer.status_code == 200
    (job,) = jobs.jobs.values()
    asked = ExtrasRequest.from_data(job.request)
    assert (asked.input_dir, asked.output_dir, asked.save_images) == ("", "", False)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"image": "!!!"}, 422, "Invalid encoded image"),
        ({"image": text_of(b"no picture")}, 422, "Invalid encoded image"),
        ({"image": 5}, 422, "image"),
        ({"image": "http://example.org/a.png"}, 422, "Requests not allowed"),
        ({"upscaling_resize": 0}, 422, "upscaling_resize"),
        ({"gfpgan_visibility": 1.5}, 422, "gfpgan_visibility"),
        ({"resize_mode": 2}, 422, "resize_mode"),
        ({"upscaling_resize_w": 0}, 422, "upscaling_resize_w"),
        ({"upscaler_1": "Lancos"}, 422, "did you mean Lanczos"),
        ({"codeformer_visibility": 1}, 422, "codeformer-v0.1.0.safetensors"),
        ({"upscaler_1": "Lanczos", "upscaling_resize": 900}, 422, "the most is"),
    ],
)
def test_errors_have_a1111s_shape(client: TestClient, jobs: FakeJobs, change: dict[str, Any], status: int, words: str) -> None:
    answer = client.post(SINGLE, json={"image": text_of(data_of(noise())), **change})
    assert answer.status_code == status
    body = answer.json()
    assert set(body) >= {"error", "detail", "body", "errors"}
    assert words in str(body["detail"]) + body["errors"]
    assert not jobs.jobs


@pytest.mark.parametrize("pictures", [None, [], "x", [1], [{"name": "a.png"}], [{"data": "!!!"}]])
def test_a_wrong_list_of_pictures(client: TestClient, pictures: Any) -> None:
    answer = client.post(BATCH, json={"imageList": pictures, "upscaler_1": "Nearest"})
    assert answer.status_code == 422
    assert set(answer.json()) >= {"error", "detail", "body", "errors"}


def test_a_job_that_failed(client: TestClient, jobs: FakeJobs) -> None:
    jobs.at_once = lambda job: jobs.fail(job, {"kind": "model", "message": "4x-Tiny cannot be loaded."})
    answer = client.post(SINGLE, json={"image": text_of(data_of(noise())), "upscaler_1": "4x-Tiny"})
    assert answer.status_code == 500
    assert answer.json()["errors"] == "4x-Tiny cannot be loaded."


def test_the_picture_before(client: TestClient, app: App) -> None:
    picture = noise()
    request = ExtrasRequest(images=[app.inputs.put(data_of(picture))], upscaler_1="Lanczos")
    job = app.submit_extras(request)
    answer = client.get(f"/internal/extras/{job.id}/0/before")
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).tobytes() == picture.tobytes()
    assert client.get(f"/internal/extras/{job.id}/1/before").status_code == 404
    assert client.get("/internal/extras/nothing/0/before").status_code == 404


def test_the_same_key_is_the_same_job(app: App) -> None:
    request = ExtrasRequest(images=[app.inputs.put(data_of(noise()))], upscaler_1="Lanczos")
    assert app.submit_extras(request, key="a").id == app.submit_extras(request, key="a").id


def test_lists(client: TestClient, app: App) -> None:
    tiny(app.folders.models / "RealESRGAN" / "RealESRGAN_x4plus.safetensors", scale=4)
    rows = client.get("/sdapi/v1/upscalers").json()
    assert [row["name"] for row in rows] == ["None", "Lanczos", "Nearest", "4x-Tiny", "darkroom-starter-2x", "RealESRGAN_x4plus"]
    assert rows[1] == {"name": "Lanczos", "model_name": None, "model_path": None, "model_url": None, "scale": 4.0}
    assert rows[3]["model_path"].endswith("4x-Tiny.safetensors")
    assert [set(row) for row in client.get("/sdapi/v1/realesrgan-models").json()] == [{"name", "path", "scale"}]
    names = [row["name"] for row in client.get("/sdapi/v1/latent-upscale-modes").json()]
    assert names[:2] == ["Latent", "Latent (antialiased)"]
    assert len(names) == 6
    assert [row["name"] for row in client.get("/sdapi/v1/face-restorers").json()] == ["GFPGAN", "CodeFormer"]
