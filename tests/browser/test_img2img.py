"""The img2img tab in a browser: every sub-tab with a dropped picture and a drawn mask, up to the request that arrives; the canvas by
mouse, touch and keys; what a reload brings back; the parts of the form that unfold."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.conftest import ready
from tests.browser.driving import all_jobs, generate, idle, set_number, set_seed, shown_infotext, type_prompt, wait_until
from tests.browser.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WIDTH, HEIGHT = 300, 200
DROP = """(stage, [base, name]) => {
  const bytes = Uint8Array.from(atob(base), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type: "image/png" }));
  const options = { dataTransfer: data, bubbles: true, cancelable: true };
  for (const kind of ["dragenter", "dragover", "drop"]) stage.dispatchEvent(new DragEvent(kind, options));
}"""


def picture(width: int = WIDTH, height: int = HEIGHT, colour: tuple[int, int, int] = (40, 90, 160)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def open_tab(page: Page, mode: str) -> None:
    """A sub-tab of img2img."""
    page.locator("#tab_img2img-button").click()
    page.locator("#mode_img2img").get_by_role("tab", name=mode, exact=True).click()


def canvas(page: Page, name: str) -> Locator:
    return page.locator(f".dr-canvas[data-canvas={name}]")


def drop(page: Page, name: str, data: bytes | None = None) -> None:
    """A file onto a canvas, as from the desktop; until it is on the server."""
    stage = canvas(page, name).locator(".dr-canvas-stage")
    expect(stage).to_be_visible()
    with page.expect_response(lambda answer: answer.url.endswith("/internal/inputs") and answer.ok):
        stage.evaluate(DROP, [base64.b64encode(data or picture()).decode(), "picture.png"])
    expect(canvas(page, name).locator(".dr-canvas-bar")).to_be_visible()
    expect(canvas(page, name).locator(".dr-canvas-state")).to_be_hidden()


def box_of(page: Page, name: str) -> dict[str, float]:
    found = canvas(page, name).locator("canvas")
    found.scroll_into_view_if_needed()
    box = found.bounding_box()
    assert box is not None
    return dict(box)


def draw(page: Page, name: str, start: tuple[float, float] = (0.4, 0.5), end: tuple[float, float] = (0.6, 0.5)) -> None:
    """A stroke between two places of the canvas, given in shares of it."""
    box = box_of(page, name)
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=6)
    page.mouse.up()


def asked(page: Page, server: Server) -> dict[str, Any]:
    """Press Generate; the request of the job that arrives."""
    before = len(all_jobs(server))
    page.click("#img2img_generate")
    wait_until(lambda: len(all_jobs(server)) > before)
    newest = max(server.app.jobs.rows.values(), key=lambda job: job.number)
    return newest.request


def opened(server: Server, reference: str) -> Image.Image:
    return server.app.inputs.open(reference)


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for all tests here, as its cache makes a page open faster; every test leaves it without memory."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(stand_in: Server, open_page: Callable[..., Page], context: BrowserContext) -> Iterator[Page]:
    page = open_page(stand_in, context=context)
    yield page
    page.evaluate("localStorage.clear()")
    page.close()


def test_img2img_with_a_dropped_picture(page: Page, stand_in: Server):
    open_tab(page, "img2img")
    drop(page, "img2img")
    page.fill("#img2img_prompt textarea", "a boat")
    page.click("#img2img_detect_image_size_btn")
    expect(page.locator("#img2img_width input[type=number]")).to_have_value("304")
    set_number(page, "img2img_denoising_strength", 0.5)
    page.get_by_label("Crop and resize").check()
    request = asked(page, stand_in)
    assert (request["prompt"], request["denoising_strength"], request["resize_mode"]) == ("a boat", 0.5, 1)
    assert (request["width"], request["height"], request["mask"], request["scale_by"]) == (304, 200, None, None)
    assert opened(stand_in, request["init_images"][0]).size == (WIDTH, HEIGHT)
    idle(page)
    expect(page.locator("#img2img_gallery .grid-wrap .thumbnail-item")).to_have_count(1)
    expect(page.locator("#html_info_img2img .dr-infotext")).to_contain_text("a boat")


def test_inpaint_with_a_drawn_mask(page: Page, stand_in: Server):
    open_tab(page, "Inpaint")
    page.click("#img2img_generate")
    expect(page.locator("#img2img_message")).to_contain_text("drop one on the canvas")
    drop(page, "inpaint")
    page.click("#img2img_generate")
    expect(page.locator("#img2img_message")).to_contain_text("nothing is painted yet")
    draw(page, "inpaint")
    page.get_by_label("Only masked", exact=True).check()
    page.locator("#img2img_inpainting_fill").get_by_label("latent noise").check()
    set_number(page, "img2img_mask_blur", 8)
    request = asked(page, stand_in)
    assert (request["inpaint_full_res"], request["inpainting_fill"], request["mask_blur_x"], request["mask_blur_y"]) == (True, 2, 8, 8)
    mask = opened(stand_in, request["mask"]).convert("L")
    assert mask.size == (WIDTH, HEIGHT)
    assert (mask.getpixel((150, 100)), mask.getpixel((10, 10)), mask.getpixel((290, 190))) == (255, 0, 0)
    assert opened(stand_in, request["init_images"][0]).getpixel((150, 100)) == (40, 90, 160)


def test_sketch_and_inpaint_sketch(page: Page, stand_in: Server):
    open_tab(page, "Sketch")
    expect(page.locator("#img2img_inpaint_controls")).to_be_hidden()
    drop(page, "sketch")
    canvas(page, "sketch").locator("input[type=color]").fill("#00ff00")
    draw(page, "sketch")
    request = asked(page, stand_in)
    begin = opened(stand_in, request["init_images"][0])
    assert (begin.getpixel((150, 100)), begin.getpixel((10, 10)), request["mask"]) == ((0, 255, 0), (40, 90, 160), None)
    open_tab(page, "Inpaint sketch")
    expect(page.locator("#img2img_mask_alpha")).to_be_visible()
    drop(page, "inpaint_sketch")
    draw(page, "inpaint_sketch")
    set_number(page, "img2img_mask_alpha", 20)
    request = asked(page, stand_in)
    mask = opened(stand_in, request["mask"]).convert("L")
    assert (mask.getpixel((150, 100)), mask.getpixel((10, 10))) == (204, 0)
    assert opened(stand_in, request["init_images"][0]).getpixel((150, 100)) != (40, 90, 160)


def test_inpaint_upload(page: Page, stand_in: Server):
    open_tab(page, "Inpaint upload")
    drop(page, "inpaint_upload")
    drop(page, "inpaint_mask", picture(WIDTH, HEIGHT, (255, 255, 255)))
    request = asked(page, stand_in)
    assert opened(stand_in, request["mask"]).convert("L").getpixel((5, 5)) == 255
    assert opened(stand_in, request["init_images"][0]).getpixel((5, 5)) == (40, 90, 160)


def test_batch_of_uploads_and_of_a_folder(page: Page, stand_in: Server, tmp_path: Path):
    files = [tmp_path / f"p{n}.png" for n in range(3)]
    for n, file in enumerate(files):
        file.write_bytes(picture(60 + n, 60))
    open_tab(page, "Batch")
    page.set_input_files(".dr-uploads input[type=file]", files)
    expect(page.locator(".dr-uploads-state")).to_have_text("3 pictures")
    set_number(page, "img2img_steps", 2)
    before = len(all_jobs(stand_in))
    page.click("#img2img_generate")
    wait_until(lambda: len(all_jobs(stand_in)) == before + 3)
    idle(page)
    expect(page.locator("#img2img_gallery .grid-wrap .thumbnail-item")).to_have_count(3)
    folder = stand_in.data / "pictures-in"
    folder.mkdir()
    for n in range(2):
        (folder / f"q{n}.png").write_bytes(picture(30 + n, 30))
    page.get_by_role("tab", name="From directory").click()
    page.fill("#img2img_batch_input_dir input, #img2img_batch_input_dir textarea", "pictures-in")
    page.click("#img2img_generate")
    wait_until(lambda: len(all_jobs(stand_in)) == before + 5)
    sizes = [
        opened(stand_in, job.request["init_images"][0]).size for job in sorted(stand_in.app.jobs.rows.values(), key=lambda j: j.number)[-2:]
    ]
    assert sizes == [(30, 30), (31, 30)]
    idle(page)


def test_a_reload_brings_picture_mask_and_form_back(page: Page, stand_in: Server):
    open_tab(page, "Inpaint")
    drop(page, "inpaint")
    with page.expect_response(lambda answer: answer.url.endswith("/internal/inputs")):
        draw(page, "inpaint")
    page.wait_for_function("JSON.parse(localStorage['darkroom.canvases']).inpaint.layer")
    page.fill("#img2img_prompt textarea", "kept words")
    set_number(page, "img2img_denoising_strength", 0.33)
    page.wait_for_function("JSON.parse(localStorage['darkroom.form.img2img']).denoising_strength === 0.33")
    page.reload(wait_until="domcontentloaded")
    ready(page)
    page.locator("#tab_img2img-button").click()
    expect(canvas(page, "inpaint").locator(".dr-canvas-bar")).to_be_visible()
    expect(page.locator("#img2img_prompt textarea")).to_have_value("kept words")
    request = asked(page, stand_in)
    assert request["denoising_strength"] == 0.33
    assert opened(stand_in, request["mask"]).convert("L").getpixel((150, 100)) == 255


def mask_pixel(page: Page, name: str, x: float, y: float) -> bool:
    """Whether the layer is painted at a place in shares, read from what would be sent."""
    return bool(
        page.evaluate(
            """async ([name, x, y]) => {
              const { layer } = JSON.parse(JSON.stringify(await window.darkroom.beginning()));
              if (!layer) return false;
              const blob = await (await fetch(`internal/inputs/${layer.replace("input:", "")}`)).blob();
              const bitmap = await createImageBitmap(blob);
              const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
              pen.drawImage(bitmap, 0, 0);
              return pen.getImageData(Math.floor(x * bitmap.width), Math.floor(y * bitmap.height), 1, 1).data[3] > 127;
            }""",
            [name, x, y],
        )
    )


def test_undo_redo_eraser_zoom_and_keys(page: Page):
    open_tab(page, "Inpaint")
    drop(page, "inpaint")
    draw(page, "inpaint")
    assert mask_pixel(page, "inpaint", 0.5, 0.5)
    page.keyboard.press("Control+z")
    assert not mask_pixel(page, "inpaint", 0.5, 0.5)
    page.keyboard.press("Control+y")
    assert mask_pixel(page, "inpaint", 0.5, 0.5)
    page.keyboard.press("e")
    expect(canvas(page, "inpaint").locator("[data-does=erase]")).to_have_attribute("aria-pressed", "true")
    draw(page, "inpaint")
    assert not mask_pixel(page, "inpaint", 0.5, 0.5)
    page.keyboard.press("b")
    sizer = canvas(page, "inpaint").locator("input[type=range]")
    before = int(sizer.input_value())
    page.keyboard.press("w")
    assert int(sizer.input_value()) > before
    for _ in range(30):
        page.keyboard.press("q")
    assert int(sizer.input_value()) == 1
    box = box_of(page, "inpaint")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(4):
        page.mouse.wheel(0, -300)
    for _ in range(10):
        page.keyboard.press("w")
    draw(page, "inpaint", (0.02, 0.5), (0.03, 0.5))  # at the edge of the frame, which now shows the middle of the picture
    assert mask_pixel(page, "inpaint", 0.47, 0.5)
    assert not mask_pixel(page, "inpaint", 0.05, 0.5)
    page.keyboard.press("s")
    expect(canvas(page, "inpaint")).to_have_class("dr-canvas dr-filled dr-full")
    page.keyboard.press("s")
    canvas(page, "inpaint").get_by_role("button", name="Clear what is painted").click()
    assert not mask_pixel(page, "inpaint", 0.47, 0.5)
    canvas(page, "inpaint").get_by_role("button", name="Remove the picture").click()
    expect(canvas(page, "inpaint").get_by_role("button", name="Choose a file")).to_be_visible()


def test_a_finger_paints_and_two_fingers_zoom(stand_in: Server, open_page: Callable[..., Page]):
    page = open_page(stand_in, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    open_tab(page, "Inpaint")
    drop(page, "inpaint", picture(4000, 3000))  # as a phone's camera takes them
    box = box_of(page, "inpaint")
    cx, cy = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touches = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        touches.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]}
        )

    touch("touchStart", (cx - 40, cy))
    touch("touchMove", (cx, cy))
    touch("touchMove", (cx + 40, cy))
    touch("touchEnd")
    assert mask_pixel(page, "inpaint", 0.5, 0.5)
    assert not mask_pixel(page, "inpaint", 0.5, 0.1)
    touch("touchStart", (cx - 20, cy - 60))
    touch("touchStart", (cx - 20, cy - 60), (cx + 20, cy - 60))
    for n in range(1, 6):
        touch("touchMove", (cx - 20 - 12 * n, cy - 60), (cx + 20 + 12 * n, cy - 60))
    touch("touchEnd")
    assert not mask_pixel(page, "inpaint", 0.5, 0.1), "looking around paints nothing"
    request = asked(page, stand_in)
    assert opened(stand_in, request["mask"]).size == (4000, 3000)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")


def test_pictures_go_from_txt2img_and_between_the_canvases(page: Page, stand_in: Server):
    type_prompt(page, "a tree")
    set_number(page, "txt2img_steps", 2)
    set_seed(page, 7)
    generate(page)
    idle(page)
    page.click("#txt2img_send_to_inpaint")
    expect(canvas(page, "inpaint").locator(".dr-canvas-bar")).to_be_visible()
    expect(page.locator("#img2img_prompt textarea")).to_have_value("a tree")
    expect(page.locator("#img2img_seed input")).to_have_value("7")
    page.locator(".dr-copy:visible").get_by_role("button", name="img2img").click()
    expect(canvas(page, "img2img").locator(".dr-canvas-bar")).to_be_visible()
    expect(page.locator("#img2img_scale_resolution_preview")).to_contain_text("128×128")
    page.get_by_label("Resize by").check()
    set_number(page, "img2img_scale", 1.5)
    expect(page.locator("#img2img_scale_resolution_preview")).to_contain_text("128×128 → 192×192")
    request = asked(page, stand_in)
    assert (request["scale_by"], request["seed"]) == (1.5, 7)
    idle(page)


def test_hires_refiner_and_extra_unfold_and_reach_the_request(page: Page, stand_in: Server):
    expect(page.locator("#txt2img_hr_upscaler")).to_be_hidden()
    expect(page.locator("#txt2img_subseed")).to_be_hidden()
    page.check("#txt2img_hr-checkbox input")
    expect(page.locator("#txt2img_hr_finalres")).to_contain_text("128×128 → 256×256")
    set_number(page, "txt2img_hr_scale", 1.5)
    expect(page.locator("#txt2img_hr_finalres")).to_contain_text("128×128 → 192×192")
    page.check("#txt2img_subseed_show input")
    set_number(page, "txt2img_subseed_strength", 0.25)
    page.locator("#txt2img_advanced > button").click()
    page.fill("#txt2img_eta input", "0.5")
    page.check("#txt2img_freeu input")
    expect(page.locator("#txt2img_advanced")).to_have_attribute("data-changed", "2 changed")
    type_prompt(page, "a hill")
    set_number(page, "txt2img_steps", 3)
    page.reload(wait_until="domcontentloaded")
    ready(page)
    before = len(all_jobs(stand_in))
    generate(page)
    wait_until(lambda: len(all_jobs(stand_in)) > before)
    request = max(stand_in.app.jobs.rows.values(), key=lambda job: job.number).request
    assert (request["enable_hr"], request["hr_scale"], request["subseed_strength"], request["eta"], request["freeu"]) == (
        True,
        1.5,
        0.25,
        0.5,
        True,
    )
    shown_infotext(page)
    idle(page)
    page.click("#txt2img_upscale")
    wait_until(lambda: len(all_jobs(stand_in)) > before + 1)
    request = max(stand_in.app.jobs.rows.values(), key=lambda job: job.number).request
    assert request["firstpass_image"].startswith("input:")
    idle(page)
    page.click("#save_txt2img")
    expect(page.locator("#save_txt2img")).to_have_text("Kept")
    assert list((stand_in.data / "log" / "images").glob("*.png"))
    with page.expect_download() as download:
        page.click("#save_zip_txt2img")
    assert download.value.suggested_filename.endswith(".zip")


@pytest.mark.model
def test_the_program_itself_repaints_what_was_masked(real: Server, open_page: Callable[..., Page]):
    """txt2img, sent to inpaint, a stroke, Generate: far from the mask every pixel is the picture's own."""
    page = open_page(real)
    type_prompt(page, "a red apple, 3d")
    set_number(page, "txt2img_steps", 4)
    set_seed(page, 3)
    generate(page)
    shown_infotext(page)
    idle(page)
    page.click("#txt2img_send_to_inpaint")
    expect(page.locator("#img2img_prompt textarea")).to_have_value("a red apple, 3d")
    expect(canvas(page, "inpaint").locator(".dr-canvas-state")).to_be_hidden()
    draw(page, "inpaint")
    page.fill("#img2img_prompt textarea", "a happy cat on a blue background")
    set_number(page, "img2img_denoising_strength", 0.9)
    page.click("#img2img_generate")
    expect(page.locator("#html_info_img2img .dr-infotext").first).to_contain_text("a happy cat", timeout=120_000)
    idle(page)
    before, after = (
        Image.open(max((real.data / "outputs" / kind).rglob("*.png"), key=lambda path: path.stat().st_mtime_ns)).convert("RGB")
        for kind in ("txt2img-images", "img2img-images")
    )
    assert before.size == after.size == (128, 128)
    assert before.crop((0, 0, 128, 30)).tobytes() == after.crop((0, 0, 128, 30)).tobytes()
    assert before.crop((60, 60, 68, 68)).tobytes() != after.crop((60, 60, 68, 68)).tobytes()
