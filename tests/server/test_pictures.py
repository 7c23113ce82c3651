"""/internal/history: the list, single pictures, comparing, marks, the bin; and a picture made again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from modules.app import App
from modules.pixels.metadata import encode
from modules.request import GenerationRequest
from tests.library.picture_files import write_picture
from tests.server.fake_jobs import FakeJobs

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def own(app: App) -> Path:
    return app.folders.outputs / "txt2img-images" / "2026-01-02"


@pytest.fixture
def three(own: Path) -> list[Path]:
    return [write_picture(own / f"{n}.png", at_s=1_700_000_000 + n, prompt=f"apple {n}", seed=n) for n in (1, 2, 3)]


def rows(client: TestClient, **asked: Any) -> list[dict[str, Any]]:
    """The list, once every file has been read."""
    end = time.monotonic() + 60
    while (told := (answer := client.get("/internal/history", params=asked)).json()).get("unread") or told.get("looking"):
        assert time.monotonic() < end, "the background did not come to an end"
        time.sleep(0.02)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def test_a_page_of_the_list(client: TestClient, three: list[Path]):
    assert len(rows(client)) == 3
    answer = client.get("/internal/history", params={"limit": 2, "offset": 1}).json()
    assert ([row["name"] for row in answer["rows"]], answer["total"], answer["unread"]) == (["2.png", "1.png"], 3, 0)
    assert answer["rows"][0]["seed"] == "2"  # as text: JavaScript would round a large one
    assert "path" not in answer["rows"][0]
    assert [row["name"] for row in rows(client, search="apple -2", sort="oldest")] == ["1.png", "3.png"]


@pytest.mark.parametrize(
    "asked", [{"limit": 999}, {"offset": -1}, {"sort": "best"}, {"kind": "mine"}, {"since_s": "yesterday"}, {"search": "x" * 3000}]
)
def test_a_list_that_cannot_be(client: TestClient, asked: dict[str, Any]):
    assert client.get("/internal/history", params=asked).status_code == 422


def test_one_picture_with_its_text_file_and_thumbnail(client: TestClient, three: list[Path]):
    row = rows(client)[0]
    whole = client.get(f"/internal/history/{row['id']}").json()
    assert (whole["path"], whole["prompt"], whole["negative"]) == (str(three[2]), "apple 3", "blurry")
    assert ["Sampler", "Euler a"] in whole["items"]
    assert ["Size", "32x24"] in whole["items"]
    file = client.get(f"/{row['file']}")
    assert (file.content, file.headers["content-type"]) == (three[2].read_bytes(), "image/png")
    assert client.get(f"/{row['thumbnail']}").headers["content-type"].startswith("image/")


def test_a_large_picture_has_a_small_thumbnail(client: TestClient, own: Path):
    own.mkdir(parents=True)
    own.joinpath("large.png").write_bytes(encode(Image.effect_noise((1600, 900), 60).convert("RGB"), "png"))
    small = client.get(f"/{rows(client)[0]['thumbnail']}")
    assert small.headers["content-type"] == "image/webp"
    assert len(small.content) < 60_000


def test_a_picture_that_went_is_404_and_a_broken_one_says_why(client: TestClient, three: list[Path]):
    found = rows(client)
    three[2].unlink()
    for path in (f"/internal/history/{found[0]['id']}", f"/{found[0]['file']}", f"/{found[0]['thumbnail']}", "/internal/history/nothing"):
        assert client.get(path).status_code == 404
    three[1].write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    broken = client.get(f"/internal/history/{found[1]['id']}").json()
    assert broken["problem"]
    assert client.get(f"/{found[1]['thumbnail']}").status_code == 404


def test_what_the_list_can_be_narrowed_by(client: TestClient, three: list[Path], app: App):
    write_picture(app.folders.outputs / "txt2img-grids" / "grid-0001.png", model=HOSTILE)
    rows(client)
    found = client.get("/internal/history/choices").json()
    assert {row["kind"]: row["count"] for row in found["kinds"]}["grid"] == 1
    assert set(found["models"]) == {"starter", HOSTILE}
    assert found["sorts"][0] == {"sort": "newest", "title": "Newest first"}


def test_two_pictures_and_why_they_differ(client: TestClient, own: Path):
    write_picture(own / "a.png", prompt="a red cat", seed=1)
    write_picture(own / "b.png", prompt="a blue cat", seed=2, sampler="Heun")
    first, second = rows(client, sort="name")
    found = client.get("/internal/history/compare", params={"first": first["id"], "second": second["id"]}).json()
    assert [row["key"] for row in found["settings"]] == ["Sampler", "Seed"]
    assert found["settings"][1] == {"key": "Seed", "first": "1", "second": "2"}
    assert found["prompt"] == [["both", "a "], ["first", "red"], ["second", "blue"], ["both", " cat"]]
    assert client.get("/internal/history/compare", params={"first": first["id"], "second": "no"}).status_code == 404


def test_marks(client: TestClient, three: list[Path]):
    ids = [row["id"] for row in rows(client)]
    assert client.post("/internal/history/favourite", json={"ids": ids[:2], "on": True}).json() == {"ids": ids[:2], "on": True}
    assert [row["id"] for row in rows(client, favourites=True)] == ids[:2]
    client.post("/internal/history/favourite", json={"ids": ids[:1], "on": False})
    assert [row["id"] for row in rows(client, favourites=True)] == ids[1:2]


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": "x", "on": True}, {"ids": [1], "on": True}, {"ids": ["x"] * 501, "on": True}])
def test_bodies_that_cannot_be(client: TestClient, three: list[Path], body: dict[str, Any]):
    for route in ("favourite", "remove"):
        assert client.post(f"/internal/history/{route}", json=body).status_code == 422
    assert client.post("/internal/history/restore", json={"places": [1]}).status_code == 422
    assert client.post("/internal/history/restore", json={"places": ["../x"]}).status_code == 422


def test_into_the_bin_and_back(client: TestClient, three: list[Path]):
    row = rows(client)[0]
    places = client.post("/internal/history/remove", json={"ids": [row["id"]]}).json()["places"]
    assert not three[2].exists()
    assert len(rows(client)) == 2
    binned = client.get("/internal/history/bin").json()["rows"]
    assert [(b["place"], b["name"], b["path"]) for b in binned] == [(places[0], "3.png", str(three[2]))]
    assert client.get(f"/internal/history/bin/{places[0]}/thumbnail").status_code == 200
    assert client.get("/internal/history/bin/nothing/thumbnail").status_code == 404
    assert client.post("/internal/history/restore", json={"places": places}).json() == {"ids": [row["id"]]}
    assert three[2].exists()
    assert len(rows(client)) == 3


def test_the_index_is_made_anew(client: TestClient, three: list[Path]):
    assert len(rows(client)) == 3
    assert client.post("/internal/history/rebuild", json={}).json() == {"ok": True}
    assert client.post("/internal/history/refresh", json={}).json() == {"ok": True}
    assert len(rows(client)) == 3


def test_the_text_of_a_file_that_is_sent(client: TestClient, three: list[Path]):
    sent = client.post("/internal/history/text", content=three[0].read_bytes()).json()
    assert sent["infotext"].startswith("apple 1\nNegative prompt: blurry\nSteps: 20")
    assert client.post("/internal/history/text", content=b"no picture").status_code == 422


def test_other_sites_change_nothing(client: TestClient, three: list[Path]):
    ids = [row["id"] for row in rows(client)]
    for route in ("remove", "favourite", "rebuild", f"{ids[0]}/again"):
        refused = client.post(f"/internal/history/{route}", json={"ids": ids, "on": True}, headers={"Origin": "http://evil.example"})
        assert refused.status_code == 403
    assert all(path.exists() for path in three)


# ---- made again -----------------------------------------------------------------------------------------------------


@pytest.fixture
def made(app: App, jobs: FakeJobs) -> Path:
    """A picture of the fake job room: 8 x 8, all of one red, the second of a batch of two."""
    request = GenerationRequest(prompt="a red apple", seed=5, batch_size=2, steps=2, width=64, height=64)
    job = app.submit(request)
    return Path((jobs.get(job.id).result or {})["pictures"][1]["path"])


def judged(client: TestClient, key: str) -> dict[str, Any]:
    asked = client.post(f"/internal/history/{key}/again", json={}).json()
    for _ in range(4):
        now = client.get(f"/internal/history/{key}/again/{asked['job']}", params={"way": asked["way"]}).json()
        if "next" not in now:
            return now
        asked = now["next"]
    raise AssertionError("it never ends")


def row_of(client: TestClient, path: Path) -> dict[str, Any]:
    return next(row for row in rows(client) if row["name"] == path.name)


def test_the_same_picture_is_equal_and_nothing_is_saved(client: TestClient, made: Path, jobs: FakeJobs):
    before = len(rows(client))
    found = judged(client, row_of(client, made)["id"])
    assert found["verdict"]["equal"]
    assert found["verdict"]["line"] == "Equal: every pixel is the same"
    assert len(rows(client)) == before
    again = list(jobs.jobs.values())[-1].request
    assert (again["seed"], again["batch_size"], again["save_images"], again["prompt"]) == (6, 1, False, "a red apple")
    assert client.get(f"/{found['url']}").status_code == 200


def test_another_picture_differs_and_the_batch_was_tried_too(client: TestClient, made: Path, jobs: FakeJobs):
    text = Image.open(made).text["parameters"]
    made.write_bytes(encode(Image.new("RGB", (8, 8), (200, 30, 33)), "png", infotext=text.replace("Steps: 2,", "Steps: 2, Odd key: 9,")))
    found = judged(client, row_of(client, made)["id"])
    assert (found["verdict"]["equal"], found["verdict"]["largest"], found["verdict"]["mean"]) == (False, 3, 1)
    assert found["verdict"]["changes"][:1] == ["Odd key: 9 then; this program does not know it or did not use it."]
    batch = list(jobs.jobs.values())[-1].request
    assert (batch["seed"], batch["batch_size"]) == (5, 2)


def test_a_job_that_failed_says_so(client: TestClient, made: Path, jobs: FakeJobs):
    jobs.at_once = lambda job: jobs.fail(job, {"kind": "model", "message": "The model broke."})
    key = row_of(client, made)["id"]
    asked = client.post(f"/internal/history/{key}/again", json={}).json()
    answer = client.get(f"/internal/history/{key}/again/{asked['job']}")
    assert (answer.status_code, answer.json()["errors"]) == (409, "The model broke.")


def test_what_cannot_be_made_says_why(client: TestClient, three: list[Path]):
    answer = client.post(f"/internal/history/{rows(client)[0]['id']}/again", json={})
    assert answer.status_code == 422
    assert answer.json()["errors"].startswith("The model starter [0a1b2c3d4e] that made it is not here")


def test_a_waiting_job_tells_its_progress(client: TestClient, made: Path, jobs: FakeJobs):
    key = row_of(client, made)["id"]
    jobs.at_once = lambda job: jobs.run(job, fraction=0.25)
    asked = client.post(f"/internal/history/{key}/again", json={}).json()
    assert client.get(f"/internal/history/{key}/again/{asked['job']}").json() == {"state": "running", "progress": 0.25}
