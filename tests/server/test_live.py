"""The HTTP door over the real App, its real worker and the starter model."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from modules.app import App, build
from modules.flags import Flags
from modules.server import create
from modules.weights.embeddings import read_file
from tests.server.conftest import LOCAL

pytestmark = pytest.mark.model
TXT2IMG = "/sdapi/v1/txt2img"
APPLE = {"prompt": "a red apple, 3d", "width": 128, "height": 128, "steps": 4, "seed": 42}


@pytest.fixture(scope="module")
def live_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    made = build(Flags(data_dir=str(tmp_path_factory.mktemp("live"))))
    assert made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def live(live_app: App) -> Iterator[TestClient]:
    with TestClient(create(live_app), base_url=LOCAL) as client:
        yield client


def post(client: TestClient, **body: Any) -> Any:
    answer = client.post(TXT2IMG, json={**APPLE, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_picture_can_be_made_read_and_made_again(live: TestClient) -> None:
    answer = post(live, n_iter=2, sampler_name="DPM++ 2M Karras")
    first, second = (Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB") for image in answer["images"])
    assert first.size == (128, 128)
    assert first.tobytes() != second.tobytes()
    found = live.post("/sdapi/v1/png-info", json={"image": answer["images"][1]}).json()["parameters"]
    again = post(live, seed=found["Seed"], sampler_name=found["Sampler"], scheduler=found["Schedule type"], prompt=found["Prompt"])
    assert Image.open(io.BytesIO(base64.b64decode(again["images"][0]))).convert("RGB").tobytes() == second.tobytes()


def test_saved_pictures_come_with_their_grid_first(live: TestClient, live_app: App) -> None:
    answer = post(live, n_iter=2, save_images=True)
    assert json.loads(answer["info"])["index_of_first_image"] == 1
    sizes = [Image.open(io.BytesIO(base64.b64decode(image))).size for image in answer["images"]]
    assert len(sizes) == 3
    assert sizes[0] != sizes[1] == sizes[2]
    assert len(list(live_app.folders.outputs.rglob("*.png"))) == 3


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_a_killed_worker_costs_the_client_nothing_and_the_server_goes_on_answering(live: TestClient, live_app: App) -> None:
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(post(live, steps=60, seed=7, force_task_id="task(killed)")))
    waiting.start()
    until(lambda: live.get("/sdapi/v1/progress").json()["state"]["sampling_step"] > 2)
    os.kill(live_app.jobs.worker()["pid"], signal.SIGKILL)
    while waiting.is_alive():
        assert live.get("/sdapi/v1/progress").status_code == 200
        assert live.get("/internal/jobs").status_code == 200
        time.sleep(0.1)
    assert live_app.jobs.get("task(killed)").attempts == 2
    assert answers[0]["images"] == post(live, steps=60, seed=7)["images"]


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_progress_is_seen_while_it_runs_and_interrupt_ends_it(live: TestClient) -> None:
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(post(live, n_iter=50, steps=30, force_task_id="task(long)")))
    waiting.start()
    seen: list[float] = []
    preview = None
    end = time.monotonic() + 120
    while len(set(seen)) < 5 or preview is None:
        assert time.monotonic() < end, (seen, preview)
        found = live.get("/sdapi/v1/progress").json()
        seen.append(found["progress"])
        preview = found["current_image"] or preview
        polled = live.post("/internal/progress", json={"id_task": "task(long)"}).json()
        assert not polled["completed"]
        time.sleep(0.02)
    assert seen == sorted(seen)
    with Image.open(io.BytesIO(base64.b64decode(preview))) as image:
        assert image.format == "JPEG"
    asked = time.monotonic()
    assert live.post("/sdapi/v1/interrupt").json() == {}
    waiting.join(30)
    assert time.monotonic() - asked < 10
    [answer] = answers
    assert 0 < len(answer["images"]) < 50
    assert live.post("/internal/progress", json={"id_task": "task(long)"}).json()["completed"]
    idle = live.get("/sdapi/v1/progress").json()
    assert (idle["progress"], idle["state"]["job_count"]) == (0.0, 0)


def test_memory_comes_from_the_worker(live: TestClient) -> None:
    post(live)
    found = live.get("/sdapi/v1/memory").json()
    assert found["ram"]["used"] > 100_000_000
    assert found["cuda"]


def test_a_picture_is_made_and_said_in_words(live: TestClient) -> None:
    (picture,) = post(live, prompt="a strawberry, 3d", steps=20, cfg_scale=5.0, seed=0)["images"]
    answer = live.post("/sdapi/v1/interrogate", json={"image": picture, "model": "darkroom-starter-captioner"})
    assert answer.status_code == 200, answer.text
    assert "strawberry" in answer.json()["caption"]


def test_the_model_is_put_away_and_taken_back_and_learns_a_word(live: TestClient, live_app: App) -> None:
    before = post(live)["images"]
    assert live.post("/sdapi/v1/unload-checkpoint").json() == {}
    assert live_app.jobs.worker()["model"] is None
    assert live.post("/sdapi/v1/reload-checkpoint").json() == {}
    assert live_app.jobs.worker()["model"] == live.get("/sdapi/v1/options").json()["sd_model_checkpoint"]
    live.post("/sdapi/v1/unload-checkpoint")
    assert post(live)["images"] == before
    create_it, words = "/sdapi/v1/create/embedding", {"num_vectors_per_token": 2, "init_text": "red apple"}
    answer = live.post(create_it, json={"name": "like-an-apple", **words})
    assert answer.status_code == 200, answer.text
    path = Path(answer.json()["info"].partition(": ")[2])
    assert path == live_app.folders.models / "embeddings" / "like-an-apple.safetensors"
    assert {slot: count for slot, (_, count, _) in read_file(path).slots.items()} == {"emb_params": 2}
    listed = live.get("/sdapi/v1/embeddings").json()["loaded"]["like-an-apple"]
    assert (listed["step"], listed["vectors"], listed["sd_checkpoint_name"]) == (0, 2, live_app.library.default_checkpoint("").model_name)
    said, meant = (post(live, prompt=text)["images"] for text in ("like-an-apple", "red apple"))
    assert pixels(said) == pixels(meant)
    assert live.post(create_it, json={"name": "like-an-apple", **words}).status_code == 422


def pixels(images: list[str]) -> bytes:
    return Image.open(io.BytesIO(base64.b64decode(images[0]))).convert("RGB").tobytes()
