"""What becomes of a form: other devices, two tabs, back to what was sent, one control as it began, presets, pictures without end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ready
from tests.browser.driving import ask, generate, idle, set_number, type_prompt, wait_for_text, wait_until
from tests.browser.servers import Server

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
PROMPT = "#txt2img_prompt textarea"
STEPS = "#txt2img_steps input[type=number]"


def kept(server: Server) -> dict[str, Any]:
    """What the server has of txt2img."""
    return ask(server, "internal/form")["forms"].get("txt2img", {}).get("values", {})


def chosen(page: Page, words: str) -> None:
    """A line of the menu beside Generate."""
    page.locator("#txt2img_menu").click()
    page.get_by_role("menu").get_by_text(words, exact=True).click()


def test_each_tab_keeps_its_own_and_a_later_one_gets_the_newest(stand_in: Server, open_page: Open):
    first = open_page(stand_in, keeps=True)
    second = open_page(stand_in, context=first.context, keeps=True)
    type_prompt(first, "of the first tab")
    wait_until(lambda: kept(stand_in).get("prompt") == "of the first tab")
    type_prompt(second, "of the second tab")
    set_number(second, "txt2img_steps", 31)
    wait_until(lambda: (kept(stand_in).get("prompt"), kept(stand_in).get("steps")) == ("of the second tab", 31))
    assert first.input_value(PROMPT) == "of the first tab"
    first.reload(wait_until="domcontentloaded")
    ready(first)
    expect(first.locator(PROMPT)).to_have_value("of the first tab")
    assert kept(stand_in)["prompt"] == "of the second tab"  # a form that was only restored goes before nothing
    device = open_page(stand_in, keeps=True)  # a context of its own: nothing in its storage
    expect(device.locator(PROMPT)).to_have_value("of the second tab")
    expect(device.locator(STEPS)).to_have_value("31")
    type_prompt(device, "typed on the phone")
    wait_until(lambda: kept(stand_in).get("prompt") == "typed on the phone")
    third = open_page(stand_in, context=first.context, keeps=True)  # its browser has an older one
    expect(third.locator(PROMPT)).to_have_value("typed on the phone")


def test_back_to_what_was_sent_and_a_control_as_it_began(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    type_prompt(page, "sent first")
    generate(page)
    wait_for_text(page, "sent first")
    idle(page)
    type_prompt(page, "edited afterwards")
    set_number(page, "txt2img_steps", 33)
    page.wait_for_function("darkroom.formOf('txt2img').steps === 33")
    page.keyboard.press("Control+Alt+z")
    expect(page.locator(PROMPT)).to_have_value("sent first")
    expect(page.locator(STEPS)).to_have_value("20")
    page.wait_for_function("darkroom.formOf('txt2img').steps === 20 && darkroom.formOf('txt2img').prompt === 'sent first'")
    page.keyboard.press("Control+Alt+y")
    expect(page.locator(PROMPT)).to_have_value("edited afterwards")
    expect(page.locator(STEPS)).to_have_value("33")
    page.wait_for_function("darkroom.formOf('txt2img').steps === 33")
    page.locator("#txt2img_steps [data-testid=block-info]").click(button="right")
    page.get_by_role("menuitem", name="Sampling steps: back to 20").click()
    expect(page.locator(STEPS)).to_have_value("20")
    expect(page.locator(PROMPT)).to_have_value("edited afterwards")
    chosen(page, "The whole form as at first")
    expect(page.locator(PROMPT)).to_have_value("")


def test_a_preset_is_kept_taken_over_renamed_and_deleted(stand_in: Server, open_page: Open):
    page = open_page(stand_in, keeps=True)
    set_number(page, "txt2img_steps", 9)
    type_prompt(page, "not part of it")
    page.wait_for_function("darkroom.formOf('txt2img').steps === 9 && darkroom.formOf('txt2img').prompt")
    chosen(page, "Presets…")
    dialog = page.get_by_role("dialog", name="Presets of txt2img")
    dialog.get_by_label("Name of the preset").fill("Quick")
    dialog.locator("summary").click()
    dialog.get_by_label("Prompt", exact=False).first.uncheck()
    dialog.get_by_role("button", name="Keep").click()
    expect(dialog.locator(".dr-preset-said")).to_have_text("Quick is kept.")
    dialog.get_by_role("button", name="Rename").click()
    dialog.get_by_label("New name").fill("Quicker")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Quicker")).to_be_visible()
    page.keyboard.press("Escape")

    device = open_page(stand_in, keeps=True)
    set_number(device, "txt2img_steps", 40)
    type_prompt(device, "stays")
    device.wait_for_function("darkroom.formOf('txt2img').steps === 40 && darkroom.formOf('txt2img').prompt === 'stays'")
    chosen(device, "Presets…")
    device.get_by_role("button", name="Quicker").click()
    expect(device.locator(STEPS)).to_have_value("9")
    expect(device.locator(PROMPT)).to_have_value("stays")
    chosen(device, "Presets…")
    device.get_by_role("button", name="Delete").click()
    device.get_by_role("button", name="Delete").click()
    expect(device.locator(".dr-presets-none")).to_be_visible()
    assert ask(stand_in, "internal/form")["presets"] == {"txt2img": []}


def test_pictures_without_end_until_they_are_stopped(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    type_prompt(page, "for ever")
    set_number(page, "txt2img_steps", 2)
    page.locator("#txt2img_generate").click(button="right")
    page.get_by_role("menuitem", name="Generate forever").click()
    made = lambda: [job for job in stand_in.app.jobs.rows.values() if job.request["prompt"] == "for ever"]  # noqa: E731
    wait_until(lambda: len(made()) >= 3)
    page.locator("#txt2img_generate").click(button="right")
    page.get_by_role("menuitem", name="Stop generating forever").click()
    expect(page.locator("#txt2img_generate")).not_to_have_attribute("data-endless", "")
    type_prompt(page, "the last one")  # one that was asked for before may still come
    generate(page)
    last = lambda: [job for job in stand_in.app.jobs.rows.values() if job.request["prompt"] == "the last one"]  # noqa: E731
    wait_until(last)
    idle(page)
    assert len(last()) == 1
    assert page.evaluate("darkroom.endless()") == ""
