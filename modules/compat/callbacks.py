"""`modules.script_callbacks`: functions that guests register when they are loaded, and the records they receive.

Start reading at `Callbacks`. Source: the names and order of A1111 1.10.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass
class ImageSaveParams:
    """Around the writing of a file."""

    image: Any
    p: Any
    filename: str
    pnginfo: dict[str, Any]


@dataclass
class CFGDenoiserParams:
    """Before each call of the network."""

    x: Any
    image_cond: Any
    sigma: Any
    sampling_step: int
    total_sampling_steps: int
    text_cond: Any
    text_uncond: Any
    denoiser: Any = None


@dataclass
class CFGDenoisedParams:
    """After each call of the network."""

    x: Any
    sampling_step: int
    total_sampling_steps: int
    inner_model: Any = None


@dataclass
class AfterCFGCallbackParams:
    """After guidance."""

    x: Any
    sampling_step: int
    total_sampling_steps: int


@dataclass
class ImageGridLoopParams:
    """When a grid is made."""

    imgs: list[Any]
    cols: int
    rows: int


@dataclass
class ExtraNoiseParams:
    """When noise is added to a picture."""

    noise: Any
    x: Any
    xi: Any


@dataclass
class BeforeTokenCounterParams:
    """Before tokens are counted."""

    prompt: str
    steps: int
    styles: list[str]
    is_positive: bool = True


@dataclass
class UiTrainTabParams:
    """On the Train tab."""

    txt2img_preview_params: Any


CALLED = ("cfg_denoiser", "cfg_denoised", "before_image_saved", "image_saved", "image_grid", "model_loaded", "ui_settings")
ON_PAGE = ("app_started", "ui_tabs", "before_component", "after_component", "before_ui", "infotext_pasted")  # in the web process alone
NOT_CALLED = (
    "before_reload", "ui_train_tabs", "extra_noise", "cfg_after_cfg", "script_unloaded", "list_optimizers", "list_unets",
    "before_token_counter",
)  # fmt: skip


@dataclass(frozen=True)
class Callback:
    """A registered function, and the file it came from."""

    kind: str
    file: str
    call: Callable[..., Any]
    name: str = ""


class Callbacks:
    """All registered functions of one process. file: of the guest that is being loaded; models: which loaded model a file was told of."""

    def __init__(self) -> None:
        self.rows: list[Callback] = []
        self.file = ""
        self.models: dict[str, int] = {}

    def add(self, kind: str, call: Callable[..., Any], name: str | None = None) -> None:
        self.rows.append(Callback(kind, self.file, call, name or ""))

    def of(self, kind: str, file: str | None = None) -> list[Callback]:
        """Those of a kind, in order; of one file only."""
        return [row for row in self.rows if row.kind == kind and file in (None, row.file)]

    def files(self) -> list[str]:
        """Files that registered something that is called here during a run."""
        return list(dict.fromkeys(row.file for row in self.rows if row.kind in CALLED))

    def forget(self, call: Callable[..., Any]) -> None:
        self.rows = [row for row in self.rows if row.call is not call]

    def clear(self, file: str | None = None) -> None:
        self.rows = [] if file is None else [row for row in self.rows if row.file != file]

    def module(self) -> ModuleType:
        """What `from modules import script_callbacks` gives."""
        module = ModuleType("modules.script_callbacks")
        for kind in (*CALLED, *ON_PAGE, *NOT_CALLED):
            setattr(module, f"on_{kind}", lambda call, *, name=None, k=kind: self.add(k, call, name))
        for record in (
            ImageSaveParams, CFGDenoiserParams, CFGDenoisedParams, AfterCFGCallbackParams, ImageGridLoopParams, ExtraNoiseParams,
            BeforeTokenCounterParams, UiTrainTabParams,
        ):  # fmt: skip
            setattr(module, record.__name__, record)
        own: dict[str, Any] = {
            "remove_current_script_callbacks": lambda: self.clear(inspect.stack()[1].filename.rpartition("/")[2]),
            "remove_callbacks_for_function": self.forget,
            "clear_callbacks": self.clear,
        }
        for name, value in own.items():
            setattr(module, name, value)
        return module
