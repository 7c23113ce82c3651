"""A few hundred of the made-up requests of `openapi_cases`; the command there sends ten thousand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import requests
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.server.examples import EXAMPLES
from tests.server.openapi_cases import report, run_cases
from tests.server.stand_in import stand_in_server


@pytest.mark.slow
def test_no_made_up_request_breaks_the_server(tmp_path: Path) -> None:
    found = run_cases(tmp_path, 500, seed_number=20)
    assert found.cases >= 500
    assert not found.faults, "\n".join(report(found))


def test_every_route_of_ours_is_described_with_its_body(api: FastAPI) -> None:
    described = api.openapi()["paths"]
    lacking = [
        f"{method} {path}" for path, methods in described.items() for method, about in methods.items() if not about.get("description")
    ]
    assert lacking == []
    assert described["/internal/progress"]["post"]["requestBody"]["content"]["application/json"]["schema"] == {"type": "object"}
    assert "requestBody" not in described["/internal/history/rebuild"]["post"]


PLACEHOLDER = re.compile(r"\b(JOB|SHA256|IDS?|PLACE|TITLE)\b")


def test_every_example_is_taken(tmp_path: Path) -> None:
    """Those that name something that is only there for somebody else are refused for that alone."""
    with stand_in_server(tmp_path) as (_, url):
        described = requests.get(f"{url}/openapi.json", timeout=30).json()["paths"]
        for path, example in EXAMPLES.items():
            assert described[path]["post"]["requestBody"]["content"]["application/json"]["example"] == example
            if "{" in path:
                continue
            answer = requests.post(f"{url}{path}", json=example, timeout=60)
            named = PLACEHOLDER.search(json.dumps(example)) is not None
            assert answer.status_code in ((404, 422) if named else (200,)), f"{path} {answer.text[:300]}"


@pytest.mark.parametrize("path", ["/sdapi/v1/nothing", "/sdapi/v1/options", "/sdapi/v1/txt2img", "/docs"])
def test_every_answer_says_how_long_it_took(client: TestClient, path: str) -> None:
    for answer in (client.get(path), client.post(path, content=b"{"), client.get(path, headers={"Host": "evil.example"})):
        assert re.fullmatch(r"\d+\.\d{4}", answer.headers["x-process-time"])


def test_large_answers_are_packed_and_small_ones_are_not(client: TestClient) -> None:
    assert client.get("/sdapi/v1/options").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get("/internal/ping").headers
