"""Progress, interrupt, skip: what A1111's clients and the page read while a job waits, runs and ends."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from starlette.testclient import TestClient

from modules.app import App
from modules.jobs import Job
from modules.request import GenerationRequest
from tests.server.fake_jobs import FakeJobs

ONE_SERVER = True

PROGRESS, POLL = "/sdapi/v1/progress", "/internal/progress"
POLL_KEYS = {"active", "queued", "completed", "progress", "eta", "live_preview", "id_live_preview", "textinfo"}
STATE_KEYS = {
    "skipped",
    "interrupted",
    "stopping_generation",
    "job",
    "job_count",
    "job_timestamp",
    "job_no",
    "sampling_step",
    "sampling_steps",
}


@pytest.fixture
def job(app: App, jobs: FakeJobs) -> Job:
    """A job that waits."""
    jobs.at_once = None
    return app.submit(GenerationRequest(n_iter=4, width=64, height=64), key="task(a)")


def poll(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post(POLL, json={"id_task": "task(a)", **body})
    assert answer.status_code == 200
    return answer.json()


def test_idle_is_zero_and_zero(client: TestClient) -> None:
    found = client.get(PROGRESS).json()
    assert (found["progress"], found["eta_relative"], found["current_image"]) == (0.0, 0.0, None)
    assert found["state"]["job_count"] == 0
    assert set(found["state"]) == STATE_KEYS
    assert set(found) == {"progress", "eta_relative", "state", "current_image", "textinfo"}


@pytest.mark.parametrize(("where", "wanted"), [((0, 0, 0), 0.01), ((0, 10, 20), 0.135), ((2, 10, 20), 0.635), ((3, 20, 20), 1.0)])
def test_progress_is_a1111s_sum(client: TestClient, jobs: FakeJobs, job: Job, where: tuple[int, int, int], wanted: float) -> None:
    batch_no, step, steps = where
    jobs.run(job, batch_no=batch_no, batch_count=4, step=step, steps=steps, eta_s=2.5, text="Sampling")
    found = client.get(PROGRESS).json()
    assert found["progress"] == pytest.approx(wanted)
    assert (found["eta_relative"], found["textinfo"]) == (2.5, "Sampling")
    state = found["state"]
    assert (state["job"], state["job_count"], state["job_no"]) == (f"Batch {batch_no + 1} out of 4", 4, batch_no)
    assert (state["sampling_step"], state["sampling_steps"], len(state["job_timestamp"])) == (step, steps, 14)


def test_a_single_batch_is_called_after_its_kind(client: TestClient, jobs: FakeJobs, job: Job) -> None:
    jobs.run(job)
    assert client.get(PROGRESS).json()["state"]["job"] == "scripts_txt2img"


def test_the_preview_is_bare_base64_and_can_be_left_out(client: TestClient, jobs: FakeJobs, job: Job) -> None:
    jobs.run(job, preview=b"\xff\xd8jpeg", preview_number=3)
    assert base64.b64decode(client.get(PROGRESS).json()["current_image"]) == b"\xff\xd8jpeg"
    assert client.get(f"{PROGRESS}?skip_current_image=true").json()["current_image"] is None


def test_flags_tell_what_was_asked_of_the_job(client: TestClient, jobs: FakeJobs, job: Job) -> None:
    jobs.run(job, flags=frozenset({"interrupt"}))
    state = client.get(PROGRESS).json()["state"]
    assert (state["interrupted"], state["skipped"]) == (True, False)


def test_a_job_that_waits_for_the_worker_is_not_idle_but_a_held_queue_is(client: TestClient, jobs: FakeJobs, job: Job) -> None:
    found = client.get(PROGRESS).json()
    assert (found["progress"], found["state"]["job_count"], found["textinfo"]) == (0.01, 4, "Waiting...")
    jobs.paused = True
    assert client.get(PROGRESS).json()["state"]["job_count"] == 0


def test_interrupt_and_skip_answer_json_and_reach_the_job(client: TestClient, jobs: FakeJobs, job: Job) -> None:
    assert client.post("/sdapi/v1/interrupt").json() == {}
    assert jobs.asked == [("interrupt", job.id)]
    jobs.run(job)
    assert client.post("/sdapi/v1/skip").json() is None
    assert client.post("/sdapi/v1/interrupt", content=b"").json() == {}
    assert jobs.asked[1:] == [("skip", None), ("interrupt", job.id)]


def test_interrupt_with_nothing_to_do_is_no_error(client: TestClient, jobs: FakeJobs) -> None:
    assert client.post("/sdapi/v1/interrupt").json() == {}
    assert client.post("/sdapi/v1/skip").json() is None
    assert ("interrupt", None) not in jobs.asked


def test_the_poll_tells_the_place_in_the_queue(client: TestClient, app: App, job: Job) -> None:
    app.submit(GenerationRequest(width=64, height=64))
    found = poll(client)
    assert set(found) >= POLL_KEYS
    assert (found["active"], found["queued"], found["completed"]) == (False, True, False)
    assert (found["textinfo"], found["position"], found["position_of"]) == ("In queue: 1/2", 1, 2)
    assert (found["progress"], found["eta"], found["live_preview"], found["id_live_preview"]) == (None, None, None, -1)
    assert client.get("/internal/pending-tasks").json() == {"size": 2, "tasks": ["task(a)", app.jobs.list()[1].id]}


def test_the_poll_tells_what_runs_and_sends_each_preview_once(client: TestClient, jobs: FakeJobs, job: Job) -> None:
    jobs.run(job, fraction=0.5, eta_s=3.0, step=5, steps=10, text="Sampling", preview=b"\xff\xd8", preview_number=2)
    found = poll(client)
    assert (found["active"], found["queued"], found["completed"], found["state"]) == (True, False, False, "running")
    assert (found["progress"], found["eta"], found["step"], found["steps"], found["textinfo"]) == (0.5, 3.0, 5, 10, "Sampling")
    assert found["live_preview"] == "data:image/jpeg;base64,/9g="
    assert found["id_live_preview"] == 2
    assert poll(client, id_live_preview=2)["live_preview"] is None
    assert poll(client, id_live_preview="1")["live_preview"] is not None
    assert poll(client, live_preview=False)["live_preview"] is None
    assert client.get("/internal/pending-tasks").json()["size"] == 0


@pytest.mark.parametrize("state", ["done", "canceled", "failed", "parked"])
def test_the_poll_tells_the_end(client: TestClient, jobs: FakeJobs, job: Job, state: str) -> None:
    fault = {"kind": "out_of_memory", "message": "Too large."} if state in ("failed", "parked") else None
    jobs.change(job, state=state, fault=fault)
    found = poll(client)
    assert (found["active"], found["queued"], found["completed"], found["state"]) == (False, False, True, state)
    assert found["fault"] == fault


def test_the_poll_tells_warnings_once_each(client: TestClient, jobs: FakeJobs, app: App) -> None:
    jobs.at_once = None
    made = app.submit(GenerationRequest(width=513, height=64), key="task(a)")
    jobs.tell(made, "warning", {"text": "Memory ran out."})
    jobs.tell(made, "warning", {"text": "Memory ran out."})
    jobs.tell(made, "log", {"text": "not a warning"})
    warnings = poll(client)["warnings"]
    assert "Memory ran out." in warnings
    assert len(warnings) == len(set(warnings))
    assert any("rounded down" in text for text in warnings)
    assert "not a warning" not in warnings


def test_a_task_nobody_knows_is_waited_for(client: TestClient) -> None:
    found = poll(client)
    assert (found["active"], found["queued"], found["completed"]) == (False, False, False)
    assert (found["textinfo"], found["state"]) == ("Waiting...", "unknown")


@pytest.mark.parametrize(
    ("body", "field"), [({}, "id_task"), ({"id_task": 5}, "id_task"), ({"id_task": "a", "id_live_preview": "x"}, "id_live_preview")]
)
def test_a_poll_without_a_task_is_refused(client: TestClient, body: dict[str, Any], field: str) -> None:
    answer = client.post(POLL, json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", field]
