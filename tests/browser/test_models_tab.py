"""The Models tab in Chromium over the real program: cards, details, the prompt, the bin, a form."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.driving import ask, type_prompt, wait_until
from tests.browser.servers import Server
from tests.library.weight_files import EMBEDDING, LORA, write_safetensors

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def models(real: Server) -> Iterator[Path]:
    """A few files in the models folder of the running program, taken away again."""
    base = real.data / "models"
    write_safetensors(base / "Lora" / "ink.safetensors", LORA)
    (base / "Lora" / "ink.json").write_text(json.dumps({"activation text": "ink wash", "preferred weight": 0.7, "description": HOSTILE}))
    Image.new("RGB", (300, 200), "teal").save(base / "Lora" / "ink.png")
    write_safetensors(base / "Lora" / f"{HOSTILE.replace('/', '')}.safetensors", LORA)
    write_safetensors(base / "embeddings" / "easy.safetensors", EMBEDDING)
    (base / "Stable-diffusion").mkdir(exist_ok=True)
    (base / "Stable-diffusion" / "old.ckpt").write_bytes(b"PK\x03\x04")
    refresh(real)
    yield base
    for path in [*base.rglob("*.*")]:
        if path.is_file():
            path.unlink()
    refresh(real)


def refresh(server: Server) -> None:
    request = urllib.request.Request(f"{server.url}/internal/models/refresh", b"{}", {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=20).close()
    wait_until(lambda: ask(server, "internal/models?limit=0")["unread"] == 0)


def show(page: Page, kind: str) -> None:
    page.get_by_role("tab", name="Models").click()
    page.locator(f"[data-do=models-kind][data-kind='{kind}']").click()


def card(page: Page, name: str) -> Any:
    return page.locator(".dr-model-cards > li", has=page.locator(f"strong:text-is({json.dumps(name)})"))


def test_a_lora_goes_into_the_prompt_and_out_of_it(real: Server, open_page: Open, models: Path):
    page = open_page(real)
    type_prompt(page, "a cat")
    show(page, "lora")
    expect(card(page, "ink").locator("img")).to_be_visible()
    card(page, "ink").get_by_role("button", name="Insert").click()
    prompt = page.locator("#txt2img_prompt textarea")
    expect(prompt).to_have_value("a cat <lora:ink:0.7>, ink wash")
    card(page, "ink").get_by_role("button", name="Remove").click()
    expect(prompt).to_have_value("a cat")
    show(page, "embedding")
    card(page, "easy").get_by_role("button", name="Insert").click()
    expect(prompt).to_have_value("a cat, easy")


def test_the_drawer_under_the_prompts_follows_what_is_typed(real: Server, open_page: Open, models: Path):
    page = open_page(real)
    type_prompt(page, "")
    page.locator("#txt2img_extra_tabs summary").click()
    tile = page.locator(".dr-tile", has_text="ink")
    tile.click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("<lora:ink:0.7>, ink wash")
    expect(tile).to_have_attribute("aria-pressed", "true")
    type_prompt(page, "a dog")
    expect(tile).to_have_attribute("aria-pressed", "false")
    page.locator("#txt2img_extra_tabs input").fill("easy")
    expect(page.locator(".dr-tile")).to_have_count(1)


def test_names_and_notes_from_files_stay_texts(real: Server, open_page: Open, models: Path):
    """The fixture fails on any dialog or script error."""
    page = open_page(real)
    show(page, "lora")
    card(page, HOSTILE).locator(".dr-model").click()
    expect(page.locator(".dr-model-panel h2")).to_have_text(HOSTILE)
    page.locator(".dr-model-panel [data-do=model-close]").click()
    card(page, "ink").locator(".dr-model").click()
    page.locator(".dr-model-panel summary", has_text="Notes").click()
    expect(page.locator(".dr-model-notes [name=description]")).to_have_value(HOSTILE)
    page.locator(".dr-model-notes [name=notes]").fill("mine")
    page.get_by_role("button", name="Save notes").click()
    expect(page.locator(".dr-model-notes")).to_contain_text("Saved")
    assert json.loads((models / "Lora" / "ink.json").read_text())["notes"] == "mine"
    assert page.locator("img[src=x]").count() == 0


def test_a_model_is_deleted_in_two_steps_and_put_back(real: Server, open_page: Open, models: Path):
    page = open_page(real)
    show(page, "lora")
    card(page, "ink").locator(".dr-model").click()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Move to the bin").click()
    expect(card(page, "ink")).to_have_count(0)
    assert not (models / "Lora" / "ink.safetensors").exists()
    page.get_by_role("button", name="Put it back").click()
    expect(card(page, "ink")).to_have_count(1)
    assert (models / "Lora" / "ink.safetensors").exists()


def test_why_it_is_not_listed_leads_to_the_conversion(real: Server, open_page: Open, models: Path):
    page = open_page(real, viewport={"width": 390, "height": 844})
    show(page, "refused")
    card(page, "old").locator(".dr-model").click()
    expect(page.locator(".dr-model-panel")).to_contain_text("Why it is not listed")
    page.get_by_role("button", name="Convert safely…").click()
    expect(page.locator("#models_unpickle_source input")).to_have_value("old.ckpt")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the screen"


def test_a_form_that_cannot_be_carried_out_says_so(real: Server, open_page: Open, models: Path):
    page = open_page(real)
    page.get_by_role("tab", name="Models").click()
    page.get_by_role("tab", name="Download").click()
    page.get_by_role("button", name="Choose").first.click()
    expect(page.locator("#models_download_source textarea, #models_download_source input")).not_to_have_value("")
    page.locator("#models_download_source textarea, #models_download_source input").fill("http://127.0.0.1/x.safetensors")
    page.locator("#models_download_start").click()
    expect(page.locator("#models_message [role=alert]")).to_be_visible()
