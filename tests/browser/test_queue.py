"""The Queue tab in Chromium over the real App, store and API, with a runner that draws: what people see and do, also after a restart."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from modules.jobs import Job
from modules.request import GenerationRequest
from tests.browser.conftest import ready
from tests.browser.drawing_runner import drawing_server
from tests.browser.driving import set_number, type_prompt, wait_until
from tests.browser.servers import Server

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
HOSTILE = "<img src=x onerror=\"alert('queue')\"> ${alert('template')}"


class Running:
    """The server of these tests, which one of them starts again."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._open = ExitStack()
        self.server = self._open.enter_context(drawing_server(data))

    def stop(self) -> None:
        self._open.close()

    def start(self) -> None:
        """On the port that open pages know."""
        self.server = self._open.enter_context(drawing_server(self._data, int(self.server.url.rpartition(":")[2])))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("drawing"))
    yield made
    made.stop()


@pytest.fixture
def server(running: Running) -> Iterator[Server]:
    """With nothing in the queue."""
    yield running.server
    jobs = running.server.app.jobs
    for job in jobs.list(states=("queued", "running")):
        jobs.cancel(job.id)
        jobs.wait(job.id, 60)
    jobs.resume()
    jobs.forget(1e12)


def wish(server: Server, prompt: str, owner: str = "local", **fields: Any) -> Job:
    return server.app.submit(GenerationRequest.from_data({"width": 64, "height": 64, "steps": 5, "prompt": prompt, **fields}), owner=owner)


def over_the_api(server: Server, **body: Any) -> None:
    """As a program sends it; its answer comes when the job has ended."""
    data = json.dumps({"width": 64, "height": 64, "steps": 5, **body}).encode()
    request = urllib.request.Request(f"{server.url}/sdapi/v1/txt2img", data, {"Content-Type": "application/json"})
    threading.Thread(target=lambda: urllib.request.urlopen(request, timeout=60).read(), daemon=True).start()


def queue(page: Page) -> Page:
    page.get_by_role("tab", name="Queue").click()
    expect(page.locator("#dr_board .dr-board-bar").first).to_be_visible()
    return page


def row(page: Page, words: str) -> Locator:
    return page.locator("#dr_board .dr-job", has_text=words)


def order(page: Page) -> list[str]:
    return page.locator("[data-lane=device] .dr-job strong").all_inner_texts()


def until_order(page: Page, *wanted: str) -> None:
    wait_until(lambda: order(page) == list(wanted))


def test_an_empty_queue_teaches_and_jobs_of_every_door_appear_in_the_open_page(server: Server, open_page: Open) -> None:
    page = queue(open_page(server))
    expect(page.locator(".dr-board-none")).to_contain_text("Nothing runs and nothing waits")
    over_the_api(server, prompt=f"slowly {HOSTILE}", steps=300, n_iter=2)
    running = row(page, "slowly")
    expect(running).to_be_visible()
    expect(running.locator("strong")).to_have_text(f"slowly {HOSTILE}")
    expect(running).to_contain_text("over the API")
    expect(running.locator(".dr-what")).to_contain_text("of 300, batch 1 of 2")
    expect(running.locator(".dr-left")).to_contain_text("left")
    expect(running.locator(".dr-job-live img")).to_be_visible()
    wish(server, "from a shell", owner="cli")
    wish(server, "anna's picture", owner="anna")
    expect(row(page, "from a shell")).to_contain_text("from the command line")
    expect(row(page, "anna's picture")).to_contain_text("by anna")
    row(page, "anna's picture").focus()
    page.evaluate("for (const item of document.querySelectorAll('.dr-job')) item.marked = true")
    before = running.locator(".dr-what").inner_text()
    wait_until(lambda: running.locator(".dr-what").inner_text() != before)
    wish(server, "comes later")
    expect(row(page, "comes later")).to_be_visible()
    assert page.evaluate("[...document.querySelectorAll('.dr-job')].filter((item) => item.marked).length") == 3, "drawn once, kept since"
    assert page.evaluate("document.activeElement.querySelector('strong').textContent") == "anna's picture"
    expect(page.get_by_role("tab", name="Queue, 3 waiting")).to_be_visible()
    expect(page.locator(".dr-board-none")).to_be_hidden()
    running.get_by_role("button", name="Stop").click()
    expect(row(page, "from a shell").locator(".dr-job-state")).to_have_text("Done")
    expect(row(page, "slowly").locator(".dr-job-state")).to_have_text("Cancelled")


def test_faults_in_words_pictures_in_full_and_a_long_past_in_parts(server: Server, open_page: Open) -> None:
    for n in range(30):
        wish(server, f"picture {n:02}", steps=1)
    wish(server, "please fail")
    wish(server, "six circles", n_iter=6)
    page = queue(open_page(server))
    wait_until(lambda: server.app.jobs.ended().get("done") == 31)
    expect(row(page, "please fail").locator(".dr-job-fault")).to_have_text("prompt: asks <b>for</b> a failure; ask for something else")
    made = row(page, "six circles")
    expect(made.locator(".dr-job-picture img")).to_have_count(4)
    expect(made.locator(".dr-job-further")).to_have_text("+2")
    made.locator(".dr-job-picture").nth(1).click()
    expect(page.locator("#lightboxModal .dr-place")).to_have_text("2 / 6")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Failed 1").click()
    expect(row(page, "six circles")).to_have_count(0)
    expect(row(page, "please fail")).to_have_count(1)
    page.get_by_role("button", name="All 32").click()
    past = page.locator("[data-part=past]")
    expect(past.locator(".dr-job")).to_have_count(30)
    past.get_by_role("button", name="Show more").click()
    expect(past.locator(".dr-job")).to_have_count(32)
    page.get_by_role("button", name="Clear finished").click()
    expect(page.locator(".dr-board-sure")).to_contain_text("Take 32 finished jobs off this list? The pictures stay")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.locator(".dr-board-sure")).to_have_count(0)
    expect(past.locator(".dr-job")).to_have_count(32)


def test_the_order_by_buttons_keys_and_dragging(server: Server, open_page: Open) -> None:
    server.app.jobs.pause()
    for name in ("alpha", "beta", "gamma", "delta"):
        wish(server, name)
    page = queue(open_page(server))
    until_order(page, "alpha", "beta", "gamma", "delta")
    row(page, "delta").get_by_role("button", name="To the front").click()
    until_order(page, "delta", "alpha", "beta", "gamma")
    row(page, "delta").get_by_role("button", name="Down").click()
    until_order(page, "alpha", "delta", "beta", "gamma")
    expect(page.locator(".dr-board-said")).to_contain_text("is at place 2 of 4")
    row(page, "alpha").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Alt+ArrowDown")
    until_order(page, "alpha", "beta", "delta", "gamma")
    assert page.evaluate("document.activeElement.querySelector('strong').textContent") == "delta"
    page.keyboard.press("Alt+End")
    until_order(page, "alpha", "beta", "gamma", "delta")
    grip, first = row(page, "delta").locator(".dr-grip").bounding_box(), row(page, "alpha").bounding_box()
    assert grip
    assert first
    page.mouse.move(grip["x"] + 8, grip["y"] + 8)
    page.mouse.down()
    page.mouse.move(grip["x"] + 8, first["y"] + 4, steps=8)
    assert order(page)[0] == "delta"
    page.mouse.up()
    until_order(page, "delta", "alpha", "beta", "gamma")
    wait_until(
        lambda: [job.request["prompt"] for job in server.app.jobs.list(states=("queued",))] == ["delta", "alpha", "beta", "gamma"], 10
    )


def test_a_finger_drags_too_and_escape_puts_it_back(server: Server, open_page: Open) -> None:
    server.app.jobs.pause()
    for name in ("alpha", "beta", "gamma"):
        wish(server, name)
    page = queue(open_page(server, viewport={"width": 390, "height": 844}, has_touch=True))
    until_order(page, "alpha", "beta", "gamma")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    touch = """([words, to, end]) => {
        const rows = [...document.querySelectorAll('[data-lane=device] .dr-job')];
        const at = (name) => rows.find((row) => row.querySelector('strong').textContent === name);
        const grip = at(words).querySelector('.dr-grip');
        const box = grip.getBoundingClientRect();
        const touch = {bubbles: true, cancelable: true, pointerId: 7, pointerType: 'touch', clientX: 10};
        const send = (type, y) => grip.dispatchEvent(new PointerEvent(type, {...touch, clientY: y}));
        send('pointerdown', box.top + 10);
        send('pointermove', at(to).getBoundingClientRect().top + 2);
        if (end === 'Escape') document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}));
        send('pointerup', at(to).getBoundingClientRect().top + 2);
    }"""
    page.evaluate(touch, ["gamma", "beta", "drop"])
    until_order(page, "alpha", "gamma", "beta")
    page.evaluate(touch, ["beta", "alpha", "Escape"])
    until_order(page, "alpha", "gamma", "beta")
    assert [job.request["prompt"] for job in server.app.jobs.list(states=("queued",))] == ["alpha", "gamma", "beta"]


def test_pause_hold_priority_and_cancel(server: Server, open_page: Open) -> None:
    page = queue(open_page(server))
    page.get_by_role("button", name="Pause the queue").click()
    expect(page.locator(".dr-board-paused")).to_contain_text("nothing new begins")
    for name in ("alpha", "beta", "gamma"):
        wish(server, name)
    until_order(page, "alpha", "beta", "gamma")
    row(page, "gamma").get_by_role("button", name="More").click()
    row(page, "gamma").get_by_label("Priority of job").select_option("High")
    until_order(page, "gamma", "alpha", "beta")
    expect(row(page, "gamma").locator(".dr-job-priority")).to_have_text("priority high")
    row(page, "alpha").get_by_role("button", name="Hold").click()
    expect(row(page, "alpha").locator(".dr-job-state")).to_have_text("Held")
    row(page, "beta").focus()
    page.keyboard.press("Delete")
    expect(row(page, "beta").locator(".dr-job-state")).to_have_text("Cancelled")
    page.get_by_role("button", name="Resume the queue").click()
    expect(row(page, "gamma").locator(".dr-job-state")).to_have_text("Done")
    expect(row(page, "alpha").locator(".dr-job-state")).to_have_text("Held")
    row(page, "alpha").get_by_role("button", name="Release").click()
    expect(row(page, "alpha").locator(".dr-job-state")).to_have_text("Done")


def test_run_again_makes_the_same_picture_and_new_seed_another(server: Server, open_page: Open) -> None:
    first = server.app.jobs.wait(wish(server, "a circle").id, 60)
    page = queue(open_page(server))
    row(page, "a circle").get_by_role("button", name="Run again").click()
    expect(row(page, "a circle")).to_have_count(2)
    page.locator(".dr-job[data-state=done]").nth(1).get_by_role("button", name="New seed").click()
    wait_until(lambda: server.app.jobs.ended().get("done") == 3)
    made = [job.result["pictures"][0] for job in server.app.jobs.list(states=("done",))]
    pixels = [Image.open(picture["path"]).tobytes() for picture in made]
    assert made[2]["seed"] == first.resolved["all_seeds"][0]
    assert pixels[1] == pixels[2] != pixels[0]


def test_edit_fills_the_form_with_what_the_job_asked_for(server: Server, open_page: Open) -> None:
    page = open_page(server)
    type_prompt(page, "something else")
    set_number(page, "txt2img_steps", 44)
    job = server.app.jobs.wait(
        wish(server, "a kept wish", negative_prompt="no frame", steps=7, cfg_scale=3.5, enable_hr=True, hr_scale=1.5).id, 20
    )
    queue(page)
    row(page, "a kept wish").get_by_role("button", name="Edit").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a kept wish")
    expect(page.locator("#txt2img_neg_prompt textarea")).to_have_value("no frame")
    expect(page.locator("#txt2img_steps input[type=number]")).to_have_value("7")
    expect(page.locator("#txt2img_seed input")).to_have_value(str(job.resolved["all_seeds"][0]))
    expect(page.locator("#txt2img_hr_scale input[type=number]")).to_have_value("1.5")
    expect(page.locator("#txt2img_message")).to_contain_text("The seed is the one that was drawn then")
    assert page.evaluate("window.darkroom.currentTab()") == "txt2img"
    page.click("#txt2img_generate")
    wait_until(lambda: server.app.jobs.ended().get("done") == 2)
    again = server.app.jobs.list(states=("done",), limit=1)[0]
    ignored = ("override_settings", "seed", "refiner_switch_at", "hr_upscaler", "hr_checkpoint_name", "hr_sampler_name", "hr_scheduler")
    different = {
        k for k, v in again.request.items() if v != job.request[k] and k not in ignored and again.resolved.get(k) != job.resolved.get(k)
    }
    assert different == set()
    assert again.resolved["all_seeds"] == job.resolved["all_seeds"]


def test_edit_of_an_inpainting_brings_its_picture_and_its_mask_back(server: Server, open_page: Open) -> None:
    inputs = server.app.inputs
    image, mask = Image.new("RGB", (96, 64), (10, 90, 10)), Image.new("L", (96, 64))
    mask.paste(255, (20, 10, 60, 50))
    fields = {"init_images": [inputs.put_picture(image)], "mask": inputs.put_picture(mask, "mask"), "width": 128, "height": 64}
    job = server.app.jobs.wait(
        wish(server, "a new hat", denoising_strength=0.6, mask_blur_x=9, mask_blur_y=9, inpainting_fill=2, **fields).id, 20
    )
    page = queue(open_page(server))
    row(page, "a new hat").get_by_role("button", name="Edit").click()
    expect(page.locator("#img2img_prompt textarea")).to_have_value("a new hat")
    expect(page.locator("#img2img_denoising_strength input[type=number]")).to_have_value("0.6")
    expect(page.locator("#img2img_mask_blur input[type=number]")).to_have_value("9")
    expect(page.locator("[data-canvas=inpaint] canvas")).to_be_visible()
    page.click("#img2img_generate")
    wait_until(lambda: server.app.jobs.ended().get("done") == 2)
    again = server.app.jobs.list(states=("done",), limit=1)[0]
    assert again.request["init_images"] == job.request["init_images"]
    assert inputs.open(again.request["mask"]).convert("L").tobytes() == mask.tobytes()
    assert (again.request["inpainting_fill"], again.request["mask_blur_x"], again.resolved["width"]) == (2, 9, 128)


def test_a_reload_and_a_restart_keep_the_queue(running: Running, server: Server, open_page: Open) -> None:
    jobs = server.app.jobs
    jobs.wait(wish(server, "made before").id, 60)
    jobs.pause()
    first, second = (wish(server, name) for name in ("alpha", "beta"))
    jobs.move(second.id, first.id)
    page = queue(open_page(server))
    until_order(page, "beta", "alpha")
    page.reload(wait_until="domcontentloaded")
    ready(page)
    queue(page)
    until_order(page, "beta", "alpha")
    running.stop()
    running.start()
    page.get_by_role("button", name="Resume the queue").click()  # the page that was open all the while
    expect(row(page, "alpha").locator(".dr-job-state")).to_have_text("Done")
    expect(row(page, "beta").locator(".dr-job-state")).to_have_text("Done")
    expect(row(page, "made before").locator(".dr-job-picture img")).to_be_visible()
