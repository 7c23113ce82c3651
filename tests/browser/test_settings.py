"""The Settings tab on the real program: a setting is found, changed and kept, the bar above the tabs follows, a style is edited."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import ready
from tests.browser.driving import ask
from tests.browser.servers import Server

ROWS = ".dr-set-row[data-key]"


def open_settings(page: Page) -> None:
    page.locator("#tab_settings-button").click()
    expect(page.locator(ROWS).first).to_be_visible()


def test_settings_are_found_changed_pinned_and_given_back_and_a_style_is_edited(real: Server, open_page: Callable[..., Page]):
    page = open_page(real)
    open_settings(page)

    page.fill("#dr_set_search", "jpeg quality")
    quality = page.locator(".dr-set-row[data-key=jpeg_quality]")
    expect(page.locator(ROWS)).to_have_count(1)
    page.fill("#set_jpeg_quality", "500")
    page.locator("#set_jpeg_quality").blur()
    expect(quality.get_by_role("alert")).to_contain_text("must lie between 1 and 100")
    page.fill("#set_jpeg_quality", "91")
    page.locator("#set_jpeg_quality").blur()
    expect(quality).to_have_attribute("data-changed", "true")
    expect(quality.get_by_role("alert")).to_be_hidden()
    quality.locator(".dr-set-pin").click()
    expect(page.locator("#bar_jpeg_quality")).to_have_value("91")

    page.reload()
    ready(page)
    expect(page.locator("#bar_jpeg_quality")).to_have_value("91")
    page.fill("#bar_jpeg_quality", "70")
    page.locator("#bar_jpeg_quality").blur()
    open_settings(page)
    page.locator("#dr_set_changed").check()
    expect(page.locator("#set_jpeg_quality")).to_have_value("70")
    quality.get_by_role("button", name="Back to the default").click()
    expect(quality).to_have_attribute("data-changed", "false")
    expect(page.locator("#bar_jpeg_quality")).to_have_value("80")
    page.locator(".dr-set-row[data-key=quicksettings_list]").get_by_role("button", name="Back to the default").click()
    expect(page.locator("#bar_jpeg_quality")).to_have_count(0)
    assert ask(real, "sdapi/v1/options")["jpeg_quality"] == 80

    page.locator(".dr-set-entry[data-page=Styles]").click()
    page.locator("[data-do=style-new]").click()
    page.fill(".dr-set-style [name=name]", "inked")
    page.fill(".dr-set-style [name=prompt]", "{prompt}, ink")
    page.locator("[data-do=style-keep]").click()
    expect(page.locator(".dr-set-list li")).to_have_text(["inked"])
    page.fill(".dr-set-style [name=prompt]", "{prompt}, ink, paper")
    page.locator("[data-do=style-keep]").click()
    expect(page.locator(".dr-set-undo")).to_contain_text("was changed")
    page.locator("[data-do=style-undo]").click()
    expect(page.locator(".dr-set-style [name=prompt]")).to_have_value("{prompt}, ink")
    page.locator("[data-do=style-delete]").click()
    expect(page.locator(".dr-set-list li")).to_have_count(0)
    page.locator("[data-do=style-undo]").click()
    expect(page.locator(".dr-set-list li")).to_have_text(["inked"])
    page.locator(".dr-set-list li button").click()
    page.locator("[data-do=style-delete]").click()
    expect(page.locator(".dr-set-list li")).to_have_count(0)
    assert ask(real, "sdapi/v1/prompt-styles") == []
