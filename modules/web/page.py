"""The page as a whole: tabs, theme, style sheet and script, and how Gradio is told to stay a quiet, local view.

Start reading at `build_page`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modules.app import App
from modules.folders import PROGRAM
from modules.plugins import assets
from modules.request.second import SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULER
from modules.upscale.table import LATENT_MODES, upscaler_files, upscalers
from modules.web import fragments
from modules.web.controls import Choices, Controls
from modules.web.events import BROWSER, QUIET, THEN, js
from modules.web.form import start_of
from modules.web.form_fields import CHECKPOINT, NONE
from modules.web.quick_controls import lists_of
from modules.web.quicksettings import FOLLOWING, QuickSettings, asked_of
from modules.web.script_page import ScriptPage
from modules.web.script_panel import ScriptPanel
from modules.web.serving import OnlyUploads, serve_folders
from modules.web.tabs import caption, cluster, extensions, history, queue, system, train
from modules.web.tabs import settings as settings_tab
from modules.web.tabs.extras import Extras
from modules.web.tabs.generate import Generate
from modules.web.tabs.img2img import Img2Img
from modules.web.tabs.models import Models
from modules.web.tabs.png_info import PngInfo
from modules.web.tabs.txt2img import Txt2Img
from modules.web.theme import theme
from modules.web.ui_config import FILE, UiConfig

if TYPE_CHECKING:
    from fastapi import FastAPI

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = (
    "core.js", "access.js", "form.js", "canvas.js", "img2img.js", "style_picture.js", "jobs.js", "gallery.js", "lightbox.js",
    "queue.js", "send.js", "files.js", "keys.js", "emphasis.js", "tokens.js", "models.js", "model.js", "works.js", "tiles.js",
    "history.js", "picture.js", "extras.js", "caption.js", "caption_cards.js", "caption_more.js", "caption_folder.js", "queue_tab.js",
    "queue_acts.js", "words.js", "a1111.js", "extensions_tab.js", "extensions_acts.js", "grid_panel.js", "grid_table.js", "control.js",
    "control_pieces.js", "control_map.js", "control_canvas.js", "control_batch.js", "control_panel.js", "train.js", "train_pictures.js",
    "train_words.js", "train_crop.js", "train_settings.js", "train_plot.js", "train_run.js", "remote.js",
    "settings.js", "settings_bar.js", "settings_styles.js", "settings_more.js", "settings_import.js",
    "system_plot.js", "system.js", "system_logs.js", "system_bench.js", "system_computing.js", "cluster.js",
    "menus.js", "form_acts.js", "ending.js", "presets.js", "tour.js", "compare.js", "prompt_box.js",
)  # fmt: skip
STYLES = (
    "style.css", "img2img.css", "extras.css", "caption.css", "history.css", "queue.css", "extensions.css", "grids.css", "access.css",
    "control.css", "train.css", "remote.css", "settings.css",
    "system.css", "manners.css", "direction.css",
)  # fmt: skip
# Of these two lists, what belongs to another tab than the first, or to a part that begins closed: the page asks for it in one piece when
# it stands. "address": parts
LATE: dict[str, tuple[str, ...]] = {
    "page/late.js": (
        "control_pieces.js", "control_map.js", "control_canvas.js", "control_batch.js", "control_panel.js",
        "caption.js", "caption_cards.js", "caption_more.js", "caption_folder.js", "queue_tab.js", "queue_acts.js", "extensions_tab.js",
        "extensions_acts.js",
        "train.js", "train_pictures.js", "train_words.js", "train_crop.js", "train_settings.js", "train_plot.js", "train_run.js",
        "remote.js", "settings.js", "settings_bar.js", "settings_styles.js", "settings_more.js", "settings_import.js",
        "system_plot.js", "system.js", "system_logs.js", "system_bench.js", "system_computing.js", "cluster.js",
        "menus.js", "form_acts.js", "ending.js", "presets.js", "tour.js", "compare.js", "prompt_box.js",
    ),
    "page/late.css": (
        "settings.css", "manners.css", "control.css", "caption.css", "history.css", "queue.css", "extensions.css", "train.css",
        "system.css", "remote.css", "direction.css",
    ),
}  # fmt: skip
WORDS = "internal/localization.js"  # the words of another language, when one is chosen
QUEUE_LOOK_S = 0.05  # Gradio looks into its own queue a thousand times a second, and only events of extensions go through it
SESSIONS = 100  # Gradio keeps a copy of the page's configuration for each of the latest sessions


def build_page(app: App, api: FastAPI | None = None) -> Starlette:
    """The page as an ASGI app for "/". api: the server it is part of, which extensions may add routes to."""
    guests = ScriptPage(app)
    blocks = build_blocks(app, guests)
    blocks.state_session_capacity = SESSIONS
    serve_folders([app.folders.outputs, app.folders.job_files])
    outer = Starlette(routes=[Route(f"/{address}", _late(address)) for address in LATE], middleware=[Middleware(OnlyUploads)])
    gr.mount_gradio_app(
        outer, blocks, path="/", theme=theme(), head=_head(app), footer_links=[], run_history=False, ssr_mode=False,  # pyright: ignore[reportArgumentType]
        mcp_server=False, pwa=False, enable_monitoring=False, max_file_size="64mb", favicon_path=str(ASSETS / "favicon.svg"),
        blocked_paths=[str(app.folders.config_file), str(app.folders.users_file), str(app.folders.logs)],
    )  # fmt: skip
    queue = blocks._queue  # pyright: ignore[reportPrivateUsage]
    queue.sleep_when_free = queue.progress_update_sleep_when_free = QUEUE_LOOK_S
    guests.started(api)
    return outer


def build_blocks(app: App, guests: ScriptPage | None = None) -> gr.Blocks:
    """Every tab, wired to the App. guests: the scripts and extensions of this page."""
    guests = guests or ScriptPage(app)
    ui_config = UiConfig.load([app.folders.ui_config_file, PROGRAM / FILE])
    choices: dict[str, Callable[[], Sequence[str]]] = {
        "samplers": app.samplers.names,
        "schedulers": lambda: [row.label for _, row in app.schedules],
        "styles": lambda: [style.name for style in app.styles.list()],
        "checkpoints": lambda: [checkpoint.title for checkpoint in app.library.checkpoints()],
        "hr_upscalers": lambda: [*LATENT_MODES, *upscalers(upscaler_files(app.folders)[0]).names()],
        "hr_checkpoints": lambda: [SAME_CHECKPOINT, *choices["checkpoints"]()],
        "hr_samplers": lambda: [SAME_SAMPLER, *app.samplers.names()],
        "hr_schedulers": lambda: [SAME_SCHEDULER, *choices["schedulers"]()],
        "refiners": lambda: [NONE, *choices["checkpoints"]()],
        "ip_adapters": lambda: [NONE, *(row.name for row in app.library.rows("ip_adapter"))],
        **lists_of(app),
    }
    with gr.Blocks(title="Darkroom", fill_width=True, delete_cache=(3600, 86400), analytics_enabled=False) as blocks:
        guests.begin(blocks)
        quick = QuickSettings(app, lambda: [*app.settings.notices, *ui_config.notices], choices)
        quick.build()
        txt2img = Txt2Img(app, Controls("txt2img", ui_config, choices), quick.checkpoint)
        img2img = Img2Img(app, Controls("img2img", ui_config, choices), quick.checkpoint)
        extras = Extras(app, ui_config)
        for tab in (txt2img, img2img, extras):
            tab.hidden()
        _give_scripts(app, guests, ui_config, choices, (txt2img, img2img))
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("txt2img", id="txt2img", elem_id="tab_txt2img"):
                txt2img.build()
                guests.announce(txt2img.panel.cast if txt2img.panel is not None else None)
            with gr.Tab("img2img", id="img2img", elem_id="tab_img2img"):
                img2img.build()
                guests.announce(img2img.panel.cast if img2img.panel is not None else None)
            with gr.Tab("Extras", id="extras", elem_id="tab_extras"):
                extras.build()
            with gr.Tab("Caption", id="caption", elem_id="tab_caption"):
                caption.build()
            with gr.Tab("Train", id="train", elem_id="tab_train"):
                train.build()
            with gr.Tab("Queue", id="queue", elem_id="tab_queue"):
                queue.build()
            with gr.Tab("PNG Info", id="pnginfo", elem_id="tab_pnginfo"):
                PngInfo(txt2img).build()
            with gr.Tab("History", id="history", elem_id="tab_history"):
                history.build()
            with gr.Tab("Models", id="models", elem_id="tab_models"):
                models = Models(app, ui_config)
                models.build()
            guests.place_tabs()
            with gr.Tab("Extensions", id="extensions", elem_id="tab_extensions"):
                extensions.build()
            with gr.Tab("Settings", id="settings", elem_id="tab_settings"):
                settings_tab.build()
            with gr.Tab("System", id="system", elem_id="tab_system"):
                system.build()
            if app.roster is not None:
                with gr.Tab("Cluster", id="cluster", elem_id="tab_cluster"):
                    cluster.build()
        guests.announce()
        following = [tab.form[name] for tab in (txt2img, img2img) for name in FOLLOWING]
        models.wire(quick.choose, following, [quick.checkpoint, *following, quick.notices])
        gr.HTML(fragments.FOOTER + fragments.LIGHTBOX, apply_default_css=False, elem_id="footer")
        _keep_forms(blocks, (txt2img, img2img), quick.wire([txt2img.form, img2img.form], choices))
        if app.scripts is not None and guests.troupe is not None:
            app.scripts.learn(guests.troupe)
    return blocks


def _give_scripts(app: App, guests: ScriptPage, ui_config: UiConfig, choices: Choices, tabs: Sequence[Generate]) -> None:
    """The tabs get the controls of scripts."""
    if guests.troupe is None:
        return
    for tab in tabs:
        tab.panel = ScriptPanel(app, guests.troupe, tab.tab, Controls(tab.tab, ui_config, choices), ui_config, guests.announce)


def _keep_forms(blocks: gr.Blocks, tabs: Sequence[Generate], fresh: dict[str, Any]) -> None:
    """The forms live in the browser's storage: saved on every change, restored on load with what has changed since the page was built."""
    for tab in tabs:
        for name, control in kept_of(tab).items():  # an event each: Gradio gathers every input of an event for every letter that is typed
            save = js("saveField", tab.tab, name)
            control.change(inputs=control, outputs=None, js=save, trigger_mode="always_last", **BROWSER)  # pyright: ignore[reportAttributeAccessIssue]
    kept = [(tab.tab, name, control) for tab in tabs for name, control in kept_of(tab).items() if tab is tabs[0] or name != CHECKPOINT]
    for tab in tabs:
        controls = kept_of(tab)
        put = gr.Button("Set the form", visible="hidden", elem_id=f"{tab.tab}_put")
        put.click(inputs=None, outputs=list(controls.values()), js=js("putting", tab.tab, list(controls)), **BROWSER)
    gr.Button("What has changed", visible="hidden", elem_id="dr_fresh").click(**fresh, **QUIET)  # asked by the script, beside the rest
    load = js("loadForms", [[tab, name, getattr(control, "value", None)] for tab, name, control in kept])
    outputs = [control for _, _, control in kept]
    restored = blocks.load(inputs=None, outputs=[*outputs, *(one for one in fresh["outputs"] if one not in outputs)], js=load, **BROWSER)
    starts = {tab.tab: {name: start_of(tab.fields, name) for name in tab.fields.advanced} for tab in tabs}
    restored.then(None, None, None, js=js("booted", starts), **THEN)


def kept_of(tab: Generate) -> dict[str, Any]:
    """Name -> control: what a browser keeps of a tab, the scripts' controls last."""
    return {**tab.form, **(tab.panel.kept if tab.panel is not None else {})}


def _head(app: App) -> str:
    """Style sheet and script, inline: the first tab needs no further request for them. Then the rest, and what extensions add."""
    later = {name for parts in LATE.values() for name in parts}
    style = _together([name for name in STYLES if name not in later])
    script = _together([name for name in SCRIPTS if name not in later])
    late = [f"{address}?{hashlib.sha256(_together(parts).encode()).hexdigest()[:12]}" for address, parts in LATE.items()]
    asked = asked_of(("txt2img", "img2img"))
    settings: dict[str, Any] = {"theme": app.flags.theme, "words": WORDS, "late": late, "asked": asked, **_of_extensions(app)}
    shown = json.dumps(settings).replace("</", "<\\/")
    return f"<style>{style}</style><script>window.darkroom = {{settings: {shown}}};\n{script}</script>"


def _together(names: Sequence[str]) -> str:
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in names)


def _late(address: str) -> Callable[[Request], Response]:
    """Answers with the parts of an address; the page names it with their digest, so that a browser may keep it."""
    kind = "text/css" if address.endswith(".css") else "text/javascript"
    kept = {"Cache-Control": "private, max-age=31536000, immutable"}
    return lambda request: Response(_together(LATE[address]), media_type=kind, headers=kept)


def _of_extensions(app: App) -> dict[str, list[str]]:
    """Addresses of their style sheets and scripts. Gradio puts the head together in the browser, so the page's own script loads them."""
    if app.scripts is None or app.flags.safe_mode:
        return {"styles": [], "scripts": []}
    known = app.scripts.extensions()
    return {
        "styles": [one.address for one in assets.styles(app.folders, known)],
        "scripts": [one.address for one in assets.scripts(app.folders, known)],
    }
