"""Signing in: the page of our own, what a guest finds behind it, the way out, and a session that ends."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from modules.users import ADMIN, GUEST, Users
from modules.users.passwords import Passwords
from tests.browser.conftest import ready
from tests.browser.drawing_runner import drawing_server
from tests.browser.driving import generate, shown_infotext, type_prompt, wait_until
from tests.browser.servers import Server
from tests.remote.stand_ins import CLOUDFLARED_LINES, QUICK, Bench, gone
from tests.server.walking import basic

GOOD = "correct horse"


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an administrator and a guest."""
    data = tmp_path_factory.mktemp("asking")
    with drawing_server(data) as server:
        users = users_of(server)
        users.add("ada", GOOD, ADMIN)
        users.add("gus", GOOD, GUEST)
        yield server


def users_of(server: Server) -> Users:
    return Users(Path(server.data) / "users.json", Passwords(passes=1, memory_kib=32))


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    contexts: list[Any] = []

    def go(url: str, **options: Any) -> Page:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.goto(url)
        return page

    yield go
    for context in contexts:
        context.close()


def enter(page: Page, name: str, password: str = GOOD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_sign_in_generate_and_sign_out(asking: Server, visit: Callable[..., Page]) -> None:
    page = visit(f"{asking.url}/", viewport={"width": 1300, "height": 900})
    refused: list[str] = []
    enter(page, "gus", "not it")
    expect(page.get_by_role("alert")).to_have_text("The name or the password is not right.")
    expect(page.get_by_label("Name")).to_have_value("gus")
    expect(page.get_by_label("Password")).to_be_focused()
    page.get_by_label("Password").fill(GOOD)
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    page.keyboard.press("Enter")
    ready(page)
    assert page.url == f"{asking.url}/"
    type_prompt(page, "a red apple")
    generate(page)
    assert shown_infotext(page).startswith("a red apple")
    page.wait_for_function("document.querySelector('#txt2img_gallery img')?.naturalWidth > 0")
    for tab, there in (("txt2img", True), ("queue", True), ("history", False), ("models", False), ("extras", False)):
        expect(page.locator(f"#tab_{tab}-button")).to_be_visible(visible=there)
    expect(page.locator("#dr_footer .dr-me")).to_contain_text("gus (guest)")
    assert refused == []
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_session_that_ends_leads_to_the_sign_in_page_without_a_box(asking: Server, visit: Callable[..., Page]) -> None:
    page = visit(f"{asking.url}/?__theme=light#kept", viewport={"width": 1300, "height": 900})
    enter(page, "ada")
    ready(page)
    assert "?__theme=light" in page.url
    expect(page.locator("#tab_models-button")).to_be_visible()
    users_of(asking).set_password("ada", "another one")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    users_of(asking).set_password("ada", GOOD)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read(asking: Server, visit: Callable[..., Page], scheme: Any) -> None:
    page = visit(f"{asking.url}/docs", viewport={"width": 320, "height": 560}, color_scheme=scheme)
    expect(page.get_by_label("Name")).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight")
    back, text = page.evaluate("['backgroundColor', 'color'].map((name) => getComputedStyle(document.body)[name])")
    assert (light(back) > light(text)) == (scheme == "light")
    enter(page, "ada")
    page.wait_for_url(f"{asking.url}/docs")
    assert "Darkroom" in page.title() or page.locator("h1").count()


def light(colour: str) -> int:
    """The sum of the parts of "rgb(r, g, b)"."""
    return sum(int(part) for part in colour[4:-1].split(","))


def test_who_is_connected_is_signed_out_and_a_tunnel_opens_and_closes(
    asking: Server, visit: Callable[..., Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Bench(tmp_path / "programs", monkeypatch)
    programs.says("cloudflared", CLOUDFLARED_LINES, stream="stderr")
    guest, page = visit(f"{asking.url}/"), visit(f"{asking.url}/", viewport={"width": 1300, "height": 900})
    for there, name in ((guest, "gus"), (page, "ada")):
        enter(there, name)
        ready(there)
    page.get_by_role("tab", name="System").click()
    people = page.locator("#dr_remote [data-part=sessions]")
    expect(people.locator("li", has_text="ada").filter(has_text="this browser")).to_have_count(1)
    people.locator("li", has_text="gus").get_by_role("button", name="Sign out").click()
    expect(people.locator("li", has_text="gus")).to_have_count(0)
    expect(guest.get_by_role("button", name="Sign in")).to_be_visible()

    tunnel = page.locator("#dr_remote [data-part=bars]")
    tunnel.get_by_label("Which tunnel").select_option("ngrok")
    expect(tunnel).to_contain_text("Its program is not on this machine")
    expect(tunnel.get_by_role("button", name="Open a tunnel")).to_be_disabled()
    tunnel.get_by_label("Which tunnel").select_option("cloudflared")
    tunnel.get_by_role("button", name="Open a tunnel").click()
    expect(tunnel.locator(".dr-remote-state")).to_have_text("Open")
    way = page.locator("#dr_remote [data-part=ways] li", has_text=QUICK)
    expect(way.get_by_role("link")).to_have_attribute("href", QUICK)
    way.locator("img").scroll_into_view_if_needed()
    page.wait_for_function("[...document.querySelectorAll('.dr-remote-way img')].every((code) => code.naturalWidth > 0)")
    tunnel.get_by_role("button", name="Close the tunnel").click()
    expect(tunnel.locator(".dr-remote-state")).to_have_text("Off")
    expect(way).to_have_count(0)
    [call] = programs.calls("cloudflared")
    wait_until(lambda: gone(call["pid"]))


def test_programs_go_on_with_basic(asking: Server) -> None:
    request = urllib.request.Request(f"{asking.url}/sdapi/v1/options", headers=basic("ada", GOOD))
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200
