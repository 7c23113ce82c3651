"""A stand-in App and its server with the page mounted, for tests that need no browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from modules import web
from tests.web.fake_app import fake_app, fake_server


@pytest.fixture
def app(data_dir: Path) -> Any:
    """The parts of App that the page uses; jobs run in a thread and write real files."""
    return fake_app(data_dir, step_s=0.001)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server whose page has been built; `client.app_under_test` is its App."""
    app = fake_app(tmp_path_factory.mktemp("data"), step_s=0.001)
    api = fake_server(app)
    web.mount(api, app)
    with TestClient(api, base_url="http://127.0.0.1") as client:
        wait_for_page(client)
        client.app_under_test = app
        yield client


def wait_for_page(client: TestClient, timeout_s: float = 240) -> None:
    """Until the waiting page has made way."""
    end = time.monotonic() + timeout_s
    while "x-darkroom-page" in client.get("/").headers:
        if time.monotonic() > end:
            pytest.fail("the page was not built in time")
        time.sleep(0.05)
