"""The Extras tab in Chromium over the real program: a picture in, Generate, the result beside it, after a reload too."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import ready
from tests.browser.driving import all_jobs, wait_until
from tests.browser.servers import Server
from tests.processing.pictures import PARAMETERS, data_of, noise, with_text
from tests.upscale.networks import tiny

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
SUB_TABS = {"batch": "Batch Process", "dir": "Batch from Directory"}


def extras(page: Page) -> Page:
    page.get_by_role("tab", name="Extras").click()
    expect(page.locator("#extras_image")).to_be_visible()
    return page


def drop(page: Page, selector: str, data: bytes, name: str) -> None:
    """A file let go over an element, as the system does it."""
    page.evaluate(
        """([selector, text, name]) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const files = new DataTransfer();
            files.items.add(new File([bytes], name, {type: "image/png"}));
            for (const type of ["dragenter", "dragover", "drop"])
                document.querySelector(selector).dispatchEvent(new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer: files}));
        }""",
        [selector, base64.b64encode(data).decode(), name],
    )


def paste(page: Page, data: bytes) -> None:
    page.evaluate(
        """(text) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const files = new DataTransfer();
            files.items.add(new File([bytes], "image.png", {type: "image/png"}));
            document.dispatchEvent(new ClipboardEvent("paste", {bubbles: true, cancelable: true, clipboardData: files}));
        }""",
        base64.b64encode(data).decode(),
    )


def is_shown(page: Page, width: int, height: int) -> None:
    """Until the picture on show has this size, in pixels."""
    expect(page.locator("#extras_gallery .dr-after")).to_be_visible()
    of = "document.querySelector('#extras_gallery .dr-after')"
    page.wait_for_function(f"{of}.naturalWidth === {width} && {of}.naturalHeight === {height}")


def made_over_the_api(server: Server, image: Image.Image) -> None:
    """The picture at twice its size, as a job that leaves its result in the cache."""
    body = json.dumps({"image": base64.b64encode(data_of(image)).decode(), "upscaler_1": "Nearest"}).encode()
    request = urllib.request.Request(f"{server.url}/sdapi/v1/extra-single-image", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["image"]


def test_a_dropped_picture_is_enlarged_and_stands_beside_the_old_one(real: Server, open_page: Open):
    tiny(real.data / "models" / "ESRGAN" / "2x-Tiny.safetensors")
    page = extras(open_page(real))
    drop(page, "#extras_image", with_text(noise(), parameters=PARAMETERS), "apple.png")
    expect(page.locator("#extras_image .dr-line")).to_contain_text("apple.png, 40 × 30")
    page.locator("#extras_upscaler_1 input").click()
    page.get_by_role("option", name="2x-Tiny").click()
    page.click("#extras_generate")
    is_shown(page, 80, 60)
    expect(page.locator("#html_info_extras")).to_contain_text("a red apple, 3d")
    expect(page.locator("#html_info_extras")).to_contain_text("Postprocess upscaler: 2x-Tiny")
    slider = page.get_by_label("How much of the picture before is shown")
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator("#extras_gallery .dr-slide").evaluate("b => b.style.getPropertyValue('--at')") == "0%"
    page.wait_for_function("document.querySelector('#extras_gallery .dr-before img').naturalWidth === 40")
    (path,) = (real.data / "outputs" / "extras-images").glob("*.png")
    assert path.name == "00000.png"

    page.reload()
    ready(page)
    extras(page)
    is_shown(page, 80, 60)
    expect(page.locator("#extras_image .dr-line")).to_contain_text("apple.png")
    expect(page.locator("#extras_upscaler_1 input")).to_have_value("2x-Tiny")


def test_other_tabs_send_pictures_and_the_clipboard_too(real: Server, open_page: Open):
    page = open_page(real, keeps=True)
    made_over_the_api(real, noise())
    job = next(job for job in all_jobs(real) if job["kind"] == "extras" and job["state"] == "done")
    assert page.evaluate("id => window.darkroom.sendPicture(`internal/pictures/${id}/0`, 'extras', '')", job["id"]) is True
    expect(page.locator("#extras_image .dr-line")).to_contain_text("80 × 60")
    paste(page, data_of(noise(50, 20)))
    expect(page.locator("#extras_image .dr-line")).to_contain_text("50 × 20")
    page.get_by_text("Scale to").click()
    expect(page.locator("#extras_upscaling_resize_w")).to_be_visible()
    expect(page.locator("#extras_upscaling_resize")).to_be_hidden()
    page.locator("#extras_image [data-do=extras-clear]").click()
    page.click("#extras_generate")
    expect(page.locator("#extras_message [role=alert]")).to_contain_text("a picture is needed")
    presets(page)


def presets(page: Page) -> None:
    """What was changed is kept under a name and taken over again; what was left as it was stays as it is."""
    page.locator("#extras_upscaling_resize_w input[type=number]").fill("96")
    page.keyboard.press("Tab")
    page.wait_for_function("darkroom.formOf('extras').upscaling_resize_w === 96")
    page.locator("#extras_generate").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys").locator("h3").first).to_have_text("Extras")  # those of the tab come first
    page.keyboard.press("Escape")
    page.click("#extras_presets button")
    dialog = page.get_by_role("dialog", name="Presets of Extras")
    dialog.get_by_label("Name of the preset").fill("Small")
    dialog.get_by_role("button", name="Keep").click()
    expect(dialog.locator(".dr-preset-said")).to_have_text("Small is kept.")
    page.keyboard.press("Escape")
    page.locator("#extras_resize_mode").get_by_text("Scale by").click()
    page.locator("#extras_upscaler_1 input").click()
    page.get_by_role("option", name="Nearest").click()
    page.wait_for_function("darkroom.formOf('extras').resize_mode === 'Scale by' && darkroom.formOf('extras').upscaler_1 === 'Nearest'")
    page.click("#extras_presets button")
    page.get_by_role("button", name="Small").click()
    expect(page.locator("#extras_upscaling_resize_w input[type=number]")).to_have_value("96")
    expect(page.locator("#extras_upscaler_1 input")).to_have_value("Nearest")
    page.wait_for_function("darkroom.formOf('extras').resize_mode === 'Scale to'")


def test_a_batch_and_a_folder_with_a_broken_file(real: Server, open_page: Open, tmp_path: Path):
    page = extras(open_page(real))
    page.get_by_role("tab", name=SUB_TABS["batch"]).click()
    files = [tmp_path / f"{n}.png" for n in range(2)]
    for n, file in enumerate(files):
        file.write_bytes(data_of(noise(30 + n, 30)))
    page.set_input_files("#extras_image_batch input[type=file]", [str(file) for file in files])
    expect(page.locator("#extras_image_batch li")).to_have_count(2)
    page.click("#extras_generate")
    expect(page.locator(".dr-extras-strip li")).to_have_count(2)
    is_shown(page, 60, 60)
    page.get_by_label("Result 2 of 2").click()
    is_shown(page, 62, 60)
    page.locator("#extras_upscaling_resize input[type=number]").fill("3")
    page.keyboard.press("Control+Enter")  # what is still being typed counts
    is_shown(page, 90, 90)  # the new results begin with their first picture
    page.get_by_label("Result 2 of 2").click()
    is_shown(page, 93, 90)
    place = real.data / "in"
    place.mkdir()
    (place / "good.png").write_bytes(data_of(noise()))
    (place / "bad.png").write_bytes(b"nothing")
    page.get_by_role("tab", name=SUB_TABS["dir"]).click()
    page.fill("#extras_batch_input_dir :is(input, textarea)", "in")
    before = len(all_jobs(real))
    page.click("#extras_generate")
    wait_until(lambda: len(all_jobs(real)) == before + 1)
    expect(page.locator("#extras_said")).to_contain_text("bad.png")
    expect(page.locator("#html_info_extras")).to_contain_text("good.png")
