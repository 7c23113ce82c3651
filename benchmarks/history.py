"""How long the History tab takes with many pictures: rows listed, files read, first page, search, last page, in Chromium and without.

    python -m benchmarks.history [--pictures 20000]

Writes that many small PNG files with parameters into an empty data folder and opens it twice: with an empty index, which is filled in
the background while the first page is asked for, and with a filled one. A tile counts as seen when Chromium has drawn its picture.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image, PngImagePlugin
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.program import machine, running_program
from benchmarks.start import CHROMIUM_FLAGS, chromium
from modules.folders import Folders
from modules.library.pictures import Pictures, Wish
from modules.settings import SettingsStore

WORDS = (
    "red", "blue", "green", "old", "happy", "portrait", "castle", "mountain", "lake", "forest", "close-up",
    "apple", "cat", "dog", "boat", "street", "night", "film", "light", "detailed",
)  # fmt: skip
PER_FOLDER = 400
BEGAN_S = 1_700_000_000


def write_pictures(data: Path, count: int) -> None:
    """PNG files of 64 x 64 pixels in folders of a day, with A1111's text of some 400 characters."""
    rnd = random.Random(1)
    pixels = [Image.new("RGB", (64, 64), tuple(rnd.randrange(255) for _ in range(3))) for _ in range(16)]
    for n in range(count):
        text = (
            f"{' '.join(rnd.choices(WORDS, k=25))}, number{n}\nNegative prompt: {' '.join(rnd.choices(WORDS, k=15))}\n"
            f"Steps: 20, Sampler: {rnd.choice(('Euler a', 'DPM++ 2M', 'UniPC'))}, Schedule type: Karras, CFG scale: 7, "
            f"Seed: {rnd.randrange(2**32)}, Size: 64x64, Model hash: 0a1b2c3d4e, Model: model-{n % 7}, Version: v1.10.1"
        )
        info = PngImagePlugin.PngInfo()
        info.add_text("parameters", text)
        file = io.BytesIO()
        pixels[n % 16].save(file, "PNG", pnginfo=info)
        path = data / "outputs" / "txt2img-images" / f"day {n // PER_FOLDER:03}" / f"{n:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.getvalue())
        os.utime(path, (BEGAN_S + n * 60,) * 2)


def told(name: str, value: float, unit: str) -> None:
    print(f"{name:52} {value:10.1f} {unit}")


def median_ms(action: Callable[[], object], times: int = 7) -> float:
    spent: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        spent.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent)


def without_browser(data: Path, count: int) -> None:
    """The library alone, in this process."""
    folders = Folders.at(data)
    pictures = Pictures(folders, SettingsStore(folders.config_file))
    began = time.perf_counter()
    pictures.page(Wish())
    told("first page with an empty index", (time.perf_counter() - began) * 1000, "ms")
    while (page := pictures.page(Wish(), limit=0)).unread or page.looking:
        time.sleep(0.2)
    told("every file read after", time.perf_counter() - began, "s")
    pictures.close()
    pictures = Pictures(folders, SettingsStore(folders.config_file))
    began = time.perf_counter()
    pictures.page(Wish())
    told("first page after a start", (time.perf_counter() - began) * 1000, "ms")
    while pictures.page(Wish(), limit=0).looking:
        time.sleep(0.05)
    told("every file looked at after", time.perf_counter() - began, "s")

    def fresh(wish: Wish, offset: int = 0) -> None:
        pictures.refresh(force=True)
        pictures.page(wish, offset, 100)

    told("first page", median_ms(lambda: fresh(Wish())), "ms")
    told("last page", median_ms(lambda: fresh(Wish(), count - 100)), "ms")
    told("search for a word that half of them have", median_ms(lambda: fresh(Wish(search="castle"))), "ms")
    told("search for one picture", median_ms(lambda: fresh(Wish(search=f"number{count - 1}"))), "ms")
    told("a phrase, a model and a sampler", median_ms(lambda: fresh(Wish(search='"red castle"', model="model-3", sampler="UniPC"))), "ms")
    told("what can be filtered by", median_ms(pictures.choices), "ms")
    pictures.close()


def until_drawn(page: Page, do: str, name: str) -> float:
    """Milliseconds from an action (JavaScript) until the tile of a file has been drawn with its picture, by the page's own clock."""
    script = """([action, name]) => new Promise((done) => {
      const began = performance.now();
      const seen = () => [...document.querySelectorAll('.dr-picture')].some((tile) =>
        tile.getAttribute('aria-label')?.startsWith(name) && tile.querySelector('img')?.complete && tile.querySelector('img').naturalWidth);
      const look = () => (seen() ? requestAnimationFrame(() => done(performance.now() - began)) : requestAnimationFrame(look));
      eval(action);
      look();
    })"""
    return float(page.evaluate(script, [do, name]))


def in_chromium(browser: Browser, data: Path, count: int) -> None:
    with running_program(data) as program:
        program.wait_for("/")
        while (answer := program.get("/internal/history?limit=0"))["unread"] or answer["looking"]:
            time.sleep(0.2)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(program.url, wait_until="domcontentloaded")
        page.wait_for_function("window.__booted === true", timeout=180_000)
        newest = f"{count - 1:05}.png"
        told("History tab to the first picture", until_drawn(page, "document.getElementById('tab_history-button').click()", newest), "ms")
        box = "const b = document.getElementById('dr_history_search'); b.value = '%s'; b.dispatchEvent(new Event('input', {bubbles: true}))"
        told("search to its picture", until_drawn(page, box % '"number77"', "00077.png"), "ms")
        until_drawn(page, box % "", newest)
        told("jump to the very end", until_drawn(page, "scrollTo(0, document.documentElement.scrollHeight)", "00000.png"), "ms")
        told("tiles in the page then", float(page.evaluate("document.querySelectorAll('.dr-picture').length")), "")
        page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        data = Path(folder)
        write_pictures(data, args.pictures)
        print(f"-- {args.pictures} pictures, without a browser")
        without_browser(data, args.pictures)
        browser = play.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        print(f"-- {args.pictures} pictures, in Chromium")
        in_chromium(browser, data, args.pictures)
        browser.close()


if __name__ == "__main__":
    main()
