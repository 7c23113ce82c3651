"""The History tab in Chromium over the stand-in App: tiles, search, details, sending, comparing, the bin, the keyboard, a phone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.driving import ask, wait_until
from tests.browser.servers import Server, stand_in_server
from tests.library.picture_files import write_picture

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
HOSTILE = "<img src=x onerror=\"alert('prompt')\"> a hostile lighthouse"
COUNT = 260


@pytest.fixture(scope="module")
def shared_stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of its own: files that ran before leave pictures behind."""
    with stand_in_server(tmp_path_factory.mktemp("history"), step_s=0.03) as server:
        yield server


@pytest.fixture
def pictures(stand_in: Server) -> Iterator[Path]:
    """COUNT pictures, one of them with a hostile prompt, and nothing else."""
    shutil.rmtree(stand_in.data / "outputs", ignore_errors=True)
    shutil.rmtree(stand_in.data / "bin", ignore_errors=True)
    folder = stand_in.data / "outputs" / "txt2img-images" / "2026-01-02"
    for n in range(COUNT):
        prompt = HOSTILE if n == 7 else f"a {'red' if n % 2 else 'blue'} apple, number{n}"
        write_picture(folder / f"{n:05}.png", at_s=1_700_000_000 + n * 60, prompt=prompt, seed=n, width=64, height=48 + 8 * (n % 3))
    write_picture(stand_in.data / "outputs" / "txt2img-grids" / "grid-0001.png", at_s=1_600_000_000)
    stand_in.app.pictures.refresh(thorough=True)
    wait_until(lambda: not ((now := ask(stand_in, "internal/history?limit=0"))["unread"] or now["looking"]))
    yield folder
    shutil.rmtree(stand_in.data / "outputs", ignore_errors=True)


def show(page: Page) -> None:
    page.evaluate("darkroom.showTab('history')")
    expect(tile(page, 0).locator("img")).to_be_visible(timeout=30_000)


def tile(page: Page, place: int) -> Any:
    return page.locator(f".dr-picture[data-place='{place}']")


def search(page: Page, words: str, found: int) -> None:
    page.fill("#dr_history_search", words)
    expect(page.locator("#dr_history .dr-models-state")).to_have_text(f"{found} found")


def test_the_list_keeps_only_what_is_in_view(stand_in: Server, open_page: Open, pictures: Path):
    page = open_page(stand_in)
    show(page)
    assert tile(page, 0).get_attribute("aria-label").startswith("00259.png")
    count = page.locator(".dr-picture").count()
    assert 20 < count < 120
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    last = tile(page, COUNT)
    expect(last.locator("img")).to_be_visible()
    assert last.get_attribute("aria-label").startswith("grid-0001.png")
    assert page.locator(".dr-picture").count() < 120
    expect(tile(page, 0)).to_have_count(0)


def test_a_list_that_does_not_change_is_seldom_asked_for(stand_in: Server, open_page: Open, pictures: Path):
    page = open_page(stand_in)
    show(page)
    expect(page.locator("#dr_history .dr-chips button")).not_to_have_count(0)
    page.wait_for_timeout(1000)  # what opening the tab asks for is over
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/internal/history?" in request.url else None)
    tile(page, 1).locator(".dr-tick").dispatch_event("click")
    expect(tile(page, 1)).to_have_attribute("aria-selected", "true")
    page.wait_for_timeout(2500)
    assert len(asked) <= 2, asked


def test_search_filters_and_empty_states(stand_in: Server, open_page: Open, pictures: Path):
    page = open_page(stand_in)
    show(page)
    search(page, "number42", 1)
    red = [n for n in range(1, COUNT, 2) if n != 7 and not str(n).startswith("1")]
    search(page, '"red apple" -number1', len(red) + 1)  # and the grid
    search(page, "zebra", 0)
    expect(page.locator(".dr-history-none")).to_contain_text("finds just that phrase")
    page.locator(".dr-history-none button").click()
    expect(tile(page, 0)).to_be_visible()
    page.locator("[data-do=history-kind][data-kind=grid]").click()
    expect(page.locator("#dr_history .dr-models-state")).to_have_text("1 found")
    page.click("[data-do=history-favourites]")
    expect(page.locator(".dr-history-none")).to_contain_text("No picture is marked yet")


def test_a_picture_in_detail_is_text_and_goes_to_the_form(stand_in: Server, open_page: Open, pictures: Path):
    """The fixture fails on any dialog or script error."""
    page = open_page(stand_in)
    show(page)
    search(page, "lighthouse", 1)
    tile(page, 0).click()
    panel = page.locator(".dr-history-panel")
    expect(panel.locator("h2")).to_have_text("00007.png")
    expect(panel.locator(".dr-history-prompt").first).to_have_text(HOSTILE)
    expect(panel.locator("dl").first).to_contain_text("Euler a")
    panel.get_by_role("button", name="txt2img", exact=True).click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value(HOSTILE)
    assert page.locator("#txt2img_seed input").input_value() == "7"


def test_a_picture_goes_to_png_info(stand_in: Server, open_page: Open, pictures: Path):
    page = open_page(stand_in)
    show(page)
    tile(page, 1).click()
    page.locator(".dr-history-panel").get_by_role("button", name="PNG Info").click()
    expect(page.locator("#pnginfo_parameters")).to_contain_text("number258")


def test_two_are_compared(stand_in: Server, open_page: Open, pictures: Path):
    page = open_page(stand_in)
    show(page)
    for place in (0, 1):
        tile(page, place).hover()
        tile(page, place).locator(".dr-tick").click()
    expect(page.locator(".dr-history-chosen")).to_contain_text("2 chosen")
    page.click("[data-do=history-compare]")
    expect(page.locator(".dr-compare del").first).to_have_text("red")
    expect(page.locator(".dr-compare ins").first).to_have_text("blue")
    row = page.locator(".dr-differences tr", has_text="Seed")
    expect(row).to_have_text("Seed259258")
    page.keyboard.press("Escape")
    expect(tile(page, 0)).to_be_visible()


def test_the_bin_and_its_undo(stand_in: Server, open_page: Open, pictures: Path):
    page = open_page(stand_in)
    show(page)
    tile(page, 0).click()
    page.locator(".dr-history-panel [data-do=history-delete]").click()
    message = page.locator(".dr-history-message")
    expect(message).to_contain_text("00259.png is in the bin")
    assert not (pictures / "00259.png").exists()
    message.get_by_role("button", name="Undo").click()
    expect(message).to_contain_text("back where it was")
    assert (pictures / "00259.png").exists()
    tile(page, 0).focus()
    page.keyboard.press("Delete")
    expect(message).to_contain_text("is in the bin")
    page.click("[data-do=history-bin]")
    expect(page.locator(".dr-bin li")).to_have_count(1)
    page.locator(".dr-bin").get_by_role("button", name="Put back").click()
    expect(page.locator(".dr-history-other")).to_contain_text("The bin is empty")
    assert (pictures / "00259.png").exists()


def test_the_keyboard_alone(stand_in: Server, open_page: Open, pictures: Path):
    page = open_page(stand_in)
    show(page)
    tile(page, 0).focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    columns = page.evaluate("[...document.querySelectorAll('.dr-picture')].filter((t) => t.style.transform.endsWith(' 0px)')).length")
    expect(tile(page, columns)).to_be_focused()
    page.keyboard.press("f")
    expect(tile(page, columns).locator(".dr-star")).to_be_visible()
    page.keyboard.press("Space")
    expect(tile(page, columns)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.locator("#lightboxModal")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(page.locator("#lightboxModal")).to_be_hidden()
    expect(tile(page, columns)).to_be_focused()
    page.keyboard.press("End")
    expect(tile(page, COUNT)).to_be_focused()


def test_new_pictures_come_in_by_themselves(stand_in: Server, open_page: Open, pictures: Path):
    page = open_page(stand_in)
    show(page)
    write_picture(pictures / "new.png", prompt="made just now")
    expect(page.locator(".dr-picture[aria-label^='new.png']")).to_be_visible(timeout=15_000)


def test_a_phone(stand_in: Server, open_page: Open, pictures: Path):
    page = open_page(stand_in, viewport={"width": 390, "height": 844}, has_touch=True)
    show(page)
    tile(page, 1).tap()
    panel = page.locator(".dr-history-panel")
    expect(panel.locator("h2")).to_have_text("00258.png")
    assert panel.bounding_box()["width"] == 390
    panel.locator(".dr-close").tap()
    expect(panel).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
