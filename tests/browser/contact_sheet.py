"""Every tab at four widths, light and dark, from the real program with the starter model, and all of it on one sheet a width.

    python -m tests.browser.contact_sheet FOLDER      also part of python -m tests.browser.screenshots FOLDER

Writes FOLDER/tabs/WIDTH-SCHEME-TAB.png and FOLDER/contact-sheet-WIDTH.png. Start reading at `every_tab`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, NOTHING_KEPT, chromium, ready
from tests.browser.driving import generate, idle, set_number, shown_infotext, type_prompt
from tests.browser.servers import Server, real_server

SIZES = {390: 844, 768: 1024, 1440: 900, 2560: 1440}  # width -> height, in pixels
SCHEMES = ("light", "dark")
TABS = "#tabs > .tab-wrapper > [role=tablist] > [role=tab]"
COLUMNS = 4
CELL_PX = 480
WORDS_PX = 18
SETTLED_MS = 900


def every_tab(browser: Browser, server: Server, folder: Path) -> None:
    """Pictures of all tabs and the sheets, into the folder."""
    (folder / "tabs").mkdir(parents=True, exist_ok=True)
    for width, height in SIZES.items():
        made: list[Path] = []
        for scheme in SCHEMES:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")  # pyright: ignore[reportArgumentType]
            page = context.new_page()
            page.add_init_script(NOTHING_KEPT)
            page.goto(f"{server.url}/", wait_until="domcontentloaded")
            ready(page)
            _picture(page)
            for tab in page.locator(TABS).evaluate_all("all => all.map((e) => e.dataset.tabId)"):
                page.evaluate("tab => document.getElementById(`tab_${tab}-button`).click()", tab)
                page.mouse.move(5, 300)
                page.wait_for_timeout(SETTLED_MS)
                made.append(folder / "tabs" / f"{width}-{scheme}-{tab}.png")
                page.screenshot(path=made[-1])
            context.close()
        sheet(made).save(folder / f"contact-sheet-{width}.png")


def _picture(page: Page) -> None:
    """One to show."""
    type_prompt(page, "a red apple, 3d")
    set_number(page, "txt2img_steps", 8)
    generate(page)
    shown_infotext(page)
    idle(page)


def sheet(files: list[Path]) -> Image.Image:
    """The pictures in rows, small, each with its name above."""
    small: list[tuple[str, Image.Image]] = []
    for path in files:
        with Image.open(path) as image:
            image.thumbnail((CELL_PX, CELL_PX * 3))
            small.append((path.stem, image.convert("RGB")))
    row_px = max(image.height for _, image in small) + WORDS_PX + 6
    rows = -(-len(small) // COLUMNS)
    whole = Image.new("RGB", (COLUMNS * (CELL_PX + 8), rows * row_px), "#808080")
    draw = ImageDraw.Draw(whole)
    for n, (name, image) in enumerate(small):
        x, y = n % COLUMNS * (CELL_PX + 8) + 4, n // COLUMNS * row_px
        draw.text((x, y + 3), name, fill="white")
        whole.paste(image, (x, y + WORDS_PX))
    return whole


def main(folder: Path) -> None:
    """Start the program and look at it."""
    with tempfile.TemporaryDirectory() as data, real_server(Path(data)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        every_tab(browser, server, folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
