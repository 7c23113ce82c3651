"""A thousand pictures that want to do harm, through every door that takes pictures: refused in words, or used; nothing else happens."""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import psutil
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from PIL import Image
from starlette.testclient import TestClient

from modules.app import App
from modules.pixels import metadata
from tests.server.conftest import LOCAL
from tests.server.fake_jobs import FakeJobs
from tests.server.hostile import bomb, hostile_pictures, whole

EXAMPLES = 1000
GROWTH_BYTES = 700 * 2**20
"""What one picture at a time may take for a while: 64 megapixels as Pillow keeps them (4 bytes each), and once more while they change."""
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow says what it thinks of the files
Door = tuple[str, Callable[[bytes, str], dict[str, Any]]]
DOORS: tuple[Door, ...] = (
    ("/sdapi/v1/img2img", lambda _raw, text: {"json": {"init_images": [text]}}),
    ("/sdapi/v1/img2img", lambda _raw, text: {"json": {"init_images": [RED], "mask": text}}),
    ("/sdapi/v1/txt2img", lambda _raw, text: {"json": {"style_image": f"data:image/png;base64,{text}"}}),
    ("/sdapi/v1/extra-single-image", lambda _raw, text: {"json": {"image": text}}),
    ("/sdapi/v1/extra-batch-images", lambda _raw, text: {"json": {"imageList": [{"data": text, "name": "../a.png"}]}}),
    ("/sdapi/v1/interrogate", lambda _raw, text: {"json": {"image": text}}),
    ("/sdapi/v1/png-info", lambda _raw, text: {"json": {"image": text}}),
    ("/internal/inputs", lambda raw, _text: {"content": raw}),
    ("/internal/history/text", lambda raw, _text: {"content": raw}),
    ("/api/v2/inputs", lambda raw, _text: {"content": raw, "headers": {"Content-Type": "image/png"}}),
)
RED = base64.b64encode(whole("PNG", "RGB", 8, 8)).decode()
ACCEPTED, REFUSED = frozenset({200, 201}), frozenset({400, 413, 415, 422})


class Memory:
    """Looks at the memory of this process every few milliseconds. growth_bytes: the most it had beyond the beginning."""

    def __enter__(self) -> Self:
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self.growth_bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.004):
            self.growth_bytes = max(self.growth_bytes, self._process.memory_info().rss - self._before)

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def doors(api: FastAPI, jobs: FakeJobs) -> Iterator[TestClient]:
    """No job does anything with what came through."""
    said = [{"index": 0, "name": "", "caption": "a picture"}]
    empty = {"pictures": [], "captions": said, "warnings": [], "notes": [], "seconds": {}, "interrupted": False, "files": []}

    def end(job: Any) -> None:
        if job.kind in ("txt2img", "img2img"):
            jobs.make(job, pictures=0)
        else:
            jobs.change(job, state="done", result=empty)

    jobs.at_once = end
    with TestClient(api, base_url=LOCAL, raise_server_exceptions=False) as client:
        yield client


def test_a_thousand_hostile_pictures_do_no_harm(doors: TestClient) -> None:
    doors.post("/sdapi/v1/png-info", json={"image": RED})
    statuses: Counter[int] = Counter()
    turn = itertools.cycle(DOORS)

    @seed(1)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(data=hostile_pictures())
    def send(data: bytes) -> None:
        path, body = next(turn)
        answer = doors.post(path, **body(data, base64.b64encode(data).decode()))
        assert answer.status_code in ACCEPTED | REFUSED, f"{path} {answer.status_code} {answer.text[:300]} {data[:80]!r}"
        assert "Traceback" not in answer.text
        statuses[answer.status_code] += 1

    with Memory() as memory:
        send()
    assert sum(statuses.values()) >= EXAMPLES
    assert sum(statuses[code] for code in ACCEPTED) > EXAMPLES // 10, statuses
    assert sum(statuses[code] for code in REFUSED) > EXAMPLES // 4, statuses
    assert memory.growth_bytes < GROWTH_BYTES, f"{memory.growth_bytes / 2**20:.0f} MiB more than before"


def test_every_door_refuses_bombs_in_words(doors: TestClient, app: App) -> None:
    for data in (bomb(65_535, 65_535), bomb(0, 10), bomb(8001, 8000), b"GIF89a", b"<svg/>"):
        for path, body in DOORS:
            answer = doors.post(path, **body(data, base64.b64encode(data).decode()))
            assert answer.status_code in REFUSED, f"{path} {answer.status_code} {answer.text[:300]} {data[:40]!r}"
            assert len(answer.text) < 3000
    assert {path.name for path in app.folders.inputs.glob("*")} <= {f"{hashlib.sha256(base64.b64decode(RED)).hexdigest()}.png"}


def test_few_large_pictures_are_unpacked_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests bring one."""
    inside, most, lock = 0, 0, threading.Lock()

    def slow(image: Image.Image) -> Image.Image:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1
        return image

    monkeypatch.setattr(metadata, "LARGE_PIXELS", 10)
    monkeypatch.setattr(metadata.ImageOps, "exif_transpose", slow)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _n: metadata.open_picture(base64.b64decode(RED)), range(16)))
    assert most == 2
