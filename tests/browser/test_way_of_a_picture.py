"""The whole way with the real program: from a prompt to a picture, over a reload, into PNG Info and back to the same pixels."""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import ready
from tests.browser.driving import (
    all_jobs,
    ask,
    generate,
    idle,
    set_number,
    set_seed,
    shown_infotext,
    type_prompt,
    wait_for_text,
    wait_until,
)
from tests.browser.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.slow]


def pixels(address: str) -> bytes:
    """The picture at an address, decoded."""
    with urllib.request.urlopen(address, timeout=20) as answer:
        return Image.open(io.BytesIO(answer.read())).convert("RGB").tobytes()


def large_picture(page: Page) -> str:
    """Address of the picture on show."""
    image = page.locator("#txt2img_gallery [data-testid=detailed-image]")
    expect(image).to_be_visible()
    return str(image.evaluate("e => e.src"))


def test_from_prompt_to_picture_and_back(real: Server, open_page: Callable[..., Page]):
    page = open_page(real)
    expect(page.get_by_text("Type a prompt and press Generate")).to_be_visible()
    assert page.locator("#txt2img_width input[type=number]").input_value() == "128"
    type_prompt(page, "a red apple, 3d")
    set_number(page, "txt2img_steps", 30)
    set_number(page, "txt2img_batch_count", 2)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#txt2img_live")).to_be_visible(timeout=120_000)
    assert str(page.locator("#txt2img_live").get_attribute("src")).startswith("data:image/jpeg")
    expect(page.locator("#txt2img_progress .dr-what")).to_contain_text("Step")
    assert "%" in page.title()

    page.reload(wait_until="domcontentloaded")  # in the middle of the run
    ready(page)
    assert page.input_value("#txt2img_prompt textarea") == "a red apple, 3d"
    wait_for_text(page, "a red apple, 3d")
    idle(page)
    assert page.title() == "Darkroom"
    assert page.locator("#txt2img_gallery .grid-wrap .thumbnail-item").count() == 3  # the grid and two pictures

    page.locator("#txt2img_gallery .thumbnails .thumbnail-item").nth(1).click()
    expect(page.locator("#html_info_txt2img .dr-card:not([hidden])")).to_have_attribute("data-n", "1")
    first, text = pixels(large_picture(page)), shown_infotext(page)
    own = picture_files(real)[-2]  # the first of the two that this job made
    assert "Steps: 30" in text
    page.click("[data-do=send-png-info]")
    expect(page.locator("#pnginfo_parameters")).to_have_text(text)

    page.reload(wait_until="domcontentloaded")
    ready(page)
    page.get_by_role("tab", name="PNG Info").click()
    page.locator("#pnginfo_image input[type=file]").set_input_files(own)
    expect(page.locator("#pnginfo_parameters")).to_contain_text("a red apple, 3d")
    page.get_by_role("tab", name="txt2img").click()
    set_number(page, "txt2img_steps", 3)
    set_number(page, "txt2img_batch_count", 1)
    type_prompt(page, "something else")
    page.get_by_role("tab", name="PNG Info").click()
    page.get_by_role("button", name="Send to txt2img").click()
    expect(page.locator("#txt2img_prompt textarea")).to_be_visible()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a red apple, 3d")
    expect(page.locator("#txt2img_steps input[type=number]")).to_have_value("30")
    before = len(all_jobs(real))
    generate(page)
    wait_until(lambda: len(all_jobs(real)) == before + 1)
    idle(page)
    expect(page.locator("#txt2img_gallery .grid-wrap .thumbnail-item")).to_have_count(1)
    assert pixels(large_picture(page)) == first
    assert shown_infotext(page) == text


def picture_files(server: Server) -> list[Path]:
    """The saved pictures, oldest first; no grids."""
    return sorted((server.data / "outputs" / "txt2img-images").rglob("*.png"))


def test_three_jobs_of_one_page_wait_in_a_row(real: Server, open_page: Callable[..., Page]):
    page = open_page(real)
    type_prompt(page, "a happy cat on a blue background")
    set_number(page, "txt2img_steps", 60)
    before = len(all_jobs(real))
    for seed in ("101", "102", "103"):
        set_seed(page, seed)
        generate(page)
    wait_until(lambda: len(all_jobs(real)) == before + 3)
    expect(page.locator("#dr_queue")).to_be_visible()
    page.locator("#dr_queue summary").click()
    third = max(job["number"] for job in all_jobs(real))
    page.get_by_role("button", name=f"Cancel job {third}").click()
    wait_for_text(page, "Seed: 102")
    idle(page)
    newest = [job for job in all_jobs(real) if job["prompt"].startswith("a happy cat")][:3]
    assert sorted(job["state"] for job in newest) == ["canceled", "done", "done"]
    expect(page.locator("#dr_queue")).to_be_hidden()


def test_interrupt_keeps_what_is_there(real: Server, open_page: Callable[..., Page]):
    page = open_page(real)
    type_prompt(page, "a car on a yellow background")
    set_number(page, "txt2img_steps", 150)
    generate(page)
    expect(page.locator("#txt2img_progress .dr-what")).to_contain_text("Step")
    page.keyboard.press("Escape")
    idle(page)
    expect(page.locator("#txt2img_message")).to_contain_text("Stopped")
    (job,) = [job for job in all_jobs(real) if job["prompt"].startswith("a car")][:1]
    assert job["state"] == "canceled"


def test_the_server_process_has_no_torch(real: Server):
    """What the web process has loaded, asked of the running process through its open files (Linux)."""
    worker = ask(real, "internal/jobs")["worker"]["pid"]
    maps = Path(f"/proc/{worker}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    assert "libtorch" in maps.read_text(), "the probe sees torch in the worker"
    parent = int(next(line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("PPid")).split()[1])
    assert "libtorch" not in Path(f"/proc/{parent}/maps").read_text()
