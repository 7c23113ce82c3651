"""The sign-in page, its cookie, and what a browser meets instead of its own box for passwords."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.app import App
from modules.server import create
from modules.users import GUEST, USER, Allowance, Users
from modules.users.passwords import Passwords
from tests.server.conftest import LOCAL
from tests.server.walking import basic

GOOD = "correct horse"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
FORM = {"name": "uma", "password": GOOD}
COOKIE = "darkroom_7860"


@pytest.fixture
def users(folders: Any) -> Users:
    made = Users(folders.users_file, Passwords(passes=1, memory_kib=32))
    made.add("uma", GOOD, USER)
    return made


@pytest.fixture
def api_of(make_app: Callable[..., App], users: Users) -> Callable[..., FastAPI]:
    return lambda **flags: create(dataclasses.replace(make_app(**flags), allowance=Allowance(users)))


@pytest.fixture
def client(api_of: Callable[..., FastAPI]) -> TestClient:
    return TestClient(api_of(), base_url=LOCAL, follow_redirects=False)


def sign_in(client: TestClient, **form: str) -> Any:
    return client.post("/sign-in", data={**FORM, **form}, headers={"Origin": LOCAL})


def test_a_browser_gets_the_page_and_a_program_is_asked_for_basic(client: TestClient) -> None:
    page = client.get("/docs?q=%22%3E", headers=BROWSER)
    assert (page.status_code, page.headers["www-authenticate"]) == (401, "Bearer")
    assert page.headers["content-type"].startswith("text/html")
    assert 'action="/sign-in"' in page.text
    assert 'value="/docs?q=%22%3E"' in page.text
    assert "no-store" in page.headers["cache-control"]
    program = client.get("/docs")
    assert (program.status_code, program.headers["www-authenticate"]) == (401, "Basic")
    script = client.post("/internal/progress", json={}, headers={"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"})
    assert (script.status_code, script.headers["www-authenticate"]) == (401, "Bearer"), "a page's script opens no box"
    assert client.get("/docs", headers={**BROWSER, **basic("uma", GOOD)}).status_code == 200


def test_signing_in_and_out(client: TestClient) -> None:
    answer = sign_in(client, next="/internal/me")
    assert (answer.status_code, answer.headers["location"]) == (303, "/internal/me")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert "Secure" not in cookie
    key = client.cookies[COOKIE]
    assert len(key) >= 43
    assert client.get("/internal/me").json() == {"name": "uma", "role": USER, "session": True}
    assert client.get("/sdapi/v1/options", headers={"Authorization": ""}).status_code == 200
    assert client.get("/sign-in", headers=BROWSER).headers["location"] == "/"
    out = client.post("/sign-out", headers={"Origin": LOCAL})
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    client.cookies.set(COOKIE, key)
    after = client.get("/internal/me")
    assert after.status_code == 401, "the session has ended, not only its cookie"
    assert after.headers["www-authenticate"] == "Bearer", "who has had a session is a browser"


def test_over_tls_the_cookie_is_secret_to_it(api_of: Callable[..., FastAPI]) -> None:
    client = TestClient(api_of(), base_url=LOCAL.replace("http", "https"), follow_redirects=False)
    answer = client.post("/sign-in", data=FORM)
    assert "Secure" in answer.headers["set-cookie"]


def test_below_a_path_of_a_proxy(api_of: Callable[..., FastAPI]) -> None:
    client = TestClient(api_of(subpath="/sd"), base_url=LOCAL, follow_redirects=False)
    page = client.get("/sd/docs", headers=BROWSER)
    assert 'action="/sd/sign-in"' in page.text
    assert 'value="/sd/docs"' in page.text
    answer = client.post("/sd/sign-in", data=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sd/")
    assert "Path=/sd" in answer.headers["set-cookie"]
    assert client.get("/sd/internal/me").status_code == 200


@pytest.mark.parametrize(
    "to",
    ["", "http://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "/a\nb", "/sign-in",
     "/sign-out", "/" + "x" * 3000],
)  # fmt: skip
def test_nobody_is_led_away(client: TestClient, to: str) -> None:
    assert sign_in(client, next=to).headers["location"] == "/"


@pytest.mark.parametrize(
    "form", [{"password": "wrong"}, {"name": "nobody"}, {"name": ""}, {"password": ""}, {"name": '"><b>x', "password": "wrong"}], ids=str
)
def test_a_wrong_password_is_said_and_gives_no_cookie(client: TestClient, form: dict[str, str]) -> None:
    answer = sign_in(client, **form)
    assert answer.status_code == 401
    assert "The name or the password is not right." in answer.text
    assert "set-cookie" not in answer.headers
    assert "<b>x" not in answer.text


def test_too_many_wrong_ones_are_told_to_wait(client: TestClient) -> None:
    answers = [sign_in(client, password=f"guess {n}") for n in range(7)]
    assert [answer.status_code for answer in answers[:5]] == [401] * 5
    last = answers[-1]
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) >= 1
    assert "Try again in" in last.text
    over_basic = client.get("/docs", headers=basic("uma", "guess 99"))
    assert (over_basic.status_code, int(over_basic.headers["retry-after"]) >= 1) == (429, True)


@pytest.mark.parametrize("body", [b"\xff\xfe=%", b"&" * 1000, b"name=uma&" * 2000, b'{"name": "uma"}'])
def test_what_is_no_form_is_a_wrong_password(client: TestClient, body: bytes) -> None:
    assert client.post("/sign-in", content=body).status_code == 401


def test_another_sites_form_signs_nobody_in(client: TestClient) -> None:
    assert client.post("/sign-in", data=FORM, headers={"Origin": "http://evil.example"}).status_code == 403
    sign_in(client)
    assert client.post("/internal/queue/pause", headers={"Origin": "http://evil.example"}).status_code == 403


def test_sessions_end_with_the_password_and_follow_the_role(client: TestClient, users: Users) -> None:
    sign_in(client)
    users.set_role("uma", GUEST)
    assert client.get("/internal/me").json()["role"] == GUEST
    users.set_password("uma", "another one")
    assert client.get("/internal/me").status_code == 401
    sign_in(client, password="another one")
    assert client.get("/internal/me").status_code == 200
    users.remove("uma")
    assert client.get("/internal/me").status_code == 401


def test_two_servers_of_one_host_do_not_take_each_others_cookie(api_of: Callable[..., FastAPI]) -> None:
    client = TestClient(api_of(port=7861), base_url=LOCAL, follow_redirects=False)
    assert sign_in(client).headers["set-cookie"].startswith("darkroom_7861=")


def test_where_nobody_is_asked_there_is_nothing_to_sign_in_to(make_api: Callable[..., FastAPI]) -> None:
    client = TestClient(make_api(), base_url=LOCAL, follow_redirects=False)
    assert client.get("/sign-in", headers=BROWSER).headers["location"] == "/"
    assert client.post("/sign-in", data=FORM).headers["location"] == "/"
    assert client.get("/internal/me").json() == {"name": None, "role": "admin", "session": False}


def test_users_of_the_command_line_sign_in_too(make_api: Callable[..., FastAPI]) -> None:
    client = TestClient(make_api(gradio_auth="me:secret"), base_url=LOCAL, follow_redirects=False)
    assert client.post("/sign-in", data={"name": "me", "password": "secret"}).status_code == 303
    assert client.get("/internal/me").json() == {"name": "me", "role": "admin", "session": True}
