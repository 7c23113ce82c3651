"""One Chromium for the session; a page that fails its test on a script error or on a request that leaves this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.servers import Server, real_server, stand_in_server

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
PATIENCE_MS = 60_000  # what is awaited comes at once; a busy machine may take longer than the usual five seconds
expect.set_options(timeout=PATIENCE_MS)
# The server keeps what a form holds for the next page that is opened: a test must not find what another has typed.
NOTHING_KEPT = """(() => {
  const plain = window.fetch;
  const none = () => Response.json({ forms: {}, presets: {}, marks: {}, kept: true });
  window.fetch = (address, options) => (address === "internal/form" ? Promise.resolve(none()) : plain(address, options));
})();"""


def chromium() -> str:
    """The browser to drive; a test run without one says so and does not pass."""
    found = os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)
    if not found:
        pytest.fail("no Chromium: set the variable CHROMIUM to its path", pytrace=False)
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The program itself with the starter model."""
    with real_server(tmp_path_factory.mktemp("real")) as server:
        yield server


@pytest.fixture(scope="session")
def shared_stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with stand_in_server(tmp_path_factory.mktemp("stand-in"), step_s=0.03) as server:
        yield server


@pytest.fixture
def stand_in(shared_stand_in: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The stand-in server with an empty queue."""
    # Gradio has one folder for uploads a process, that of the page mounted last; files of tests with servers of their own mount others.
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(shared_stand_in.data / "cache" / "page"))
    jobs = shared_stand_in.app.jobs
    jobs.step_s, jobs.loading_s, jobs.paused = 0.03, 0.0, False
    yield shared_stand_in
    jobs.paused = False
    for job in jobs.list(states=("queued", "running")):
        jobs.cancel(job.id)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """open_page(server, **context options) -> a page that is ready to use. Watches every page it opened.

    keeps=True: the server keeps the forms of this page, as it does outside of tests.
    """
    contexts: list[Any] = []
    wrong: list[str] = []

    def watch(page: Page, host: str) -> None:
        page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
        page.on("dialog", lambda dialog: (wrong.append(f"a dialog opened: {dialog.message}"), dialog.dismiss()))

        def note(request: Any) -> None:
            parts = urlsplit(request.url)
            if parts.scheme not in ("data", "blob", "about") and parts.netloc != host:
                wrong.append(f"left this machine: {request.url}")

        page.on("request", note)

    def open_one(server: Server, *, context: Any = None, keeps: bool = False, **options: Any) -> Page:
        if context is None:
            context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
            contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        if not keeps:
            page.add_init_script(NOTHING_KEPT)
        watch(page, urlsplit(server.url).netloc)
        page.goto(f"{server.url}/", wait_until="domcontentloaded")
        ready(page)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def ready(page: Page) -> None:
    """Until the page's own scripts have restored the form and all are there."""
    page.wait_for_function("window.__booted === true && document.body.dataset.whole === 'yes'", timeout=PATIENCE_MS)
