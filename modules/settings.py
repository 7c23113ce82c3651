"""The program's settings as Knob fields: load, save, overlay for one run.

Keys are A1111's, so a config.json from there can be read; unknown keys are kept as they are. Knows nothing about who
reads a setting. Start reading at `Settings`, then `SettingsStore`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Annotated, Any

from modules.faults import RequestFault, UnknownName
from modules.folders import write_atomic
from modules.knobs import Knob, coerce, knobs_of

GENERATIONS = 5
FORMATS = ("png", "jpg", "jpeg", "webp")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting with its default. A run sees a frozen copy with its own overrides laid over."""

    sd_model_checkpoint: Annotated[str, Knob("Stable Diffusion checkpoint", choices="checkpoints", section="Stable Diffusion")] = ""
    sd_vae: Annotated[
        str,
        Knob(
            "SD VAE",
            choices="vaes",
            section="Stable Diffusion",
            max_chars=500,
            help="Automatic takes a VAE file named like the checkpoint, else the checkpoint's own; None always takes its own.",
        ),
    ] = "Automatic"
    sd_vae_decode_method: Annotated[
        str,
        Knob(
            "VAE type for decode",
            choices=("Full", "TAESD"),
            infotext="VAE Decoder",
            section="Stable Diffusion",
            help="TAESD decodes at once and more roughly, with a file from models/VAE-approx.",
        ),
    ] = "Full"
    CLIP_stop_at_last_layers: Annotated[
        int,
        Knob(
            "Clip skip",
            1,
            12,
            step=1,
            infotext="Clip skip",
            section="Stable Diffusion",
            help="Use the text encoder's output so many layers before its end (Stable Diffusion 1 and 2).",
        ),
    ] = 1
    forge_additional_modules: Annotated[
        list[str],
        Knob(
            "VAE / text encoder",
            choices="modules",
            section="Stable Diffusion",
            help="Files for a checkpoint that lacks its VAE or text encoders. Empty: what fits among the models is taken.",
        ),
    ] = field(default_factory=list[str])
    sd3_enable_t5: Annotated[
        bool,
        Knob("Enable T5", section="Stable Diffusion", help="Stable Diffusion 3 files without T5: load it from its own file. Takes 10 GB."),
    ] = False
    sd_checkpoints_limit: Annotated[
        int,
        Knob(
            "Maximum number of checkpoints loaded at the same time",
            1,
            10,
            step=1,
            section="Stable Diffusion",
            help="One is on the device; the others wait in main memory while there is room, so that changing back takes a moment.",
        ),
    ] = 1
    enable_prompt_comments: Annotated[
        bool, Knob("Enable comments", section="Stable Diffusion", help="Leaves out what stands behind # in a line of the prompt.")
    ] = True
    samples_save: Annotated[bool, Knob("Always save all generated images", section="Saving images")] = True
    samples_format: Annotated[str, Knob("File format for images", choices=FORMATS, section="Saving images")] = "png"
    samples_filename_pattern: Annotated[str, Knob("Images filename pattern", section="Saving images", max_chars=500)] = ""
    save_images_add_number: Annotated[bool, Knob("Add number to filename when saving", section="Saving images")] = True
    grid_save: Annotated[bool, Knob("Always save all generated image grids", section="Saving images")] = True
    grid_format: Annotated[str, Knob("File format for grids", choices=FORMATS, section="Saving images")] = "png"
    grid_only_if_multiple: Annotated[bool, Knob("Do not save grids consisting of one picture", section="Saving images")] = True
    return_grid: Annotated[bool, Knob("Show grid in gallery", section="Saving images")] = True
    n_rows: Annotated[int, Knob("Grid row count; -1 for automatic, 0 for the batch size", -1, 64, step=1, section="Saving images")] = -1
    enable_pnginfo: Annotated[bool, Knob("Write infotext to metadata of the image", section="Saving images", infotext=None)] = True
    save_txt: Annotated[bool, Knob("Create a text file with infotext next to every image", section="Saving images")] = False
    jpeg_quality: Annotated[int, Knob("Quality for saved jpeg and webp images", 1, 100, step=1, section="Saving images")] = 80
    webp_lossless: Annotated[bool, Knob("Use lossless compression for webp images", section="Saving images")] = False
    save_incomplete_images: Annotated[bool, Knob("Save interrupted images", section="Saving images")] = False
    save_to_dirs: Annotated[bool, Knob("Save images to a subdirectory", section="Saving to a directory")] = True
    grid_save_to_dirs: Annotated[bool, Knob("Save grids to a subdirectory", section="Saving to a directory")] = True
    directories_filename_pattern: Annotated[str, Knob("Directory name pattern", section="Saving to a directory", max_chars=500)] = "[date]"
    directories_max_prompt_words: Annotated[
        int, Knob("Max prompt words for [prompt_words]", 1, 50, step=1, section="Saving to a directory")
    ] = 8
    outdir_txt2img_samples: Annotated[str, Knob("Output directory for txt2img images", section="Paths for saving")] = (
        "outputs/txt2img-images"
    )
    outdir_txt2img_grids: Annotated[str, Knob("Output directory for txt2img grids", section="Paths for saving")] = "outputs/txt2img-grids"
    add_model_hash_to_info: Annotated[bool, Knob("Add the model's hash to infotext", section="Infotext")] = True
    add_model_name_to_info: Annotated[bool, Knob("Add the model's name to infotext", section="Infotext")] = True
    add_vae_name_to_info: Annotated[bool, Knob("Add VAE name to infotext", section="Infotext")] = True
    add_vae_hash_to_info: Annotated[bool, Knob("Add VAE hash to infotext", section="Infotext")] = True
    lora_add_hashes_to_infotext: Annotated[bool, Knob("Add Lora hashes to infotext", section="Infotext")] = True
    textual_inversion_add_hashes_to_infotext: Annotated[bool, Knob("Add Textual Inversion hashes to infotext", section="Infotext")] = True
    extra_networks_default_multiplier: Annotated[
        float, Knob("Default multiplier for extra networks", 0, 2, step=0.01, section="Extra networks", help="Put in by the cards.")
    ] = 1.0
    live_previews_enable: Annotated[bool, Knob("Show live previews of the created image", section="Live previews")] = True
    show_progress_every_n_steps: Annotated[
        int, Knob("Live preview every N steps; -1 for none while sampling", -1, 100, step=1, section="Live previews")
    ] = 1
    show_progress_type: Annotated[
        str,
        Knob(
            "Live preview method",
            choices=("Full", "Approx cheap"),
            section="Live previews",
            help="Full decodes each preview; Approx cheap mixes latent channels.",
        ),
    ] = "Approx cheap"
    live_preview_refresh_period: Annotated[
        int, Knob("Progress and preview update period, in milliseconds", 100, 10000, section="Live previews")
    ] = 400

    def overlay(self, values: dict[str, Any]) -> Settings:
        """A copy with these values. Raises UnknownName or RequestFault naming the setting."""
        return dataclasses.replace(self, **check(values, self))

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def check(values: dict[str, Any], current: Settings) -> dict[str, Any]:
    """The values in their settings' types. Raises UnknownName or RequestFault naming the setting.

    A folder for pictures may only be changed to one inside the data folder, since requests come from other machines too; a
    folder elsewhere is written into config.json by hand.
    """
    knobs = knobs_of(Settings)
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in knobs:
            raise UnknownName("setting", key, knobs)
        checked[key] = coerce(knobs[key], value)
        if key.startswith("outdir_") and checked[key] != getattr(current, key) and not _stays_inside(checked[key]):
            raise RequestFault(key, "must be a folder inside the data folder; to use another one, write it into config.json", got=value)
    return checked


def _stays_inside(folder: str) -> bool:
    path = PurePath(folder)
    return not (path.is_absolute() or path.drive or ".." in path.parts or folder.startswith(("/", "\\", "~")))


class SettingsStore:
    """The settings file. Reads it once, writes it atomically, keeps the last five versions beside it.

    A file that cannot be read is moved to config.json.bad-<time> and the newest good generation is used; `notices` says so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.notices: list[str] = []
        self._raw = self._read()
        self._current = self._to_settings(self._raw)

    @property
    def current(self) -> Settings:
        return self._current

    def set(self, values: dict[str, Any]) -> Settings:
        """Change and save some settings. Raises UnknownName, RequestFault, DiskFault; nothing is changed then."""
        checked = check(values, self._current)
        with self._lock:
            changed = dataclasses.replace(self._current, **checked)
            if changed == self._current:
                return changed
            raw = {**self._raw, **{k: v for k, v in changed.to_data().items() if k in checked}}
            self._write(raw)
            self._raw, self._current = raw, changed
            return changed

    def _to_settings(self, raw: dict[str, Any]) -> Settings:
        knobs = knobs_of(Settings)
        good: dict[str, Any] = {}
        for key, value in raw.items():
            if key not in knobs:
                continue
            try:
                good[key] = coerce(knobs[key], value)
            except RequestFault as fault:
                self.notices.append(f"config.json: {fault.message}; the default is used")
        return Settings(**good)

    def _generation(self, n: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{n}")

    def _read(self) -> dict[str, Any]:
        for n, path in enumerate([self._path, *(self._generation(i) for i in range(1, GENERATIONS + 1))]):
            if not path.exists():
                continue
            try:
                raw = json.loads(path.read_text(encoding="utf-8"))
                if not isinstance(raw, dict):
                    raise ValueError("not an object")
            except (OSError, ValueError) as error:
                if n == 0:
                    bad = path.with_name(f"{path.name}.bad-{time.strftime('%Y%m%d-%H%M%S')}")
                    os.replace(path, bad)
                    self.notices.append(f"config.json could not be read ({error}); it was kept as {bad.name}")
                continue
            if n:
                self.notices.append(f"settings were taken from the older {path.name}")
            return raw
        return {}

    def _write(self, raw: dict[str, Any]) -> None:
        for n in range(GENERATIONS - 1, 0, -1):
            if self._generation(n).exists():
                os.replace(self._generation(n), self._generation(n + 1))
        if self._path.exists():
            write_atomic(self._generation(1), self._path.read_bytes())
        write_atomic(self._path, json.dumps(raw, indent=4, ensure_ascii=False).encode())
