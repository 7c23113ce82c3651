"""ControlNet units in a browser: a dropped picture, its map, a run with a model, what a reload and a pasted text bring back."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ready
from tests.browser.driving import all_jobs, generate, idle, set_number, set_seed, type_prompt, wait_until
from tests.browser.servers import Server
from tests.browser.test_img2img import DROP, drop

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MODEL = "darkroom-starter-canny"
CANNY, SD15 = "canny", "control_canny [aa11bb22]"


def shapes() -> bytes:
    """A picture with edges."""
    image = Image.new("RGB", (192, 128), (90, 140, 200))
    ImageDraw.Draw(image).ellipse((50, 20, 130, 100), fill=(220, 60, 40))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def part(page: Page, name: str, n: int = 0, tab: str = "txt2img") -> Locator:
    """A piece of a unit, by the well-known extension's id."""
    return page.locator(f"#{tab}_controlnet_ControlNet-{n}_{name}")


def choose(page: Page, name: str, value: str, n: int = 0) -> None:
    part(page, f"controlnet_{name}", n).locator("select").select_option(value)


def chosen(page: Page, name: str, n: int = 0) -> str:
    return part(page, f"controlnet_{name}", n).locator("select").input_value()


def open_units(page: Page, tab: str = "txt2img") -> None:
    page.locator(f"#{tab}_controlnet > button.label-wrap").click()
    expect(part(page, "input_image", tab=tab).locator(".dr-canvas-stage")).to_be_visible()


def drop_on(page: Page, where: Locator, data: bytes) -> None:
    """A file onto a unit's canvas, until it is on the server."""
    with page.expect_response(lambda answer: answer.url.endswith("/internal/inputs") and answer.ok):
        where.locator(".dr-canvas-stage").evaluate(DROP, [base64.b64encode(data).decode(), "shapes.png"])


def paint(page: Page, canvas: Locator) -> None:
    """A stroke over the middle."""
    expect(canvas).to_be_visible()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box() or {"x": 0, "y": 0, "width": 0, "height": 0}
    page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.5, steps=3)
    page.mouse.up()


def asked(page: Page, server: Server) -> list[dict[str, Any]]:
    """Press Generate in txt2img; the units of the job that arrives."""
    before = len(all_jobs(server))
    generate(page)
    wait_until(lambda: len(all_jobs(server)) > before)
    idle(page)
    return max(server.app.jobs.rows.values(), key=lambda job: job.number).request["control_units"]


def test_a_picture_steers_a_run_and_the_map_stands_behind_the_result(real: Server, open_page: Callable[..., Page]):
    page = open_page(real)
    open_units(page)
    fold = page.locator("#txt2img_controlnet")
    drop_on(page, part(page, "input_image"), shapes())
    expect(fold).to_have_attribute("data-changed", "1 unit on")
    choose(page, "type_filter_radio", "Canny")
    assert chosen(page, "preprocessor_dropdown") == CANNY
    assert chosen(page, "model_dropdown").startswith(MODEL)
    set_number(page, "txt2img_controlnet_ControlNet-0_controlnet_preprocessor_resolution_slider", 128)
    part(page, "controlnet_trigger_preprocessor").click()
    expect(page.locator(".dr-map figcaption")).to_contain_text("canny, 192×128")
    part(page, "controlnet_threshold_A_slider").locator("input[type=number]").fill("40")
    part(page, "controlnet_threshold_A_slider").locator("input[type=number]").blur()
    expect(page.locator(".dr-map figcaption")).to_contain_text("before the last change")
    type_prompt(page, "a red apple, 3d")
    set_number(page, "txt2img_steps", 2)
    set_seed(page, 1)
    generate(page)
    idle(page)
    thumbnails = page.locator("#txt2img_gallery .grid-wrap .thumbnail-item")
    expect(thumbnails).to_have_count(2)
    card = page.locator("#html_info_txt2img .dr-card:not([hidden])")
    expect(card).to_contain_text("ControlNet 0")
    expect(page.locator("#txt2img_send_to_img2img")).to_be_visible()
    page.locator("#txt2img_gallery .thumbnails .thumbnail-item").nth(1).click()
    expect(card).to_contain_text("Detected map")
    expect(page.locator("#txt2img_send_to_img2img")).to_be_hidden()
    expect(page.locator("#txt2img_send_to_controlnet")).to_be_visible()
    page.reload()
    ready(page)
    expect(fold).to_have_attribute("data-changed", "1 unit on")
    open_units(page)
    expect(part(page, "input_image").locator("canvas")).to_be_visible()
    expect(part(page, "controlnet_threshold_A_slider").locator("input[type=number]")).to_have_value("40")
    assert chosen(page, "model_dropdown").startswith(MODEL)


def test_units_reach_the_request_and_come_back_from_a_text_but_for_the_picture(stand_in: Server, open_page: Callable[..., Page]):
    page = open_page(stand_in)
    type_prompt(page, "a boat")
    set_number(page, "txt2img_steps", 2)
    open_units(page)
    other = part(page, "controlnet_model_dropdown").locator("option[disabled]")
    expect(other).to_have_text("control_depth_xl (Stable Diffusion XL)")
    drop_on(page, part(page, "input_image"), shapes())
    choose(page, "type_filter_radio", "Canny")
    part(page, "controlnet_mask_upload_checkbox").locator("input").check()
    upload = part(page, "mask_upload")
    paint(page, upload.locator("canvas"))
    for key, name in (("Control+z", "redo"), ("Control+y", "undo")):  # the stroke is taken back, then drawn again
        page.keyboard.press(key)
        expect(upload.locator(f"[data-does={name}]")).to_be_enabled()
    for key, name in (("e", "erase"), ("b", "brush")):
        page.keyboard.press(key)
        expect(upload.locator(f"[data-does={name}]")).to_have_attribute("aria-pressed", "true")
    [unit] = asked(page, stand_in)
    mask = stand_in.app.inputs.open(unit["mask"]).convert("RGB")
    assert (mask.size, mask.getpixel((96, 64)), mask.getpixel((5, 5))) == ((192, 128), (255, 255, 255), (0, 0, 0))
    assert (unit["module"], unit["model"], unit["enabled"]) == (CANNY, SD15, True)
    assert stand_in.app.inputs.open(unit["image"]).size == (192, 128)
    page.locator("#txt2img_controlnet_ControlNet-0_tab").press("ArrowRight")
    expect(part(page, "panel", 1)).to_be_visible()
    part(page, "controlnet_enable_checkbox", 1).locator("input").check()
    expect(page.locator("#txt2img_controlnet")).to_have_attribute("data-changed", "2 units on")
    told = (
        "Module: tile_resample, Model: union_sd15, Weight: 0.4, Resize Mode: Just Resize, Processor Res: 512, Threshold A: 2.0, "
        "Threshold B: 0.5, Guidance Start: 0.1, Guidance End: 0.9, Pixel Perfect: False, Control Mode: My prompt is more important"
    )
    text = f'a cat\nSteps: 3, Sampler: Euler a, CFG scale: 4, Seed: 5, Size: 64x64, ControlNet 0: "{told}"'
    type_prompt(page, text)
    page.click("#txt2img_paste")
    expect(page.locator("#txt2img_controlnet")).to_have_attribute("data-changed", "1 unit on")
    page.locator("#txt2img_controlnet_ControlNet-0_tab").click()
    expect(part(page, "controlnet_control_weight_slider").locator("input[type=number]")).to_have_value("0.4")
    expect(part(page, "controlnet_threshold_A_slider")).to_contain_text("Down Sampling Rate")
    expect(part(page, "controlnet_union_control_type_dropdown")).to_be_visible()
    [again] = asked(page, stand_in)
    assert (again["module"], again["model"], again["weight"], again["resize_mode"]) == ("tile_resample", "union_sd15", 0.4, "Just Resize")
    assert (again["image"], again["mask"]) == (unit["image"], unit["mask"])
    part(page, "input_image").get_by_label("Remove the picture").click()
    part(page, "controlnet_enable_checkbox").locator("input").uncheck()
    expect(page.locator("#txt2img_controlnet")).not_to_have_attribute("data-changed", "1 unit on")
    assert asked(page, stand_in) == []


def test_a_unit_goes_through_several_pictures(stand_in: Server, open_page: Callable[..., Page], tmp_path: Path):
    page = open_page(stand_in)
    type_prompt(page, "three boats")
    set_number(page, "txt2img_steps", 2)
    open_units(page)
    files = [tmp_path / f"{n}.png" for n in (10, 9, 1)]
    for n, file in enumerate(files):
        Image.new("RGB", (64, 48), (80 * n, 40, 40)).save(file)
    part(page, "panel").get_by_label("Pictures of the unit's batch").set_input_files(files)
    expect(part(page, "batch")).to_have_text("3 pictures, a run each: 1.png, 9.png, 10.png")
    rows = stand_in.app.jobs.rows
    before = set(rows)
    generate(page)
    wait_until(lambda: len(rows) == len(before) + 3)
    idle(page)
    made = sorted((job for key, job in rows.items() if key not in before), key=lambda job: job.number)
    shown = [stand_in.app.inputs.open(job.request["control_units"][0]["image"]).convert("RGB").getpixel((5, 5))[0] for job in made]
    assert shown == [160, 80, 0]
    assert len({job.request["seed"] for job in made}) == 1
    expect(page.locator("#txt2img_gallery .grid-wrap .thumbnail-item")).to_have_count(3)
    part(page, "batch_clear").click()
    expect(part(page, "batch")).to_be_hidden()


def test_img2img_has_units_of_its_own_and_a_phone_has_room_for_them(stand_in: Server, open_page: Callable[..., Page]):
    page = open_page(stand_in, viewport={"width": 390, "height": 844})
    page.locator("#tab_img2img-button").click()
    drop(page, "img2img")
    open_units(page, "img2img")
    at_once = f"(stage, given) => {{ ({DROP})(stage, given); document.getElementById('img2img_generate').click(); }}"
    before = len(all_jobs(stand_in))
    stage = part(page, "input_image", tab="img2img").locator(".dr-canvas-stage")
    stage.evaluate(at_once, [base64.b64encode(shapes()).decode(), "shapes.png"])
    wait_until(lambda: len(all_jobs(stand_in)) > before)
    request = max(stand_in.app.jobs.rows.values(), key=lambda job: job.number).request
    assert stand_in.app.inputs.open(request["init_images"][0]).getpixel((5, 5)) == (40, 90, 160)
    assert [stand_in.app.inputs.open(unit["image"]).getpixel((5, 5)) for unit in request["control_units"]] == [(90, 140, 200)]
    expect(part(page, "controlnet_hr_option_radio", tab="img2img")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    idle(page)
