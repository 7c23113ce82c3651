"""Pictures of the Train tab in every state: no session, pictures, settings, at work, done; for each screen and scheme.

Run by `python -m tests.browser.screenshots FOLDER train`. Start reading at `train_states`.
"""

from __future__ import annotations

import json
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import RESULT_MS
from tests.browser.servers import Server, real_server
from tests.train import unseen

SESSION = "zorblax"
CONFIG = {
    "max_train_steps": 60, "sample_every": 20, "save_every": 20, "sample_prompts": [f"a {unseen.WORD} --s 4"], "trigger_word": unseen.WORD,
    "validation_split": 0.2, "validate_every": 10,
}  # fmt: skip


def train_states(pages: dict[str, Page], server: Server, folder: Path) -> None:
    """pages: by the beginning of their pictures' names, each on the page of `server`, which is the real program with the starter model."""

    def shots(name: str) -> None:
        for prefix, page in pages.items():
            page.mouse.move(5, 300)
            page.wait_for_timeout(700)
            page.screenshot(path=folder / f"{prefix}-train-{name}.png", full_page=True)

    for page in pages.values():
        page.get_by_role("tab", name="Train", exact=True).click()
        expect(page.locator(".dr-train-none")).to_be_visible()
    shots("empty")
    unseen.fill_session(server.data / "pictures")
    sent(server, "", {"name": SESSION, "preset": "lora-cpu", "folder": "pictures", "config": CONFIG})
    for page in pages.values():
        page.locator(f".dr-train-row[data-name={SESSION}] .dr-train-name").click()
        expect(page.locator(".dr-train-report")).to_contain_text("Sizes that are trained")
    shots("pictures")
    for page in pages.values():
        page.locator(".dr-train-step[data-step=settings]").click()
        expect(page.locator("[name=resolution]")).to_be_visible()
    shots("settings")
    sent(server, f"/{SESSION}/start", {})
    for page in pages.values():
        page.locator(".dr-train-step[data-step=run]").click()
        expect(page.locator(".dr-train-plot svg .dr-plot-line")).to_be_visible(timeout=RESULT_MS)
    shots("running")
    for page in pages.values():
        expect(page.locator(".dr-train-title .dr-job-state")).to_have_text("Done", timeout=5 * RESULT_MS)
        expect(page.locator(".dr-train-made")).to_be_visible()
    shots("done")


def sent(server: Server, place: str, body: dict[str, Any]) -> Any:
    """A POST below the sessions, as JSON."""
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(f"{server.url}/api/v2/train/sessions{place}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.load(answer)


def all_of_it(browser: Browser, folder: Path, opened: Any, looks: dict[str, tuple[dict[str, int], str]]) -> None:
    """opened(browser, server, viewport, scheme) -> a page; looks: (viewport, scheme) by the beginning of the pictures' names."""
    with tempfile.TemporaryDirectory() as data, real_server(Path(data)) as server:
        pages = {prefix: opened(browser, server, viewport, scheme) for prefix, (viewport, scheme) in looks.items()}
        train_states(pages, server, folder)
        for page in pages.values():
            page.context.close()
