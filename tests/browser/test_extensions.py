"""An extension in the manner of A1111 and Gradio 3.41: installed from a folder on the page, used, kept, and the page in its language."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import ready
from tests.browser.driving import RESULT_MS, generate, set_number, type_prompt, wait_for_text
from tests.browser.servers import Server, real_server

SCRIPT = """
import gradio as gr
from PIL import Image
from modules import script_callbacks, scripts, shared
from modules.ui_components import InputAccordion


class Tint(scripts.Script):
    def title(self):
        return "Tint"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def after_component(self, component, **kwargs):
        if kwargs.get("elem_id") == "txt2img_generate":
            gr.Button("Tint it", elem_id="tint_it")

    def ui(self, is_img2img):
        with InputAccordion(False, label="Tint the picture", elem_id=self.elem_id("on")) as on:
            strength = gr.Slider(minimum=0.0, maximum=1.0, step=0.05, value=1.0, label="Tint strength", elem_id=self.elem_id("strength"))
            note = gr.Textbox(label="Tint note", elem_id=self.elem_id("note"))
        strength.change(fn=lambda x: f"{x:.2f}", _js="(x) => x", inputs=[strength], outputs=[note])
        self.infotext_fields = [(on, lambda d: "Tint" in d), (strength, "Tint")]
        return [on, strength, note]

    def postprocess_image(self, p, pp, on, strength, note):
        if on:
            p.extra_generation_params["Tint"] = strength
            colour = Image.new("RGB", pp.image.size, shared.opts.tint_colour)
            pp.image = Image.blend(pp.image, colour, strength)


def settings():
    shared.opts.add_option("tint_colour", shared.OptionInfo("#ff0000", "Colour of the tint", section=("tint", "Tint")))


def tabs():
    with gr.Blocks(analytics_enabled=False) as block:
        with gr.Row():
            word = gr.Textbox(label="Word", elem_id="tint_word")
            back = gr.Textbox(label="Backwards", elem_id="tint_back")
        gr.Button("Turn", elem_id="tint_turn").click(fn=lambda text: text[::-1], inputs=[word], outputs=[back])
    return [(block, "Tint", "tint_tab")]


def started(demo, app):
    @app.get("/tint/hello")
    def hello():
        return {"hello": shared.opts.tint_colour}


script_callbacks.on_ui_settings(settings)
script_callbacks.on_ui_tabs(tabs)
script_callbacks.on_app_started(started)
"""
PAGE = """
onUiLoaded(() => { document.body.dataset.tint = gradioApp().querySelector("#txt2img_prompt textarea") ? "loaded" : "missing"; });
onOptionsChanged(() => { document.body.dataset.colour = opts.tint_colour; });
"""
WORDS = {"Generate": "Erzeugen", "Seed": "Startwert", "Installed": "Eingerichtet"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with real_server(tmp_path_factory.mktemp("extensions")) as found:
        yield found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {
        "scripts/tint.py": SCRIPT,
        "javascript/tint.js": PAGE,
        "style.css": "#tint_word { outline: 3px solid rgb(1, 2, 3); }",
        "localizations/Probe.json": json.dumps(WORDS),
    }
    for name, text in files.items():
        (tmp_path / "sd-tint" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sd-tint" / name).write_text(text)
    return tmp_path / "sd-tint"


def tab(page: Page, name: str) -> None:
    page.locator(f"#tab_{name}-button").click()


def made(page: Page, server: Server) -> Image.Image:
    """The picture of a run."""
    generate(page)
    wait_for_text(page, "Tint: 1")
    with Image.open(max((server.data / "outputs").rglob("*.png"), key=lambda path: path.stat().st_mtime)) as image:
        image.load()
        return image


def install(page: Page, source: Path) -> None:
    tab(page, "extensions")
    page.locator("#dr_ext_source").fill(str(source))
    page.locator("#dr_ext_form button").click()
    expect(page.locator(".dr-ext-errand pre")).to_contain_text("sd-tint is installed", timeout=RESULT_MS)
    expect(page.locator(".dr-ext-row[data-name=sd-tint] .dr-ext-grade")).to_have_text("A", timeout=RESULT_MS)
    page.evaluate("window.before = true")
    page.locator("#dr_ext_restart").click()
    page.wait_for_function("!window.before && window.__booted === true", timeout=180_000)


@pytest.mark.slow
def test_an_extension_is_installed_and_does_its_work(server: Server, source: Path, open_page: Callable[..., Page]):
    page = open_page(server)
    install(page, source)
    expect(page.locator("body")).to_have_attribute("data-tint", "loaded", timeout=RESULT_MS)
    expect(page.locator("body")).to_have_attribute("data-colour", "#ff0000", timeout=RESULT_MS)
    expect(page.locator("#tint_it")).to_be_visible()
    assert page.request.get(f"{server.url}/tint/hello").json() == {"hello": "#ff0000"}

    set_number(page, "txt2img_steps", 1)
    type_prompt(page, "a red apple")
    page.locator("#script_txt2img_tint_on input").check()
    picture = made(page, server)
    assert picture.convert("RGB").getextrema() == ((255, 255), (0, 0), (0, 0))
    assert "Tint: 1" in picture.info["parameters"]

    set_number(page, "script_txt2img_tint_strength", 0.5)
    expect(page.locator("#script_txt2img_tint_note textarea")).to_have_value("0.50", timeout=RESULT_MS)
    page.reload()
    ready(page)
    expect(page.locator("#script_txt2img_tint_strength input[type=number]")).to_have_value("0.5", timeout=RESULT_MS)
    expect(page.locator("#script_txt2img_tint_on input")).to_be_checked()
    type_prompt(page, "x\nSteps: 1, Sampler: Euler, Seed: 1, Size: 64x64, Tint: 0.25")
    page.locator("#txt2img_paste").click()
    expect(page.locator("#script_txt2img_tint_strength input[type=number]")).to_have_value("0.25", timeout=RESULT_MS)

    tab(page, "tint_tab")
    page.locator("#tint_word textarea").fill("abc")
    page.locator("#tint_turn").click()
    expect(page.locator("#tint_back textarea")).to_have_value("cba", timeout=RESULT_MS)
    assert page.evaluate("getComputedStyle(document.querySelector('#tint_word')).outlineWidth") == "3px"

    tab(page, "extensions")
    row = page.locator(".dr-ext-row[data-name=sd-tint]")
    expect(row).to_contain_text("changed image", timeout=RESULT_MS)
    row.locator("summary").click()
    row.locator("#setting_tint_colour").fill("#0000ff")
    row.locator("#setting_tint_colour").blur()
    expect(page.locator("body")).to_have_attribute("data-colour", "#0000ff", timeout=RESULT_MS)
    page.locator("#dr_ext_language").select_option("Probe")
    page.wait_for_function("window.localization?.Generate === 'Erzeugen'")
    ready(page)
    tab(page, "txt2img")
    expect(page.locator("#txt2img_generate")).to_have_text("Erzeugen", timeout=RESULT_MS)
    expect(page.locator("#txt2img_seed label span").first).to_have_text("Startwert", timeout=RESULT_MS)

    tab(page, "extensions")
    expect(page.locator("#dr_ext_installed")).to_have_text("Eingerichtet", timeout=RESULT_MS)
    page.locator(".dr-ext-row[data-name=sd-tint] [data-do=ext-remove]").click()
    expect(page.locator(".dr-ext-list[data-part=bin]")).to_contain_text("sd-tint", timeout=RESULT_MS)
    assert not (server.data / "extensions" / "sd-tint").exists()
