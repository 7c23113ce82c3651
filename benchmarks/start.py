"""How long from the command to the first HTML byte, to a usable page, and to a loaded model.

    python -m benchmarks.start [--runs 3]

Each run starts the program anew (environment already set up, file cache warm after the first run). The page is opened in
Chromium; it is usable when its script has said so and the Generate button can be pressed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.program import machine, running_program

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str:
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome", "chrome"):
        if name and (found := shutil.which(name)):
            return found
    raise SystemExit("no Chromium found; name one in the variable CHROMIUM")


def one_run() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        with running_program(Path(folder)) as program:
            answers = program.wait_for("/internal/ping")
            first_byte_began = time.perf_counter()
            html = program.wait_for("/") - (first_byte_began - program.started_s)
            usable = open_page(browser, program.url)
            again = open_page(browser, program.url)
            model = program.wait_for_model()
        browser.close()
    return {
        "command to first answer": answers,
        "first HTML byte of a request": html,
        "page opened to usable": usable,
        "page opened again to usable": again,
        "command to model loaded": model,
    }


def open_page(browser: Browser, url: str) -> float:
    """Seconds from opening the page to a Generate button that can be pressed, in a browser profile of its own."""
    page = browser.new_page()
    opened = time.perf_counter()
    page.goto(url, wait_until="domcontentloaded")
    page.wait_for_function("window.__booted === true")
    page.locator("#txt2img_generate").wait_for(state="visible")
    took = time.perf_counter() - opened
    page.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    print(machine())
    runs = [one_run() for _ in range(args.runs)]
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(f"{name + ':':31} median {statistics.median(values):6.2f} s  (min {min(values):.2f}, max {max(values):.2f})")
    whole = [run["command to first answer"] + run["first HTML byte of a request"] for run in runs]
    print(f"{'command to first HTML byte:':31} median {statistics.median(whole):6.2f} s")
    usable = [w + run["page opened to usable"] for w, run in zip(whole, runs, strict=True)]
    print(f"{'command to usable page:':31} median {statistics.median(usable):6.2f} s")


if __name__ == "__main__":
    main()
