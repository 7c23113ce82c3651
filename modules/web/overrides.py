"""Settings of one run, as the form holds them: entries such as "Clip skip: 2", by their key in parameters texts or else by their name.

A pasted text brings those that differ from the settings in force. Knows nothing about Gradio. Start reading at `entries_of`, then
`from_text`. Source: A1111's "Override settings".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from modules import infotext
from modules.app import App
from modules.compat import option_rows
from modules.faults import RequestFault
from modules.infotext.keys import SETTING_KEYS
from modules.knobs import coerce, knobs_of
from modules.settings import Settings
from modules.web.form_fields import CHECKPOINT

OWN = "Darkroom"
LABELS = {**SETTING_KEYS, "sd_vae": "VAE", "sd_vae_decode_method": "VAE Decoder"}
NAMES = {**{label: name for name, label in LABELS.items()}, **{name: name for name in knobs_of(Settings)}}


def entries_of(settings: Mapping[str, Any]) -> list[str]:
    """One entry for each setting, the checkpoint aside, which has a control of its own."""
    return [f"{LABELS.get(name, name)}: {_shown(value)}" for name, value in settings.items() if name != CHECKPOINT]


def settings_of(entries: Sequence[Any], options: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The opposite. options: those that extensions added, as `option_rows.described` has them.

    Raises RequestFault("override_settings") for an entry that is none, or whose value does not fit.
    """
    found: dict[str, Any] = {}
    rows = {name: row for row in options for name in (row["key"], row["infotext"]) if name}
    for entry in entries:
        key, colon, text = str(entry).partition(":")
        name, row = NAMES.get(key.strip()), rows.get(key.strip())
        if colon and name is None and row is not None:
            found[row["key"]] = option_rows.read(dict(row), text)
            continue
        if not colon or name is None:
            raise RequestFault("override_settings", f"{str(entry)[:80]!r} is no setting; write it like “Clip skip: 2”", got=str(entry)[:80])
        try:
            found[name] = _value(name, text.strip())
        except RequestFault as fault:
            raise RequestFault("override_settings", f"{key.strip()}: {fault.why}", got=text[:80]) from fault
    return found


def from_text(app: App, parsed: infotext.Parsed) -> list[str]:
    """Entries for what a parameters text says, or means by leaving it out, and the settings in force say otherwise."""
    current = app.settings.current
    told = parsed.told if parsed.get("Version", "").startswith(OWN) or "Version" not in parsed else {*parsed.told, "RNG"}
    told = {*told, *(key for key in parsed if key not in ("RNG", "VAE Decoder"))}
    meant = infotext.to_request(infotext.Parsed(dict(parsed), told=told), current).get("override_settings", {})
    if "VAE Decoder" in parsed.told or current.sd_vae_decode_method != "Full":
        meant["sd_vae_decode_method"] = parsed.get("VAE Decoder", "Full")
    differing = {name: value for name, value in meant.items() if value != getattr(current, name)}
    own = [
        f"{row['infotext']}: {parsed[row['infotext']]}"
        for row in options_of(app)
        if row["infotext"] in parsed and parsed[row["infotext"]] != str(row["value"])
    ]
    return [*entries_of(differing), *own]


def options_of(app: App) -> list[dict[str, Any]]:
    """The options that extensions added."""
    return app.scripts.options() if app.scripts is not None else []


def _shown(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else str(value)


def _value(name: str, text: str) -> Any:
    field = knobs_of(Settings)[name]
    if field.kind in (list, tuple, dict):
        try:
            return coerce(field, json.loads(text))
        except ValueError as error:
            raise RequestFault(name, f"must be JSON ({error})", got=text) from error
    return coerce(field, None if field.optional and text == "None" else text)
