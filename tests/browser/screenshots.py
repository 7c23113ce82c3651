"""The pictures of the page in docs/, made with the real program and the starter model.

    python -m tests.browser.screenshots            writes docs/screenshot.png and docs/screenshot-phone.png
    python -m tests.browser.screenshots FOLDER     every state there is, light and dark, into a folder, and every tab on contact sheets
    python -m tests.browser.screenshots FOLDER queue     those of the Queue tab alone
    python -m tests.browser.screenshots FOLDER train     those of the Train tab alone

Start reading at `main`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from modules.folders import PROGRAM
from modules.request import GenerationRequest
from tests.browser.conftest import ARGUMENTS, NOTHING_KEPT, chromium, ready
from tests.browser.contact_sheet import every_tab
from tests.browser.drawing_runner import drawing_server
from tests.browser.driving import generate, idle, set_number, set_seed, shown_infotext, type_prompt
from tests.browser.screenshots_train import all_of_it
from tests.browser.servers import Server, real_server

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
SCREENS = {"desktop": DESKTOP, "phone": PHONE}
LOOKS = {f"{screen}-{scheme}": (viewport, scheme) for screen, viewport in SCREENS.items() for scheme in ("light", "dark")}


def opened(browser: Browser, server: Server, viewport: dict[str, int], scheme: str) -> Page:
    context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")  # pyright: ignore[reportArgumentType]
    page = context.new_page()
    page.add_init_script(NOTHING_KEPT)
    page.goto(f"{server.url}/", wait_until="domcontentloaded")
    ready(page)
    return page


def made(page: Page, *, seed: int, count: int) -> None:
    """A finished result on the page."""
    type_prompt(page, "a red apple, 3d")
    set_number(page, "txt2img_cfg_scale", 4)
    set_number(page, "txt2img_batch_size", count)
    set_seed(page, seed)
    generate(page)
    shown_infotext(page)
    idle(page)
    page.mouse.move(5, 300)
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    page.wait_for_timeout(700)


def for_the_docs(browser: Browser, server: Server) -> None:
    page = opened(browser, server, DESKTOP, "light")
    made(page, seed=1, count=4)
    page.screenshot(path=PROGRAM / "docs" / "screenshot.png")
    page.context.close()
    page = opened(browser, server, PHONE, "dark")
    made(page, seed=1, count=1)
    page.screenshot(path=PROGRAM / "docs" / "screenshot-phone.png")
    page.context.close()


def every_state(browser: Browser, server: Server, folder: Path) -> None:
    """empty, running, done, png-info, full-view, fault; for each screen and scheme."""
    for screen, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        for scheme in ("light", "dark"):
            page = opened(browser, server, viewport, scheme)

            def shot(name: str, page: Page = page, prefix: str = f"{screen}-{scheme}") -> None:
                page.screenshot(path=folder / f"{prefix}-{name}.png")

            shot("empty")
            type_prompt(page, "a happy cat on a blue background")
            set_number(page, "txt2img_steps", 60)
            generate(page)
            expect(page.locator("#txt2img_live")).to_be_visible(timeout=120_000)
            shot("running")
            idle(page)
            set_number(page, "txt2img_steps", 20)
            made(page, seed=1, count=4)
            shot("done")
            page.click("[data-do=open-lightbox]")
            shot("full-view")
            page.keyboard.press("Escape")
            page.click("[data-do=send-png-info]")
            expect(page.locator("#pnginfo_parameters")).to_be_visible()
            shot("png-info")
            page.get_by_role("tab", name="txt2img").click()
            set_seed(page, "many")
            generate(page)
            expect(page.locator("#txt2img_message [role=alert]")).to_be_visible()
            shot("fault")
            page.context.close()
            img2img_states(browser, server, viewport, scheme, folder / f"{screen}-{scheme}")


def img2img_states(browser: Browser, server: Server, viewport: dict[str, int], scheme: str, prefix: Path) -> None:
    """The txt2img form unfolded, and every sub-tab of img2img, the whole page each."""
    page = opened(browser, server, viewport, scheme)

    def shot(name: str) -> None:
        page.mouse.move(5, 300)
        page.wait_for_timeout(700)
        page.screenshot(path=f"{prefix}-{name}.png", full_page=True)

    for box in ("txt2img_hr-checkbox", "txt2img_enable-checkbox", "txt2img_subseed_show"):
        page.check(f"#{box} input")
    page.locator("#txt2img_advanced > button").click()
    shot("unfolded")
    made(page, seed=1, count=1)
    page.click("#txt2img_send_to_inpaint")
    canvas = page.locator(".dr-canvas[data-canvas=inpaint] canvas")
    expect(canvas).to_be_visible()
    canvas.scroll_into_view_if_needed()
    box_ = canvas.bounding_box() or {"x": 0, "y": 0, "width": 0, "height": 0}
    page.mouse.move(box_["x"] + box_["width"] * 0.45, box_["y"] + box_["height"] / 2)
    page.mouse.down()
    page.mouse.move(box_["x"] + box_["width"] * 0.6, box_["y"] + box_["height"] / 2, steps=5)
    page.mouse.up()
    page.evaluate("scrollTo(0, 0)")
    shot("inpaint")
    page.click("#img2img_generate")
    idle(page)
    shot("inpainted")
    for name in ("img2img", "Sketch", "Inpaint sketch", "Inpaint upload", "Batch"):
        page.locator("#mode_img2img").get_by_role("tab", name=name, exact=True).click()
        shot(f"sub-tab-{name.lower().replace(' ', '-')}")
    page.context.close()


def queue_states(browser: Browser, folder: Path) -> None:
    """The Queue tab, drawn jobs in place of painted ones: empty, at work, a row unfolded, paused; for each screen and scheme."""
    with tempfile.TemporaryDirectory() as data, drawing_server(Path(data)) as server:
        for screen, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
            for scheme in ("light", "dark"):
                page = opened(browser, server, viewport, scheme)
                page.get_by_role("tab", name="Queue").click()
                expect(page.locator(".dr-board-none")).to_be_visible()
                page.screenshot(path=folder / f"{screen}-{scheme}-queue-empty.png")
                fill_queue(server)
                expect(page.locator(".dr-job-live img")).to_be_visible(timeout=30_000)
                page.locator("[data-do=board-unfold]").nth(1).click()
                page.mouse.move(5, 300)
                page.wait_for_timeout(1500)
                page.screenshot(path=folder / f"{screen}-{scheme}-queue.png", full_page=True)
                page.get_by_role("button", name="Pause the queue").click()
                page.get_by_role("button", name="Clear finished").click()
                expect(page.locator(".dr-board-paused")).to_be_visible()
                page.screenshot(path=folder / f"{screen}-{scheme}-queue-paused.png", full_page=True)
                page.context.close()
                empty_queue(server)


def fill_queue(server: Server) -> None:
    """Jobs in every state: six that ended in their ways, one at work, four that wait."""
    jobs = server.app.jobs

    def wish(prompt: str, owner: str = "local", **fields: Any) -> str:
        data = {"prompt": prompt, "width": 128, "height": 128, "steps": 20, **fields}
        return server.app.submit(GenerationRequest.from_data(data), owner=owner).id

    for prompt, owner, count in (("a red apple, 3d", "local", 1), ("a happy cat on a blue background", "api", 4), ("a car", "anna", 9)):
        jobs.wait(wish(prompt, owner, n_iter=count, seed=count), 60)
    jobs.wait(wish("please fail"), 60)
    long = "slowly, a lighthouse on a cliff at dusk, with gulls, waves and storm clouds, a small boat far out, old oil painting"
    wish(long, n_iter=2, steps=300, seed=5)
    names = [wish("an owl in a library", "cli"), wish("a green pear, 3d", "api", n_iter=4), wish("a house by the sea"), wish("never mind")]
    jobs.hold(names[1])
    jobs.set_priority(names[2], 10)
    jobs.cancel(names[3])


def empty_queue(server: Server) -> None:
    jobs = server.app.jobs
    for job in jobs.list(states=("queued", "running")):
        jobs.cancel(job.id)
        jobs.wait(job.id, 60)
    jobs.resume()
    jobs.forget(time.time() + 1)


def main(arguments: list[str]) -> None:
    if arguments[1:] in (["queue"], ["train"]):
        folder = Path(arguments[0])
        folder.mkdir(parents=True, exist_ok=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            queue_states(browser, folder) if arguments[1] == "queue" else all_of_it(browser, folder, opened, LOOKS)
        return
    with tempfile.TemporaryDirectory() as data, real_server(Path(data)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        if arguments:
            folder = Path(arguments[0])
            folder.mkdir(parents=True, exist_ok=True)
            every_state(browser, server, folder)
            queue_states(browser, folder)
            every_tab(browser, server, folder)
            all_of_it(browser, folder, opened, LOOKS)
        else:
            for_the_docs(browser, server)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
