"""Everything that can be wrong with a request, and what is answered: never a traceback, always the field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from modules.app import App
from modules.faults import DiskFault, Fault, ModelFault, OutOfMemory, UnknownJob, WorkerDied
from modules.folders import Folders
from modules.library import Library
from modules.server import create
from modules.server.body import DEPTH_LIMIT, ITEM_LIMIT
from tests.server.conftest import LOCAL, app_over
from tests.server.fake_jobs import FakeJobs

TXT2IMG, OPTIONS, POLL = "/sdapi/v1/txt2img", "/sdapi/v1/options", "/internal/progress"
SHAPE = {"error", "detail", "body", "errors"}


@pytest.fixture(scope="module")
def shared_app(tmp_path_factory: pytest.TempPathFactory, library: Library) -> App:
    """For the many requests that are refused, and so change nothing: building the routes takes longer than all of them."""
    folders = Folders.at(tmp_path_factory.mktemp("data"))
    return app_over(folders, library, FakeJobs(folders))


@pytest.fixture(scope="module")
def client(shared_app: App) -> Iterator[TestClient]:
    with TestClient(create(shared_app), base_url=LOCAL) as made:
        yield made


@pytest.fixture(autouse=True)
def jobs(shared_app: App) -> FakeJobs:
    """The room of `client`, and of the App that a test has for itself, without jobs."""
    room = cast(FakeJobs, shared_app.jobs)
    room.begin()
    return room


@pytest.fixture
def own_client(api: FastAPI) -> Iterator[TestClient]:
    """For requests that may change options."""
    with TestClient(api, base_url=LOCAL) as made:
        yield made


def refused(client: TestClient, route: str, body: Any, field: str | None) -> dict[str, Any]:
    """The answer, which must be a 422 that names the field (None: the body as a whole)."""
    answer = client.post(route, content=body) if isinstance(body, bytes | str) else client.post(route, json=body)
    assert answer.status_code == 422, answer.text
    data = answer.json()
    assert set(data) >= SHAPE
    [detail] = data["detail"]
    assert set(detail) >= {"loc", "msg", "type"}
    assert detail["loc"] == (["body"] if field is None else ["body", field])
    assert "Traceback" not in answer.text
    return data


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"width": 7}, "width"),
        ({"height": 1_000_000_000}, "height"),
        ({"steps": 0}, "steps"),
        ({"steps": 1e9}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"steps": True}, "steps"),
        ({"batch_size": 65}, "batch_size"),
        ({"n_iter": 1000, "batch_size": 64}, "n_iter"),
        ({"batch_size": 64, "width": 8192, "height": 8192}, "width"),
        ({"cfg_scale": []}, "cfg_scale"),
        ({"cfg_scale": 10**30}, "cfg_scale"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"negative_prompt": {}}, "negative_prompt"),
        ({"prompt": "x" * 10_000_000}, "prompt"),
        ({"seed": -2}, "seed"),
        ({"seed": {}}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"sampler_name": 0}, "sampler_name"),
        ({"scheduler": "nonsense"}, "scheduler"),
        ({"sampler_name": "x" * 10_000_000}, "sampler_name"),
        ({"override_settings": {"sd_model_checkpoint": "x" * 10_000_000}}, "override_settings"),
        ({"styles": "one"}, "styles"),
        ({"styles": [{}]}, "styles"),
        ({"send_images": "maybe"}, "send_images"),
        ({"override_settings": []}, "override_settings"),
        ({"override_settings": {"nothing_known": 1}}, "override_settings"),
        ({"override_settings": {"jpeg_quality": 1000}}, "override_settings"),
        ({"override_settings": {"sd_hypernetwork": "x"}}, "override_settings"),
        ({"override_settings": {"sd_model_checkpoint": "nobody"}}, "sd_model_checkpoint"),
        ({"force_task_id": 5}, "force_task_id"),
        ({"force_task_id": "x" * 1000}, "force_task_id"),
        ({"enable_hr": "banana"}, "enable_hr"),
        ({"alwayson_scripts": []}, "alwayson_scripts"),
        ({"script_args": {}}, "script_args"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_field_is_named(client: TestClient, body: dict[str, Any], field: str, jobs: FakeJobs) -> None:
    data = refused(client, TXT2IMG, body, field)
    assert field in data["errors"]
    assert len(json.dumps(data)) < 5000
    assert jobs.jobs == {}


@pytest.mark.parametrize("field", ["sampler_name", "sampler_index"])
def test_an_unknown_sampler_gets_a1111s_words_and_the_nearest_name(client: TestClient, jobs: FakeJobs, field: str) -> None:
    answer = client.post(TXT2IMG, json={field: "Eular"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "Sampler not found")
    assert "Euler" in answer.json()["errors"]
    assert jobs.jobs == {}


@pytest.mark.parametrize("body", [{"script_name": "No such script"}, {"alwayson_scripts": {"No such script": {"args": []}}}], ids=str)
def test_a_script_that_is_not_there_gets_a1111s_words(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post(TXT2IMG, json=body)
    assert answer.status_code == 422
    assert answer.json() == {
        "error": "HTTPException", "detail": "Script 'No such script' not found", "body": "",
        "errors": "script_name: there is no script_name of that name; there are 0 known names (got No such script)",
    }  # fmt: skip


@pytest.mark.parametrize("route", [TXT2IMG, OPTIONS, POLL, "/sdapi/v1/png-info"])
@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"a": ' * 100_000, b'{"a":' + b"[" * 100_000, b'{"a": ' + b"1" * 5000 + b"}"],
    ids=lambda raw: repr(raw[:12]),
)
def test_a_body_that_is_no_object_is_refused(client: TestClient, route: str, raw: bytes) -> None:
    refused(client, route, raw, None)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize(
    ("template", "field"), [('{"cfg_scale": %s}', "cfg_scale"), ('{"override_settings": {"a": {"b": %s}}}', "override_settings.a.b")]
)
def test_numbers_that_are_none_are_refused_by_name(client: TestClient, number: str, template: str, field: str) -> None:
    refused(client, TXT2IMG, template % number, field)


def test_depth_and_count_are_limited(client: TestClient) -> None:
    deep: Any = {}
    for _ in range(DEPTH_LIMIT - 2):
        deep = {"a": deep}
    assert client.post(TXT2IMG, json={"unknown": deep}).status_code == 200
    refused(client, TXT2IMG, {"unknown": {"a": {"a": deep}}}, "unknown")
    refused(client, TXT2IMG, '{"unknown": [' + "0," * ITEM_LIMIT + "0]}", None)


def test_a_number_of_any_size_is_no_surprise(client: TestClient) -> None:
    refused(client, TXT2IMG, '{"steps": 1' + "0" * 400 + "}", "steps")


def test_half_a_surrogate_pair_does_no_harm(client: TestClient, jobs: FakeJobs) -> None:
    answer = client.post(TXT2IMG, content=rb'{"prompt": "an \ud83c apple \ud83c\udf4e", "force_task_id": "\udc00"}')
    assert answer.status_code == 200
    assert answer.json()["parameters"]["prompt"] == "an \ufffd apple \U0001f34e"
    assert "\ufffd" in refused(client, TXT2IMG, rb'{"scheduler": "\ud83c"}', "scheduler")["errors"]


def test_a_body_beyond_the_limit_is_refused_with_or_without_its_length(client: TestClient) -> None:
    piece = b" " * 1_000_000

    def pieces(count: int) -> Any:
        return (piece for _ in range(count))

    for body in (piece * 68, pieces(68)):
        answer = client.post(TXT2IMG, content=body)
        assert answer.status_code == 413
        assert answer.json()["detail"] == "The body is larger than 64 MB"


@pytest.mark.parametrize("state", ["failed", "parked"])
@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (OutOfMemory("There is not enough memory for 4 x 512x512.").data(), "OutOfMemory"),
        (WorkerDied("The worker process ended while it ran this job.").data(), "WorkerDied"),
        ({"kind": "unexpected", "message": "ZeroDivisionError: a bug."}, "RuntimeError"),
        (None, "RuntimeError"),
    ],
)
def test_a_job_that_failed_answers_500_with_its_fault(client: TestClient, jobs: FakeJobs, state: str, fault: Any, name: str) -> None:
    jobs.at_once = lambda job: jobs.fail(job, fault, state)
    answer = client.post(TXT2IMG, json={})
    assert answer.status_code == 500
    data = answer.json()
    assert data["error"] == name
    assert data["errors"] == data["detail"] == (fault["message"] if fault else "The job ended without a result.")
    assert data["kind"] == (fault["kind"] if fault else "unexpected")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownJob("no such job"), 404),
        (DiskFault("the disk is full"), 500),
        (ModelFault("There is no model."), 422),
        (Fault("odd"), 500),
        (ValueError("odd"), 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_is_raised_has_a1111s_shape_and_no_traceback(api: FastAPI, jobs: FakeJobs, error: Exception, status: int) -> None:
    def raise_it(_job: object) -> None:
        raise error

    jobs.at_once = raise_it
    answer = TestClient(api, base_url=LOCAL, raise_server_exceptions=False).post(TXT2IMG, json={})
    assert answer.status_code == status
    data = answer.json()
    assert set(data) >= SHAPE
    assert data["error"] == type(error).__name__
    assert data["errors"] == str(error)
    assert "Traceback" not in answer.text
    assert "x-process-time" in answer.headers


def test_unknown_routes_methods_and_query_values(client: TestClient) -> None:
    missing = client.get("/sdapi/v1/nothing")
    assert missing.status_code == 404
    assert missing.json() == {"error": "HTTPException", "detail": "Not Found", "body": "", "errors": ""}
    assert client.get(TXT2IMG).status_code == 405
    assert client.get("/sdapi/v1/progress?skip_current_image=maybe").json()["detail"][0]["loc"] == ["query", "skip_current_image"]
    assert client.get("/internal/jobs?limit=0").status_code == 422


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["Euler", "512", "-1", "png"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([
    "prompt", "negative_prompt", "styles", "seed", "steps", "sampler_name", "sampler_index", "scheduler", "width", "height", "n_iter",
    "batch_size", "cfg_scale", "override_settings", "save_images", "send_images", "force_task_id", "alwayson_scripts", "script_name",
    "eta", "hr_scale", "comments", "infotext", "id_task", "id_live_preview", "live_preview", "image", "sd_model_checkpoint",
    "samples_format", "jpeg_quality", "sd_vae", "n_rows",
])  # fmt: skip
ROUTES = st.sampled_from([TXT2IMG, OPTIONS, POLL, "/sdapi/v1/png-info"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(FIELDS | st.text(max_size=8), VALUES, max_size=5) | VALUES, route=ROUTES)
def test_no_json_whatever_breaks_the_server(own_client: TestClient, jobs: FakeJobs, body: Any, route: str) -> None:
    jobs.at_once = lambda job: jobs.make(job, pictures=0)
    answer = own_client.post(route, content=json.dumps(body))
    assert answer.status_code in (200, 422), answer.text
    answer.json()
