"""A newcomer's way with the real program and the starter model: from the tour to a picture that is found again after a restart."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.driving import RESULT_MS, generate, idle, set_number, set_seed, wait_for_text
from tests.browser.servers import real_server

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.slow]
STEPS = 3
WORDS = "a red apple, 3d"


def painted(page: Page) -> None:
    """A stroke across the picture on the canvas."""
    canvas = page.locator(".dr-canvas[data-canvas=inpaint]")
    expect(canvas.locator(".dr-canvas-bar")).to_be_visible()
    expect(canvas.locator(".dr-canvas-state")).to_be_hidden()
    canvas.locator("canvas").scroll_into_view_if_needed()
    box = canvas.locator("canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2, steps=6)
    page.mouse.up()


def toured(page: Page) -> None:
    """The five steps; the first one writes a prompt."""
    page.locator("#txt2img_empty").get_by_role("button", name="Take the tour").click()
    for step in range(1, 6):
        card = page.get_by_role("dialog", name=f"Tour, step {step} of 5")
        expect(card).to_be_visible()
        card.get_by_role("button", name="Next" if step < 5 else "Done").click()
    expect(page.locator("#dr_tour")).to_have_count(0)
    expect(page.locator("#txt2img_prompt textarea")).to_have_value(WORDS)


def test_from_the_tour_to_a_picture_found_again(tmp_path: Path, open_page: Callable[..., Page]):
    with real_server(tmp_path / "data") as server:
        page = open_page(server, keeps=True)
        toured(page)
        set_number(page, "txt2img_steps", STEPS)
        set_seed(page, 7)
        generate(page)
        wait_for_text(page, WORDS)
        idle(page)
        expect(page.locator("#txt2img_estimate")).to_contain_text(re.compile(r"Took .+ of memory at most"))

        page.click("#txt2img_send_to_style")
        expect(page.locator("#txt2img_style")).to_have_attribute("data-changed", "on")
        generate(page)
        wait_for_text(page, "Style image")
        idle(page)

        page.click("#txt2img_send_to_inpaint")
        expect(page.locator("#img2img_prompt textarea")).to_have_value(WORDS)
        painted(page)
        page.fill("#img2img_prompt textarea", "a happy cat on a blue background")
        page.click("#img2img_generate")
        expect(page.locator("#html_info_img2img .dr-infotext").first).to_contain_text("a happy cat", timeout=RESULT_MS)
        idle(page)

        page.click("#img2img_send_to_caption")
        card = page.locator(".dr-cap-card[data-state=done]")
        expect(card).to_have_count(1, timeout=RESULT_MS)
        assert len(card.locator(".dr-cap-word").all()) >= 3

        page.get_by_role("tab", name="img2img", exact=True).first.click()
        page.click("#img2img_send_to_extras")
        expect(page.locator("#extras_image .dr-line")).to_contain_text("128 × 128")
        page.locator("#extras_upscaler_1 input").click()
        page.get_by_role("option", name="Lanczos").click()
        page.click("#extras_generate")
        page.wait_for_function("document.querySelector('#extras_gallery .dr-after')?.naturalWidth === 256", timeout=RESULT_MS)
        page.context.close()

    with real_server(tmp_path / "data") as server:
        page = open_page(server, keeps=True)  # another browser: what it shows is the server's
        expect(page.locator("#txt2img_prompt textarea")).to_have_value(WORDS)
        expect(page.locator("#txt2img_steps input[type=number]")).to_have_value(str(STEPS))
        expect(page.locator("#txt2img_empty .dr-first")).to_be_hidden()
        page.get_by_role("tab", name="History", exact=True).click()
        page.fill("#dr_history_search", "happy cat")
        page.locator(".dr-picture").first.click()
        panel = page.locator(".dr-history-panel")
        expect(panel.locator(".dr-history-prompt").first).to_contain_text("a happy cat")
        panel.get_by_role("button", name="txt2img", exact=True).click()
        expect(page.locator("#txt2img_prompt textarea")).to_have_value("a happy cat on a blue background")
