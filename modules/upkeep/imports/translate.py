"""From another program's config.json and ui-config.json to ours: what is taken, what is the same, what is left and why.

Names are A1111's on both sides, so most values come over as they are. Start reading at `settings_of`, then `defaults_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath, PureWindowsPath
from typing import Any

from modules.faults import RequestFault
from modules.knobs import KnobField, coerce, knobs_of
from modules.settings import Settings
from modules.settings.form_defaults import FORMS, bound, keys_of, plain_key

# Beginnings of names -> why such settings stay as they are here.
LEFT: Mapping[str, str] = {
    "outdir_": "new pictures go where they went so far; those that are there are found in the History",
    "extra_models_dirs": "the folders are taken over themselves",
    "extra_picture_dirs": "the folders are taken over themselves",
    "control_net_models_path": "it becomes one of the further folders of models",
    "disabled_extensions": "the extensions here are other ones",
    "disable_all_extensions": "the extensions here are other ones",
    "localization": "languages are files of extensions; choose one here once it is installed",
    "api_": "what programs may ask for is decided here",
    "guest_": "what guests may do is decided here",
}
LATER = ("sd_model_checkpoint", "sd_vae", "forge_additional_modules")  # name files that must be here first
RENAMED = {"quicksettings": "quicksettings_list"}
# What A1111 writes into ui-config.json by itself; only what differs was a person's choice. Label -> (values, bounds).
USUAL: Mapping[str, tuple[Any, ...]] = {
    "Sampling steps": (20,), "Width": (512,), "Height": (512,), "Batch count": (1,), "Batch size": (1,), "CFG Scale": (7, 7.0),
    "Seed": (-1,), "Sampling method": ("Euler a", "DPM++ 2M Karras", "DPM++ 2M", "Euler"), "Schedule type": ("Automatic",),
    "Denoising strength": (0.7, 0.75), "Hires steps": (0,), "Upscale by": (2, 2.0), "Upscaler": ("Latent",), "Mask blur": (4,),
    "Resize width to": (0,), "Resize height to": (0,), "Switch at": (0.8,), "Refiner": (False,), "Tiling": (False,), "Hires. fix": (False,),
}  # fmt: skip
NOTHING = ([], "None", "Use same sampler", "Use same scheduler", "Use same checkpoint")


@dataclass
class Translated:
    """taken: what is set; later: what is set once the files are there; others: no settings of this version, kept for extensions.

    same: how many are so already; left: (name, why).
    """

    taken: dict[str, Any] = field(default_factory=dict[str, Any])
    later: dict[str, Any] = field(default_factory=dict[str, Any])
    others: dict[str, Any] = field(default_factory=dict[str, Any])
    same: int = 0
    left: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def settings_of(config: Mapping[str, Any], current: Settings, others: Mapping[str, Any]) -> Translated:
    """What another program's settings come to here. current, others: what is so now. Bad values are left, with the reason."""
    knobs, found = knobs_of(Settings), Translated()
    for name, value in config.items():
        key = RENAMED.get(name, name)
        why = next((why for start, why in LEFT.items() if key.startswith(start)), None)
        if key not in knobs:
            if why is None and key not in others and value is not None:
                found.others[name] = value
        elif why is not None:
            found.left.append((name, why))
        elif name in RENAMED and RENAMED[name] in config:
            continue
        else:
            _take(found, key, value, current)
    return found


def _take(found: Translated, key: str, value: Any, current: Settings) -> None:
    try:
        checked = coerce(knobs_of(Settings)[key], _shaped(key, value))
    except RequestFault as fault:
        found.left.append((key, f"{fault.why}; it was {str(value)[:80]!r}"))
        return
    if key == "quicksettings_list":
        unknown = [str(name) for name in checked if name not in knobs_of(Settings)]
        checked = [name for name in checked if name in knobs_of(Settings)]
        if unknown:
            found.left.append((key, f"there is no setting {', '.join(unknown[:10])} here; the others are taken"))
    if checked == getattr(current, key):
        found.same += 1
    elif key in LATER and checked not in ("", "Automatic", "None", []):
        found.later[key] = checked
    else:
        found.taken[key] = checked


def _shaped(key: str, value: Any) -> Any:
    """Lists that were texts, and files that were named with their folders."""
    if key == "quicksettings_list" and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if key == "forge_additional_modules" and isinstance(value, list):
        return [_file(part) for part in value if isinstance(part, str)]
    return _file(value) if key == "sd_vae" and isinstance(value, str) else value


def _file(text: str) -> str:
    return PureWindowsPath(text).name if "\\" in text else PurePath(text).name


def defaults_of(ui_config: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """(key -> value of the forms' controls that a person had chosen there and that differ here, those that do not fit and why).

    Ranges, steps and hidden controls too, where they differ from what stands here, which begins as A1111 writes it.
    """
    known = {key: one for tab in FORMS for key, one in keys_of(tab).items()}
    taken: dict[str, Any] = {}
    left: list[tuple[str, str]] = []
    for name, value in ui_config.items():
        key = plain_key(name)
        if value in (None, ""):
            continue
        if key not in known:
            _take_shape(key, value, now, known, taken, left)
            continue
        knob = known[key]
        if value in USUAL.get(knob.knob.label, ()) or value == knob.default or value in NOTHING:
            continue
        try:
            checked = coerce(knob, value)
        except RequestFault as fault:
            left.append((key, f"{fault.why}; it was {str(value)[:80]!r}"))
            continue
        if now.get(key) != checked:
            taken[key] = checked
    return taken, left


def _take_shape(
    key: str, value: Any, now: Mapping[str, Any], known: Mapping[str, KnobField], taken: dict[str, Any], left: list[tuple[str, str]]
) -> None:
    """A control's minimum, maximum or step, or that it is hidden."""
    control, _, part = key.rpartition("/")
    knob = known.get(f"{control}/value")
    if knob is None or now.get(key) in (None, value):
        return
    if part == "visible" and value is False:
        taken[key] = value
    elif part in ("minimum", "maximum", "step"):
        try:
            taken[key] = bound(knob, part, value)
        except RequestFault as fault:
            left.append((key, f"{fault.why}; it was {str(value)[:80]!r}"))
