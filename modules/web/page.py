"""The page as a whole: tabs, theme, style sheet and script, and how Gradio is told to stay a quiet, local view.

Start reading at `build_page`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.applications import Starlette
from starlette.middleware import Middleware

from modules.app import App
from modules.folders import PROGRAM
from modules.web import fragments
from modules.web.controls import Controls
from modules.web.events import BROWSER, THEN, js
from modules.web.quicksettings import FOLLOWING, QuickSettings
from modules.web.serving import OnlyUploads, serve_folders
from modules.web.tabs.models import Models
from modules.web.tabs.png_info import PngInfo
from modules.web.tabs.txt2img import Txt2Img
from modules.web.theme import theme
from modules.web.ui_config import FILE, UiConfig

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("core.js", "form.js", "jobs.js", "gallery.js", "lightbox.js", "queue.js", "files.js", "keys.js",
           "models.js", "model.js", "works.js", "tiles.js")  # fmt: skip
SESSIONS = 100  # Gradio keeps a copy of the page's configuration for each of the latest sessions


def build_page(app: App) -> Starlette:
    """The page as an ASGI app for "/"."""
    blocks = build_blocks(app)
    blocks.state_session_capacity = SESSIONS
    serve_folders([app.folders.outputs, app.folders.job_files])
    outer = Starlette(middleware=[Middleware(OnlyUploads)])
    gr.mount_gradio_app(
        outer, blocks, path="/", theme=theme(), head=_head(app.flags.theme), footer_links=[], run_history=False, ssr_mode=False,  # pyright: ignore[reportArgumentType]
        mcp_server=False, pwa=False, enable_monitoring=False, max_file_size="64mb", favicon_path=str(ASSETS / "favicon.svg"),
        blocked_paths=[str(app.folders.config_file), str(app.folders.logs)],
    )  # fmt: skip
    return outer


def build_blocks(app: App) -> gr.Blocks:
    """Every tab, wired to the App."""
    ui_config = UiConfig.load([app.folders.ui_config_file, PROGRAM / FILE])
    choices = {
        "samplers": app.samplers.names,
        "schedulers": lambda: [row.label for _, row in app.schedules],
        "styles": lambda: [style.name for style in app.styles.list()],
        "checkpoints": lambda: [checkpoint.title for checkpoint in app.library.checkpoints()],
    }
    with gr.Blocks(title="Darkroom", fill_width=True, delete_cache=(3600, 86400), analytics_enabled=False) as blocks:
        quick = QuickSettings(app, lambda: [*app.settings.notices, *ui_config.notices])
        quick.build()
        txt2img = Txt2Img(app, Controls("txt2img", ui_config, choices), quick.checkpoint)
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("txt2img", id="txt2img", elem_id="tab_txt2img"):
                txt2img.build()
            with gr.Tab("PNG Info", id="pnginfo", elem_id="tab_pnginfo"):
                PngInfo(txt2img).build()
            with gr.Tab("Models", id="models", elem_id="tab_models"):
                models = Models(app, ui_config)
                models.build()
        following = [txt2img.form[name] for name in FOLLOWING]
        models.wire(quick.choose, following, [quick.checkpoint, *following, quick.notices])
        gr.HTML(fragments.FOOTER + fragments.LIGHTBOX, apply_default_css=False, elem_id="footer")
        _keep_form(blocks, txt2img, quick)
    return blocks


def _keep_form(blocks: gr.Blocks, txt2img: Txt2Img, quick: QuickSettings) -> None:
    """The form lives in the browser's storage: saved on every change, restored on load, then brought up to date."""
    form = list(txt2img.form.values())
    names = list(txt2img.form)
    gr.on([c.change for c in form], inputs=form, outputs=None, js=js("saveForm", names), trigger_mode="always_last", **BROWSER)  # pyright: ignore[reportAttributeAccessIssue]
    restored = blocks.load(inputs=form, outputs=form, js=js("loadForm", names), **BROWSER)
    fresh = restored.then(**quick.wire(txt2img.form), **THEN)
    fresh.then(None, None, None, js=js("booted"), **THEN)


def _head(flag_theme: str | None) -> str:
    """Style sheet and script, inline: the page needs no further request for them."""
    style = (ASSETS / "style.css").read_text(encoding="utf-8")
    script = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)
    settings: dict[str, Any] = {"theme": flag_theme}
    return f"<style>{style}</style><script>window.darkroom = {{settings: {json.dumps(settings)}}};\n{script}</script>"
