"""Requests that come too slowly, too often or too large: answered, cut off, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.app import App, build
from modules.flags import Flags
from modules.server import create
from modules.server.prompt import Prompt
from modules.server.sending import Patience
from tests.server.conftest import LOCAL
from tests.server.walking import basic

HEAD = b"POST /sdapi/v1/png-info HTTP/1.1\r\nHost: localhost\r\n"
BODY = b'{"image": ""}'


class Hasty(Prompt):
    """Loses its patience at once."""

    headers_s = 0.3


@pytest.fixture
def port(make_api: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server with little patience, over real sockets."""
    monkeypatch.setattr("modules.server.guard.Patience", lambda: Patience(limit=1024 * 1024, first_s=0.3, rate=1e9))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_api(), log_level="warning", http=Hasty, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    server.should_exit = True
    thread.join(10)
    listener.close()


def talk(port: int, *parts: bytes) -> bytes:
    """Everything the server says to these bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        for part in parts:
            connection.sendall(part)
        found = b""
        while more := connection.recv(65536):
            found += more
        return found


def test_a_body_that_stays_away_is_cut_off(port: int) -> None:
    for sent in (b"Content-Length: 100000\r\n\r\n", b"Content-Length: 100000\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"):
        answer = talk(port, HEAD + sent)
        assert answer.startswith(b"HTTP/1.1 408 "), answer[:100]
        assert b"connection: close" in answer.lower()


def test_headers_that_do_not_end_are_cut_off(port: int) -> None:
    assert talk(port, b"GET /internal/ping HTTP/1.1\r\nHost: local") == b""
    assert talk(port) == b""


def test_a_second_request_must_come_whole_too(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(b"GET /internal/ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(b"GET /internal/ping HT")
        rest = b"".join(iter(lambda: connection.recv(65536), b""))
        assert b"HTTP/1.1 " not in rest


def test_who_comes_in_time_is_answered_while_others_dawdle(port: int) -> None:
    dawdlers = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(60)]  # more than there are threads
    for one in dawdlers:
        one.sendall(HEAD + b"Content-Length: 100000\r\n\r\n{")
    whole = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
    assert talk(port, whole).startswith(b"HTTP/1.1 ")
    assert not talk(port, whole).startswith(b"HTTP/1.1 408")
    for one in dawdlers:
        one.close()


def test_a_body_that_comes_bit_by_bit_has_the_time_it_earns(port: int) -> None:
    parts = [HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY), *(bytes([byte]) for byte in BODY)]
    assert not talk(port, *parts).startswith(b"HTTP/1.1 408")


def test_what_is_too_large_is_cut_off_however_it_says_so(make_api: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.server.guard.Patience", lambda: Patience(limit=1024 * 1024))
    client = TestClient(make_api(), base_url=LOCAL)
    for body in (b"x" * 1024 * 1025, iter([b"x" * 1024] * 1025)):  # with its length said, and in chunks
        answer = client.post("/sdapi/v1/png-info", content=body)
        assert (answer.status_code, answer.json()["detail"]) == (413, "The body is larger than 1 MB")


def test_each_user_and_each_address_has_its_rate(make_api: Callable[..., FastAPI]) -> None:
    client = TestClient(make_api(rate_limit="3/hour", gradio_auth="me:a,you:b"), base_url=LOCAL)
    statuses = [client.get("/internal/ping", headers=basic("me", "a")).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert int(client.get("/internal/ping", headers=basic("me", "a")).headers["retry-after"]) > 0
    assert client.get("/internal/ping", headers=basic("you", "b")).status_code == 200
    open_to_all = TestClient(make_api(rate_limit="3/hour"), base_url=LOCAL)
    assert [open_to_all.get("/internal/ping").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_jobs_have_a_rate_of_their_own(make_app: Callable[..., App], tmp_path: Path) -> None:
    built = build(Flags(data_dir=str(tmp_path), rate_limit_generate="2/hour"))
    built.stop()
    client = TestClient(create(dataclasses.replace(make_app(), allowance=built.allowance)), base_url=LOCAL)
    body = {"width": 64, "height": 64}
    answers = [client.post("/sdapi/v1/txt2img", json=body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert "as many jobs as this server takes" in answers[-1].json()["errors"]
    assert client.get("/internal/ping").status_code == 200
