"""The style picture in a browser: dropped, sent and pasted; in the request that arrives, and back after a reload."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ready
from tests.browser.driving import all_jobs, generate, idle, set_number, type_prompt, wait_until
from tests.browser.servers import Server
from tests.browser.test_img2img import DROP, canvas, drop, picture

pytestmark = [pytest.mark.browser, pytest.mark.slow]
COLOUR = (200, 30, 90)


def open_style(page: Page, tab: str = "txt2img") -> None:
    page.locator(f"#{tab}_style > button.label-wrap").click()
    expect(canvas(page, f"{tab}_style").locator(".dr-canvas-stage")).to_be_visible()


def asked(page: Page, server: Server) -> dict[str, Any]:
    """Press Generate in txt2img; the request of the job that arrives."""
    before = len(all_jobs(server))
    generate(page)
    wait_until(lambda: len(all_jobs(server)) > before)
    return max(server.app.jobs.rows.values(), key=lambda job: job.number).request


def test_a_dropped_style_picture_is_in_the_request_and_survives_a_reload(stand_in: Server, open_page: Callable[..., Page]):
    page = open_page(stand_in)
    type_prompt(page, "a boat")
    assert asked(page, stand_in)["style_image"] is None
    idle(page)
    open_style(page)
    drop(page, "txt2img_style", picture(colour=COLOUR))
    set_number(page, "txt2img_style_strength", 0.8)
    request = asked(page, stand_in)
    assert (request["style_strength"], request["style_statistics"], request["style_adapter"]) == (0.8, 0.5, None)
    assert stand_in.app.inputs.open(request["style_image"]).getpixel((5, 5)) == COLOUR
    idle(page)
    page.reload()
    ready(page)
    fold = page.locator("#txt2img_style")
    expect(fold).to_have_attribute("data-changed", "on")
    open_style(page)
    expect(canvas(page, "txt2img_style").locator("canvas")).to_be_visible()
    assert asked(page, stand_in)["style_image"] == request["style_image"]
    idle(page)
    canvas(page, "txt2img_style").get_by_label("Remove the picture").click()
    expect(fold).not_to_have_attribute("data-changed", "on")
    assert asked(page, stand_in)["style_image"] is None
    idle(page)


def test_a_picture_is_sent_to_style_and_a_text_brings_its_own(stand_in: Server, open_page: Callable[..., Page]):
    page = open_page(stand_in)
    type_prompt(page, "a boat")
    asked(page, stand_in)
    idle(page)
    page.click("#txt2img_send_to_style")
    expect(page.locator("#txt2img_style")).to_have_attribute("data-changed", "on")
    expect(canvas(page, "txt2img_style").locator("canvas")).to_be_visible()
    reference = stand_in.app.inputs.put(picture(colour=COLOUR))
    text = f"a cat\nSteps: 3, Sampler: Euler a, CFG scale: 4, Seed: 5, Size: 64x64, Style image: {reference[6:]}, Style strength: 0.3"
    type_prompt(page, text)
    page.click("#txt2img_paste")
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a cat")
    request = asked(page, stand_in)
    assert (request["style_image"], request["style_strength"], request["steps"]) == (reference, 0.3, 3)
    idle(page)
    type_prompt(page, "a dog\nSteps: 3, Sampler: Euler a, CFG scale: 4, Seed: 5, Size: 64x64")
    page.click("#txt2img_paste")
    expect(canvas(page, "txt2img_style").locator("canvas")).to_be_hidden()
    assert asked(page, stand_in)["style_image"] is None
    idle(page)


def test_a_run_waits_for_the_picture_that_is_still_on_its_way(stand_in: Server, open_page: Callable[..., Page]):
    page = open_page(stand_in)
    page.locator("#tab_img2img-button").click()
    drop(page, "img2img")
    open_style(page, "img2img")
    before = len(all_jobs(stand_in))
    at_once = f"(stage, given) => {{ ({DROP})(stage, given); document.getElementById('img2img_generate').click(); }}"
    given = [base64.b64encode(picture(colour=COLOUR)).decode(), "style.png"]
    canvas(page, "img2img_style").locator(".dr-canvas-stage").evaluate(at_once, given)
    wait_until(lambda: len(all_jobs(stand_in)) > before)
    request = max(stand_in.app.jobs.rows.values(), key=lambda job: job.number).request
    assert stand_in.app.inputs.open(request["style_image"]).getpixel((5, 5)) == COLOUR
    assert stand_in.app.inputs.open(request["init_images"][0]).getpixel((5, 5)) == (40, 90, 160)
    idle(page)
