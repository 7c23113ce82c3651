"""Errors of /api/v2: one shape, whoever refused; A1111's form stays elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.server.v2.problems import problem_of
from modules.server.v2.shapes import Problem, from_cursor, problems, to_cursor
from tests.server.conftest import LOCAL

REFUSED = [
    ("GET", "/api/v2/nothing", 404),
    ("PUT", "/api/v2/pictures", 405),
    ("GET", "/api/v2/pictures/x", 404),
    ("GET", "/api/v2/pictures?limit=x", 422),
    ("POST", "/api/v2/jobs", 422),
]


def test_whoever_refuses(client: TestClient) -> None:
    for method, path, status in REFUSED:
        answer = client.request(method, path, json={} if method == "POST" else None)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        assert Problem.model_validate_json(answer.content, strict=True).status == status
        assert answer.headers["content-length"] == str(len(answer.content))


def test_the_guard_too_and_its_headers_stay(make_api: Callable[..., FastAPI]) -> None:
    with TestClient(make_api(api_auth="ann:secret"), base_url=LOCAL) as client:
        answer = client.get("/api/v2/pictures")
        assert (answer.status_code, answer.json()["title"], answer.json()["kind"]) == (401, "Unauthorized", "http")
        assert "WWW-Authenticate" in answer.headers
        assert client.get("/sdapi/v1/samplers").json()["error"] == "HTTPException"  # A1111's form


def test_what_nobody_foresaw_is_a_problem(app: Any, api: FastAPI) -> None:
    @api.get("/api/v2/broken")
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    with TestClient(api, base_url=LOCAL, raise_server_exceptions=False) as client:
        answer = client.get("/api/v2/broken")
        assert (answer.status_code, answer.json()["detail"]) == (500, "a bug")
        assert client.head("/api/v2/pictures/x/file").content == b""


@pytest.mark.parametrize("body", [b"", b"plain words", b"[1]", b'{"detail": [1, {"loc": 3}]}', b"\xff\xfe", b'{"errors": []}'])
def test_any_body_becomes_one(body: bytes) -> None:
    problem = problem_of(418, body)
    assert (problem.status, json.loads(problem.model_dump_json())["kind"]) == (418, "http" if b"loc" not in body else "request")


def test_a_fault_names_its_field_where_it_was_sent() -> None:
    body = {"error": "RequestFault", "detail": [{"loc": ["body", "sort"], "msg": "no", "type": "request"}], "errors": "sort: no"}
    for method, place in (("GET", "query"), ("POST", "body")):
        problem = problem_of(422, json.dumps(body).encode(), method)
        assert (problem.errors[0].place, problem.detail, problem.kind) == ([place, "sort"], "sort: no", "request")


def test_cursors_come_back_as_they_went() -> None:
    place = ["ä/ß", 1.7e9, 2**62]
    cursor = to_cursor("name", place)
    assert from_cursor(cursor, "name", (str, float, int)) == place
    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_the_document_holds_the_shape(api: FastAPI) -> None:
    schemas = api.openapi()["components"]["schemas"]
    assert {"Problem", "Wrong"} <= set(schemas)
    assert schemas["Problem"]["properties"]["errors"]["items"]["$ref"] == "#/components/schemas/Wrong"
    assert set(problems(404)) >= {401, 403, 404, 429, 500}
