"""The lists, png-info, memory, the page's routes and /docs."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from modules.app import App
from modules.jobs import Job
from modules.pixels.metadata import encode
from modules.prompts.styles import Style
from modules.request import GenerationRequest
from tests.server.fake_jobs import FakeJobs

ONE_SERVER = True

TEXT = "a red apple\nNegative prompt: blur\nSteps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.0, Seed: 1, Size: 64x32"


def test_samplers_have_a1111s_rows(client: TestClient) -> None:
    rows = client.get("/sdapi/v1/samplers").json()
    assert {frozenset(row) for row in rows} == {frozenset({"name", "aliases", "options"})}
    assert {"name": "Euler a", "aliases": ["k_euler_a", "k_euler_ancestral"], "options": {"uses_ensd": True}} in rows
    assert rows[0]["name"] == "DPM++ 2M"


def test_schedulers_have_a1111s_rows(client: TestClient) -> None:
    rows = {row["name"]: row for row in client.get("/sdapi/v1/schedulers").json()}
    assert rows["karras"] == {"name": "karras", "label": "Karras", "aliases": None, "default_rho": 7.0, "need_inner_model": False}
    assert rows["sgm_uniform"]["aliases"] == ["SGMUniform"]
    assert next(iter(rows)) == "automatic"


def test_models_have_a1111s_rows_and_can_be_refreshed(client: TestClient) -> None:
    [row] = client.get("/sdapi/v1/sd-models").json()
    assert set(row) == {"title", "model_name", "hash", "sha256", "filename", "config"}
    assert row["title"] == f"{row['model_name']} [{row['hash']}]"
    assert row["sha256"].startswith(row["hash"])
    assert client.post("/sdapi/v1/refresh-checkpoints").text == "null"
    assert client.get("/sdapi/v1/sd-models").json() == [row]


def test_styles_are_listed(client: TestClient, app: App) -> None:
    assert client.get("/sdapi/v1/prompt-styles").json() == []
    app.styles.save(Style("ink", "{prompt}, ink", "photo"))
    assert client.get("/sdapi/v1/prompt-styles").json() == [{"name": "ink", "prompt": "{prompt}, ink", "negative_prompt": "photo"}]


def test_memory_is_the_workers_or_the_machines(client: TestClient, jobs: FakeJobs) -> None:
    found = client.get("/sdapi/v1/memory").json()
    assert found["ram"]["free"] + found["ram"]["used"] == found["ram"]["total"]
    assert set(found["cuda"]) == {"error"}
    figures = {"ram": {"free": 1, "used": 2, "total": 3}, "cuda": {"system": {"free": 4, "used": 5, "total": 9}}}
    jobs.status["memory"] = figures
    assert client.get("/sdapi/v1/memory").json() == figures


def picture(file_format: str = "png", text: str = TEXT) -> str:
    return base64.b64encode(encode(Image.new("RGB", (64, 32)), file_format, infotext=text)).decode()


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp"])
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,", " \n"])
def test_png_info_reads_every_format(client: TestClient, file_format: str, prefix: str) -> None:
    found = client.post("/sdapi/v1/png-info", json={"image": prefix + picture(file_format)}).json()
    assert set(found) == {"info", "items", "parameters"}
    assert found["info"] == TEXT
    parameters = found["parameters"]
    assert [parameters[key] for key in ("Prompt", "Negative prompt", "Seed", "Size-1")] == ["a red apple", "blur", "1", "64"]
    assert all(isinstance(value, str) for value in parameters.values())


def test_png_info_of_a_picture_without_text_is_empty(client: TestClient) -> None:
    found = client.post("/sdapi/v1/png-info", json={"image": picture(text="")}).json()
    assert (found["info"], found["items"], found["parameters"]["Prompt"]) == ("", {}, "")


def test_png_info_of_our_own_answer_gives_its_text(client: TestClient) -> None:
    image = client.post("/sdapi/v1/txt2img", json={"prompt": "ein Äpfelchen 🍎", "seed": 3}).json()["images"][0]
    found = client.post("/sdapi/v1/png-info", json={"image": image}).json()
    assert (found["parameters"]["Prompt"], found["parameters"]["Seed"]) == ("ein Äpfelchen 🍎", "3")


BROKEN = base64.b64encode(base64.b64decode(picture())[:60]).decode()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        *((image, "Invalid encoded image") for image in ("", "!!!", "aGVsbG8=", "ä", BROKEN, "data:image/png;base64,")),
        *((image, "Requests not allowed") for image in ("https://example.org/a.png", "HTTP://127.0.0.1/a.png")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_png_info_of_no_picture_says_so_in_a1111s_words(client: TestClient, image: str, words: str) -> None:
    answer = client.post("/sdapi/v1/png-info", json={"image": image})
    assert answer.status_code == 422
    assert answer.json()["detail"] == words
    assert answer.json()["errors"].startswith("image: ")


@pytest.mark.parametrize("body", [{}, {"image": None}, {"image": 5}, {"image": ["a"]}], ids=str)
def test_png_info_needs_an_image(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post("/sdapi/v1/png-info", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "image"]


def test_png_info_of_a_huge_picture_is_refused_by_its_header(client: TestClient) -> None:
    data = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(data, "PNG")
    answer = client.post("/sdapi/v1/png-info", json={"image": base64.b64encode(data.getvalue()).decode()})
    assert answer.status_code == 422


@pytest.fixture
def job(app: App, jobs: FakeJobs) -> Job:
    """A job that is done, with two pictures."""
    return jobs.get(app.submit(GenerationRequest(prompt="x" * 1000, n_iter=2, width=64, height=64), key="mine").id)


def test_the_queue_is_listed_in_run_order(client: TestClient, app: App, jobs: FakeJobs, job: Job) -> None:
    jobs.at_once = None
    waiting = app.submit(GenerationRequest(prompt="a pear", width=64, height=64), owner="me")
    running = app.submit(GenerationRequest(width=64, height=64))
    jobs.run(running, fraction=0.25)
    found = client.get("/internal/jobs").json()
    assert [row["id"] for row in found["jobs"]] == [running.id, waiting.id, job.id]
    assert [row["progress"] for row in found["jobs"]] == [0.25, 0.0, 1.0]
    assert found["jobs"][1] == {
        "id": waiting.id, "number": 2, "kind": "txt2img", "state": "queued", "prompt": "a pear", "owner": "me", "progress": 0.0,
        "created_s": waiting.created_s,
    }  # fmt: skip
    assert len(found["jobs"][2]["prompt"]) == 500
    assert (found["paused"], found["worker"]["state"]) == (False, "idle")
    assert len(client.get("/internal/jobs?limit=1").json()["jobs"]) == 1


@pytest.mark.parametrize("name", ["id", "key"])
def test_a_job_is_shown_whole_and_its_pictures_can_be_had(client: TestClient, job: Job, name: str) -> None:
    found = client.get(f"/internal/jobs/{getattr(job, name)}").json()
    assert (found["id"], found["state"], found["request"]["n_iter"]) == (job.id, "done", 2)
    urls = [made["url"] for made in found["result"]["pictures"]]
    assert urls == [f"internal/pictures/{job.id}/{n}" for n in range(2)]
    answer = client.get(f"/{urls[1]}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content == Path(found["result"]["pictures"][1]["path"]).read_bytes()


@pytest.mark.parametrize("place", ["2", "-1", "999999999999999999999"])
def test_a_picture_that_is_not_there_is_404(client: TestClient, job: Job, place: str) -> None:
    assert client.get(f"/internal/pictures/{job.id}/{place}").status_code == 404


def test_a_file_that_is_gone_or_no_picture_is_404(client: TestClient, jobs: FakeJobs, job: Job, tmp_path: Path) -> None:
    assert job.result is not None
    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    pictures = [{**job.result["pictures"][0], "path": str(secret)}, {**job.result["pictures"][1], "path": str(tmp_path / "gone.png")}]
    jobs.change(job, result={**job.result, "pictures": pictures})
    assert [client.get(f"/internal/pictures/{job.id}/{n}").status_code for n in range(2)] == [404, 404]


@pytest.mark.parametrize("call", ["GET jobs/nobody", "POST jobs/nobody/cancel", "POST jobs/nobody/skip", "GET pictures/nobody/0"])
def test_a_job_nobody_knows_is_404(client: TestClient, call: str) -> None:
    method, path = call.split(" ")
    answer = client.request(method, f"/internal/{path}")
    assert (answer.status_code, answer.json()["error"]) == (404, "UnknownJob")


def test_single_jobs_and_the_queue_are_steered(client: TestClient, jobs: FakeJobs, job: Job) -> None:
    assert client.post("/internal/jobs/mine/cancel").json() == {"ok": True}
    assert client.post(f"/internal/jobs/{job.id}/skip").json() == {"ok": True}
    assert jobs.asked == [("cancel", job.id), ("skip", job.id)]
    assert client.post("/internal/queue/pause").json() == {"paused": True}
    assert client.get("/internal/jobs").json()["paused"]
    assert client.post("/internal/queue/resume").json() == {"paused": False}


def test_docs_need_no_other_host(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert re.findall(r"""(?:src|href)\s*=|https?://|@import|url\(""", page.text) == []
    assert client.get("/redoc").url.path == "/docs"
    described = client.get("/openapi.json").json()
    fields = described["paths"]["/sdapi/v1/txt2img"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert (fields["steps"]["default"], fields["steps"]["minimum"], fields["sampler_index"]["default"]) == (50, 1, "Euler")
    assert all(operation["description"] for verbs in described["paths"].values() for operation in verbs.values())


def test_large_answers_are_compressed_small_ones_are_not(client: TestClient) -> None:
    assert client.get("/sdapi/v1/options").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get("/internal/ping").headers
