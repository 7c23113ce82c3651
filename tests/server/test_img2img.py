"""POST /sdapi/v1/img2img: pictures in every form, A1111's defaults, its errors, its answer."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from modules.app import App
from modules.faults import RequestFault
from modules.inputs import Inputs
from modules.jobs import Job
from modules.server.errors import Refused
from modules.server.sent import keep
from modules.settings import Settings
from modules.upkeep.reach import Answer, DownloadFault, Reach
from tests.server.fake_jobs import FakeJobs

ONE_SERVER = True

IMG2IMG = "/sdapi/v1/img2img"


def picture(size: tuple[int, int] = (128, 96), colour: str = "red", kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


RED, BLUE, MASK = picture(), picture(colour="blue"), picture(colour="white")


def post(client: TestClient, **body: Any) -> Any:
    answer = client.post(IMG2IMG, json={"init_images": [RED], "steps": 4, "width": 128, "height": 128, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def only_job(jobs: FakeJobs) -> Job:
    [job] = jobs.jobs.values()
    return job


def test_the_apis_defaults_are_not_the_pages(client: TestClient, jobs: FakeJobs) -> None:
    answer = post(client, mask=MASK)
    asked = only_job(jobs).request
    names = ("denoising_strength", "inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding", "mask_blur_x", "resize_mode")
    assert [asked[name] for name in names] == [0.75, 0, True, 0, 4, 0]
    assert [answer["parameters"][name] for name in names] == [0.75, 0, True, 0, 4, 0]
    assert "enable_hr" not in answer["parameters"]
    info = json.loads(answer["info"])
    assert (info["denoising_strength"], info["is_using_inpainting_conditioning"]) == (0.75, False)
    assert info["extra_generation_params"]["Mask blur"] == 4
    assert info["extra_generation_params"]["Masked content"] == "fill"


def test_pictures_are_kept_once_and_the_job_names_them(client: TestClient, app: App, jobs: FakeJobs) -> None:
    post(client, init_images=[f"data:image/png;base64,{RED}"], mask=MASK)
    job = only_job(jobs)
    [reference], mask = job.request["init_images"], job.request["mask"]
    assert app.inputs.path(reference).read_bytes() == base64.b64decode(RED)
    assert app.inputs.path(mask).read_bytes() == base64.b64decode(MASK)
    assert (job.resolved["image"]["init_images"], job.resolved["image"]["mask"]) == ([reference], mask)
    assert len(json.dumps(job.request)) < 6000
    post(client, init_images=[reference])
    assert len(list(app.folders.inputs.iterdir())) == 2


def test_pictures_are_echoed_only_on_request(client: TestClient) -> None:
    silent = post(client, mask=MASK)["parameters"]
    assert (silent["init_images"], silent["mask"]) == (None, None)
    told = post(client, mask=MASK, include_init_images=True)["parameters"]
    assert (told["init_images"], told["mask"]) == ([RED], MASK)


@pytest.mark.parametrize("pictures", [None, []])
def test_without_a_picture_it_is_a1111s_404(client: TestClient, jobs: FakeJobs, pictures: object) -> None:
    answer = client.post(IMG2IMG, json={"init_images": pictures})
    assert (answer.status_code, answer.json()["detail"]) == (404, "Init image not found")
    assert not jobs.jobs


@pytest.mark.parametrize("sent", ["", "!!!", "aGVsbG8=", RED[:200], "data:image/png;base64,"])
@pytest.mark.parametrize("field", ["init_images", "mask"])
def test_what_is_no_picture_is_refused_in_a1111s_words(client: TestClient, jobs: FakeJobs, field: str, sent: str) -> None:
    if field == "mask" and not sent:
        return  # an empty mask is none
    body = {"init_images": [sent]} if field == "init_images" else {"init_images": [RED], "mask": sent}
    answer = client.post(IMG2IMG, json=body)
    assert (answer.status_code, answer.json()["detail"]) == (422, "Invalid encoded image")
    assert field in answer.json()["errors"]
    assert not jobs.jobs


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"init_images": RED}, "init_images"),
        ({"init_images": [5]}, "init_images"),
        ({"init_images": [RED, BLUE], "batch_size": 1}, "init_images"),
        ({"init_images": [f"input:{'0' * 64}"]}, "init_images"),
        ({"init_images": [RED], "mask": 7}, "mask"),
        ({"init_images": [RED], "mask_blur": -1}, "mask_blur"),
        ({"init_images": [RED], "resize_mode": 4}, "resize_mode"),
        ({"init_images": [RED], "denoising_strength": 1.5}, "denoising_strength"),
        ({"init_images": [RED], "override_settings": {"img2img_background_color": "nothing"}}, "img2img_background_color"),
        ({"init_images": [RED], "override_settings": {"upscaler_for_img2img": "nothing"}}, "upscaler_for_img2img"),
        ({"init_images": [RED], "alwayson_scripts": {"Soft inpainting": {"args": [True] * 9}}}, "alwayson_scripts"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_is_refused_by_the_fields_name(client: TestClient, jobs: FakeJobs, body: dict[str, Any], field: str) -> None:
    answer = client.post(IMG2IMG, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", field]
    assert not jobs.jobs


def test_several_pictures_make_the_batch(client: TestClient, jobs: FakeJobs) -> None:
    post(client, init_images=[RED, BLUE], batch_size=4)
    resolved = only_job(jobs).resolved
    assert (resolved["batch_size"], len(resolved["all_seeds"]), len(resolved["image"]["init_images"])) == (2, 2, 2)


def test_old_names_and_the_size_as_a_factor(client: TestClient, jobs: FakeJobs) -> None:
    post(client, mask_blur=9, latent_mask=MASK, scale_by=1.5)
    resolved = only_job(jobs).resolved
    assert (resolved["width"], resolved["height"]) == (192, 144)
    assert (resolved["image"]["mask_blur_x"], resolved["image"]["mask_blur_y"]) == (9, 9)
    assert resolved["image"]["mask"]


def test_soft_inpainting_by_its_script(client: TestClient, jobs: FakeJobs) -> None:
    post(client, mask=MASK, alwayson_scripts={"soft inpainting": {"args": [True, 2, 0.25, 5]}})
    image = only_job(jobs).resolved["image"]
    assert (image["soft_inpainting"], image["soft_schedule_bias"], image["soft_preservation_strength"]) == (True, 2, 0.25)
    assert (image["soft_transition_contrast_boost"], image["soft_difference_threshold"]) == (5, 0.5)


def test_what_looks_wrong_is_told(client: TestClient) -> None:
    warnings = json.loads(post(client, mask=picture((64, 64), "black"))["info"])["warnings"]
    assert any("stretched" in text for text in warnings)
    assert any("blank" in text for text in warnings)


def test_pictures_from_img2img_have_folders_of_their_own(client: TestClient, app: App) -> None:
    post(client, save_images=True)
    assert [path.parent.parent.name for path in app.folders.outputs.rglob("*.png")] == ["img2img-images"]


class FarAway(Reach):
    """Somebody else's machine, as far as the test says."""

    def __init__(self, told: bytes | Exception) -> None:
        super().__init__(pauses_s=())
        object.__setattr__(self, "told", told)

    def get(self, url: str, headers: dict[str, str] | None = None) -> Answer:
        told: Any = self.told  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(told, Exception):
            raise told
        return _Read(io.BytesIO(told))  # pyright: ignore[reportReturnType]


class _Read:
    def __init__(self, file: io.BytesIO) -> None:
        self.read = file.read

    def __enter__(self) -> _Read:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_addresses_are_followed_only_when_the_settings_say_so(app: App) -> None:
    with pytest.raises(Refused) as caught:
        keep("https://example.org/a.png", "mask", app.inputs, Settings())
    assert (caught.value.status_code, caught.value.detail) == (422, "Requests not allowed")
    allowed = Settings(api_enable_requests=True)
    reference = keep("https://example.org/a.png", "mask", app.inputs, allowed, FarAway(base64.b64decode(RED)))
    assert app.inputs.path(reference).read_bytes() == base64.b64decode(RED)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (RequestFault("source", "leads into a private network"), "Request to local resource not allowed"),
        (DownloadFault("has no such file."), "Invalid image url"),
        (b"<html>", "Invalid image url"),
    ],
    ids=["private", "gone", "no picture"],
)
def test_addresses_that_lead_nowhere_get_a1111s_words(app: App, told: bytes | Exception, words: str) -> None:
    with pytest.raises(Refused) as caught:
        keep("https://example.org/a.png", "mask", app.inputs, Settings(api_enable_requests=True), FarAway(told))
    assert (caught.value.status_code, caught.value.detail) == (422, words)


def test_this_machine_is_never_asked(app: App) -> None:
    for url in ("http://127.0.0.1:9/a.png", "https://127.0.0.1:9/a.png", "https://[::1]/a.png"):
        with pytest.raises(Refused, match="Request to local resource not allowed"):
            keep(url, "mask", app.inputs, Settings(api_enable_requests=True))


def test_a_reference_to_nothing_says_what_to_do(tmp_path: Path, app: App) -> None:
    with pytest.raises(RequestFault, match="send it again"):
        keep(f"input:{'1' * 64}", "mask", Inputs(app.folders), Settings())
