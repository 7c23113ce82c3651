"""/api/v2/jobs over HTTP: what is taken and refused, lists and pages, changing the queue, and what comes out."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from modules.knobs import knobs_of
from modules.request import GenerationRequest
from modules.server.fields import fields_of
from tests.server.v2.job_server import APPLE, JobServer, job_server, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobServer]:
    with job_server(tmp_path_factory.mktemp("jobs")) as made:
        yield made


def picture(side: int = 64) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def asked(**more: Any) -> dict[str, Any]:
    """APPLE with other fields of the request."""
    return {**APPLE, "request": {**APPLE["request"], **more}}


def refused(server: JobServer, body: Any, status: int = 422) -> dict[str, Any]:
    problem = server.post("jobs", body, status)
    assert problem["status"] == status
    assert problem["title"]
    return problem


def test_a_job_is_submitted_read_and_done(server: JobServer) -> None:
    answer = server.http.post("/api/v2/jobs", json=APPLE)
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == job["url"] == f"/api/v2/jobs/{job['id']}"
    assert (job["kind"], job["owner"], job["title"]) == ("txt2img", "api", "a red apple")
    assert (job["request"]["steps"], job["resolved"]["all_seeds"], job["priority"], job["held"]) == (2, [1], 0, False)
    until(lambda: server.get(f"jobs/{job['id']}")["state"] == "done")
    done = server.get(f"jobs/{job['id']}")
    assert done["finished_s"] >= done["started_s"] >= done["created_s"]
    assert (done["position"], done["progress"], done["fault"]) == (None, None, None)
    assert done["result"]["pictures"][0]["file"] == f"{job['url']}/pictures/0"


def test_a_picture_of_a_job_can_be_fetched(server: JobServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("made") / "made.png"
    Image.new("RGB", (8, 8)).save(path)
    job = server.slow(steps=1)
    until(lambda: server.app.jobs.get(job.id).finished)
    assert server.get(f"jobs/{job.id}/pictures/0", 404)["kind"] == "http"  # the stand-in runner writes text files
    assert server.get(f"jobs/{job.id}/pictures/7", 404)["detail"] == "This job has 2 pictures."
    held = server.app.jobs.submit("fake", {}, {}, held=True)
    server.app.jobs._store.add_event(held.id, "picture", {"index": 0, "path": str(path), "seed": 5})
    server.app.jobs._store.finish(held.id, "done", result={"pictures": [{"index": 0, "path": str(path), "seed": 5}]})
    told = server.get(f"jobs/{held.id}/events")["events"][1]
    assert (told["data"]["file"], told["data"]["seed"]) == (f"/api/v2/jobs/{held.id}/events/2/picture", 5)
    assert server.http.get(told["data"]["file"]).content == path.read_bytes()
    server.get(f"jobs/{held.id}/events/1/picture", 404)
    answer = server.http.get(f"/api/v2/jobs/{held.id}/pictures/0")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "image/png", path.read_bytes())


def test_pictures_to_begin_with_are_kept_and_named(server: JobServer) -> None:
    with server.paused():
        body = {"kind": "img2img", "request": {"init_images": [picture()], "mask": f"data:image/png;base64,{picture()}", "prompt": "x"}}
        job = server.post("jobs", body, 201)
        assert job["kind"] == "img2img"
        [reference] = job["request"]["init_images"]
        assert reference.startswith("input:")
        again = {"kind": "img2img", "request": {"init_images": [reference], "prompt": "x"}}
        assert server.post("jobs", again, 201)["request"]["init_images"] == [reference]
        extras = {"kind": "extras", "request": {"images": [reference], "upscaler_1": "Lanczos"}}
        assert server.post("jobs", extras, 201)["kind"] == "extras"
        assert [job["kind"] for job in server.get("jobs", params={"state": "queued"})["items"]] == ["img2img", "img2img", "extras"]
        assert len(server.get("jobs", params={"kind": "extras", "state": "queued"})["items"]) == 1


@pytest.mark.parametrize(
    ("body", "place", "told"),
    [
        (asked(stepz=3), ["body", "txt2img", "request", "stepz"], "did you mean steps"),
        ({**APPLE, "priorty": 1}, ["body", "txt2img", "priorty"], "did you mean priority?"),
        (asked(init_images=[]), ["body", "txt2img", "request", "init_images"], "no such field"),
        (asked(steps=0), ["body", "txt2img", "request", "steps"], "greater than or equal to 1"),
        (asked(steps="2"), ["body", "txt2img", "request", "steps"], "valid integer"),
        (asked(steps=None), ["body", "txt2img", "request", "steps"], "valid integer"),
        (asked(cfg_schedule="Steep"), ["body", "txt2img", "request", "cfg_schedule"], "'Linear up'"),
        (asked(sampler_name="Eular"), ["body", "sampler_name"], "Euler"),
        ({**APPLE, "kind": "txt2image"}, ["body"], "'txt2img'"),
        ({**APPLE, "priority": 101}, ["body", "txt2img", "priority"], "less than or equal to 100"),
        ({**APPLE, "deadline_s": 1.0}, ["body", "deadline_s"], "has passed already"),
        ({"kind": "img2img", "request": {"prompt": "x"}}, ["body", "img2img", "request", "init_images"], "required"),
        ({"kind": "img2img", "request": {"init_images": []}}, ["body", "img2img", "request", "init_images"], "at least 1 item"),
        ({"kind": "img2img", "request": {"init_images": ["!"]}}, ["body", "init_images"], ""),
        ({"kind": "img2img", "request": {"init_images": ["input:" + "0" * 64]}}, ["body", "init_images"], "send it again"),
        (
            {"kind": "extras", "request": {"images": [picture()], "input_dir": "/etc"}},
            ["body", "extras", "request", "input_dir"],
            "no such",
        ),
        ({"kind": "txt2img"}, ["body", "txt2img", "request"], "required"),
    ],
)
def test_what_is_wrong_is_named(server: JobServer, body: dict[str, Any], place: list[str], told: str) -> None:
    [wrong] = refused(server, body)["errors"]
    assert wrong["place"] == place
    assert told in wrong["message"]


def test_several_wrong_values_are_told_at_once(server: JobServer) -> None:
    found = refused(server, asked(steps=0, width="x", promt="y"))
    assert [wrong["place"][-1] for wrong in found["errors"]] == ["steps", "width", "promt"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kind": NaN}', "[" * 5000, '{"a":' * 40 + "1" + "}" * 40, '{"kind": 1e999}'])
def test_what_is_no_body_is_refused_in_words(server: JobServer, text: str) -> None:
    answer = server.http.post("/api/v2/jobs", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_the_same_key_is_the_same_job(server: JobServer) -> None:
    headers = {"Idempotency-Key": "once"}
    first = server.post("jobs", {**APPLE, "held": True}, 201, headers=headers)
    answer = server.http.post("/api/v2/jobs", json={**APPLE, "held": True}, headers=headers)
    assert (answer.status_code, answer.json()["id"]) == (200, first["id"])
    problem = server.post("jobs", asked(prompt="another"), 422, headers=headers)
    assert "used for another request" in problem["detail"]
    server.post(f"jobs/{first['id']}/cancel")
    assert server.post("jobs", APPLE, headers=headers)["state"] == "canceled"
    server.post("jobs", APPLE, 422, headers={"Idempotency-Key": "x" * 201})


def test_a_key_holds_over_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, ids = tmp_path_factory.mktemp("restarted"), set[str]()
    for status in (201, 200):
        with job_server(folder) as server:
            ids.add(server.post("jobs", {**APPLE, "held": True}, status, headers={"Idempotency-Key": "k"})["id"])
    assert len(ids) == 1


def test_pages_follow_each_other_and_filters_hold(server: JobServer) -> None:
    with server.paused():
        ids = [server.slow().id for _ in range(7)]
        server.app.jobs.submit("merge", {}, {"title": "a + b"}, owner="ann", lane="files", held=True)
        found: list[str] = []
        asked_for: dict[str, Any] = {"state": "queued", "lane": "device", "limit": 3}
        while True:
            page = server.get("jobs", params=asked_for)
            found += [job["id"] for job in page["items"]]
            if page["next"] is None:
                break
            asked_for["cursor"] = page["next"]
        assert found == ids
        [merge] = server.get("jobs", params={"owner": "ann", "state": ["queued", "running"]})["items"]
        assert (merge["kind"], merge["title"], merge["lane"], merge["held"]) == ("merge", "a + b", "files", True)
        assert server.get(f"jobs/{ids[4]}")["position"] == 5
    for wrong in ({"state": "waiting"}, {"cursor": "x"}, {"limit": 0}, {"stat": "done"}):
        assert server.get("jobs", 422, params=wrong)["errors"]
    assert server.get("jobs/nobody", 404)["kind"] == "unknown_job"


def order(server: JobServer) -> list[str]:
    return [job["id"] for job in server.get("jobs", params={"state": "queued"})["items"]]


def test_the_queue_is_put_in_order(server: JobServer) -> None:
    def change(job: str, status: int = 200, **body: Any) -> Any:
        answer = server.http.patch(f"/api/v2/jobs/{job}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    with server.paused():
        a, b, c = (server.slow().id for _ in range(3))
        assert change(c, before=a)["position"] == 1
        assert order(server) == [c, a, b]
        assert change(c, before=None)["position"] == 3
        assert change(b, priority=5)["priority"] == 5
        assert order(server) == [b, a, c]
        soon = time.time() + 1000
        assert change(a, deadline_s=soon, held=True)["deadline_s"] == soon
        assert change(a, deadline_s=None)["held"]
        assert not server.post(f"jobs/{a}/release")["held"]
        assert server.post(f"jobs/{a}/hold")["held"]
        assert "send one of" in change(a, 422, before=b, priority=1)["detail"]
        assert change(a, 422, place=1)["errors"][0]["place"] == ["body", "place"]
        assert change(a, 422, before=a)["errors"]
        assert change(a, 404, before="nobody")["kind"] == "unknown_job"
        server.post(f"jobs/{b}/cancel")
        for path in ("cancel", "skip", "hold", "release"):
            assert server.post(f"jobs/{b}/{path}", status=409)["status"] == 409
        assert "wait any more" in change(b, 409, priority=1)["detail"]
        assert "wait any more" in change(a, 409, before=b)["detail"]


def test_running_jobs_are_skipped_and_canceled_and_run_again(server: JobServer) -> None:
    job = server.slow(steps=500)
    until(lambda: (server.get(f"jobs/{job.id}")["progress"] or {}).get("step", 0) > 2)
    running = server.get(f"jobs/{job.id}")
    assert running["progress"]["steps"] == 500
    assert server.get("queue")["device"]["running"] == [job.id]
    server.post(f"jobs/{job.id}/skip")
    until(lambda: (server.get(f"jobs/{job.id}")["progress"] or {}).get("batch_no") == 1)
    server.post(f"jobs/{job.id}/cancel")
    until(lambda: server.get(f"jobs/{job.id}")["state"] == "canceled")
    copy = server.post(f"jobs/{job.id}/duplicate", {"held": True}, 201)
    assert (copy["resolved"], copy["held"], copy["id"] != job.id) == (job.resolved, True, True)
    server.post(f"jobs/{copy['id']}/cancel")
    again = server.post(f"jobs/{job.id}/duplicate", status=201)
    server.post(f"jobs/{again['id']}/cancel")


def test_a_deadline_ends_a_job_that_has_not_begun(server: JobServer) -> None:
    with server.paused():
        job = server.post("jobs", {**APPLE, "deadline_s": time.time() + 0.5}, 201)
        until(lambda: server.get(f"jobs/{job['id']}")["state"] == "canceled")
        ended = server.get(f"jobs/{job['id']}")
        assert (ended["started_s"], ended["fault"]["kind"]) == (None, "deadline")
        assert "deadline" in ended["fault"]["message"]


def test_the_queue_is_paused_and_goes_on(server: JobServer) -> None:
    assert server.post("queue/pause")["paused"]
    job = server.slow(steps=1)
    assert server.get("queue")["device"]["waiting"] == 1
    assert not server.post("queue/resume")["paused"]
    until(lambda: server.get(f"jobs/{job.id}")["state"] == "done")
    assert server.get("queue")["worker"]["state"] in ("idle", "busy")


def test_a_failed_job_says_why(server: JobServer) -> None:
    job = server.slow(fail_at=1)
    until(lambda: server.get(f"jobs/{job.id}")["state"] == "failed")
    assert server.get(f"jobs/{job.id}")["fault"] == {"kind": "blank_picture", "message": "There is no picture. Try another sampler."}


def test_the_description_says_exactly_what_is_taken(server: JobServer) -> None:
    described = server.http.get("/openapi.json").json()
    schemas = described["components"]["schemas"]
    body = described["paths"]["/api/v2/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["discriminator"]["propertyName"] == "kind"
    assert set(body["discriminator"]["mapping"]) == {"txt2img", "img2img", "extras", "caption", "caption_folder"}
    for task, name in (("txt2img", "Txt2imgRequest"), ("img2img", "Img2imgRequest")):
        schema = schemas[name]
        assert list(schema["properties"]) == list(fields_of(task))
        assert schema["additionalProperties"] is False
    steps, scheduled = schemas["Txt2imgRequest"]["properties"]["steps"], schemas["Txt2imgRequest"]["properties"]["cfg_schedule"]
    knob = knobs_of(GenerationRequest)["steps"].knob
    assert (steps["type"], steps["minimum"], steps["maximum"], steps["default"]) == ("integer", knob.low, knob.high, 20)
    assert (steps["title"], steps["description"]) == (knob.label, knob.help)
    assert scheduled["enum"] == list(knobs_of(GenerationRequest)["cfg_schedule"].knob.choices or ())
    for path in ("/api/v2/jobs", "/api/v2/jobs/{job_id}", "/api/v2/jobs/{job_id}/events", "/api/v2/events", "/api/v2/queue"):
        for operation in described["paths"][path].values():
            assert operation["responses"]["403"]["content"]["application/problem+json"]["schema"]["$ref"].endswith("Problem")
