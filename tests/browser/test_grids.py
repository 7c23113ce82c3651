"""X/Y/Z plot in Chromium: the panel, what it says a grid will take, the table that fills, Cancel, and a grid's text pasted back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.drawing_runner import drawing_server
from tests.browser.driving import generate, idle, set_number, type_prompt, wait_until
from tests.browser.servers import Server

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with drawing_server(tmp_path_factory.mktemp("grids")) as running:
        yield running


def choose(page: Page) -> None:
    """The script, its panel drawn."""
    page.click("#txt2img_script_list input")
    page.get_by_role("option", name="X/Y/Z plot").click()
    expect(page.locator("#txt2img_script_container .dr-xyz-row")).to_have_count(3)


def axis(page: Page, n: int, kind: str, values: str = "") -> None:
    row = page.locator("#txt2img_script_container .dr-xyz-row").nth(n)
    row.locator("select").select_option(kind)
    if values:
        row.locator("input[type=text]").fill(values)


def test_a_grid_says_what_it_takes_fills_live_and_its_text_restores_it(server: Server, open_page: Open) -> None:
    page = open_page(server)
    type_prompt(page, "a circle")
    set_number(page, "txt2img_steps", 3)
    choose(page)
    line = page.locator("#txt2img_script_container .dr-xyz-line")
    expect(line).to_contain_text("Seed has no values")
    axis(page, 0, "Seed", "1-2")
    axis(page, 1, "Sampler")
    row = page.locator("#txt2img_script_container .dr-xyz-row").nth(1)
    row.get_by_label("Euler", exact=True).check()
    row.get_by_label("DPM++ 2M", exact=True).check()
    expect(line).to_contain_text("4 pictures, ")
    generate(page)
    table = page.locator("#txt2img_xyz .dr-grid")
    expect(table.locator("td img")).to_have_count(4)
    expect(table.locator("thead th").first).to_have_text("Seed: 1")
    expect(table.locator("tbody th")).to_have_text(["Euler", "DPM++ 2M"])  # in the order in which they were ticked
    expect(table.locator(".dr-what")).to_have_text("All 4 cells are made")
    table.locator("td button").nth(3).click()
    expect(page.locator("#lightboxModal .dr-place")).to_have_text("4 / 4")
    page.keyboard.press("Escape")
    idle(page)
    text = page.locator("#html_info_txt2img .dr-card .dr-infotext").first.inner_text()
    assert "Script: X/Y/Z plot, X Type: Seed, X Values: 1-2" in text
    page.reload(wait_until="domcontentloaded")
    expect(table.locator("td img")).to_have_count(4)
    axis_then_paste(page, text)


def axis_then_paste(page: Page, text: str) -> None:
    """The panel holds something else; the text brings the grid back, with the seeds it had."""
    expect(page.locator("#txt2img_script_container .dr-xyz-row")).to_have_count(3)
    axis(page, 0, "Steps", "5")
    page.fill("#txt2img_prompt textarea", text)
    page.click("#txt2img_paste")
    first = page.locator("#txt2img_script_container .dr-xyz-row").first
    expect(first.locator("select")).to_have_value("Seed")
    expect(first.locator("input[type=text]")).to_have_value("1, 2")
    second = page.locator("#txt2img_script_container .dr-xyz-row").nth(1)
    expect(second.get_by_label("DPM++ 2M", exact=True)).to_be_checked()
    held = page.locator("#txt2img_script_container .dr-xyz-value textarea")
    assert [one["type"] for one in json.loads(held.input_value())["axes"]] == ["Seed", "Sampler", "Nothing"]


def test_a_cancelled_grid_keeps_what_is_made_and_begun_again_makes_the_rest(server: Server, open_page: Open) -> None:
    page = open_page(server)
    type_prompt(page, "slowly a circle")
    set_number(page, "txt2img_steps", 8)
    choose(page)
    axis(page, 0, "Seed", "11-16")
    generate(page)
    table = page.locator("#txt2img_xyz .dr-grid")
    expect(table.locator("td img")).not_to_have_count(0)
    table.get_by_role("button", name="Cancel").click()
    expect(table.locator(".dr-what")).to_contain_text("of 6 cells are made")
    made = table.locator("td img").count()
    assert 0 < made < 6
    idle(page)
    expect(page.locator("#txt2img_script_container .dr-xyz-line")).to_contain_text("there already")
    before = len(server.app.jobs.list(limit=1000))
    generate(page)
    expect(table.locator(".dr-what")).to_have_text("All 6 cells are made")
    wait_until(lambda: len(server.app.jobs.list(limit=1000)) > before)
    assert len(server.app.jobs.list(limit=1000)) - before <= 6 - made + 2  # the cell that was stopped is made anew, and the grid drawn
