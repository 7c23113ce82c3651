"""`modules.shared`: settings, state, lists and places, as scripts read them. Start reading at `shared`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from modules.compat.names_pictures import interrogator, restorers
from modules.compat.names_prompt import StyleDatabase
from modules.compat.names_sampling import rows_of_samplers
from modules.compat.opts import OptionInfo
from modules.upscale.table import LATENT_MODES

Views = Any  # modules.compat.views.Views; it imports this file

log = logging.getLogger("scripts")


class Text:
    """A text that is asked for when it is needed."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    def __str__(self) -> str:
        return self._read()

    @property
    def type(self) -> str:
        return self._read().partition(":")[0]


def options_section(section: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Options of one section, marked with its name."""
    for info in options.values():
        info.section = section
    return options


def shared(views: Views) -> dict[str, Any]:
    """What most scripts ask: options, state, lists, folders."""
    folders = views.folders
    return {
        "opts": views.opts,
        "state": views.state,
        "cmd_opts": views.cmd_opts,
        "OptionInfo": OptionInfo,
        "OptionHTML": lambda text: OptionInfo(str(text).strip(), ""),
        "OptionDiv": lambda: OptionInfo("", ""),
        "options_section": options_section,
        "options_templates": views.opts.data_labels,
        "sd_upscalers": views.upscalers(),
        "sd_model": views.sd_model,
        "prompt_styles": StyleDatabase(folders.styles_file),
        "interrogator": interrogator(views),
        "device": Text(views.ways.device),
        "latent_upscale_modes": {name: {} for name in LATENT_MODES},
        "latent_upscale_default_mode": next(iter(LATENT_MODES)),
        "face_restorers": restorers(views),
        "face_restoration_model": None,
        "parallel_processing_allowed": True,
        "restricted_opts": set[str](),
        "settings_components": {},
        "tab_names": [],
        "hide_dirs": {"visible": True},
        "clip_model": None,
        "mem_mon": None,
        "sd_model_file": "",
        "gradio_theme": None,
        "theme": None,
        "xformers_available": False,
        "weight_load_location": None,
        "config_filename": str(folders.config_file),
        "styles_filename": str(folders.styles_file),
        "log": log,
        "hypernetworks": {},
        "loaded_hypernetworks": [],
        "batch_cond_uncond": True,
        "demo": None,
        "progress_print_out": sys.stderr,
        "total_tqdm": SimpleNamespace(updateTotal=lambda total: None, update=lambda: None, clear=lambda: None),
        "script_path": str(folders.program),
        "data_path": str(folders.data),
        "models_path": str(folders.models),
        "extensions_dir": str(folders.data / "extensions"),
        "list_checkpoint_tiles": lambda use_short=False: views.offered("modules.sd_models").checkpoint_tiles(use_short),
        "refresh_checkpoints": views.ways.refresh,
        "list_samplers": rows_of_samplers,
        "reload_hypernetworks": lambda: None,
        **{name: getattr(views.offered("modules.util"), name) for name in ("natural_sort_key", "listfiles", "walk_files", "html")},
    }
