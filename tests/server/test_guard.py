"""Who may pass: hosts, origins, passwords, over every route there is, mounted apps and websockets included."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from modules.faults import SetupFault
from modules.flags import Flags
from modules.server.access import GENERATED_USER, Access, is_loopback, parse_users, user_of
from modules.server.guard import SECURITY_HEADERS
from tests.server.conftest import LOCAL

SOCKET = LOCAL.replace("http", "ws") + "/ws"
Walk = Iterator[tuple[str, str]]


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


def walk(api: FastAPI) -> Walk:
    """(method, path) of every route, paths filled in; for a mount, some of what may be asked of it."""
    for route in api.routes:
        if isinstance(route, Mount):
            yield from (("GET", "/"), ("GET", "/config"), ("GET", "/gradio_api/heartbeat/x"))
            yield from (("POST", "/gradio_api/cancel"), ("POST", "/gradio_api/upload"))
            continue
        path = route.path.format(job_id="x", place=0, key="x")  # pyright: ignore[reportAttributeAccessIssue]
        for method in route.methods:  # pyright: ignore[reportAttributeAccessIssue]
            yield method, path


@pytest.fixture
def client_of(make_api: Callable[..., FastAPI]) -> Callable[..., TestClient]:
    def make(**flags: Any) -> TestClient:
        api = make_api(**flags)
        api.mount("/", page())
        return TestClient(api, base_url=LOCAL)

    return make


def access_of(client: TestClient) -> Access:
    return cast(FastAPI, client.app).state.access


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def closed(client: TestClient, headers: dict[str, str] | None = None) -> set[str]:
    """Paths that answer 401."""
    found: set[str] = set()
    for method, path in walk(cast(FastAPI, client.app)):
        answer = client.request(method, path, headers=headers or {}, follow_redirects=False)
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"] == "Basic"
            if method != "HEAD":
                assert answer.json() == {"error": "HTTPException", "detail": "Incorrect username or password", "body": "", "errors": ""}
            found.add(path)
    return found


def every_path(client: TestClient) -> set[str]:
    return {path for _, path in walk(cast(FastAPI, client.app))}


def is_api(path: str) -> bool:
    return path.startswith(("/sdapi/", "/docs", "/redoc", "/openapi.json"))


def test_the_walk_meets_the_routes(client_of: Callable[..., TestClient]) -> None:
    paths = every_path(client_of())
    assert {"/sdapi/v1/txt2img", "/internal/progress", "/docs", "/openapi.json", "/", "/gradio_api/cancel"} <= paths
    assert len(paths) > 25


def test_without_credentials_a_local_server_is_open(client_of: Callable[..., TestClient]) -> None:
    client = client_of()
    assert closed(client) == set()
    assert closed(client, {"Authorization": ""}) == set()
    assert closed(client, {"Authorization": "Basic"}) == set()


def test_api_auth_closes_the_api_and_leaves_the_local_page_open(client_of: Callable[..., TestClient]) -> None:
    client = client_of(api_auth="bot:a:b,other:x")
    assert closed(client) == {path for path in every_path(client) if is_api(path)}
    assert closed(client, basic("bot", "a:b")) == set()
    assert closed(client, basic("other", "x")) == set()


def test_gradio_auth_closes_everything_and_the_page_knows_its_users_only(client_of: Callable[..., TestClient]) -> None:
    client = client_of(gradio_auth="me:secret", api_auth="bot:b")
    assert closed(client) == every_path(client)
    assert closed(client, basic("me", "secret")) == set()
    of_the_page = {path for path in every_path(client) if not is_api(path) and not path.startswith("/internal/")}
    assert closed(client, basic("bot", "b")) == of_the_page


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!!", "Bearer a", *(f"Basic {base64.b64encode(t).decode()}" for t in (b"me", b"me:", b"me:x", b"\xff:x", b":"))],
)
def test_wrong_credentials_are_refused(client_of: Callable[..., TestClient], header: str) -> None:
    client = client_of(gradio_auth="me:secret")
    assert closed(client, {"Authorization": header}) == every_path(client)


@pytest.mark.parametrize(
    "flags", [{"listen": True}, {"share": True}, *({"server_name": name} for name in ("192.0.2.7", "some.name", "::"))], ids=str
)
def test_a_reachable_server_without_credentials_makes_a_password(client_of: Callable[..., TestClient], flags: dict[str, Any]) -> None:
    client = client_of(**flags)
    access = access_of(client)
    assert access.generated
    assert len(access.generated) >= 16
    assert closed(client) == every_path(client)
    assert closed(client, basic(GENERATED_USER, access.generated)) == set()
    assert access.generated not in client.get("/sdapi/v1/cmd-flags", headers=basic(GENERATED_USER, access.generated)).text


def test_every_start_makes_another_password() -> None:
    assert Access.from_flags(Flags(listen=True)).generated != Access.from_flags(Flags(listen=True)).generated


def test_a_reachable_server_with_api_users_only_asks_on_the_page_too(client_of: Callable[..., TestClient]) -> None:
    client = client_of(listen=True, api_auth="bot:b")
    assert closed(client) == every_path(client)
    assert closed(client, basic("bot", "b")) == set()


def test_no_password_is_made_where_none_is_wanted(client_of: Callable[..., TestClient]) -> None:
    client = client_of(listen=True, insecure_no_auth=True)
    assert closed(client) == set()
    assert not access_of(client).protects_everything


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "192.0.2.7", "a b", "", "[::2]", "me@localhost", "localhost,a"],
)
def test_foreign_host_names_get_nothing(client_of: Callable[..., TestClient], host: str) -> None:
    client = client_of()
    for method, path in walk(cast(FastAPI, client.app)):
        assert client.request(method, path, headers={"Host": host}).status_code == 403


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
def test_pages_of_others_change_nothing(client_of: Callable[..., TestClient], origin: str) -> None:
    client = client_of()
    for method, path in walk(cast(FastAPI, client.app)):
        status = client.request(method, path, headers={"Origin": origin}).status_code
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


def test_the_user_is_who_the_header_proves() -> None:
    assert user_of(basic("Zoë", "pässword:1")["Authorization"], {"Zoë": "pässword:1"}) == "Zoë"
    assert user_of(basic("me", "secret")["Authorization"].replace("Basic", "basic"), {"me": "secret", "you": "x"}) == "me"
    assert user_of(basic("me", "x")["Authorization"], {"me": "secret", "you": "x"}) is None


def test_what_counts_as_reachable() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "studio", "192.0.2.7", "localhost.evil.example"))
