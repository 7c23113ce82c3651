"""Outpainting and override settings on the page, up to the request that arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ready
from tests.browser.driving import idle, set_number
from tests.browser.servers import Server
from tests.browser.test_img2img import asked, drop, open_tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TEXT = (
    "a boat\nSteps: 5, Sampler: Euler, CFG scale: 4, Seed: 3, Size: 64x64, RNG: CPU, Clip skip: 2, VAE: soft.safetensors, Version: v1.10.1"
)


@pytest.fixture
def page(stand_in: Server, open_page: Callable[..., Page]) -> Iterator[Page]:
    page = open_page(stand_in)
    yield page
    page.evaluate("localStorage.clear()")


def test_outpainting_with_and_without_a_mask(page: Page, stand_in: Server):
    open_tab(page, "img2img")
    drop(page, "img2img")
    part = page.locator("#img2img_outpaint")
    expect(page.locator("#img2img_outpaint_left")).to_be_hidden()
    part.get_by_label("Outpaint", exact=True).check()
    expect(page.locator("#img2img_outpaint_finalres")).to_have_text("no side grows yet")
    set_number(page, "img2img_outpaint_left", 64)
    set_number(page, "img2img_outpaint_down", 40)
    expect(page.locator("#img2img_outpaint_finalres")).to_have_text("300×200 → 364×240")
    part.get_by_label("matched noise").check()
    request = asked(page, stand_in)
    sides = [request[f"outpaint_{side}"] for side in ("left", "right", "up", "down")]
    assert (sides, request["outpaint_begin"], request["outpaint_overlap"], request["mask"]) == ([64, 0, 0, 40], "matched noise", 16, None)
    idle(page)
    open_tab(page, "Inpaint")
    drop(page, "inpaint")
    request = asked(page, stand_in)  # nothing is painted over, and nothing needs to be
    assert (request["outpaint_left"], request["mask"]) == (64, None)
    idle(page)
    part.get_by_label("Outpaint", exact=True).uncheck()
    expect(page.locator("#img2img_outpaint_finalres")).to_have_text("")
    page.click("#img2img_generate")
    expect(page.locator("#img2img_message")).to_contain_text("nothing is painted yet")


def test_settings_of_a_pasted_text_can_be_seen_and_taken_away(page: Page, stand_in: Server):
    box = page.locator("#txt2img_override_settings")
    expect(box).to_be_hidden()
    page.fill("#txt2img_prompt textarea", TEXT)
    page.click("#txt2img_paste")
    expect(box.locator(".token")).to_have_count(2)
    expect(box).to_contain_text("Clip skip: 2")
    box.locator(".token", has_text="VAE: soft.safetensors").locator(".token-remove").click()
    expect(box.locator(".token")).to_have_count(1)
    page.click("#txt2img_generate")
    idle(page)
    newest = max(stand_in.app.jobs.rows.values(), key=lambda job: job.number)
    assert newest.request["override_settings"]["CLIP_stop_at_last_layers"] == 2
    assert "sd_vae" not in newest.request["override_settings"]
    page.reload()
    ready(page)
    expect(box).to_contain_text("Clip skip: 2")
