"""A1111's modules as views: what `from modules import shared, images, ...` gives a guest. One set a process.

Every name does its work or is not there; a module that is not in the list cannot be imported, and the guest's grade says so.
Start reading at `Views.offer`.
"""

from __future__ import annotations

import inspect
import logging
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

from modules import infotext
from modules.compat import (
    face,
    names_around,
    names_models,
    names_page,
    names_pictures,
    names_program,
    names_prompt,
    names_sampling,
    names_shared,
    pictures,
    processed,
)
from modules.compat.callbacks import Callbacks, ImageGridLoopParams
from modules.compat.cast import TABS, Cast
from modules.compat.extra_networks import Tags
from modules.compat.model_facts import Model, processing_names
from modules.compat.names_around import REFUSED
from modules.compat.names_pictures import UpscalerData
from modules.compat.names_program import Kept
from modules.compat.opts import Opts, State, cmd_opts
from modules.compat.postprocessing import PostprocessRunner
from modules.folders import Folders
from modules.pixels.grid import grid_shape
from modules.upscale.table import upscaler_files, upscalers

log = logging.getLogger("scripts")


@dataclass(kw_only=True)
class Ways:
    """What differs between the processes. settings(): now; process_images(p), process_many(ps), save(image, p, text, grid),
    upscale(image, factor, name), restore(image, name, weight), text_of(p, index), name_of(p, pattern, image), model(): in the worker
    only. checkpoints(), rows(kind): of the library; refresh(): look at the folders again; extensions(): those on the disk.
    """

    settings: Callable[[], Mapping[str, Any]]
    process_images: Callable[[Any], Any]
    process_many: Callable[[Any], list[Any]]
    save: Callable[..., Any]
    upscale: Callable[[Any, float, str], Any]
    model: Callable[[], Any]
    checkpoints: Callable[[], list[Any]]
    worker: bool
    device: Callable[[], str] = lambda: "cpu"
    classes: list[Any] = field(default_factory=list[Any])
    rows: Callable[[str], list[Any]] = lambda kind: []
    refresh: Callable[[], None] = lambda: None
    restore: Callable[[Any, str, float], Any] = lambda image, name, weight: image
    text_of: Callable[[Any, int], str] = lambda p, index: ""
    name_of: Callable[[Any, str, Any], str] = lambda p, pattern, image: pattern
    extensions: Callable[[], list[Any]] = list


class Views:
    """The modules that guests may import. ui_components: made of this Gradio."""

    def __init__(self, folders: Folders, flags: Mapping[str, Any], ways: Ways, gradio: ModuleType) -> None:
        self.callbacks = Callbacks()
        self.state = State()
        self.opts = Opts(ways.settings, folders.config_file)
        self.basedir = folders.program
        self.folders = folders
        self.flags = dict(flags)
        self.ways = ways
        self.gradio = gradio
        self._made: dict[str, ModuleType] = {}
        self.cmd_opts = cmd_opts(flags, folders)
        self.sd_model = Model(ways.model)
        self.sd_model.choose(self._chosen)
        self.tags = Tags()
        self.kept = Kept(folders.cache / "scripts.json")
        self.limits: dict[str, list[str]] = {}
        self._upscalers: list[Any] = []

    def _chosen(self) -> Any:
        """The checkpoint that the settings name, else the first."""
        rows = self.ways.checkpoints()
        wanted = str(getattr(self.opts, "sd_model_checkpoint", "") or "").casefold()
        named = [row for row in rows if wanted in (row.title.casefold(), row.model_name.casefold())]
        return next(iter(named or rows), None)

    def offered(self, name: str) -> Any:
        """The view of that name, which there is."""
        return self.offer(name)

    def refusal(self, name: str, why: str) -> Callable[..., Any]:
        """A function that cannot work here: it says so to whoever calls it, and the file's grade says it too."""

        def refuse(*_: Any, **__: Any) -> Any:
            text = f"{name} cannot work here: {why}"
            self.limit(text)
            raise face.CannotWork(f"{text}.")

        return refuse

    def limit(self, text: str) -> None:
        """What the calling script asked for in vain; `limits` has it by file."""
        frame: Any = inspect.currentframe()
        while frame is not None and frame.f_globals.get("__name__", "").startswith("modules."):
            frame = frame.f_back
        said = self.limits.setdefault(str(frame.f_globals.get("__file__", "")) if frame is not None else "", [])
        if text not in said:
            said.append(text)

    def offer(self, name: str) -> ModuleType | None:
        """A1111's module of that name, None when there is none here. Raises ModuleNotFoundError with the reason for what cannot be."""
        if name in self._made:
            return self._made[name]
        build = BUILDERS.get(name)
        if build is None:
            refused = next((key for key in REFUSED if f"{name}.".startswith(f"{key}.")), None)
            if refused is not None:
                raise ModuleNotFoundError(f"{name} cannot be offered: {REFUSED[refused]}", name=name)
            return None
        module = ModuleType(name, "A1111's module, as a view.")
        for key, value in build(self).items():
            setattr(module, key, value)
        self._made[name] = module
        if name in PACKAGES:
            module.__path__ = []
        if name == "modules":
            module.__getattr__ = self._inner  # type: ignore[method-assign]
        elif name.startswith("modules."):
            parent = self.offer(name.rpartition(".")[0])
            if parent is not None:
                setattr(parent, name.rpartition(".")[2], module)
        return module

    def _inner(self, name: str) -> Any:
        found = None if name.startswith("__") else self.offer(f"modules.{name}")
        if found is None:
            raise AttributeError(f"modules.{name} is not offered to scripts here")
        return found

    # ---- the modules, each as name -> value -------------------------------------------------------------------------

    def scripts(self) -> dict[str, Any]:
        names = ("AlwaysVisible", "Script", "ScriptBuiltinUI", "PostprocessImageArgs", "PostprocessBatchListArgs", "PostSampleArgs",
                 "PostProcessMaskOverlayArgs", "MaskBlendArgs", "OnComponent", "ScriptFile", "ScriptClassData")  # fmt: skip
        return {
            **{name: getattr(face, name) for name in names},
            "basedir": lambda: str(self.basedir),
            "scripts_data": self.ways.classes,
            "postprocessing_scripts_data": [],
            "list_files_with_name": lambda name: face.list_files_with_name(name, [self.folders.program, self.folders.data]),
            **{f"scripts_{tab}": Cast(tab=tab) for tab in TABS},
            "scripts_current": None,
            "scripts_postproc": PostprocessRunner(),
            "list_scripts": lambda scriptdirname, extension, include_extensions=True: [],
            "wrap_call": _wrap_call,
            "ScriptRunner": Cast,
            **{name: self.refusal(f"scripts.{name}", "the program loads scripts itself") for name in ("load_scripts", "reload_scripts")},
            "callback_map": {},
        }

    def processing(self) -> dict[str, Any]:
        kinds = ("StableDiffusionProcessing", "StableDiffusionProcessingTxt2Img", "StableDiffusionProcessingImg2Img", "Processed")
        return {
            **{name: getattr(processed, name) for name in kinds},
            "process_images": self.ways.process_images,
            "process_images_inner": self.ways.process_images,
            "process_many": self.ways.process_many,
            "fix_seed": _fix_seed,
            "get_fixed_seed": get_fixed_seed,
            "program_version": lambda: infotext.VERSION,
            "opt_C": 4,
            "opt_f": 8,
            "create_infotext": self._create_infotext,
            **processing_names(self),
            **{name: self.offer(f"modules.{name}") for name in ("images", "shared", "devices", "sd_samplers", "masking")},
            **{name: getattr(self, name) for name in ("opts", "state", "cmd_opts")},
        }

    def _create_infotext(self, p: Any, all_prompts: Any = None, all_seeds: Any = None, all_subseeds: Any = None, comments: Any = None,
                         iteration: int = 0, position_in_batch: int = 0, use_main_prompt: bool = False, index: int | None = None,
                         all_negative_prompts: Any = None) -> str:  # fmt: skip
        """The parameters text of a picture of p."""
        return self.ways.text_of(p, position_in_batch + iteration * int(p.batch_size or 1) if index is None else index)

    def images(self) -> dict[str, Any]:
        names = ("Grid", "GridAnnotation", "LANCZOS", "image_grid", "draw_grid_annotations", "draw_prompt_matrix", "split_grid",
                 "combine_grid", "resize_image", "flatten", "fix_image", "read_info_from_image")  # fmt: skip
        return {**{name: getattr(pictures, name) for name in names}, "save_image": self._save_image, "image_grid": self._image_grid,
                "FilenameGenerator": self._name_maker,
                "get_next_sequence_number": pictures.next_number,
                "apply_filename_pattern": lambda x, p, seed, prompt: self.ways.name_of(p, x, None)}  # fmt: skip

    def _image_grid(self, imgs: list[Any], batch_size: int = 1, rows: int | None = None) -> Any:
        """One picture of them all; `on_image_grid` may change which, and in how many rows."""
        count = grid_shape(len(imgs), -1 if rows is None else int(rows), batch_size)[0]
        params = ImageGridLoopParams(imgs, -(-len(imgs) // count), count)
        for row in self.callbacks.of("image_grid"):
            _wrap_call(row.call, row.file, "on_image_grid", params)
        return pictures.image_grid(params.imgs, batch_size, params.rows)

    def _name_maker(self, p: Any, seed: Any = None, prompt: Any = None, image: Any = None, zip: bool = False) -> Any:
        """What fills the patterns of file names for p."""
        return SimpleNamespace(apply=lambda pattern: self.ways.name_of(p, pattern, image), p=p, seed=seed, prompt=prompt, image=image)

    def _save_image(self, image: Any, path: Any = None, basename: str = "", seed: Any = None, prompt: Any = None, extension: str = "png",
                    info: str | None = None, short_filename: bool = False, no_prompt: bool = False, grid: bool = False,
                    pnginfo_section_name: str = "parameters", p: Any = None, existing_info: Any = None, forced_filename: Any = None,
                    suffix: str = "", save_to_dirs: Any = None) -> tuple[str, None]:  # fmt: skip
        """(path, None). Folder and name follow the settings, whatever the script asks for: only the saver writes pictures."""
        return self.ways.save(image, p, info, bool(grid)), None

    def paths(self) -> dict[str, Any]:
        folders = self.folders
        found = {"script_path": folders.program, "data_path": folders.data, "models_path": folders.models}
        found |= {"extensions_dir": folders.data / "extensions", "extensions_builtin_dir": folders.program / "extensions"}
        return {name: str(path) for name, path in found.items()} | {"cwd": str(folders.program)}

    def errors(self) -> dict[str, Any]:
        return {
            "report": lambda message, exc_info=False: log.warning("%s", message, exc_info=exc_info),
            "print_error_explanation": lambda message: log.warning("%s", message),
            "print_error": lambda message, exc_info=False: log.warning("%s", message, exc_info=exc_info),
            "display": lambda error, task: log.warning("%s", task, exc_info=error),
            "display_once": lambda error, task: log.warning("%s: %s", task, error),
        }

    def ui_components(self) -> dict[str, Any]:
        gr: Any = self.gradio
        names = {"FormRow": "Row", "FormColumn": "Column", "FormGroup": "Group", "FormHTML": "HTML", "FormColorPicker": "ColorPicker",
                 "ResizeHandleRow": "Row", "ToolButton": "Button", "DropdownEditable": "Dropdown"}  # fmt: skip
        own = {name: getattr(gr, name) for name in ("DropdownMulti", "InputAccordion", "FormComponent")}
        return {**{name: getattr(gr, other) for name, other in names.items()}, **own}

    def call_queue(self) -> dict[str, Any]:
        plain: dict[str, Any] = dict.fromkeys(("wrap_gradio_call", "wrap_gradio_gpu_call"), lambda f, extra_outputs=None, **_: f)
        return {**plain, "queue_lock": threading.RLock(), "wrap_queued_call": lambda f: f}

    def upscalers(self) -> list[Any]:
        """The rows of `shared.sd_upscalers`; scripts may add their own."""

        def row(name: str) -> Any:
            scaler = SimpleNamespace(upscale=lambda image, scale, path=None: self.ways.upscale(image, float(scale), name), name=name)
            return UpscalerData(name, name, scaler)

        if not self._upscalers:
            self._upscalers += [row(name) for name in upscalers(upscaler_files(self.folders)[0]).names()]
        return self._upscalers


def _wrap_call(func: Callable[..., Any], filename: str, funcname: str, *args: Any, default: Any = None, **kwargs: Any) -> Any:
    """func's answer, default when it raises."""
    try:
        return func(*args, **kwargs)
    except Exception as error:
        log.warning("%s of %s", funcname, filename, exc_info=error)
        return default


def get_fixed_seed(seed: Any) -> int:
    """The seed, a random one for -1 and nothing."""

    try:
        number = int(seed) if seed not in (None, "") else -1
    except (TypeError, ValueError):
        number = -1
    return random.randrange(4294967294) if number == -1 else number


def _fix_seed(p: Any) -> None:
    p.seed, p.subseed = get_fixed_seed(p.seed), get_fixed_seed(p.subseed)


BUILDERS: dict[str, Callable[[Views], dict[str, Any]]] = {
    "modules": lambda views: {},
    "modules.scripts": Views.scripts,
    "modules.script_callbacks": lambda views: vars(views.callbacks.module()),
    "modules.processing": Views.processing,
    "modules.images": Views.images,
    "modules.paths": Views.paths,
    "modules.paths_internal": Views.paths,
    "modules.errors": Views.errors,
    "modules.ui_components": Views.ui_components,
    "modules.call_queue": Views.call_queue,
    "modules.shared": names_shared.shared,
    **names_sampling.TABLE,
    **names_models.TABLE,
    **names_prompt.TABLE,
    **names_pictures.TABLE,
    **names_program.TABLE,
    **names_around.TABLE,
    **names_page.TABLE,
}
PACKAGES = {name.rpartition(".")[0] for name in BUILDERS if "." in name}
