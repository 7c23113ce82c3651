"""/internal/queue over the real job room, which runs nothing here: order, holding, running again, clearing, and what a row tells."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from modules.app import App
from modules.faults import RequestFault
from modules.folders import Folders
from modules.jobs import FILES, Job, Jobs, Live
from modules.request import GenerationRequest, ResolvedRequest, Result
from modules.saver import Saver
from modules.server import create
from modules.server.queue import FRESH_S
from modules.server.queue_rows import beginning_of, live_of, row_of
from tests.server.conftest import LOCAL

SMALL = {"width": 64, "height": 64, "steps": 3}
URL = "/internal/queue"


@pytest.fixture
def room(folders: Folders) -> Iterator[Jobs]:
    made = Jobs(folders, {})
    yield made
    made.stop()


@pytest.fixture
def app(make_app: Callable[..., App], room: Jobs) -> App:
    return dataclasses.replace(make_app(), jobs=room)


@pytest.fixture
def client(app: App) -> Iterator[TestClient]:
    with TestClient(create(app), base_url=LOCAL) as made:
        yield made


def wish(app: App, prompt: str, owner: str = "local", **fields: Any) -> Job:
    return app.submit(GenerationRequest.from_data({**SMALL, "prompt": prompt, **fields}), owner=owner)


def end(app: App, job: Job, state: str = "done", fault: dict[str, Any] | None = None) -> Job:
    """The job as a worker would leave it, with small pictures."""
    resolved = ResolvedRequest.from_data(job.resolved)
    saver = Saver(app.folders)
    made = [
        saver.save(Image.new("RGB", (8, 8), (seed % 256, 30, 30)), resolved=resolved, index=i, job=job.id, saved=True)
        for i, seed in enumerate(resolved.all_seeds)
        if state == "done"
    ]
    return app.jobs._store.finish(job.id, state, result=Result(pictures=tuple(made)).to_data() if made else None, fault=fault)  # pyright: ignore[reportPrivateUsage]


def waiting(client: TestClient, lane: str = "device", **query: Any) -> list[str]:
    return [row["title"] for row in client.get(URL, params=query).json()["waiting"][lane]["rows"]]


def post(client: TestClient, path: str, **body: Any) -> Any:
    answer = client.post(f"{URL}/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_jobs_of_every_door_stand_in_their_parts_with_who_asked_and_what_for(client: TestClient, app: App) -> None:
    done = end(app, wish(app, "a done thing", owner="cli", n_iter=2))
    end(app, wish(app, "a lost thing", owner="api"), "failed", RequestFault("prompt", "cannot be painted").data())
    wish(app, "x" * 1000, owner="anna", batch_size=2)
    app.jobs.submit("merge", {}, {"title": "Merge a and b"}, lane=FILES)
    found = client.get(URL).json()
    assert (found["running"], found["paused"], found["changes"]) == ([], False, True)
    [row] = found["waiting"]["device"]["rows"]
    assert (row["owner"], row["kind"], row["form"], len(row["title"])) == ("anna", "txt2img", "txt2img", 500)
    assert row["facts"][:3] == ["64 × 64", "2 pictures", "3 steps"]
    [work] = found["waiting"]["files"]["rows"]
    assert (work["title"], work["kind"], work["form"]) == ("Merge a and b", "merge", None)
    lost, made = found["past"]
    assert (lost["state"], lost["fault"], lost["pictures"]) == ("failed", "prompt: cannot be painted", 0)
    assert (made["id"], made["owner"], made["state"], made["pictures"], made["fault"]) == (done.id, "cli", "done", 2, "")
    assert found["counts"] == {"": 2, "done": 1, "failed": 1, "canceled": 0}


def test_nothing_is_sent_again_until_something_has_changed(client: TestClient, app: App) -> None:
    first = wish(app, "first")
    mark = client.get(URL).json()["mark"]
    again = client.get(URL, params={"mark": mark}).json()
    assert again["mark"] == mark
    assert "waiting" not in again
    changes: list[Callable[[], Any]] = [
        lambda: wish(app, "second"), lambda: app.jobs.hold(first.id), lambda: app.jobs.set_priority(first.id, 5), app.jobs.pause,
        lambda: app.jobs.cancel(first.id),
    ]  # fmt: skip
    for change in changes:
        change()
        answer = client.get(URL, params={"mark": mark}).json()
        assert "waiting" in answer
        assert answer["mark"] != mark
        mark = answer["mark"]
    assert "past" in client.get(URL, params={"mark": mark, "past": 7}).json(), "another page of the list is another question"


def test_the_order_is_changed_and_held_jobs_say_so(client: TestClient, app: App) -> None:
    a, b, c = (wish(app, name) for name in "abc")
    assert waiting(client) == ["a", "b", "c"]
    assert post(client, f"{c.id}/move", before=a.id) == {"ok": True}
    assert waiting(client) == ["c", "a", "b"]
    post(client, f"{c.id}/move", before=None)
    assert waiting(client) == ["a", "b", "c"]
    post(client, f"{b.id}/priority", priority=10)
    assert waiting(client) == ["b", "a", "c"]
    post(client, f"{a.id}/hold")
    assert [row["held"] for row in client.get(URL).json()["waiting"]["device"]["rows"]] == [False, True, False]
    post(client, f"{a.id}/release")
    assert not app.jobs.get(a.id).held


def test_of_a_long_queue_a_part_is_sent_and_what_comes_next_is_named(client: TestClient, app: App) -> None:
    jobs = [wish(app, str(n)) for n in range(6)]
    found = client.get(URL, params={"waiting": 3}).json()["waiting"]["device"]
    assert [row["title"] for row in found["rows"]] == ["0", "1", "2"]
    assert (found["count"], found["beyond"]) == (6, [jobs[3].id, jobs[4].id])
    assert waiting(client, waiting=1000) == list("012345")
    assert client.get(URL, params={"waiting": 0}).status_code == 422
    assert client.get(URL, params={"show": "lost"}).status_code == 422


def test_what_has_begun_or_ended_meanwhile_is_not_moved(client: TestClient, app: App) -> None:
    ended, other = end(app, wish(app, "ended")), wish(app, "other")
    for what, body in (("move", {"before": other.id}), ("priority", {"priority": 1}), ("hold", {}), ("release", {})):
        answer = client.post(f"{URL}/{ended.id}/{what}", json=body)
        assert (answer.status_code, answer.json()["errors"]) == (409, "it does not wait any more; look at the list again")
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("move", {"before": 3}), ("move", {"before": other.id}), ("priority", {"priority": 101}), ("priority", {"priority": True}),
        ("again", {"seed": "maybe"}),
    ]  # fmt: skip
    for path, body in wrong:
        assert client.post(f"{URL}/{other.id}/{path}", json=body).status_code == 422, path
    assert client.post(f"{URL}/nobody/hold", json={}).status_code == 404


def test_run_again_is_the_same_job_once_more_and_a_new_seed_changes_the_seed_alone(client: TestClient, app: App) -> None:
    first = wish(app, "an apple", n_iter=2, override_settings={"CLIP_stop_at_last_layers": 2})
    same = app.jobs.get(post(client, f"{first.id}/again", seed="same")["id"])
    assert same.resolved == first.resolved
    app.settings.set({"s_noise": 1.01})  # what was set since then does not come in
    other = app.jobs.get(post(client, f"{first.id}/again", seed="new")["id"])
    seeds = [job.resolved.pop("all_seeds") for job in (first, other)]
    assert seeds[0] != seeds[1]
    assert len(seeds[1]) == 2
    for job in (first, other):
        for name in ("all_subseeds", "overrides"):
            del job.resolved[name]
        job.resolved["settings"].pop("sd_model_checkpoint")  # the one named is the one that was meant
    assert other.resolved == first.resolved
    work = app.jobs.submit("merge", {}, {"title": "work"}, lane=FILES)
    assert post(client, f"{work.id}/again")["id"] != work.id
    assert client.post(f"{URL}/{work.id}/again", json={"seed": "new"}).status_code == 422


def test_clearing_forgets_finished_jobs_and_leaves_pictures_and_the_rest(
    client: TestClient, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = end(app, wish(app, "done"))
    path = Path((done.result or {})["pictures"][0]["path"])
    kept = wish(app, "waits")
    assert post(client, "clear") == {"cleared": 0, "fresh": True}, "whoever sent it may be fetching its pictures"
    later = time.time() + FRESH_S + 1
    monkeypatch.setattr("modules.server.queue.time.time", lambda: later)
    assert post(client, "clear") == {"cleared": 1, "fresh": False}
    found = client.get(URL).json()
    assert (found["past"], [row["id"] for row in found["waiting"]["device"]["rows"]]) == ([], [kept.id])
    assert path.is_file()
    assert client.get(f"/internal/jobs/{done.id}").status_code == 404


def test_thumbnails_are_of_the_jobs_own_pictures_only(client: TestClient, app: App) -> None:
    done = end(app, wish(app, "done"))
    answer = client.get(f"{URL}/{done.id}/thumbnail/0")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    for place in ("1", "-1"):
        assert client.get(f"{URL}/{done.id}/thumbnail/{place}").status_code == 404
    Path((done.result or {})["pictures"][0]["path"]).write_bytes(b"no picture any more")
    assert client.get(f"{URL}/{done.id}/thumbnail/0").status_code == 404
    assert client.get(f"{URL}/{done.id}/preview").status_code == 404


def test_what_runs_tells_its_steps_and_the_number_of_its_preview() -> None:
    live = Live(job="j", fraction=0.25, eta_s=9.0, step=5, steps=10, batch_no=1, batch_count=2, preview=b"jpeg", preview_number=4)
    told = live_of(live) or {}
    assert (told["fraction"], told["step"], told["preview"], told["stopping"]) == (0.25, 5, 4, False)
    assert (live_of(dataclasses.replace(live, preview=None, flags=frozenset({"interrupt"}))) or {})["stopping"] is True
    assert live_of(None) is None


def test_a_caption_and_made_files_are_told_in_the_row(app: App) -> None:
    job = app.jobs.submit("caption", {}, {"title": "Caption cat.png"})
    done = dataclasses.replace(job, state="done", result={"captions": [{"index": 0, "caption": "a cat"}]})
    assert row_of(done)["said"] == "a cat"
    assert row_of(dataclasses.replace(done, result={"files": ["/models/x/merged.safetensors"]}))["said"] == "merged.safetensors"


def painted(app: App, *values: int, size: tuple[int, int] = (64, 64)) -> str:
    """A mask with a box of each of these greys."""
    mask = Image.new("L", size)
    for n, value in enumerate(values):
        ImageDraw.Draw(mask).rectangle((n * 20, 10, n * 20 + 15, 40), fill=value)
    return app.inputs.put_picture(mask, "mask")


def test_a_painted_mask_comes_back_as_a_layer_that_can_be_painted_on(app: App) -> None:
    image = app.inputs.put_picture(Image.new("RGB", (64, 64), (10, 90, 10)))
    job = wish(app, "a hat", init_images=[image], mask=painted(app, 255))
    assert row_of(job)["kind"] == "inpaint"
    begun = beginning_of(app, job)
    held = begun["canvases"]["inpaint"]
    assert (begun["tab"], begun["mode"], held["reference"], held["width"]) == ("img2img", "inpaint", image, 64)
    layer = app.inputs.open(held["layer"])
    assert (layer.getpixel((5, 20)), layer.getchannel("A").getextrema()) == ((255, 45, 120, 255), (0, 255))


def test_other_masks_come_back_as_they_were_sent(app: App) -> None:
    image = app.inputs.put_picture(Image.new("RGB", (64, 64), (10, 90, 10)))
    for mask in (painted(app, 255, 90), painted(app, 255, size=(32, 32))):
        begun = beginning_of(app, wish(app, "a hat", init_images=[image], mask=mask))
        assert begun["mode"] == "inpaint_upload"
        assert {name: held["reference"] for name, held in begun["canvases"].items()} == {"inpaint_upload": image, "inpaint_mask": mask}


def test_without_its_picture_or_without_a_form(app: App, client: TestClient) -> None:
    image = app.inputs.put_picture(Image.new("RGB", (64, 64), (10, 90, 10)))
    job = wish(app, "a hat", init_images=[image])
    assert client.get(f"{URL}/{job.id}/beginning").json() == {
        "tab": "img2img", "mode": "img2img", "canvases": {"img2img": {"reference": image, "width": 64, "height": 64, "layer": None}},
    }  # fmt: skip
    app.inputs.path(image).unlink()
    assert beginning_of(app, job)["canvases"] == {}
    assert beginning_of(app, wish(app, "text"))["tab"] == "txt2img"
    work = app.jobs.submit("merge", {}, {"title": "work"}, lane=FILES)
    assert client.get(f"{URL}/{work.id}/beginning").status_code == 422
