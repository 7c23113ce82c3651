"""`modules.scripts` as A1111 has it: the class that scripts inherit from and the small records its hooks receive.

Names and order of arguments are A1111's. Start reading at `Script`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class _AlwaysVisible:
    def __repr__(self) -> str:
        return "AlwaysVisible"


AlwaysVisible = _AlwaysVisible()


class CannotWork(RuntimeError):
    """A script asked for something that cannot work here; the text says what and why."""


@dataclass
class PostprocessImageArgs:
    """image: PIL, may be replaced; index: in its batch."""

    image: Any
    index: int = 0


@dataclass
class PostprocessBatchListArgs:
    """images: tensors (3, H, W) in [0, 1]."""

    images: list[Any]


@dataclass
class PostSampleArgs:
    """samples: latents (B, C, h, w)."""

    samples: Any


@dataclass
class PostProcessMaskOverlayArgs:
    """Around the pasting of the masked part."""

    index: int
    mask_for_overlay: Any
    overlay_image: Any


@dataclass
class MaskBlendArgs:
    """At each blend of a mask."""

    current_latent: Any
    nmask: Any
    init_latent: Any
    mask: Any
    blended_latent: Any
    denoiser: Any = None
    is_final_blend: bool = False
    sigma: Any = None


@dataclass
class OnComponent:
    """A component that was built."""

    component: Any


@dataclass
class ScriptFile:
    """A file and where it lies."""

    basedir: str
    filename: str
    path: str


@dataclass
class ScriptClassData:
    """A script class and where it is from."""

    script_class: type
    path: str
    basedir: str
    module: Any


class Script:
    """A script of A1111's kind. It is made anew for each tab; `args` of its hooks is its own slice of the values."""

    name: str | None = None
    section: str | None = None
    filename: str | None = None
    args_from: int | None = None
    args_to: int | None = None
    alwayson = False
    is_txt2img = False
    is_img2img = False
    tabname: str | None = None
    group: Any = None
    create_group = True
    infotext_fields: Any = None
    paste_field_names: Any = None
    api_info: Any = None
    controls: Any = None
    setup_for_ui_only = False
    sorting_priority = 0
    load_script_settings = None
    on_before_component_elem_id: Any = None
    on_after_component_elem_id: Any = None
    page_ui: Any = None  # ours: what the page shows in the place of ui(); over the API the values are those of ui()

    def title(self) -> str:
        raise NotImplementedError

    def ui(self, is_img2img: bool) -> Any:
        return None

    def show(self, is_img2img: bool) -> Any:
        return True

    def run(self, p: Any, *args: Any) -> Any:
        return None

    def setup(self, p: Any, *args: Any) -> None: ...

    def before_process(self, p: Any, *args: Any) -> None: ...

    def process(self, p: Any, *args: Any) -> None: ...

    def before_process_batch(self, p: Any, *args: Any, **kwargs: Any) -> None: ...

    def after_extra_networks_activate(self, p: Any, *args: Any, **kwargs: Any) -> None: ...

    def process_batch(self, p: Any, *args: Any, **kwargs: Any) -> None: ...

    def process_before_every_sampling(self, p: Any, *args: Any, **kwargs: Any) -> None: ...

    def before_hr(self, p: Any, *args: Any) -> None: ...

    def post_sample(self, p: Any, ps: Any, *args: Any) -> None: ...

    def postprocess_batch(self, p: Any, *args: Any, **kwargs: Any) -> None: ...

    def postprocess_batch_list(self, p: Any, pp: Any, *args: Any, **kwargs: Any) -> None: ...

    def postprocess_image(self, p: Any, pp: Any, *args: Any) -> None: ...

    def postprocess_image_after_composite(self, p: Any, pp: Any, *args: Any) -> None: ...

    def postprocess(self, p: Any, processed: Any, *args: Any) -> None: ...

    def on_mask_blend(self, p: Any, mba: Any, *args: Any) -> None: ...

    def postprocess_maskoverlay(self, p: Any, ppmo: Any, *args: Any) -> None: ...

    def before_component(self, component: Any, **kwargs: Any) -> None: ...

    def after_component(self, component: Any, **kwargs: Any) -> None: ...

    def on_before_component(self, callback: Any, *, elem_id: str) -> None:
        self.on_before_component_elem_id = [*(self.on_before_component_elem_id or ()), (elem_id, callback)]

    def on_after_component(self, callback: Any, *, elem_id: str) -> None:
        self.on_after_component_elem_id = [*(self.on_after_component_elem_id or ()), (elem_id, callback)]

    def describe(self) -> str:
        return ""

    def elem_id(self, item_id: str) -> str:
        need_tabname = self.show(True) == self.show(False)
        tab = (f"{'img2img' if self.is_img2img else 'txt2img'}_") if need_tabname else ""
        slug = re.sub(r"[^a-z_0-9]+", "", re.sub(r"\s", "_", self.title().lower()))
        return f"script_{tab}{slug}_{item_id}"


class ScriptBuiltinUI(Script):
    """A script whose ids look like those of the page itself."""

    setup_for_ui_only = True

    def elem_id(self, item_id: str) -> str:
        return f"{'img2img' if self.is_img2img else 'txt2img'}_{item_id}"


# Hooks of a script that this program does not call, with the reason in words.
NOT_CALLED = {
    "on_mask_blend": "masks are blended inside the pipeline's scheduler",
    "postprocess_maskoverlay": "the masked part is pasted in before scripts see the picture",
}


def overrides(script: object, method: str) -> bool:
    """Does this script have a method of its own by that name?"""
    return getattr(type(script), method, None) is not getattr(Script, method, None)


def scripts_in(module: Any) -> list[type[Script]]:
    """The script classes of a guest's module: its own, and those it imported from modules that are no script files themselves."""
    found = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Script) and v not in (Script, ScriptBuiltinUI)]
    return [kind for kind in dict.fromkeys(found) if kind.__module__ == module.__name__ or not kind.__module__.endswith(".py")]


def list_files_with_name(filename: str, basedirs: list[Path]) -> list[str]:
    """Files of that name in these folders."""
    return [str(base / filename) for base in basedirs if (base / filename).is_file()]
