"""Steps that several browser tests take: set a control, generate, wait for the result."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.servers import Server

RESULT_MS = 120_000


def type_prompt(page: Page, text: str) -> None:
    """Until the form holds it: a long prompt makes its box grow, and Generate moves with it."""
    page.fill("#txt2img_prompt textarea", text)
    page.wait_for_function("words => (darkroom.formOf('txt2img').prompt ?? '') === words", arg=text)


def set_number(page: Page, elem_id: str, value: float) -> None:
    """A slider's number box; left again, as the form takes the value then."""
    box = page.locator(f"#{elem_id} input[type=number]")
    box.fill(str(value))
    box.blur()


def set_seed(page: Page, seed: int | str) -> None:
    page.fill("#txt2img_seed input", str(seed))


def generate(page: Page) -> None:
    page.click("#txt2img_generate")


def idle(page: Page) -> None:
    """Until the page follows no job any more and what it shows has settled."""
    page.wait_for_function("!document.body.dataset.busy", timeout=RESULT_MS)


def shown_infotext(page: Page) -> str:
    """The text of the picture that is selected, once there is one."""
    card = page.locator("#html_info_txt2img .dr-card:not([hidden]) .dr-infotext")
    expect(card).to_be_visible(timeout=RESULT_MS)
    return card.inner_text()


def wait_for_text(page: Page, words: str) -> None:
    """Until the selected picture's text holds these words. Where they do not come, the server's latest jobs are told."""
    try:
        expect(page.locator("#html_info_txt2img .dr-card:not([hidden]) .dr-infotext")).to_contain_text(words, timeout=RESULT_MS)
    except AssertionError as error:
        error.add_note(page.evaluate("fetch('internal/jobs?limit=3').then((answer) => answer.text())"))
        error.add_note(page.evaluate("JSON.stringify([document.body.dataset.busy ?? 'idle', localStorage])"))
        raise


def submitted(server: Server) -> list[Any]:
    """Every job that the stand-in was ever given, oldest first."""
    return list(server.app.jobs.rows.values())


def made_file(server: Server, page: Page, words: str) -> Path:
    """Generates, and returns the file."""
    type_prompt(page, words)
    generate(page)
    wait_for_text(page, words)
    idle(page)
    return Path(submitted(server)[-1].result["pictures"][0]["path"])


def ask(server: Server, path: str) -> Any:
    """A GET of ours as JSON."""
    with urllib.request.urlopen(f"{server.url}/{path}", timeout=20) as answer:
        return json.load(answer)


def finished_jobs(server: Server) -> list[dict[str, Any]]:
    return [job for job in ask(server, "internal/jobs?limit=500")["jobs"] if job["state"] in ("done", "failed", "canceled", "parked")]


def all_jobs(server: Server) -> list[dict[str, Any]]:
    return ask(server, "internal/jobs?limit=500")["jobs"]


def wait_until(found: Any, timeout_s: float = 60) -> Any:
    """The first true value of found()."""
    end = time.monotonic() + timeout_s
    while not (value := found()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return value
