"""What the page weighs beyond Gradio's own, how soon it can be used, and whether its memory grows over many pictures.

    python -m benchmarks.page [--generations 500] [--runs 5]

Weight: bytes on the wire and unpacked of everything that a fresh browser fetches until the page can be used; Gradio's scripts, styles
and fonts apart from our own, and an empty page of Gradio's beside it. Use: from opening the page until a letter typed into the prompt is
in the form. Memory: Chromium's heap after a collection, while one open page generates again and again (64 x 64, one step; every
picture has another seed, so another text).
"""

from __future__ import annotations

import argparse
import socket
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.program import machine, running_program
from benchmarks.start import CHROMIUM_FLAGS, chromium

KB, MB = 1e3, 1e6
GRADIOS = ("/assets/", "/static/", "/gradio_api/", "/theme.css", "/svelte/")  # where Gradio keeps its scripts, styles and fonts
SHOWN = "(document.querySelector('#html_info_txt2img .dr-card:not([hidden]) .dr-infotext')?.textContent ?? '')"
EVERY = 50  # generations between two looks at the heap


class Weight:
    """Bytes that a page fetched, on the wire and unpacked, by address without its query."""

    def __init__(self, page: Page) -> None:
        self.wire: Counter[str] = Counter()
        self.unpacked: Counter[str] = Counter()
        self._paths: dict[str, str] = {}
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on(
            "Network.requestWillBeSent", lambda event: self._paths.update({event["requestId"]: urlsplit(event["request"]["url"]).path})
        )
        session.on("Network.dataReceived", lambda event: self._count(self.unpacked, event, event["dataLength"]))
        session.on("Network.loadingFinished", lambda event: self._count(self.wire, event, event["encodedDataLength"]))

    def _sent(self, event: dict[str, Any]) -> None:
        self._paths[event["requestId"]] = urlsplit(event["request"]["url"]).path

    def _count(self, into: Counter[str], event: dict[str, Any], amount: float) -> None:
        into[self._paths.get(event["requestId"], "?")] += int(amount)

    def line(self, *, own: bool) -> str:
        """In words: of Gradio's parts, or of all others."""
        paths = [path for path in self.wire if path.startswith(GRADIOS) != own]
        wire, unpacked = (sum(amount[path] for path in paths) / KB for amount in (self.wire, self.unpacked))
        return f"{wire:6.0f} kB on the wire, {unpacked:6.0f} kB unpacked, {len(paths)} files"


@contextmanager
def bare_gradio() -> Iterator[str]:
    """Address of a Gradio page with a text box and a button, served as ours is: packed."""
    import gradio
    import uvicorn
    from fastapi import FastAPI
    from starlette.middleware.gzip import GZipMiddleware

    with gradio.Blocks(analytics_enabled=False) as blocks:
        gradio.Textbox(label="Prompt")
        gradio.Button("Generate")
    api = gradio.mount_gradio_app(FastAPI(), blocks, path="/")
    api.add_middleware(GZipMiddleware, minimum_size=1000)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(api, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def weight_of(browser: Browser, url: str, usable: str) -> Weight:
    """Of the first visit, until nothing more is fetched."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    weight = Weight(page)
    page.goto(f"{url}/", wait_until="domcontentloaded")
    page.locator(usable).first.wait_for(state="visible", timeout=120_000)
    page.wait_for_function("!window.darkroom || document.body.dataset.whole === 'yes'")  # what comes when the first tab stands
    page.wait_for_load_state("networkidle")
    context.close()
    return weight


def first_use(browser: Browser, url: str) -> float:
    """Seconds from opening the page, in a profile of its own, until a letter typed into the prompt is in the form."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    began = time.perf_counter()
    page.goto(f"{url}/", wait_until="commit")
    page.wait_for_function("window.__booted === true", timeout=120_000)
    page.locator("#txt2img_prompt textarea").press_sequentially("a")
    page.wait_for_function("darkroom.formOf('txt2img').prompt.endsWith('a')")
    took = time.perf_counter() - began
    context.close()
    return took


def heap_over(browser: Browser, url: str, generations: int) -> list[tuple[int, float, int, int]]:
    """(generations so far, heap in MB, DOM nodes, listeners) of one page, each after two collections."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{url}/", wait_until="domcontentloaded")
    page.wait_for_function("window.__booted === true")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    for name in ("steps", "width", "height"):
        box = page.locator(f"#txt2img_{name} input[type=number]")
        box.fill("1" if name == "steps" else "64")
        box.blur()
    page.fill("#txt2img_prompt textarea", "a red heart")
    found: list[tuple[int, float, int, int]] = []
    for count in range(1, generations + 1):
        page.evaluate(f"document.shownBefore = {SHOWN}")
        page.click("#txt2img_generate")
        page.wait_for_function(f"!document.body.dataset.busy && {SHOWN} !== document.shownBefore")
        if count % EVERY == 0 or count == EVERY // 5:
            for _ in range(2):
                session.send("HeapProfiler.collectGarbage")
            metrics = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
            found.append((count, metrics["JSHeapUsedSize"] / MB, int(metrics["Nodes"]), int(metrics["JSEventListeners"])))
            print("{:5} generations  heap {:6.2f} MB  {:6} nodes  {:5} listeners".format(*found[-1]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play, running_program(Path(folder)) as program:
        program.wait_for_model()
        browser = play.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        with bare_gradio() as bare:
            theirs = weight_of(browser, bare, "button")
        ours = weight_of(browser, program.url, "#txt2img_generate")
        print(f"empty Gradio page, Gradio's parts  {theirs.line(own=False)}\n                   the page itself  {theirs.line(own=True)}")
        print(f"our page, Gradio's parts           {ours.line(own=False)}\n          our own                   {ours.line(own=True)}")
        for path, amount in [pair for pair in ours.wire.most_common() if not pair[0].startswith(GRADIOS)][:8]:
            print(f"    {amount / KB:6.0f} kB  {path}")
        uses = [first_use(browser, program.url) for _ in range(args.runs)]
        print(f"opened to first use: median {statistics.median(uses):.2f} s ({min(uses):.2f} to {max(uses):.2f})")
        if args.generations:
            heap_over(browser, program.url, args.generations)
        browser.close()


if __name__ == "__main__":
    main()
