"""A1111's modules of its page and its entry points: ui_common, ui_extra_networks, infotext_utils, txt2img. Start reading at `TABLE`.

In the worker their Gradio is a sketch.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from PIL import Image

from modules import infotext
from modules.compat.names_around import decode_base64_to_image

Views = Any  # modules.compat.views.Views; it imports this file

SYMBOLS = {
    "random_symbol": "🎲", "reuse_symbol": "♻", "paste_symbol": "↙", "refresh_symbol": "🔄", "save_style_symbol": "💾",
    "apply_style_symbol": "📋", "clear_prompt_symbol": "🗑", "extra_networks_symbol": "🎴", "switch_values_symbol": "⇅",
    "detect_image_size_symbol": "📐", "folder_symbol": "📂", "restore_progress_symbol": "🌀", "plus_symbol": "➕",
}  # fmt: skip
# Order of the values of `txt2img.txt2img(id_task, request, *values, *script_args)`. Source: A1111 1.10.
TXT2IMG = (
    "prompt", "negative_prompt", "styles", "n_iter", "batch_size", "cfg_scale", "height", "width", "enable_hr", "denoising_strength",
    "hr_scale", "hr_upscaler", "hr_second_pass_steps", "hr_resize_x", "hr_resize_y", "hr_checkpoint_name", "hr_sampler_name",
    "hr_scheduler", "hr_prompt", "hr_negative_prompt", "override_settings_texts",
)  # fmt: skip
STEPS = 20  # the values hold none: A1111 keeps steps and sampler in a script of its own
UNSET = ("Use same checkpoint", "Use same sampler", "Use same scheduler")


def plaintext_to_html(text: Any, classname: str | None = None) -> str:
    """Text as a paragraph."""
    inner = "<br>\n".join(html.escape(str(text)).split("\n"))
    return f"<p class='{classname}'>{inner}</p>" if classname else f"<p>{inner}</p>"


def refresh_button(views: Views) -> Callable[..., Any]:
    """`create_refresh_button`: a button that calls a function and lays new values over a component."""
    gr: Any = views.gradio

    def create(refresh_component: Any, refresh_method: Any, refreshed_args: Any, elem_id: str | None = None) -> Any:
        components = refresh_component if isinstance(refresh_component, list) else [refresh_component]

        def refresh() -> Any:
            refresh_method()
            found: Any = refreshed_args() if callable(refreshed_args) else refreshed_args
            changes = [gr.update(**(found or {})) for _ in components]
            return changes if len(changes) > 1 else changes[0]

        button = gr.Button(SYMBOLS["refresh_symbol"], elem_id=elem_id)
        button.click(fn=refresh, inputs=[], outputs=components)
        return button

    return create


def ui(views: Views) -> dict[str, Any]:
    """Symbols and small functions."""
    return {
        **SYMBOLS,
        "plaintext_to_html": plaintext_to_html,
        "create_refresh_button": refresh_button(views),
        "gr_show": lambda visible=True: {"visible": visible, "__type__": "update"},
        "versions_html": lambda: f"version: {infotext.VERSION}",
        "ordered_ui_categories": lambda: views.offered("modules.shared_items").ui_reorder_categories(),
        "create_output_panel": views.refusal("ui.create_output_panel", "the gallery belongs to the program's own page"),
        "switch_values_symbol": SYMBOLS["switch_values_symbol"],
        "ToolButton": views.offered("modules.ui_components").ToolButton,
    }


def ui_common(views: Views) -> dict[str, Any]:
    """What tabs have in common."""
    why = "the gallery belongs to the program's own page"
    return {
        "plaintext_to_html": plaintext_to_html, "create_refresh_button": refresh_button(views), "infotext_to_html": plaintext_to_html,
        "create_output_panel": views.refusal("ui_common.create_output_panel", why), "folder_symbol": SYMBOLS["folder_symbol"],
        "save_files": views.refusal("ui_common.save_files", why), "ToolButton": views.offered("modules.ui_components").ToolButton,
        "refresh_symbol": SYMBOLS["refresh_symbol"], "update_generation_info": lambda info, text, index: (text, {"__type__": "update"}),
        "setup_dialog": views.refusal("ui_common.setup_dialog", why), "shared": views.offered("modules.shared"),
    }  # fmt: skip


class ExtraNetworksPage:
    """A page of cards. Taken and kept; the program's own cards are on its Models tab."""

    def __init__(self, title: str) -> None:
        self.title, self.name = title, title.lower()
        self.id_page = self.name.replace(" ", "_")
        self.allow_negative_prompt = False
        self.metadata: dict[str, Any] = {}
        self.items: dict[str, Any] = {}

    def refresh(self) -> None: ...

    def list_items(self) -> Iterable[dict[str, Any]]:
        return []

    def allowed_directories_for_previews(self) -> list[str]:
        return []

    def create_item(self, name: str, index: Any = None, enable_filter: bool = True) -> Any:
        return None


def ui_extra_networks(views: Views) -> dict[str, Any]:
    """Pages of cards that extensions register."""
    pages: list[Any] = []

    def register(page: Any) -> None:
        pages.append(page)
        views.limit(f"ui_extra_networks.register_page: the cards of {page.title} are not shown; the Models tab has the program's own")

    return {"ExtraNetworksPage": ExtraNetworksPage, "register_page": register, "extra_pages": pages, "allowed_dirs": set[str](),
            "initialize": pages.clear, "register_default_pages": lambda: None,
            "quote_js": json.dumps}  # fmt: skip


class ParamBinding(SimpleNamespace):
    """What a button pastes and where."""

    def __init__(self, paste_button: Any = None, tabname: str = "", source_text_component: Any = None, source_image_component: Any = None,
                 source_tabname: Any = None, override_settings_component: Any = None, paste_field_names: Any = None) -> None:  # fmt: skip
        super().__init__(
            paste_button=paste_button, tabname=tabname, source_text_component=source_text_component, source_tabname=source_tabname,
            source_image_component=source_image_component, override_settings_component=override_settings_component,
            paste_field_names=paste_field_names or [],
        )  # fmt: skip


class PasteField(tuple[Any, ...]):
    """(component, key or function); api: the field's name over the API."""

    def __new__(cls, component: Any, target: Any, *, api: str | None = None) -> PasteField:
        return super().__new__(cls, (component, target))

    def __init__(self, component: Any, target: Any, *, api: str | None = None) -> None:
        self.component, self.api = component, api
        self.label = target if isinstance(target, str) else None
        self.function = target if callable(target) else None


def image_from_url_text(filedata: Any) -> Image.Image | None:
    """A picture from what a page sends: a data URL, a list with one, or {"name": path, "is_file": True} of this program."""
    found: Any = filedata[0] if isinstance(filedata, list) and filedata else filedata  # pyright: ignore[reportUnknownVariableType]
    if not found or isinstance(found, Image.Image):
        return found or None
    if isinstance(found, dict):
        found = found.get("data") or ""
    return decode_base64_to_image(found) if str(found).startswith("data:image") else None


def infotext_utils(views: Views) -> dict[str, Any]:
    """Reading parameters texts. The buttons of "Send to" are made; what they send follows the page's own."""
    gr: Any = views.gradio
    unwired = "“Send to” buttons of extensions are shown and send nothing; the page's own gallery and PNG Info have working ones"

    def buttons(tabs_list: list[str]) -> dict[str, Any]:
        return {tab: gr.Button(f"Send to {tab}", elem_id=f"{tab}_tab") for tab in tabs_list}

    def bind(*_: Any, **__: Any) -> None:
        views.limit(f"infotext_utils: {unwired}")

    def overrides(text_pairs: list[str]) -> dict[str, Any]:
        pairs = dict(text.split(":", 1) for text in text_pairs if ":" in text)
        return {key.strip(): value.strip() for key, value in pairs.items()}

    return {
        "parse_generation_parameters": lambda text, skip_fields=None: dict(infotext.parse(text)),
        "quote": infotext.quote, "unquote": infotext.unquote, "PasteField": PasteField, "ParamBinding": ParamBinding,
        "register_paste_params_button": bind, "bind_buttons": bind, "connect_paste_params_buttons": lambda: None, "paste_fields": {},
        "add_paste_fields": lambda tabname, init_img=None, fields=None, override_settings_component=None: None, "create_buttons": buttons,
        "image_from_url_text": image_from_url_text, "send_image_and_dimensions": lambda x: (x, x.width, x.height),
        "create_override_settings_dict": overrides, "get_override_settings": lambda params, skip_fields=None: [],
        "registered_param_bindings": [], "type_of_gr_update": type(None), "reset": lambda: None,
    }  # fmt: skip


def entry(views: Views) -> Callable[..., Any]:
    """A1111's `txt2img.txt2img(id_task, request, *values)`: (pictures, facts as JSON, text as HTML, comments as HTML). In the worker."""

    def call(id_task: str, request: Any, *values: Any) -> tuple[list[Any], str, str, str]:
        processing = views.offered("modules.processing")
        given = dict(zip(TXT2IMG, values, strict=False))
        given.pop("override_settings_texts", None)
        given = {name: None if value in UNSET or (value == "" and name.startswith("hr_")) else value for name, value in given.items()}
        p = processing.StableDiffusionProcessingTxt2Img(
            sd_model=views.sd_model, steps=STEPS, **{k: v for k, v in given.items() if v is not None}
        )
        scripts = views.offered("modules.scripts").scripts_txt2img
        args = tuple(values[len(TXT2IMG) :])
        p.scripts, p.script_args, p.user = scripts, args, getattr(request, "username", None)
        found = scripts.run(p, *args) if scripts is not None and args else None
        done = found or processing.process_images(p)
        return done.images, done.js(), plaintext_to_html(done.info), plaintext_to_html(done.comments, classname="comments")

    return call


def txt2img(views: Views) -> dict[str, Any]:
    """A1111's way to run txt2img by position."""
    return {"txt2img": entry(views), "plaintext_to_html": plaintext_to_html, "processing": views.offered("modules.processing")}


def img2img(views: Views) -> dict[str, Any]:
    """The same for img2img."""
    why = "a script makes a StableDiffusionProcessingImg2Img and calls process_images"
    return {"img2img": views.refusal("img2img.img2img", why), "process_batch": views.refusal("img2img.process_batch", why),
            "processing": views.offered("modules.processing"), "shared": views.offered("modules.shared")}  # fmt: skip


TABLE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "modules.ui": ui,
    "modules.ui_common": ui_common,
    "modules.ui_extra_networks": ui_extra_networks,
    "modules.infotext_utils": infotext_utils,
    "modules.generation_parameters_copypaste": infotext_utils,
    "modules.txt2img": txt2img,
    "modules.img2img": img2img,
}
"""Name of a module -> what makes its names."""
