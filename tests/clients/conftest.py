"""One live server for all tests of the clients that need no credentials."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from darkroom_client import Client
from tests.clients.serving import Serving, serving


@pytest.fixture(scope="package")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("live"), mcp=True) as made:
        yield made


@pytest.fixture
def client(live: Serving) -> Iterator[Client]:
    with Client(live.url) as made:
        yield made
