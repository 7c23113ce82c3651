"""The pictures of the page in docs/, made with the real program and the starter model.

    python -m tests.browser.screenshots            writes docs/screenshot.png and docs/screenshot-phone.png
    python -m tests.browser.screenshots FOLDER     every state there is, light and dark, into a folder

Start reading at `main`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from modules.folders import PROGRAM
from tests.browser.conftest import ARGUMENTS, chromium, ready
from tests.browser.driving import generate, idle, set_number, set_seed, shown_infotext, type_prompt
from tests.browser.servers import Server, real_server

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


def opened(browser: Browser, server: Server, viewport: dict[str, int], scheme: str) -> Page:
    context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")  # pyright: ignore[reportArgumentType]
    page = context.new_page()
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


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as data, real_server(Path(data)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        if arguments:
            folder = Path(arguments[0])
            folder.mkdir(parents=True, exist_ok=True)
            every_state(browser, server, folder)
        else:
            for_the_docs(browser, server)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
