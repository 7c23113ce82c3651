"""Which axes there are: A1111's in its order for each tab, those of scripts, then one for every other field of a request.

A new field of a request needs nothing here. Start reading at `axes_of`, then `find`. Source: the list of A1111 1.10.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from modules.faults import RequestFault, UnknownName
from modules.grids.axis import BOTH, KNOBS, SETTINGS, Axis, Change, field, of_knob, setting
from modules.knobs import knobs_of
from modules.request import Hires, Repaint
from modules.request.control import ControlUnit

T2I, I2I = ("txt2img",), ("img2img",)
UNITS = 3  # of ControlNet that are listed; others can be named
FACES = {"codeformer": "CodeFormer", "gfpgan": "GFPGAN"}
_YES, _NO = ("true", "yes", "y", "1"), ("false", "no", "n", "0", "none", "")
_SIZE = re.compile(r"\s*(\d{1,6})\s*[x×*]\s*(\d{1,6})\s*")
_UNIT = re.compile(r"control_units\[(\d{1,2})\]\.(\w+)")
_SETTING = re.compile(r"(?:override_settings|settings)\.(\w+)")
_TAG_NAME = re.compile(r"lora weight(?::\s*|\[)(?P<name>[^\]]+)\]?", re.IGNORECASE)
_TAG = re.compile(r"<(lora|lyco):([^:>]+)((?::[^>]*)?)>")


def search_and_replace(holder: Any, value: str, values: Sequence[str]) -> dict[str, Any]:
    """The first value is looked for, in both prompts; each value takes its place. Raises RequestFault when it is in neither."""
    sought = values[0]
    if not sought or (sought not in holder.prompt and sought not in holder.negative_prompt):
        raise RequestFault("values", f"Prompt S/R did not find {sought[:200]!r} in the prompt or the negative prompt")
    return {name: getattr(holder, name).replace(sought, value) for name in ("prompt", "negative_prompt")}


def reorder(holder: Any, value: tuple[str, ...], values: Sequence[Any]) -> dict[str, Any]:
    """The parts of the prompt in this order; what stands between them stays. Raises RequestFault for a part that is not there."""
    prompt, places = holder.prompt, list[tuple[int, str]]()
    for part in value:
        if (at := prompt.find(part)) < 0 or not part:
            raise RequestFault("values", f"Prompt order did not find {part[:200]!r} in the prompt")
        places.append((at, part))
    pieces, end = list[str](), 0
    for (at, old), new in zip(sorted(places), value, strict=True):
        pieces += [prompt[end:at], new]
        end = max(end, at + len(old))
    return {"prompt": "".join(pieces) + prompt[end:]}


def add_styles(holder: Any, value: str, values: Sequence[str]) -> dict[str, Any]:
    """Names of styles, with commas between them, behind those that are chosen."""
    return {"styles": [*holder.styles, *filter(None, (name.strip() for name in value.split(",")))]}


def restore_faces(holder: Any, value: str, values: Sequence[str]) -> dict[str, Any]:
    """codeformer, gfpgan, or whether at all. Raises RequestFault."""
    word = value.strip().casefold()
    if word not in (*FACES, *_YES, *_NO):
        raise RequestFault("values", f"Face restore takes codeformer, gfpgan, true or false, not {value[:80]!r}")
    own: dict[str, Any] = {"face_restoration": word not in _NO, **({"face_restoration_model": FACES[word]} if word in FACES else {})}
    return {"override_settings": {**(holder.override_settings or {}), **own}}


def resize(holder: Any, value: str, values: Sequence[str]) -> dict[str, Any]:
    """WIDTHxHEIGHT. Raises RequestFault."""
    found = _SIZE.fullmatch(value)
    if found is None:
        raise RequestFault("values", f"Size takes WIDTHxHEIGHT such as 512x768, not {value[:80]!r}")
    return {"width": int(found[1]), "height": int(found[2])}


def unipc_order(holder: Any, value: int, values: Sequence[int]) -> dict[str, Any]:
    """No more than there are steps to look back on."""
    return setting("uni_pc_order")(holder, min(value, max(1, holder.steps - 1)), values)


def lora_weight(name: str = "") -> Change:
    """The weight of a tag in the prompt: of that name, or of the only one. Raises RequestFault."""

    def change(holder: Any, value: float, values: Sequence[float]) -> dict[str, Any]:
        tags = [match for match in _TAG.finditer(holder.prompt) if not name or match[2].casefold() == name.casefold()]
        if not tags:
            wanted = f"<lora:{name}:...>" if name else "<lora:name:1>"
            raise RequestFault("values", f"LoRA weight did not find a tag such as {wanted} in the prompt")
        if len({tag[2] for tag in tags}) > 1:
            names = ", ".join(dict.fromkeys(tag[2] for tag in tags))
            raise RequestFault("type", f"there are several LoRAs in the prompt; name one, as in LoRA weight: {tags[0][2]} ({names})")
        weighted = _TAG.sub(lambda tag: f"<{tag[1]}:{tag[2]}:{value:g}>" if tag[2] == tags[0][2] else tag[0], holder.prompt)
        return {"prompt": weighted}

    return change


def unit_field(place: int, name: str) -> Change:
    """A field of a ControlNet unit that is there. Raises RequestFault."""

    def change(holder: Any, value: Any, values: Sequence[Any]) -> dict[str, Any]:
        units: list[dict[str, Any]] = [*(getattr(holder, "control_units", ()) or ())]
        if place >= len(units):
            raise RequestFault("type", f"there is no ControlNet unit {place}; the request has {len(units)}")
        units[place] = {**units[place], name: value}
        return {"control_units": units}

    return change


def _row(label: str, name: str, kind: str, change: Change | None = None, choices: str | tuple[str, ...] | None = None, **more: Any) -> Axis:
    if change is None:
        change = field(name) if name in KNOBS else setting(name)
    return Axis(label=label, name=name, kind=kind, change=change, choices=choices, **more)


BOOL = ("False", "True")
A1111: tuple[Axis, ...] = (
    _row("Nothing", "nothing", "none", lambda holder, value, values: {}, shown="nothing"),
    _row("Seed", "seed", "int"),
    _row("Var. seed", "subseed", "int"),
    _row("Var. strength", "subseed_strength", "float"),
    _row("Steps", "steps", "int"),
    _row("Hires steps", "hr_second_pass_steps", "int", tabs=T2I),
    _row("CFG Scale", "cfg_scale", "float"),
    _row("Image CFG Scale", "image_cfg_scale", "float", tabs=I2I),
    _row("Prompt S/R", "prompt_sr", "str", search_and_replace, shown="value"),
    _row("Prompt order", "prompt_order", "order", reorder, shown="value"),
    _row("Sampler", "sampler_name", "str", choices="samplers", shown="value"),
    _row("Hires sampler", "hr_sampler_name", "str", choices="hr_samplers", shown="value", tabs=T2I),
    _row("Checkpoint name", "sd_model_checkpoint", "str", choices="checkpoints", shown="file", cost=1.0),
    _row("Negative Guidance minimum sigma", "s_min_uncond", "float"),
    _row("Sigma Churn", "s_churn", "float"),
    _row("Sigma min", "s_tmin", "float"),
    _row("Sigma max", "s_tmax", "float"),
    _row("Sigma noise", "s_noise", "float"),
    _row("Schedule type", "scheduler", "str", choices="schedulers"),
    _row("Schedule min sigma", "sigma_min", "float"),
    _row("Schedule max sigma", "sigma_max", "float"),
    _row("Schedule rho", "rho", "float"),
    _row("Beta schedule alpha", "beta_dist_alpha", "float"),
    _row("Beta schedule beta", "beta_dist_beta", "float"),
    _row("Eta", "eta", "float"),
    _row("Clip skip", "CLIP_stop_at_last_layers", "int"),
    _row("Denoising", "denoising_strength", "float"),
    _row("Initial noise multiplier", "initial_noise_multiplier", "float"),
    _row("Extra noise", "img2img_extra_noise", "float"),
    _row("Hires upscaler", "hr_upscaler", "str", choices="hr_upscalers", tabs=T2I),
    _row("Cond. Image Mask Weight", "inpainting_mask_weight", "float", tabs=I2I),
    _row("VAE", "sd_vae", "str", choices="vaes", shown="file", cost=0.7),
    _row("Styles", "styles", "str", add_styles, choices="styles"),
    _row("UniPC Order", "uni_pc_order", "int", unipc_order, cost=0.5),
    _row("Face restore", "face_restore", "str", restore_faces, shown="value"),
    _row("Token merging ratio", "token_merging_ratio", "float"),
    _row("Token merging ratio high-res", "token_merging_ratio_hr", "float"),
    _row("Always discard next-to-last sigma", "always_discard_next_to_last_sigma", "bool", choices=BOOL),
    _row("SGM noise multiplier", "sgm_noise_multiplier", "bool", choices=BOOL),
    _row("Refiner checkpoint", "refiner_checkpoint", "str", choices="refiners", shown="file", cost=1.0),
    _row("Refiner switch at", "refiner_switch_at", "float"),
    _row("RNG source", "randn_source", "str", choices=("GPU", "CPU", "NV")),
    _row("FP8 mode", "fp8_storage", "str", choices=("Disable", "Enable for SDXL", "Enable"), cost=0.9),
    _row("Size", "size", "str", resize),
)
COVERED = frozenset(axis.name for axis in A1111)


def _further() -> tuple[Axis, ...]:
    """What A1111 has no axis for: the weight of a LoRA, how the network is kept, every other field of a request, and ControlNet's units."""
    only = {**dict.fromkeys(knobs_of(Hires), T2I), **dict.fromkeys(knobs_of(Repaint), I2I), "denoising_strength": BOTH}
    fields = [of_knob(name, knob, tabs=only.get(name, BOTH)) for name, knob in KNOBS.items() if name not in COVERED]
    labels = [axis.label.casefold() for axis in (*A1111, *fields)]
    named = [dataclasses.replace(a, label=f"{a.label} ({a.name})") if labels.count(a.label.casefold()) > 1 else a for a in fields]
    listed = [name for name, knob in knobs_of(ControlUnit).items() if knob.kind in (bool, int, float, str)]
    units = [unit_axis(n, name) for n in range(UNITS) for name in listed]
    quantised = _row("UNet quantisation", "quantise_unet", "str", choices="quantisers", cost=0.8)
    return (_row("LoRA weight", "lora_weight", "float", lora_weight()), quantised, *named, *units)


def unit_axis(place: int, name: str) -> Axis:
    """The axis of a field of a ControlNet unit. Raises UnknownName."""
    knobs = knobs_of(ControlUnit)
    if name not in knobs:
        raise UnknownName("type", f"control_units[{place}].{name}", [f"control_units[{place}].{known}" for known in knobs])
    label = f"ControlNet {place} {knobs[name].knob.label}"
    return of_knob(f"control_units[{place}].{name}", knobs[name], label=label, change=unit_field(place, name))


FURTHER = _further()


def axes_of(tab: str, scripts: Sequence[Axis] = ()) -> list[Axis]:
    """The axes of a tab in order: A1111's, at the places that its clients count on, those of scripts, all others."""
    return [axis for axis in (*A1111, *scripts, *FURTHER) if tab in axis.tabs]


def find(asked: int | str, tab: str, scripts: Sequence[Axis] = ()) -> Axis:
    """The axis of a place in A1111's list, a label, the name of a field, control_units[N].FIELD, settings.NAME or LoRA weight: NAME.

    Raises UnknownName, RequestFault.
    """
    known = axes_of(tab, scripts)
    text = str(asked).strip()
    if text.isdecimal() and len(text) < 6:
        if int(text) >= len(known):
            raise RequestFault("type", f"there are {len(known)} axes, counted from 0", got=int(text))
        return known[int(text)]
    word = text.casefold()
    for axis in known:
        if word in (axis.label.casefold(), axis.name.casefold()):
            return axis
    if unit := _UNIT.fullmatch(text):
        return unit_axis(int(unit[1]), unit[2])
    if (named := _SETTING.fullmatch(text)) and named[1] in SETTINGS:
        return of_knob(text, SETTINGS[named[1]], label=text, change=setting(named[1]))
    if tag := _TAG_NAME.fullmatch(text):
        return _row(text, text, "float", lora_weight(tag["name"].strip()))
    raise UnknownName("type", text, [name for axis in known for name in (axis.label, axis.name)])
