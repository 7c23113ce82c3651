"""The generation forms as data: from their values to a request, and from a parameters text back to their values.

Knows the App's lists, nothing about Gradio; which fields there are stands in `form_fields`. Start reading at `request_of`, then
`values_from`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modules import infotext
from modules.app import App
from modules.faults import Fault, RequestFault
from modules.knobs import KnobField, coerce
from modules.request import SEED_LIMIT, Checkpoint, GenerationRequest
from modules.request.second import SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULER
from modules.web import control_units
from modules.web.form_fields import (
    CHECKPOINT,
    HIRES,
    LABELS,
    NONE,
    OUTPAINT,
    PROMPTS,
    REFINER,
    RESIZE_BY,
    SEEDS,
    SOFT,
    STYLE,
    TXT2IMG,
    Form,
)
from modules.web.overrides import from_text, settings_of

FIELDS = tuple(TXT2IMG.fields)
NAMES = TXT2IMG.names
TELLING_KEYS = ("Steps", "Sampler", "Seed", "Size-1")  # a text with none of these is a prompt; the parser's own defaults say nothing
# A switch -> the fields that count while it is on, and the keys of a text that turn it on where it is no field of the request itself.
PARTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "subseed_show": (SEEDS, ("Variation seed", "Seed resize from-1")),
    "use_refiner": (REFINER, ("Refiner",)),
    "enable_hr": (HIRES, ()),
    "soft_inpainting": (SOFT, ()),
    "outpaint_show": (OUTPAINT, ("Outpaint left", "Outpaint right", "Outpaint up", "Outpaint down")),
    "style_image": (STYLE, ()),
}
WRITTEN = ("style_image", "override_settings", control_units.FIELD)  # a text says these in ways of their own
_SAME = (SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULER, NONE)


def request_of(values: Sequence[Any], form: Form = TXT2IMG) -> GenerationRequest:
    """The request of a form. values: one for each of its names. Raises RequestFault naming the field."""
    return GenerationRequest.from_data(data_of(values, form))


def data_of(values: Sequence[Any], form: Form = TXT2IMG, options: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """A request's data: parts that are switched off left out, words turned into numbers. options: that extensions added.

    Raises RequestFault for an unknown word.
    """
    data: dict[str, Any] = dict(zip(form.names, values, strict=True))
    for switch, (names, _) in PARTS.items():
        if switch in data and not data[switch]:
            for name in names:
                data.pop(name, None)
    if form is TXT2IMG and not data["enable_hr"]:
        del data["denoising_strength"]
    for name, words in LABELS.items():
        if name in data:
            data[name] = words.index(coerce(form.fields[name], data[name]))
    if "inpaint_full_res" in data:
        data["inpaint_full_res"] = bool(data["inpaint_full_res"])
    if "mask_blur" in data:
        data["mask_blur_x"] = data["mask_blur_y"] = data["mask_blur"]
    if data.pop("size_from", None) != RESIZE_BY:
        data["scale_by"] = None
    for name in ("seed", "subseed"):
        if name in data:
            data[name] = _seed(data[name])
    title = data.pop(CHECKPOINT)
    data[control_units.FIELD] = control_units.units_of(data[control_units.FIELD])
    data["styles"] = data["styles"] or []
    data["override_settings"] = settings_of(data.get("override_settings") or (), options) | ({CHECKPOINT: title} if title else {})
    return {name: _plain(form.fields.get(name), value) for name, value in data.items()}


def _plain(declared: KnobField | None, value: Any) -> Any:
    """What an empty control means: nothing given. An unticked box that may be empty means that too."""
    if declared is not None and declared.optional and (value in ("", NONE) or value is False):
        return None
    return value


def _seed(text: Any) -> Any:
    """A whole number of any size stays exact; anything else is left for the request's own check."""
    plain = str(text if text is not None else "").strip()
    if not plain:
        return -1
    return int(plain) if plain.lstrip("-").isdecimal() and len(plain) <= len(str(SEED_LIMIT)) + 1 else plain


@dataclass
class Filled:
    """What a parameters text sets. values: some of the form's names; notices: what could not be taken over, in words."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    notices: list[str] = field(default_factory=list[str])


def values_from(app: App, text: str, form: Form = TXT2IMG) -> Filled:
    """The form's values of a parameters text (A1111 grammar). A text without parameters is a prompt and sets nothing else.

    What a picture's text leaves out was off: such fields go back to where they start.
    """
    parsed = infotext.parse(text)
    asked = infotext.to_request(parsed)
    filled = Filled()
    whole = any(key in parsed for key in TELLING_KEYS)
    for name in (n for n in form.fields if n not in WRITTEN) if whole else PROMPTS:
        _take(app, form, name, parsed, asked, filled)
    if whole:
        _take_parts(form, parsed, asked, filled)
        filled.values["style_image"] = _style_picture(app, asked, filled)
        filled.values["override_settings"] = from_text(app, parsed)
        units = asked.get(control_units.FIELD) or ()
        filled.values[control_units.FIELD] = control_units.pasted(app, units)
        filled.notices += control_units.missing_pictures(app, units)
    filled.values.setdefault("styles", [])  # their words are part of the prompt already
    _take_checkpoint(app, parsed, asked, filled)
    return filled


def _take_parts(form: Form, parsed: Mapping[str, str], asked: Mapping[str, Any], filled: Filled) -> None:
    """Switches as the text says, and what it leaves out."""
    for switch, (names, keys) in PARTS.items():
        if switch not in form.fields:
            continue
        on = any(key in parsed for key in keys) if keys else bool(asked.get(switch))
        filled.values[switch] = on
        for name in names if on else ():
            filled.values.setdefault(name, start_of(form, name))
    for name in form.advanced:
        filled.values.setdefault(name, start_of(form, name))
    if "enable_hr" in form.fields and filled.values["enable_hr"] and "Denoising strength" not in parsed:
        filled.values["denoising_strength"] = form.starts["denoising_strength"]


def _style_picture(app: App, asked: Mapping[str, Any], filled: Filled) -> str:
    """The reference of the text's style picture; "" without one, and when it is not kept here, which is said."""
    reference = str(asked.get("style_image") or "")
    if not reference:
        return ""
    try:
        app.inputs.path(reference, "style_image")
    except RequestFault:
        filled.notices.append("The style picture of this text is not kept here; give it again under Style.")
        return ""
    return reference


def start_of(form: Form, name: str) -> Any:
    """What a control holds before anything is changed, ui-config.json aside."""
    declared = form.fields[name]
    value = form.starts.get(name, declared.default)
    if declared.kind is bool:
        return bool(value)
    return str(value) if name in ("seed", "subseed") else value


def _take(app: App, form: Form, name: str, parsed: infotext.Parsed, asked: Mapping[str, Any], filled: Filled) -> None:
    """One value of the text into the form, or a notice when the form cannot take it."""
    declared = form.fields[name]
    key, label = declared.knob.infotext, declared.knob.label
    given = parsed.get(key) if key is not None and key in parsed.told else None
    if name in LABELS or name == "mask_blur":
        value: Any = given
    elif name in asked:
        value = _seed(given) if name in ("seed", "subseed") and given else asked[name]
    else:
        if given is not None:
            filled.notices.append(f"{label} was left as it is: {given[:80]!r} does not fit here.")
        return
    if value is None:
        if name in asked:
            filled.values[name] = start_of(form, name)
        return
    try:
        value = known(app, name, coerce(declared, value))
    except RequestFault as fault:
        filled.notices.append(f"{label} was left as it is: {fault.why}.")
        return
    filled.values[name] = str(value) if name in ("seed", "subseed") else value


def known(app: App, name: str, value: Any) -> Any:
    """Registered spelling of a sampler, a schedule, an IP-Adapter or a further checkpoint; other values as they are.

    Raises UnknownName or RequestFault.
    """
    if value is None or value in _SAME:
        return value
    if name in ("sampler_name", "hr_sampler_name"):
        return app.samplers.get(value).name
    if name in ("scheduler", "hr_scheduler"):
        return app.schedules.get(value).label
    if name in ("hr_checkpoint_name", "refiner_checkpoint"):
        found = find_exact(app, value) or find_exact(app, value.rpartition(" [")[0])
        if found is None:
            raise RequestFault(name, f"the model {value} is not here")
        return found.title
    if name == "style_adapter":
        try:
            return app.library.find("ip_adapter", value).name
        except Fault as fault:
            raise RequestFault(name, f"the IP-Adapter {value} is not here") from fault
    return value


def _take_checkpoint(app: App, parsed: Mapping[str, str], asked: Mapping[str, Any], filled: Filled) -> None:
    """The model by its hash, else by its name; a picture of a model that is not here keeps the chosen one and says so."""
    digest, name = parsed.get("Model hash", ""), parsed.get("Model", "")
    title = str(asked.get("override_settings", {}).get(CHECKPOINT, ""))
    if not (digest or name or title):
        return
    found = next((c for text in (digest, name, title) if text and (c := find_exact(app, text))), None)
    if found is None:
        called = " ".join(part for part in (name or title, f"[{digest}]" if digest else "") if part)
        filled.notices.append(f"The picture was made with {called}, a model that is not here; with another one it will look different.")
        return
    filled.values[CHECKPOINT] = found.title
    if digest and found.short_hash and not found.short_hash.startswith(digest.lower()[:10]):
        filled.notices.append(f"The model {found.model_name} has another content here (hash {found.short_hash}, the picture's {digest}).")


def find_exact(app: App, text: str) -> Checkpoint | None:
    """The checkpoint of exactly this name, title or hash; the library's guesses by part of a name do not count here."""
    try:
        found = app.library.find_checkpoint(text)
    except Fault:
        return None
    wanted = text.casefold().strip("[] ")
    names = {found.model_name.casefold(), found.title.casefold(), found.title.rpartition(" [")[0].casefold()}
    return found if wanted in names or (found.sha256 or " ").startswith(wanted) else None
