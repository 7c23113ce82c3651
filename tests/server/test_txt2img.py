"""POST /sdapi/v1/txt2img: A1111's defaults, its leniency, its answer."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import threading
import time
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from modules.app import App
from modules.jobs import Job
from modules.pixels.metadata import read_parameters
from tests.server.fake_jobs import FakeJobs

ONE_SERVER = True

TXT2IMG = "/sdapi/v1/txt2img"
INFO_KEYS = {
    "prompt",
    "all_prompts",
    "negative_prompt",
    "all_negative_prompts",
    "seed",
    "all_seeds",
    "subseed",
    "all_subseeds",
    "subseed_strength",
    "width",
    "height",
    "sampler_name",
    "cfg_scale",
    "steps",
    "batch_size",
    "restore_faces",
    "face_restoration_model",
    "sd_model_name",
    "sd_model_hash",
    "sd_vae_name",
    "sd_vae_hash",
    "seed_resize_from_w",
    "seed_resize_from_h",
    "denoising_strength",
    "extra_generation_params",
    "index_of_first_image",
    "infotexts",
    "styles",
    "job_timestamp",
    "clip_skip",
    "is_using_inpainting_conditioning",
    "version",
}
# What the webuiapi client sends for api.txt2img(prompt="a red apple"), every field of it.
WEBUIAPI: dict[str, Any] = {
    "enable_hr": False, "hr_scale": 2, "hr_upscaler": "Latent", "hr_second_pass_steps": 0, "hr_resize_x": 0, "hr_resize_y": 0,
    "denoising_strength": 0.7, "firstphase_width": 0, "firstphase_height": 0, "prompt": "a red apple", "styles": [], "seed": -1,
    "subseed": -1, "subseed_strength": 0.0, "seed_resize_from_h": 0, "seed_resize_from_w": 0, "batch_size": 1, "n_iter": 1, "steps": None,
    "cfg_scale": 7.0, "width": 512, "height": 512, "restore_faces": False, "tiling": False, "do_not_save_samples": False,
    "do_not_save_grid": False, "negative_prompt": "", "eta": 1.0, "s_churn": 0, "s_tmax": 0, "s_tmin": 0, "s_noise": 1,
    "override_settings": {}, "override_settings_restore_afterwards": True, "sampler_name": None, "scheduler": "automatic",
    "sampler_index": None, "script_name": None, "script_args": [], "send_images": True, "save_images": False, "alwayson_scripts": {},
    "hr_checkpoint_name": None, "hr_sampler_name": None, "hr_scheduler": "automatic", "hr_prompt": "", "hr_negative_prompt": "",
    "use_deprecated_controlnet": False,
}  # fmt: skip
# The example that A1111's wiki gives, with the zeros that FastAPI's docs page fills in.
WIKI: dict[str, Any] = {
    "prompt": "maltese puppy",
    "steps": 5,
    "eta": 0,
    "s_churn": 0,
    "s_tmax": 0,
    "s_tmin": 0,
    "s_noise": 0,
    "s_min_uncond": 0,
    "sampler_index": "Euler",
    "comments": {},
    "infotext": "",
    "firstpass_image": "",
    "refiner_checkpoint": "",
    "refiner_switch_at": 0,
}


def post(client: TestClient, **body: Any) -> Any:
    answer = client.post(TXT2IMG, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def only_job(jobs: FakeJobs) -> Job:
    [job] = jobs.jobs.values()
    return job


def test_a_size_that_nobody_asked_for_is_the_models_own_when_that_is_smaller(
    client: TestClient, jobs: FakeJobs, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = post(client, prompt="x")
    assert any("its own 128x128" in text for text in json.loads(answer["info"])["warnings"])
    assert (answer["parameters"]["width"], answer["parameters"]["height"]) == (128, 128)
    for asked in ({"width": 512}, {"infotext": "x\nSteps: 3, Sampler: Euler, Seed: 1, Size: 512x512"}, {"width": 512, "height": 512}):
        answer = post(client, **asked)
        newest = max(jobs.jobs.values(), key=lambda job: job.number)
        assert newest.request["width"] == newest.request["height"] == 512
        assert not any("its own" in text for text in json.loads(answer["info"])["warnings"])
    known = app.library.default_checkpoint("")
    monkeypatch.setattr(app.library, "default_checkpoint", lambda chosen: dataclasses.replace(known, native_px=1024))
    post(client)
    assert max(jobs.jobs.values(), key=lambda job: job.number).request["width"] == 512


def test_an_empty_body_takes_the_apis_defaults_not_the_pages(client: TestClient, jobs: FakeJobs) -> None:
    answer = post(client)
    asked = only_job(jobs).request
    assert (asked["steps"], asked["sampler_name"], asked["cfg_scale"]) == (50, "Euler", 7.0)
    assert (asked["width"], asked["height"], asked["save_images"]) == (128, 128, False)  # the starter model's own
    parameters = answer["parameters"]
    assert parameters["steps"] == 50
    assert parameters["sampler_index"] == "Euler"
    assert parameters["hr_scale"] == 2.0
    nulls = ("sampler_name", "scheduler", "styles", "override_settings", "eta", "denoising_strength", "restore_faces", "script_name")
    assert [name for name in nulls if parameters[name] is not None] == []


def test_the_answer_carries_the_file_the_echo_and_info(client: TestClient, jobs: FakeJobs) -> None:
    answer = post(client, prompt="a red apple", negative_prompt="blur", seed=7, steps=3, n_iter=2, sampler_name="DPM++ 2M Karras")
    assert set(answer) == {"images", "parameters", "info"}
    files = [base64.b64decode(image, validate=True) for image in answer["images"]]
    assert len(files) == 2
    info = json.loads(answer["info"])
    assert set(info) >= INFO_KEYS
    for data, text in zip(files, info["infotexts"], strict=True):
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "PNG"
        assert read_parameters(io.BytesIO(data))[0] == text
    assert (info["seed"], info["all_seeds"], info["steps"], info["sampler_name"]) == (7, [7, 8], 3, "DPM++ 2M")
    assert info["all_prompts"] == ["a red apple"] * 2
    assert info["negative_prompt"] == "blur"
    assert info["sd_model_name"] == "darkroom-starter"
    assert len(info["sd_model_hash"]) == 10
    assert len(info["job_timestamp"]) == 14
    assert info["index_of_first_image"] == 0
    assert "Schedule type: Karras" in info["infotexts"][0]


@pytest.mark.parametrize("body", [WEBUIAPI, WIKI], ids=["webuiapi", "wiki"])
def test_payloads_that_clients_send_pass(client: TestClient, jobs: FakeJobs, body: dict[str, Any]) -> None:
    answer = post(client, **body)
    assert len(answer["images"]) == 1
    assert only_job(jobs).request["prompt"] == body["prompt"]
    assert answer["parameters"]["prompt"] == body["prompt"]


def test_lax_values_become_the_fields_type(client: TestClient, jobs: FakeJobs) -> None:
    post(client, width="512", height=512.7, steps="3", cfg_scale="4.5", send_images="true", n_iter=1.0, prompt=None, styles=[5], odd={})
    asked = only_job(jobs).request
    assert (asked["width"], asked["height"], asked["steps"], asked["cfg_scale"], asked["n_iter"]) == (512, 512, 3, 4.5, 1)
    assert (asked["prompt"], asked["styles"]) == ("", ["5"])


@pytest.mark.parametrize("seed", [-1, "-1", "", None, "banana"])
def test_a_seed_that_is_no_number_is_a_random_one(client: TestClient, seed: object) -> None:
    drawn = json.loads(post(client, seed=seed)["info"])["seed"]
    assert 0 <= drawn <= 4294967293


def test_a_seed_as_text_is_that_seed(client: TestClient) -> None:
    assert json.loads(post(client, seed="9223372036854775000")["info"])["seed"] == 9223372036854775000


@pytest.mark.parametrize(
    ("body", "sampler", "schedule"),
    [
        ({"sampler_index": "DDIM"}, "DDIM", "Automatic"),
        ({"sampler_name": "Euler a", "sampler_index": "DDIM"}, "Euler a", "Automatic"),
        ({"sampler_name": "", "sampler_index": "DDIM"}, "DDIM", "Automatic"),
        ({"sampler_name": "k_euler_a"}, "Euler a", "Automatic"),
        ({"sampler_name": "DPM++ 2M SDE Exponential"}, "DPM++ 2M SDE", "Exponential"),
        ({"sampler_name": "DPM++ 2M", "scheduler": "karras"}, "DPM++ 2M", "Karras"),
    ],
)
def test_samplers_go_by_every_name_they_have(client: TestClient, jobs: FakeJobs, body: dict[str, Any], sampler: str, schedule: str) -> None:
    post(client, **body)
    resolved = only_job(jobs).resolved
    assert (resolved["sampler_name"], resolved["scheduler"]) == (sampler, schedule)


def test_pictures_stay_in_the_cache_unless_they_are_to_be_saved(client: TestClient, app: App, jobs: FakeJobs) -> None:
    post(client)
    [picture] = only_job(jobs).result["pictures"]
    assert picture["path"].startswith(str(app.folders.job_files))
    assert not app.folders.outputs.exists()
    post(client, save_images=True, seed=5)
    assert len(list(app.folders.outputs.rglob("*.png"))) == 1


def test_pictures_are_left_out_when_nobody_wants_them(client: TestClient) -> None:
    answer = post(client, send_images=False)
    assert answer["images"] == []
    assert len(json.loads(answer["info"])["infotexts"]) == 1


def test_a_grid_stands_first_and_info_says_so(client: TestClient, jobs: FakeJobs) -> None:
    jobs.at_once = lambda job: jobs.make(job, grid=True)
    answer = post(client, n_iter=2, save_images=True)
    info = json.loads(answer["info"])
    assert (len(answer["images"]), len(info["infotexts"]), info["index_of_first_image"]) == (3, 3, 1)


@pytest.mark.parametrize(("file_format", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
def test_pictures_come_in_the_format_of_the_settings(client: TestClient, app: App, file_format: str, kind: str) -> None:
    app.settings.set({"samples_format": file_format})
    with Image.open(io.BytesIO(base64.b64decode(post(client)["images"][0]))) as image:
        assert image.format == kind


def test_an_interrupted_job_answers_with_the_pictures_so_far(client: TestClient, jobs: FakeJobs) -> None:
    jobs.at_once = lambda job: jobs.make(job, pictures=1, state="canceled")
    assert len(post(client, n_iter=3)["images"]) == 1


def test_a_job_canceled_before_it_began_answers_with_no_picture_and_one_text(client: TestClient, jobs: FakeJobs) -> None:
    jobs.at_once = lambda job: jobs.change(job, state="canceled")
    answer = post(client, prompt="a red apple")
    assert answer["images"] == []
    [text] = json.loads(answer["info"])["infotexts"]
    assert text.startswith("a red apple\nSteps: 50")


def test_warnings_of_the_run_are_told(client: TestClient) -> None:
    told = json.loads(post(client, width=515, styles=["nobody"])["info"])["warnings"]
    assert any("rounded down" in text for text in told)
    assert any("'nobody'" in text for text in told)


def test_the_same_task_id_is_the_same_job(client: TestClient, jobs: FakeJobs) -> None:
    first, second = (post(client, prompt="a red apple", force_task_id="task(x)") for _ in range(2))
    assert first == second
    assert len(jobs.jobs) == 1
    other = client.post(TXT2IMG, json={"prompt": "a pear", "force_task_id": "task(x)"})
    assert other.status_code == 422
    assert other.json()["detail"][0]["loc"] == ["body", "force_task_id"]


def test_override_settings_hold_for_the_run_only_unless_they_are_to_stay(client: TestClient, app: App, jobs: FakeJobs) -> None:
    quiet = {"sd_hypernetwork": "None", "nothing_known": None, "sd_vae": None}
    post(client, override_settings={"jpeg_quality": 33, **quiet})
    assert only_job(jobs).resolved["settings"]["jpeg_quality"] == 33
    assert only_job(jobs).request["override_settings"] == {"jpeg_quality": 33}
    assert app.settings.current.jpeg_quality == 80
    post(client, override_settings={"jpeg_quality": 34}, override_settings_restore_afterwards=False)
    assert app.settings.current.jpeg_quality == 34


PARAMETERS = (
    "a pear\nNegative prompt: blur\nSteps: 9, Sampler: DDIM, Schedule type: Karras, CFG scale: 3.5, Seed: 77, Size: 192x128, Clip skip: 2"
)


def test_a_parameters_text_fills_what_the_body_leaves_open(client: TestClient, jobs: FakeJobs) -> None:
    answer = post(client, infotext=PARAMETERS, steps=4, override_settings={"jpeg_quality": 33})
    asked = only_job(jobs).request
    assert [asked[name] for name in ("prompt", "negative_prompt", "steps", "seed", "width", "height")] == [
        "a pear",
        "blur",
        4,
        77,
        192,
        128,
    ]
    assert [asked[name] for name in ("sampler_name", "scheduler", "cfg_scale")] == ["DDIM", "Karras", 3.5]
    assert asked["override_settings"]["CLIP_stop_at_last_layers"] == 2
    assert asked["override_settings"]["jpeg_quality"] == 33
    assert json.loads(answer["info"])["clip_skip"] == 2


def test_variation_and_seed_resize_are_told(client: TestClient) -> None:
    body = {"seed": 5, "subseed": "9", "subseed_strength": 0.25, "seed_resize_from_w": 256, "seed_resize_from_h": 128, "batch_size": 2}
    info = json.loads(post(client, **body)["info"])
    assert (info["subseed"], info["all_subseeds"], info["all_seeds"], info["subseed_strength"]) == (9, [9, 10], [5, 5], 0.25)
    assert (info["seed_resize_from_w"], info["seed_resize_from_h"]) == (256, 128)
    plain = json.loads(post(client, seed=5)["info"])
    assert (plain["subseed_strength"], plain["seed_resize_from_w"], plain["denoising_strength"]) == (0, -1, None)


def test_the_second_pass_is_asked_for_and_told(client: TestClient, jobs: FakeJobs) -> None:
    body = {"width": 128, "height": 128, "enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent (bicubic)", "denoising_strength": 0.4}
    info = json.loads(post(client, **body)["info"])
    assert (info["width"], info["height"], info["denoising_strength"]) == (128, 128, 0.4)
    assert info["extra_generation_params"]["Hires upscaler"] == "Latent (bicubic)"
    hires = only_job(jobs).resolved["hires"]
    assert (hires["width"], hires["height"]) == (192, 192)


def test_a_size_of_the_first_pass_makes_width_and_height_the_target(client: TestClient, jobs: FakeJobs) -> None:
    answer = post(client, width=384, height=192, firstphase_width=128, enable_hr=True, denoising_strength=0.5)
    resolved = only_job(jobs).resolved
    assert (resolved["width"], resolved["height"]) == (128, 64)
    assert (resolved["hires"]["width"], resolved["hires"]["height"]) == (384, 192)
    assert (answer["parameters"]["width"], answer["parameters"]["firstphase_width"]) == (128, 128)


def test_fields_that_are_settings_count_for_the_run(client: TestClient, app: App, jobs: FakeJobs) -> None:
    info = json.loads(post(client, tiling=True, restore_faces=True, override_settings_restore_afterwards=False)["info"])
    assert only_job(jobs).resolved["settings"]["tiling"] is True
    assert (info["restore_faces"], info["face_restoration_model"]) == (True, "CodeFormer")
    assert not app.settings.current.tiling  # a field, not one of the overrides that are to stay


def test_networks_are_left_out_on_request(client: TestClient, jobs: FakeJobs) -> None:
    post(client, prompt="a pear <lora:nothing:1>", disable_extra_networks=True)
    assert only_job(jobs).request["prompt"].strip() == "a pear"


def test_pictures_of_img2img_mean_nothing_here(client: TestClient, jobs: FakeJobs) -> None:
    post(client, init_images=["!"], mask="!", mask_blur=300, denoising_strength=0.3)
    assert only_job(jobs).request["init_images"] == []


def test_the_client_waits_until_the_job_is_done_and_others_are_served_meanwhile(client: TestClient, jobs: FakeJobs) -> None:
    jobs.at_once = None
    answers: list[Any] = []
    waiting = [threading.Thread(target=lambda n=n: answers.append(post(client, seed=n))) for n in range(50)]
    for thread in waiting:
        thread.start()
    end = time.monotonic() + 20
    while len(jobs.jobs) < 50:
        assert time.monotonic() < end, "not every request was accepted"
        time.sleep(0.01)
    for _ in range(200):
        assert client.get("/sdapi/v1/progress").status_code == 200
    assert answers == []
    for job in list(jobs.jobs.values()):
        jobs.make(job)
    for thread in waiting:
        thread.join(20)
    assert sorted(json.loads(answer["info"])["seed"] for answer in answers) == list(range(50))


def test_a_picture_that_was_removed_is_an_error_in_words(client: TestClient, app: App, jobs: FakeJobs) -> None:
    def make_and_lose(job: Job) -> None:
        made = jobs.make(job)
        for path in app.folders.job_files.rglob("*.png"):
            path.unlink()
        assert made.result is not None

    jobs.at_once = make_and_lose
    answer = client.post(TXT2IMG, json={})
    assert answer.status_code == 410
    assert answer.json()["errors"].startswith("0.png")
