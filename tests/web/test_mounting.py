"""The waiting page: there at once, away when the page is built, and plain about a page that cannot be built."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from modules.folders import PROGRAM
from modules.web.mounting import Page


def real_page() -> Starlette:
    async def home(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("the real page")

    return Starlette(routes=[Route("/", home)])


def served(page: Page) -> FastAPI:
    """A server with one route of its own and the page at "/"."""
    api = FastAPI(lifespan=lambda _api: page.running())

    @api.get("/internal/ping")
    def ping() -> dict[str, Any]:
        return {}

    api.mount("/", page)
    return api


def until(client: TestClient, text: str) -> None:
    end = time.monotonic() + 10
    while text not in client.get("/").text:
        assert time.monotonic() < end, f"{text!r} never came"
        time.sleep(0.02)


def test_the_server_answers_while_the_page_is_built():
    gate = threading.Event()
    page = Page(lambda: (gate.wait(10), real_page())[1])
    page.start()
    with TestClient(served(page)) as client:
        answer = client.get("/")
        assert (answer.status_code, answer.headers["x-darkroom-page"], answer.headers["cache-control"]) == (200, "starting", "no-store")
        assert "is starting" in answer.text
        assert client.get("/config").status_code == 503
        assert client.get("/internal/ping").json() == {}
        gate.set()
        until(client, "the real page")
        assert "x-darkroom-page" not in client.get("/").headers


def test_a_page_that_cannot_be_built_says_so_and_the_api_works(caplog: pytest.LogCaptureFixture):
    def fail() -> Starlette:
        raise ValueError("no theme <b>today</b>")

    page = Page(fail)
    page.start()
    with TestClient(served(page)) as client:
        until(client, "could not be built")
        answer = client.get("/")
        assert answer.status_code == 500
        assert answer.headers["content-type"].startswith("text/plain")
        assert client.get("/internal/ping").status_code == 200
    assert "The page could not be built" in caplog.text


def test_stopping_while_the_page_is_being_built_does_not_hang():
    gate = threading.Event()
    page = Page(lambda: (gate.wait(10), real_page())[1])
    page.start()
    began = time.monotonic()
    with TestClient(served(page)):
        pass
    assert time.monotonic() - began < 5
    gate.set()


def test_the_waiting_page_needs_nothing_else():
    text = (PROGRAM / "modules" / "web" / "assets" / "starting.html").read_text(encoding="utf-8")
    assert len(text) < 3000
    assert "src=" not in text
    assert "http" not in text


def test_importing_the_room_imports_no_gradio_and_closes_its_telemetry():
    code = "import os, sys, modules.web; assert 'gradio' not in sys.modules; assert os.environ['GRADIO_ANALYTICS_ENABLED'] == 'False'"
    subprocess.run([sys.executable, "-c", code], cwd=PROGRAM, check=True, timeout=60)
