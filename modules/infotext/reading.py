"""From a parsed parameters text to the fields of a request. Start reading at `to_request`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modules.faults import RequestFault
from modules.infotext import control, keys
from modules.knobs import KnobField, coerce, knobs_of
from modules.request import REFERENCE, GenerationRequest, Hires, Inversion, Outpaint, Refiner, Repaint, Sampling, Seeds, Steering, Styling
from modules.settings import Settings

_HASH = re.compile(r"[0-9a-fA-F]{8,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Schedules that stood behind the sampler's name before there was a "Schedule type" (A1111 up to 1.8).
_SUFFIXES = {" Karras": "Karras", " Exponential": "Exponential", " SGMUniform": "SGM Uniform"}
# Fields that are written only when they do something: a text with parameters that does not speak of them means their defaults.
_GROUPS = (Seeds, Sampling, Hires, Refiner, Repaint, Outpaint, Inversion, Steering, Styling)
QUIET = tuple(name for group in _GROUPS for name in knobs_of(group))


def to_request(parsed: Mapping[str, str], current: Settings | None = None) -> dict[str, Any]:
    """Field values for `GenerationRequest.from_data`. What is missing or makes no sense is left out, never raised.

    The settings of the text that differ from `current` (None: from the defaults) go into override_settings, the model among them:
    by its hash when there is one, else by its name.
    """
    values: dict[str, Any] = {}
    told = getattr(parsed, "told", parsed.keys())
    for name, key in keys.FIELD_KEYS.items():
        if key in told or name not in QUIET:
            _put(values, name, _text(parsed, key))
    _put(values, "width", parsed.get("Size-1"))
    _put(values, "height", parsed.get("Size-2"))
    _put(values, "seed_resize_from_w", parsed.get("Seed resize from-1"))
    _put(values, "seed_resize_from_h", parsed.get("Seed resize from-2"))
    _put(values, "eta", parsed.get(keys.ETA, parsed.get(keys.ETA_DDIM)))
    for suffix, label in _SUFFIXES.items():
        sampler = str(values.get("sampler_name", ""))
        if sampler.endswith(suffix) and sampler != suffix:
            values["sampler_name"], values["scheduler"] = sampler.removesuffix(suffix), label
    values |= _second_pass(parsed, told, values) | _pictures(parsed, told)
    if units := control.units_from(parsed):
        values["control_units"] = units
    settings = _settings(parsed, told, current or Settings())
    if settings:
        values["override_settings"] = settings
    return values


def _second_pass(parsed: Mapping[str, str], told: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The hires pass is on when its keys are there; "Use same ..." is the first pass's."""
    found: dict[str, Any] = {}
    for name in ("hr_checkpoint_name", "hr_sampler_name", "hr_scheduler"):
        if values.get(name) in keys.SAME:
            found[name] = None
    _put(found, "hr_resize_x", parsed.get("Hires resize-1") if "Hires resize-1" in told else None)
    _put(found, "hr_resize_y", parsed.get("Hires resize-2") if "Hires resize-2" in told else None)
    asked = {"Hires upscale", "Hires upscaler", "Hires resize-1"} & set(told)
    if asked and "Denoising strength" in told:
        found["enable_hr"] = True
    return found


def _pictures(parsed: Mapping[str, str], told: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (key, words) in keys.WORDS.items():
        if key in told and parsed[key] in words:
            _put(found, name, str(words.index(parsed[key])))
    _put(found, "mask_blur_x", parsed.get(keys.BLUR))
    _put(found, "mask_blur_y", parsed.get(keys.BLUR_Y, parsed.get(keys.BLUR)))
    if keys.PADDING in told:
        _put(found, "inpaint_full_res_padding", parsed[keys.PADDING])
    _put(found, "mask_round", parsed.get(keys.ROUND))
    for name, key in keys.PICTURES.items():
        references = [REFERENCE + digest for digest in parsed.get(key, "").split() if _DIGEST.fullmatch(digest)]
        if references:
            found[name] = references if name == "init_images" else references[0]
    return found


def _settings(parsed: Mapping[str, str], told: Any, current: Settings) -> dict[str, Any]:
    """The settings that were in force, as far as the text says."""
    found: dict[str, Any] = {"sd_model_checkpoint": _model(parsed)}
    found["sd_vae"] = parsed.get("VAE", "")
    found["sd_vae_decode_method"] = parsed.get("VAE Decoder", "") if parsed.get("VAE Decoder") == "TAESD" else ""
    found = {name: value for name, value in found.items() if value}
    fields = knobs_of(Settings)
    for name, key in keys.SETTING_KEYS.items():
        value = _coerced(fields[name], _text(parsed, key)) if key in told else None
        if value is not None and value != getattr(current, name):
            found[name] = value
    return found


def _text(parsed: Mapping[str, str], key: str) -> str | None:
    """A value; one that looks like a size was split in two."""
    halves = (parsed.get(f"{key}-1"), parsed.get(f"{key}-2"))
    return parsed[key] if key in parsed else "x".join(h for h in halves if h) if all(halves) else None


def _put(values: dict[str, Any], name: str, text: str | None) -> None:
    value = _coerced(knobs_of(GenerationRequest)[name], text)
    if value is not None:
        values[name] = value


def _coerced(field: KnobField, text: str | None) -> Any:
    """The value of a text in the field's type, None when it makes no sense. Only "False" is false, as in A1111."""
    value: str | int | bool | None = text
    if text is not None and field.kind is int and text.strip().isdecimal() and len(text) < 20:
        value = int(text)  # a seed of 64 bits would lose digits on the way through a float
    if text is not None and field.kind is bool:
        value = text.strip() not in ("False", "0")
    if value is None:
        return None
    try:
        return coerce(field, value)
    except RequestFault:
        return None


def _model(parsed: Mapping[str, str]) -> str:
    """The hash, else the name."""
    digest = parsed.get("Model hash", "")
    return digest if _HASH.fullmatch(digest) else _text(parsed, "Model") or ""
