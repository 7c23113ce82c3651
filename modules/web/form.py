"""The generation form as data: from its values to a request, and from a parameters text back to its values.

Knows the App's lists, nothing about Gradio. Start reading at `request_of`, then `values_from`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modules import infotext
from modules.app import App
from modules.faults import Fault, RequestFault
from modules.knobs import coerce, knobs_of
from modules.request import Checkpoint, GenerationRequest

CHECKPOINT = "sd_model_checkpoint"
FIELDS = (
    "prompt", "negative_prompt", "styles", "sampler_name", "scheduler", "steps",
    "width", "height", "n_iter", "batch_size", "cfg_scale", "seed",
)  # fmt: skip
PROMPTS = FIELDS[:2]
TELLING_KEYS = ("Steps", "Sampler", "Seed", "Size-1")  # a text with none of these is a prompt; the parser's own defaults say nothing
NAMES = (*FIELDS, CHECKPOINT)  # every value of the form, in the order events pass them


def request_of(values: Sequence[Any]) -> GenerationRequest:
    """The request of a form. values: one for each of NAMES. Raises RequestFault naming the field."""
    data: dict[str, Any] = dict(zip(NAMES, values, strict=True))
    title = data.pop(CHECKPOINT)
    data["seed"] = _seed(data["seed"])
    data["styles"] = data["styles"] or []
    if title:
        data["override_settings"] = {CHECKPOINT: title}
    return GenerationRequest.from_data(data)


def _seed(text: Any) -> Any:
    """A whole number of any size stays exact; anything else is left for the request's own check."""
    plain = str(text if text is not None else "").strip()
    if not plain:
        return -1
    return int(plain) if plain.lstrip("-").isdecimal() else plain


@dataclass
class Filled:
    """What a parameters text sets. values: some of NAMES; notices: what could not be taken over, in words."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    notices: list[str] = field(default_factory=list[str])


def values_from(app: App, text: str) -> Filled:
    """The form's values of a parameters text (A1111 grammar). A text without parameters is a prompt and sets nothing else."""
    parsed = infotext.parse(text)
    asked = infotext.to_request(parsed)
    filled = Filled()
    for name in FIELDS if any(key in parsed for key in TELLING_KEYS) else PROMPTS:
        _take(app, name, parsed, asked, filled)
    filled.values.setdefault("styles", [])  # their words are part of the prompt already
    _take_checkpoint(app, parsed, asked, filled)
    return filled


def _take(app: App, name: str, parsed: Mapping[str, str], asked: Mapping[str, Any], filled: Filled) -> None:
    """One value of the text into the form, or a notice when the form cannot take it."""
    knob_field = knobs_of(GenerationRequest)[name]
    key, label = knob_field.knob.infotext, knob_field.knob.label
    if name not in asked:
        if key is not None and key in parsed:
            filled.notices.append(f"{label} was left as it is: {parsed[key][:80]!r} does not fit here.")
        return
    value = _seed(parsed[key]) if name == "seed" and key else asked[name]
    try:
        value = _known(app, name, coerce(knob_field, value))
    except RequestFault as fault:
        filled.notices.append(f"{label} was left as it is: {fault.why}.")
        return
    filled.values[name] = str(value) if name == "seed" else value


def _known(app: App, name: str, value: Any) -> Any:
    """Registered spelling of a sampler or schedule. Raises UnknownName."""
    if name == "sampler_name" and value is not None:
        return app.samplers.get(value).name
    if name == "scheduler" and value is not None:
        return app.schedules.get(value).label
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
