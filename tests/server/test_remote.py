"""Who is connected, and the tunnel's buttons: for administrators, never without names, and nothing secret in what is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from modules.app import App
from modules.faults import NotAllowed
from modules.flags import Flags
from modules.server import create
from modules.server.access import Access
from modules.server.people import Person
from modules.server.programs import KEPT, Programs
from modules.server.sessions import Sessions
from modules.server.ways import require_names, tunnel_of, ways_in
from modules.users import ADMIN, GUEST, USER, Allowance, Users
from modules.users.passwords import Passwords
from tests.remote.stand_ins import CLOUDFLARED_LINES, Bench, gone, until
from tests.server.conftest import LOCAL
from tests.server.walking import basic

GOOD = "correct horse"
QUICK = "https://random-words-here-1234.trycloudflare.com"
MONA = Person("mona", ADMIN, frozenset(), "")


@pytest.fixture
def users(folders: Any) -> Users:
    made = Users(folders.users_file, Passwords(passes=1, memory_kib=32))
    for name, role in (("ada", ADMIN), ("uma", USER), ("gus", GUEST)):
        made.add(name, GOOD, role)
    return made


@pytest.fixture
def serving(make_app: Callable[..., App]) -> Iterator[Callable[..., TestClient]]:
    """Clients of a server with these flags and users, each with cookies of its own."""
    made: list[TestClient] = []

    def serve(users: Users | None = None, **flags: Any) -> TestClient:
        app = dataclasses.replace(make_app(**flags), allowance=Allowance(users))
        made.append(TestClient(create(app), base_url=LOCAL))
        return made[-1]

    yield serve
    for client in made:
        client.app.state.tunnel.stop()  # pyright: ignore[reportAttributeAccessIssue, reportFunctionMemberAccess]
        client.close()


def sign_in(client: TestClient, name: str) -> TestClient:
    """Another browser at the same server."""
    other = TestClient(client.app, base_url=LOCAL)
    other.post("/sign-in", data={"name": name, "password": GOOD, "next": "/"}, follow_redirects=False)
    return other


def test_who_is_connected_is_shown_to_administrators(serving: Callable[..., TestClient], users: Users) -> None:
    client = serving(users)
    ada, gus = sign_in(client, "ada"), sign_in(client, "gus")
    token = users.add_token("uma", "krita")
    client.get("/internal/ping", headers={"Authorization": f"Bearer {token}"})
    assert gus.get("/internal/remote").status_code == 403
    assert client.get("/internal/remote", headers=basic("uma", GOOD)).status_code == 403
    assert client.get("/internal/remote").status_code == 401
    shown = ada.get("/internal/remote").json()
    assert shown["asks"] is True
    assert [(row["name"], row["role"], row["mine"], row["address"]) for row in shown["sessions"]] == [
        ("ada", ADMIN, True, "testclient"),
        ("gus", GUEST, False, "testclient"),
    ]
    assert {(row["name"], row["token"], row["requests"]) for row in shown["programs"]} == {("uma", "krita", 1), ("uma", "", 1)}
    assert token not in str(shown)
    assert GOOD not in str(shown)
    assert shown["tunnel"]["state"] == "off"
    assert {"ngrok", "cloudflared", "localtunnel", "tailscale", "gradio"} <= {row["name"] for row in shown["kinds"]}


def test_an_administrator_signs_others_out(serving: Callable[..., TestClient], users: Users) -> None:
    client = serving(users)
    ada, gus = sign_in(client, "ada"), sign_in(client, "gus")
    [row] = [row for row in ada.get("/internal/remote").json()["sessions"] if row["name"] == "gus"]
    assert gus.post(f"/internal/remote/sessions/{row['id']}/end").status_code == 403
    assert gus.get("/internal/me").status_code == 200
    assert ada.post(f"/internal/remote/sessions/{row['id']}/end").json() == {"ok": True}
    assert gus.get("/internal/me").status_code == 401
    assert ada.post(f"/internal/remote/sessions/{row['id']}/end").json() == {"ok": False}


def test_no_tunnel_where_nobody_is_asked_for_a_name(serving: Callable[..., TestClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bench = Bench(tmp_path / "bin", monkeypatch)
    bench.says("cloudflared", CLOUDFLARED_LINES)
    answer = serving(api_auth="bot:b").post("/internal/remote/tunnel", json={"on": True, "name": "cloudflared"})
    assert answer.status_code == 403
    assert "users add NAME" in answer.json()["errors"]
    assert bench.calls("cloudflared") == []
    with pytest.raises(NotAllowed):
        require_names(Access.from_flags(Flags()))


def test_a_tunnel_is_opened_and_closed_from_the_page(
    serving: Callable[..., TestClient], users: Users, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path / "bin", monkeypatch)
    bench.says("cloudflared", CLOUDFLARED_LINES)
    client = serving(users, tunnel_token="s3cret")
    ada = sign_in(client, "ada")
    through = {"Host": "random-words-here-1234.trycloudflare.com", "Origin": QUICK}
    assert ada.get("/internal/ping", headers=through).status_code == 403, "a name of nobody's"
    opened = ada.post("/internal/remote/tunnel", json={"on": True, "name": "cloudflared", "minutes": 60})
    assert opened.status_code == 200, opened.text
    shown = until(lambda: (found := ada.get("/internal/remote").json())["tunnel"]["address"] and found)
    assert shown["tunnel"]["address"] == QUICK
    assert shown["addresses"][0] == QUICK
    assert 0 < shown["tunnel"]["expires_s"] - shown["tunnel"]["since_s"] <= 3600
    assert "s3cret" not in str(shown)
    assert bench.calls("cloudflared")[0]["token"] is None, "the token was said for another tunnel"
    qr = ada.get("/internal/remote/qr", params={"address": QUICK})
    assert (qr.status_code, qr.headers["content-type"], b"viewBox" in qr.content) == (200, "image/svg+xml", True)
    assert ada.get("/internal/remote/qr", params={"address": "https://evil.example"}).status_code == 422
    assert ada.get("/internal/ping", headers=through).status_code == 200
    assert ada.post("/sdapi/v1/interrupt", headers=through).status_code == 200
    assert "a tunnel leads here" in ada.get("/internal/extensions").json()["installs"]
    assert ada.post("/internal/remote/tunnel", json={"on": False}).json()["state"] == "off"
    assert ada.get("/internal/ping", headers=through).status_code == 403, "the name went with the tunnel"
    until(lambda: gone(bench.calls("cloudflared")[0]["pid"]))


def test_what_the_page_cannot_open(
    serving: Callable[..., TestClient], users: Users, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Bench(tmp_path / "bin", monkeypatch)
    ada = sign_in(serving(users), "ada")
    for body, status, words in (
        ({"name": "cloudfared"}, 422, "did you mean cloudflared"),
        ({"name": "command"}, 422, "no name of that name"),
        ({"name": "ngrok", "minutes": -1}, 422, "minutes"),
        ({"name": "ngrok", "minutes": True}, 422, "minutes"),
        ({"name": "ngrok"}, 409, "Get ngrok at"),
    ):
        answer = ada.post("/internal/remote/tunnel", json={"on": True, **body})
        assert (answer.status_code, words in answer.text) == (status, True), answer.text


def test_a_tunnel_on_the_command_line_asks_for_names_everywhere() -> None:
    for flags in ({"tunnel": "cloudflared"}, {"ngrok": "T"}, {"tunnel_command": "x {port}"}, {"share": True}):
        assert Access.from_flags(Flags(**flags)).generated, flags
    assert Access.from_flags(Flags(tunnel="ngrok", api_auth="bot:b")).protects_everything


def test_a_name_that_was_allowed_before_stays_after_the_tunnel() -> None:
    access = Access.from_flags(Flags(gradio_auth="a:b", cors_allow_origins="https://draw.example"))
    tunnel = tunnel_of(access)
    tunnel.opened("https://draw.example/sd")
    tunnel.closed("https://draw.example/sd")
    assert access.host_allowed("draw.example")


def test_addresses_in_the_network() -> None:
    flags = Flags(server_name="192.0.2.7", subpath="/sd/", tls_certfile="c")
    assert ways_in("https://192.0.2.7:7860/", "192.0.2.7", flags) == ["https://192.0.2.7:7860/sd"]
    assert ways_in("http://[::1]:7860/", "2001:db8::7", Flags()) == ["http://[2001:db8::7]:7860"]
    assert ways_in("http://127.0.0.1:7860/", "127.0.0.1", Flags()) == []
    assert all(way.startswith("http://") for way in ways_in("http://127.0.0.1:7860/", "0.0.0.0", Flags()))


def test_sessions_are_told_apart_without_their_keys() -> None:
    wall = [1000.0]
    sessions = Sessions(1, clock=lambda: wall[0], wall=lambda: wall[0])
    first, second = sessions.begin(MONA, "192.0.2.1"), sessions.begin(MONA, "192.0.2.2")
    wall[0] += 60
    sessions.saw(first, "192.0.2.9")
    sessions.saw("no such key", "192.0.2.66")
    assert [(one.address, one.since_s, one.seen_s) for one in sessions.all()] == [("192.0.2.9", 1000, 1060), ("192.0.2.2", 1000, 1000)]
    names = {one.id for one in sessions.all()}
    assert len(names) == 2
    assert not names & {first, second}
    assert sessions.named(second) in names
    assert sessions.end_named(sessions.named(second))
    assert sessions.of(second) is None
    assert sessions.named(None) == ""
    wall[0] += 3600
    assert sessions.all() == []


def test_programs_are_counted_and_forgotten() -> None:
    wall = [1000.0]
    programs = Programs(wall=lambda: wall[0])
    programs.saw(MONA, "192.0.2.1")
    wall[0] += 5
    programs.saw(MONA, "192.0.2.1")
    [one] = programs.all()
    assert (one.requests, one.since_s, one.seen_s) == (2, 1000, 1005)
    for n in range(KEPT):
        programs.saw(MONA, f"address {n}")
    assert len(programs.all()) == KEPT
    assert "192.0.2.1" not in {one.address for one in programs.all()}
