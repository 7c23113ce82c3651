"""How the page behaves, driven in Chromium over the stand-in App: form, queue, messages, files, sizes of screens."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ready
from tests.browser.driving import (
    generate,
    idle,
    made_file,
    set_number,
    set_seed,
    shown_infotext,
    submitted,
    type_prompt,
    wait_for_text,
    wait_until,
)
from tests.browser.servers import Server

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"alert('prompt')\"> ${alert('template')} {{alert('braces')}} </pre><script>alert('script')</script>"
Open = Callable[..., Page]


def test_a_press_counts_although_the_button_moves_under_it(stand_in: Server, open_page: Open):
    """As when leaving the prompt makes a line above appear."""
    page = open_page(stand_in)
    before = len(submitted(stand_in))
    type_prompt(page, "moved away")
    page.evaluate("""() => document.querySelector("#txt2img_prompt textarea").addEventListener("blur", () => {
      document.querySelector("#txt2img_generate").style.transform = "translateY(400px)";
    })""")
    generate(page)
    wait_for_text(page, "moved away")
    assert len(submitted(stand_in)) == before + 1


def test_hostile_texts_stay_texts(stand_in: Server, open_page: Open, tmp_path: Path):
    """The fixture fails on any dialog or script error."""
    page = open_page(stand_in)
    type_prompt(page, HOSTILE)
    set_number(page, "txt2img_steps", 30)
    generate(page)
    expect(page.locator("#dr_queue")).to_be_visible()
    page.locator("#dr_queue summary").click()
    expect(page.locator("#dr_queue .dr-prompt").first).to_have_text(HOSTILE)
    assert HOSTILE in shown_infotext(page)
    idle(page)
    page.click("[data-do=send-png-info]")
    expect(page.locator("#pnginfo_parameters")).to_contain_text(HOSTILE)
    page.get_by_role("button", name="Send to txt2img").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value(HOSTILE)
    page.reload(wait_until="domcontentloaded")
    ready(page)
    assert HOSTILE in shown_infotext(page)
    page.fill("#setting_sd_model_checkpoint input", HOSTILE)
    page.keyboard.press("Enter")
    page.locator("#setting_sd_model_checkpoint input").blur()
    expect(page.locator("#dr_notices")).to_contain_text("sd_model_checkpoint")
    assert page.locator("img[src=x]").count() == 0


def test_the_form_is_still_there_after_a_reload(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    type_prompt(page, "kept over a reload")
    page.fill("#txt2img_neg_prompt textarea", "blur")
    set_number(page, "txt2img_width", 256)
    set_seed(page, "9007199254740993")
    page.click("#txt2img_sampling input")
    page.get_by_role("option", name="Euler a", exact=True).click()
    page.wait_for_function("(localStorage.getItem('darkroom.form.txt2img') || '').includes('Euler a')")
    page.reload(wait_until="domcontentloaded")
    ready(page)
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("kept over a reload")
    expect(page.locator("#txt2img_neg_prompt textarea")).to_have_value("blur")
    expect(page.locator("#txt2img_width input[type=number]")).to_have_value("256")
    expect(page.locator("#txt2img_seed input")).to_have_value("9007199254740993")
    expect(page.locator("#txt2img_sampling input")).to_have_value("Euler a")
    generate(page)
    wait_for_text(page, "Seed: 9007199254740993")
    assert submitted(stand_in)[-1].request["sampler_name"] == "Euler a"


def test_a_lost_answer_loses_no_job(stand_in: Server, open_page: Open):
    """The request arrives, its answer does not (Gradio then reloads the page): the page finds the job by its key."""
    page = open_page(stand_in)
    type_prompt(page, "answer lost on the way")
    lost: list[str] = []

    def lose_the_first(route: Any) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.request.url)
        route.fetch()
        route.abort()

    page.route("**/gradio_api/run/predict", lose_the_first)
    generate(page)
    wait_until(lambda: any(job.request["prompt"] == "answer lost on the way" for job in submitted(stand_in)))
    wait_for_text(page, "answer lost on the way")
    assert lost
    assert sum(job.request["prompt"] == "answer lost on the way" for job in submitted(stand_in)) == 1


def test_progress_bears_lost_answers(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    count = {"lost": 0}

    def lose_some(route: Any) -> None:
        count["lost"] += 1
        if 2 <= count["lost"] <= 5:
            route.abort()
        else:
            route.continue_()

    page.route("**/internal/progress", lose_some)
    type_prompt(page, "through the gap")
    set_number(page, "txt2img_steps", 60)
    generate(page)
    expect(page.locator("#txt2img_progress .dr-what")).to_contain_text("No answer from the server")
    wait_for_text(page, "through the gap")
    idle(page)
    assert count["lost"] > 5
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("through the gap")


def test_several_jobs_of_one_page_and_pause(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    stand_in.app.jobs.paused = True
    for number in (1, 2, 3):
        type_prompt(page, f"queue of three, number {number}")
        generate(page)
    queue = page.locator("#dr_queue")
    expect(queue.locator("summary")).to_contain_text("paused, 3 waiting")
    expect(page.locator("#txt2img_progress .dr-what")).to_contain_text("paused")
    queue.locator("summary").click()
    expect(queue.locator("li")).to_have_count(3)
    queue.get_by_role("button", name="Cancel job").nth(1).click()
    expect(queue.locator("li")).to_have_count(2)
    queue.get_by_role("button", name="Resume").click()
    wait_for_text(page, "number 3")
    idle(page)
    states = {job.request["prompt"][-1]: job.state for job in submitted(stand_in)[-3:]}
    assert states == {"1": "done", "2": "canceled", "3": "done"}
    expect(queue).to_be_hidden()


def test_a_second_tab_finds_the_running_job(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    type_prompt(page, "seen from two tabs")
    stand_in.app.jobs.step_s = 0.5  # long enough for another page to open, on a slow machine too
    set_number(page, "txt2img_steps", 60)
    generate(page)
    expect(page.locator("#txt2img_progress .dr-what")).to_contain_text("Step")
    other = open_page(stand_in, context=page.context)
    expect(other.locator("#txt2img_progress .dr-what")).to_contain_text("Step")
    stand_in.app.jobs.step_s = 0.01
    wait_for_text(other, "seen from two tabs")
    wait_for_text(page, "seen from two tabs")


def test_loading_is_said_in_words(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    stand_in.app.jobs.loading_s = 1.5
    type_prompt(page, "the first one")
    generate(page)
    expect(page.locator("#txt2img_progress .dr-what")).to_contain_text("Loading the model")
    assert "%" not in page.locator("#txt2img_progress").inner_text()
    wait_for_text(page, "the first one")


def test_faults_and_warnings_stay_beside_the_picture(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    type_prompt(page, "please fail")
    generate(page)
    box = page.locator("#txt2img_message [role=alert]")
    expect(box).to_contain_text("asks <b>for</b> a failure; ask for something else")
    box.get_by_role("button", name="Close this message").click()
    expect(box).to_have_count(0)
    set_seed(page, "not a seed")
    generate(page)
    expect(box).to_contain_text("seed: must be a number")
    set_seed(page, "-1")
    type_prompt(page, "please warn")
    generate(page)
    expect(page.locator("#txt2img_message [role=status]")).to_contain_text("A <warning> in plain words.")
    page.reload(wait_until="domcontentloaded")
    ready(page)
    shown_infotext(page)
    expect(page.locator("#txt2img_message .dr-box")).to_have_count(0)


def test_values_beyond_a_sliders_range_are_ours_to_judge(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    type_prompt(page, "x\nSteps: 200, Sampler: Euler, CFG scale: 7, Seed: 4, Size: 64x64")
    page.click("#txt2img_paste")
    expect(page.locator("#txt2img_seed input")).to_have_value("4")
    stand_in.app.jobs.step_s = 0.001
    generate(page)
    wait_for_text(page, "Steps: 200")


def test_keys(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    type_prompt(page, "by keyboard alone")
    page.focus("#txt2img_steps input[type=number]")
    page.keyboard.press("Control+A")
    page.keyboard.type("150")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#txt2img_progress .dr-what")).to_contain_text("of 150")
    page.keyboard.press("Escape")
    expect(page.locator("#txt2img_message")).to_contain_text("Stopped before the end")
    idle(page)
    assert submitted(stand_in)[-1].state == "canceled"


def test_seed_and_size_buttons(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    type_prompt(page, "seeds")
    set_seed(page, "500")
    set_number(page, "txt2img_width", 192)
    set_number(page, "txt2img_batch_size", 2)
    page.get_by_role("button", name="Swap width and height").click()
    expect(page.locator("#txt2img_height input[type=number]")).to_have_value("192")
    generate(page)
    wait_for_text(page, "Size: 128x192")
    idle(page)
    page.locator("#txt2img_gallery .thumbnails .thumbnail-item").nth(1).click()
    wait_for_text(page, "Seed: 501")
    page.get_by_role("button", name="Use the seed of the picture shown").click()
    expect(page.locator("#txt2img_seed input")).to_have_value("501")
    page.get_by_role("button", name="Random seed each time").click()
    expect(page.locator("#txt2img_seed input")).to_have_value("-1")
    page.get_by_role("button", name="Clear the prompts").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("")


def test_the_empty_gallery_teaches(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    page.get_by_role("button", name="a red apple, 3d").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a red apple, 3d")
    generate(page)
    wait_for_text(page, "a red apple, 3d")
    expect(page.locator("#txt2img_empty")).to_be_hidden()


def test_another_checkpoint_moves_the_size_along(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    page.click("#setting_sd_model_checkpoint input")
    page.get_by_role("option", name="large [5f6e7d8c9b]").click()
    expect(page.locator("#txt2img_width input[type=number]")).to_have_value("1024")
    assert stand_in.app.settings.current.sd_model_checkpoint.startswith("large")
    page.reload(wait_until="domcontentloaded")
    ready(page)
    expect(page.locator("#setting_sd_model_checkpoint input")).to_have_value("large [5f6e7d8c9b]")
    stand_in.app.settings.set({"sd_model_checkpoint": "darkroom-starter"})  # by the API, meanwhile
    page.reload(wait_until="domcontentloaded")
    ready(page)
    expect(page.locator("#setting_sd_model_checkpoint input")).to_have_value("darkroom-starter [0a1b2c3d4e]")
    expect(page.locator("#txt2img_height input[type=number]")).to_have_value("128")


def test_full_view(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    type_prompt(page, "full view")
    set_number(page, "txt2img_batch_size", 3)
    generate(page)
    wait_for_text(page, "full view")
    idle(page)
    page.locator("#txt2img_gallery .media-button").click()
    box = page.locator("#lightboxModal")
    expect(box).to_be_visible()
    expect(box.locator(".dr-place")).to_have_text("1 / 3")
    page.keyboard.press("ArrowRight")
    expect(box.locator(".dr-place")).to_have_text("2 / 3")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(box.locator(".dr-place")).to_have_text("3 / 3")
    fitted = box.locator("img").evaluate("e => e.getBoundingClientRect().height")
    page.keyboard.press("z")
    expect(box).to_have_class("dr-zoomed")
    assert box.locator("img").evaluate("e => e.getBoundingClientRect().height") > fitted
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()


PASTE = """(data) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)), files = new DataTransfer();
  files.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
  document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: files, bubbles: true, cancelable: true }));
}"""


def test_a_picture_from_the_clipboard(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    file = made_file(stand_in, page, "from the clipboard")
    page.evaluate(PASTE, base64.b64encode(file.read_bytes()).decode())
    expect(page.locator("#pnginfo_parameters")).to_contain_text("from the clipboard")
    page.evaluate(PASTE, base64.b64encode(made_bytes()).decode())  # one more, over the first
    expect(page.locator("#pnginfo_info")).to_contain_text("no generation parameters")


def made_bytes() -> bytes:
    """A picture without parameters."""
    return base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


def test_dragging_from_the_gallery_to_png_info(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    made_file(stand_in, page, "dragged over")
    picture = page.locator("#txt2img_gallery [data-testid=detailed-image]").bounding_box()
    tab = page.get_by_role("tab", name="PNG Info").bounding_box()
    assert picture
    assert tab
    page.mouse.move(picture["x"] + 60, picture["y"] + 60)
    page.mouse.down()
    page.mouse.move(picture["x"] + 70, picture["y"] + 50, steps=3)
    page.mouse.move(tab["x"] + 20, tab["y"] + 10, steps=8)
    target = page.locator("#pnginfo_image")
    expect(target).to_be_visible()
    place = target.bounding_box()
    assert place
    page.mouse.move(place["x"] + 100, place["y"] + 100, steps=6)
    page.mouse.up()
    expect(page.locator("#pnginfo_parameters")).to_contain_text("dragged over")


def test_a_file_that_is_no_picture(stand_in: Server, open_page: Open, tmp_path: Path):
    page = open_page(stand_in)
    page.get_by_role("tab", name="PNG Info").click()
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    page.locator("#pnginfo_image input[type=file]").set_input_files(bad)
    expect(page.locator("#pnginfo_info [role=alert]")).to_contain_text("image")


def test_nothing_is_asked_while_the_page_is_hidden_and_little_while_idle(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert not [url for url in asked if "progress" in url]
    assert len(asked) <= 2
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    asked.clear()
    page.wait_for_timeout(4500)
    assert asked == []


def test_no_tab_that_is_left_alone_asks_again_and_again(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    asked: Counter[str] = Counter()
    page.on("request", lambda request: asked.update([urlsplit(request.url).path]))
    names = page.evaluate("[...document.querySelectorAll('#tabs > div [role=tab]')].map((tab) => tab.dataset.tabId).filter(Boolean)")
    assert len(names) >= 10
    for name in dict.fromkeys(names):
        page.evaluate("(name) => darkroom.showTab(name)", name)
        page.wait_for_timeout(1500)  # what opening it asks for
        asked.clear()
        page.wait_for_timeout(1500)
        assert max(asked.values(), default=0) <= 3, (name, asked)


def test_nine_tabs_open(stand_in: Server, open_page: Open):
    """No tab holds a connection open; with one held each, the seventh would never load."""
    first = open_page(stand_in)
    pages = [first, *(open_page(stand_in, context=first.context) for _ in range(8))]
    type_prompt(pages[-1], "from the ninth tab")
    generate(pages[-1])
    wait_for_text(pages[-1], "from the ninth tab")
