"""`shared.opts`, `shared.state` and `shared.cmd_opts`: the settings of the present run, how far the job is, and the flags.

Start reading at `Opts` and `State`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from modules.compat.known_options import KNOWN
from modules.folders import MODEL_KINDS, Folders


class OptionInfo:
    """A setting that an extension adds; its default is what `opts` answers until config.json holds a value."""

    def __init__(self, default: Any = None, label: str = "", component: Any = None, component_args: Any = None, onchange: Any = None,
                 section: Any = None, refresh: Any = None, comment_before: str = "", comment_after: str = "", infotext: Any = None,
                 restrict_api: bool = False, category_id: Any = None) -> None:  # fmt: skip
        self.default, self.label, self.component, self.component_args = default, label, component, component_args
        self.onchange, self.section, self.refresh, self.infotext = onchange, section, refresh, infotext
        self.comment_before, self.comment_after, self.restrict_api, self.category_id = (
            comment_before,
            comment_after,
            restrict_api,
            category_id,
        )
        self.do_not_save = False

    def _chain(self, *_: Any, **__: Any) -> OptionInfo:
        return self

    link = js = info = html = needs_restart = needs_reload_ui = _chain


class _Data(dict[str, Any]):
    """`opts.data`: what is put into it counts as set."""

    def __init__(self, values: Mapping[str, Any], put: Callable[[str, Any], None]) -> None:
        super().__init__(values)
        self._put = put

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._put(key, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def copy(self) -> dict[str, Any]:
        return dict(self)


class Opts:
    """current(): the settings now. Options of extensions come from their defaults and from config.json.

    What a script sets is kept in this process and does not reach the file; `changed` tells it, `forget` ends it. What a job asks for
    its own options (`wear`) goes before all of it, until the next job begins.
    """

    def __init__(self, current: Callable[[], Mapping[str, Any]], config: Path) -> None:
        self.__dict__.update(_current=current, _config=config, data_labels={}, _own={}, _worn={})

    @property
    def data(self) -> _Data:
        """Every option with its value."""
        return _Data({**self._below(), **self._own, **self._worn}, self._put)

    def _below(self) -> dict[str, Any]:
        labels = {name: info.default for name, info in self.data_labels.items()}
        return {**KNOWN, **labels, **self._stored(), **self._current()}

    def _put(self, key: str, value: Any) -> None:
        below = self._below()
        self._worn.pop(key, None)
        if key in below and below[key] == value:
            self._own.pop(key, None)
        else:
            self._own[key] = value

    def changed(self) -> dict[str, Any]:
        """What scripts set to something else than the settings say."""
        return dict(self._own)

    def forget(self) -> None:
        """A job begins: settings of the program that scripts set in an earlier one are as they were; their own options stay."""
        self._worn.clear()
        for key in [key for key in self._own if key not in self.data_labels]:
            del self._own[key]

    def wear(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Options of extensions, for the present job. What of it the parameters text tells, by the names that their makers gave."""
        own = {key: value for key, value in values.items() if key in self.data_labels}
        self._worn.update(own)
        return {str(self.data_labels[key].infotext): str(value) for key, value in own.items() if self.data_labels[key].infotext}

    def __getattr__(self, name: str) -> Any:
        values = self.data
        if name in values:
            return values[name]
        raise AttributeError(f"there is no option {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        self._put(name, value)

    def add_option(self, key: str, info: OptionInfo) -> None:
        self.data_labels[key] = info

    def set(self, key: str, value: Any, is_api: bool = False, run_callbacks: bool = True) -> bool:
        changed = self.data.get(key) != value
        self._put(key, value)
        info = self.data_labels.get(key)
        if changed and run_callbacks and info is not None and info.onchange is not None:
            info.onchange()
        return changed

    def get_default(self, key: str) -> Any:
        return self.data_labels[key].default if key in self.data_labels else KNOWN.get(key)

    def onchange(self, key: str, func: Any, call: bool = True) -> None:
        """func() when a script sets that option; at once too, with call."""
        if key in self.data_labels:
            self.data_labels[key].onchange = func
        if call:
            func()

    def save(self, filename: str) -> None: ...

    def dumpjson(self) -> str:
        return json.dumps(self.data, default=str)

    def same_type(self, x: Any, y: Any) -> bool:
        return x is None or y is None or type(x) is type(y)

    def cast_value(self, key: str, value: Any) -> Any:
        default = self.data.get(key)
        return value if default is None or value is None else type(default)(value)

    def _stored(self) -> dict[str, Any]:
        try:
            found = json.loads(self._config.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {key: value for key, value in found.items() if key in self.data_labels} if isinstance(found, dict) else {}


class State:
    """How far the job is, as scripts read and set it. control: of the running job, None while there is none."""

    def __init__(self) -> None:
        self.control: Any = None
        self.begin()

    def begin(self, job: str = "(unknown)") -> None:
        self.job, self.job_no, self.job_count = job, 0, -1
        self.job_timestamp = time.strftime("%Y%m%d%H%M%S")
        self.sampling_step = self.sampling_steps = self.current_image_sampling_step = self.id_live_preview = 0
        self.current_latent = self.current_image = self.textinfo = None
        self.processing_has_refined_job_count = False
        self.skipped = self.stopping_generation = self.need_restart = self.oom = False
        self.time_start = self.server_start = time.time()
        self.server_command = None
        self._interrupted = False

    @property
    def interrupted(self) -> bool:
        return self._interrupted or bool(getattr(self.control, "interrupted", False))

    @interrupted.setter
    def interrupted(self, value: bool) -> None:
        self._interrupted = bool(value)
        if value and self.control is not None:
            self.control.interrupted = True

    def interrupt(self) -> None:
        self.interrupted = True

    def stop_generating(self) -> None:
        self.stopping_generation = True

    def skip(self) -> None:
        self.skipped = True

    def nextjob(self) -> None:
        self.job_no += 1

    def end(self) -> None: ...

    def assign_current_image(self, image: Any) -> None:
        self.current_image = image

    def set_current_image(self) -> None: ...

    def do_set_current_image(self) -> None: ...

    def request_restart(self) -> None: ...

    def dict(self) -> dict[str, Any]:
        names = ("skipped", "interrupted", "stopping_generation", "job", "job_count", "job_timestamp", "job_no", "sampling_step")
        return {name: getattr(self, name) for name in (*names, "sampling_steps")}


def cmd_opts(flags: Mapping[str, Any], folders: Folders) -> SimpleNamespace:
    """The flags under A1111's names; those of A1111 that are not here are off, and folders that were not given are the usual ones."""
    off = ("api", "xformers", "allow_code", "enable_insecure_extension_access", "medvram_sdxl", "opt_sdp_attention", "disable_nan_check",
           "no_hashing", "ui_debug_mode", "autolaunch", "freeze_settings", "hide_ui_dir_config", "opt_channelslast", "skip_torch_cuda_test",
           "disable_safe_unpickle", "lowvram", "medvram", "no_half", "no_half_vae", "share", "listen", "ngrok", "ad_no_huggingface",
           "gradio_queue", "no_gradio_queue", "nowebui", "administrator", "skip_install", "reinstall_xformers")  # fmt: skip
    places = {flag: folders.model_folders(kind)[0] for kind, flag in MODEL_KINDS.items()}
    places |= {"data_dir": folders.data, "models_dir": folders.models, "extensions_dir": folders.data / "extensions"}
    places |= {
        "styles_file": folders.styles_file,
        "ui_settings_file": folders.config_file,
        "ui_config_file": folders.data / "ui-config.json",
    }
    places |= {"hypernetwork_dir": folders.models / "hypernetworks", "lyco_dir": folders.models / "LyCORIS"}
    places |= {"textual_inversion_templates_dir": folders.data / "textual_inversion_templates"}
    known = {name: str(path) for name, path in places.items()}
    more = {"max_batch_count": 16, "use_cpu": [], "gradio_allowed_path": [], "precision": "autocast", "subpath": None, "server_name": None,
            "port": None, "gradio_auth": None, "gradio_auth_path": None, "api_auth": None, "theme": None, "device_id": None,
            "ckpt": None, "vae_path": None, "lora_path": None, "loglevel": None}  # fmt: skip
    given = {name: value for name, value in flags.items() if value is not None or name not in known}
    return SimpleNamespace(**{**dict.fromkeys(off, False), **more, **known, **given})
