"""Who may pass: hosts, origins, passwords, over every route there is, mounted apps and websockets included."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from modules.faults import SetupFault
from modules.flags import Flags
from modules.folders import Folders
from modules.library import Library
from modules.server import create
from modules.server.access import GENERATED_USER, Access, is_loopback, parse_users
from modules.server.guard import SECURITY_HEADERS
from tests.server.conftest import LOCAL, app_over
from tests.server.fake_jobs import FakeJobs
from tests.server.walking import Walker, basic

SOCKET = LOCAL.replace("http", "ws") + "/ws"


def page() -> Starlette:
    """Stands for the mounted page: answers every path, and a websocket."""

    async def anything(_request: object) -> PlainTextResponse:
        return PlainTextResponse("page")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    methods = ["GET", "POST", "PUT", "DELETE", "PATCH"]
    return Starlette(routes=[WebSocketRoute("/ws", socket), Route("/{path:path}", anything, methods=methods)])


@pytest.fixture(scope="module")
def api_with(tmp_path_factory: pytest.TempPathFactory, library: Library) -> Callable[..., FastAPI]:
    """Makes a server with the stand-in of the page. Tests share those of the same flags: the guard keeps nothing of what it let through."""

    def make(**flags: Any) -> FastAPI:
        folders = Folders.at(tmp_path_factory.mktemp("data"))
        api = create(app_over(folders, library, FakeJobs(folders), **flags))
        api.mount("/", page())
        return api

    return make


@pytest.fixture(scope="module")
def client_of(api_with: Callable[..., FastAPI]) -> Callable[..., TestClient]:
    made = functools.cache(api_with)
    return lambda **flags: TestClient(made(**flags), base_url=LOCAL)


@pytest.fixture(scope="module")
def walker(api_with: Callable[..., FastAPI]) -> Callable[..., Walker]:
    """A server to walk through, other than that of `client_of`: the walker takes its routes away."""
    return functools.cache(lambda **flags: Walker(api_with(**flags)))


def is_api(path: str) -> bool:
    return path.startswith(("/sdapi/", "/api/", "/mcp", "/docs", "/redoc", "/openapi.json"))


def test_the_walk_meets_the_routes(walker: Callable[..., Walker]) -> None:
    paths = walker().every_path
    assert {"/sdapi/v1/txt2img", "/internal/progress", "/docs", "/openapi.json", "/", "/gradio_api/cancel"} <= paths
    assert len(paths) > 25


def test_without_credentials_a_local_server_is_open(walker: Callable[..., Walker]) -> None:
    walk = walker()
    assert walk.closed() == set()
    assert walk.closed({"Authorization": ""}) == set()
    assert walk.closed({"Authorization": "Basic"}) == set()


def test_api_auth_closes_the_api_and_leaves_the_local_page_open(walker: Callable[..., Walker]) -> None:
    walk = walker(api_auth="bot:a:b,other:x")
    assert walk.closed() == {path for path in walk.every_path if is_api(path)}
    assert walk.closed(basic("bot", "a:b")) == set()
    assert walk.closed(basic("other", "x")) == set()


def test_gradio_auth_closes_everything_and_the_page_knows_its_users_only(walker: Callable[..., Walker]) -> None:
    walk = walker(gradio_auth="me:secret", api_auth="bot:b")
    assert walk.closed() == walk.every_path
    assert walk.closed(basic("me", "secret")) == set()
    of_the_page = {path for path in walk.every_path if not is_api(path) and not path.startswith("/internal/")}
    assert walk.closed(basic("bot", "b")) == of_the_page


def test_what_flags_add_is_closed_as_well(walker: Callable[..., Walker]) -> None:
    walk = walker(gradio_auth="me:secret", mcp=True, api_server_stop=True)
    assert {"/mcp", "/sdapi/v1/server-stop", "/sdapi/v1/server-kill", "/sdapi/v1/server-restart"} <= walk.every_path
    assert walk.closed() == walk.every_path
    assert walk.closed(basic("me", "secret")) == set()


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!!", "Bearer a", *(f"Basic {base64.b64encode(t).decode()}" for t in (b"me", b"me:", b"me:x", b"\xff:x", b":"))],
)
def test_wrong_credentials_are_refused(walker: Callable[..., Walker], header: str) -> None:
    walk = walker(gradio_auth="me:secret")
    assert walk.closed({"Authorization": header}) == walk.every_path


@pytest.mark.parametrize(
    "flags", [{"listen": True}, {"share": True}, *({"server_name": name} for name in ("192.0.2.7", "some.name", "::"))], ids=str
)
def test_a_reachable_server_without_credentials_makes_a_password(walker: Callable[..., Walker], flags: dict[str, Any]) -> None:
    walk = walker(**flags)
    access = walk.api.state.access
    assert access.generated
    assert len(access.generated) >= 16
    assert walk.closed() == walk.every_path
    assert walk.closed(basic(GENERATED_USER, access.generated)) == set()


def test_every_start_makes_another_password() -> None:
    assert Access.from_flags(Flags(listen=True)).generated != Access.from_flags(Flags(listen=True)).generated


def test_a_reachable_server_with_api_users_only_asks_on_the_page_too(walker: Callable[..., Walker]) -> None:
    walk = walker(listen=True, api_auth="bot:b")
    assert walk.closed() == walk.every_path
    assert walk.closed(basic("bot", "b")) == set()


def test_no_password_is_made_where_none_is_wanted(walker: Callable[..., Walker]) -> None:
    walk = walker(listen=True, insecure_no_auth=True)
    assert walk.closed() == set()
    assert not walk.api.state.access.protects_everything


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "192.0.2.7", "a b", "", "[::2]", "me@localhost", "localhost,a"],
)
def test_foreign_host_names_get_nothing(walker: Callable[..., Walker], host: str) -> None:
    walk = walker()
    assert set(walk.statuses({"Host": host}).values()) == {403}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:7860", "127.0.0.1", "127.0.0.2:80", "[::1]:7860", "localhost."])
def test_local_names_pass(client_of: Callable[..., TestClient], host: str) -> None:
    assert client_of().get("/internal/ping", headers={"Host": host}).status_code == 200


def test_two_host_headers_are_refused(client_of: Callable[..., TestClient]) -> None:
    answer = client_of().get("/internal/ping", headers=[("Host", "localhost"), ("Host", "evil.example")])
    assert answer.status_code == 403


def test_names_given_on_the_command_line_and_addresses_pass_where_they_are_reachable() -> None:
    listening = Access.from_flags(Flags(listen=True))
    assert listening.host_allowed("192.0.2.7:7860")
    assert listening.host_allowed("[2001:db8::1]:7860")
    assert not listening.host_allowed("evil.example")
    named = Access.from_flags(Flags(server_name="Studio.lan", cors_allow_origins="https://front.example:8443"))
    assert named.host_allowed("studio.lan:7860")
    assert named.host_allowed("front.example")
    shared = Access.from_flags(Flags(share=True))
    assert not shared.host_allowed("abc.share.example")
    shared.allow_host("abc.share.example")
    assert shared.host_allowed("abc.share.example")


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:9999",
        "http://localhost:7860",
        "",
        "http://[",
        "https://127.0.0.1:7860.evil.example",
    ],
)
def test_pages_of_others_change_nothing(walker: Callable[..., Walker], origin: str) -> None:
    walk = walker()
    for (method, _), status in walk.statuses({"Origin": origin}).items():
        assert (status == 403) == (method not in ("GET", "HEAD"))


def test_our_own_page_and_named_origins_change_things(client_of: Callable[..., TestClient]) -> None:
    assert client_of().post("/sdapi/v1/interrupt", headers={"Origin": LOCAL}).status_code == 200
    assert client_of().post("/sdapi/v1/interrupt", headers={"Origin": "http://localhost", "Host": "localhost:80"}).status_code == 200
    named = client_of(cors_allow_origins="https://front.example, https://other.example/")
    for origin in ("https://front.example", "https://other.example"):
        answer = named.post("/sdapi/v1/interrupt", headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-credentials"] == "true"
    assert named.post("/sdapi/v1/interrupt", headers={"Origin": "https://evil.example"}).status_code == 403
    by_pattern = client_of(cors_allow_origins_regex=r"https://[a-z]+\.front\.example")
    assert by_pattern.post("/", headers={"Origin": "https://a.front.example"}).status_code == 200
    assert by_pattern.post("/", headers={"Origin": "https://a.front.example.evil"}).status_code == 403
    everyone = client_of(cors_allow_origins="*").post("/sdapi/v1/interrupt", headers={"Origin": "https://any.example"})
    assert everyone.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in everyone.headers


def test_a_preflight_needs_no_password_and_is_off_without_the_flag(client_of: Callable[..., TestClient]) -> None:
    ask = {"Origin": "https://front.example", "Access-Control-Request-Method": "POST"}
    named = client_of(cors_allow_origins="https://front.example", api_auth="bot:b").options("/sdapi/v1/txt2img", headers=ask)
    assert named.status_code == 200
    assert "POST" in named.headers["access-control-allow-methods"]
    assert "access-control-allow-origin" not in client_of().options("/sdapi/v1/txt2img", headers=ask).headers


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)])
def test_without_an_origin_the_browsers_word_counts(client_of: Callable[..., TestClient], site: str, status: int) -> None:
    assert client_of().post("/sdapi/v1/interrupt", headers={"Sec-Fetch-Site": site}).status_code == status


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        *((headers, True) for headers in ({}, {"Origin": LOCAL}, {"Authorization": ""})),
        *((headers, False) for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"})),
    ],
)
def test_websockets_are_guarded(client_of: Callable[..., TestClient], headers: dict[str, str], passes: bool) -> None:
    client = client_of()
    if passes:
        with client.websocket_connect(SOCKET, headers=headers) as socket:
            assert socket.receive_text() == "hello"
    else:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers=headers):
            pass
    with pytest.raises(WebSocketDisconnect), client_of(gradio_auth="me:x").websocket_connect(SOCKET, headers=headers):
        pass


def test_every_answer_carries_the_security_headers_and_its_time(client_of: Callable[..., TestClient]) -> None:
    client = client_of(api_auth="bot:b")
    for path, headers in (("/", {}), ("/sdapi/v1/options", {}), ("/internal/ping", {}), ("/", {"Host": "evil.example"})):
        answer = client.get(path, headers=headers)
        assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert float(answer.headers["x-process-time"]) >= 0


def test_a_proxys_prefix_does_not_open_the_api(client_of: Callable[..., TestClient]) -> None:
    client = client_of(api_auth="bot:b", subpath="/sd/")
    for path in ("/sdapi/v1/options", "/sd/sdapi/v1/options"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=basic("bot", "b")).status_code == 200


@pytest.mark.parametrize("text", ["me", "me:", ":secret", "a:b,c", ","])
def test_credentials_that_cannot_be_read_stop_the_start(text: str) -> None:
    if text == ",":
        assert parse_users(text, "--api-auth") == {}
        return
    with pytest.raises(SetupFault, match="--api-auth takes user:password"):
        parse_users(text, "--api-auth")


def test_users_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.write_text("one:1\ntwo:2, three:3\n")
    users = Access.from_flags(Flags(gradio_auth_path=str(file), gradio_auth="four:4")).page_users
    assert users == {"four": "4", "one": "1", "two": "2", "three": "3"}
    with pytest.raises(SetupFault, match="cannot be read"):
        Access.from_flags(Flags(gradio_auth_path=str(tmp_path / "missing")))


def test_what_counts_as_reachable() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "studio", "192.0.2.7", "localhost.evil.example"))
