"""ui-config.json: what people set differently for single controls, in A1111's key format.

    "txt2img/Sampling steps/value": 30        also      "customscript/sampler.py/txt2img/Sampling steps/value": 30

Knows nothing about Gradio. A value that does not fit is reported in `notices` and the default stays. Start reading at
`UiConfig.of`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modules.faults import RequestFault
from modules.knobs import KnobField, coerce
from modules.settings.form_defaults import bound

FILE = "ui-config.json"
FIELDS = ("value", "minimum", "maximum", "step", "visible")
SCRIPT_PREFIX = "customscript"


class UiConfig:
    """The overrides of one file. notices: what could not be used, in words."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values = {_plain_key(key): value for key, value in (values or {}).items()}
        self._guests = {key: value for key, value in (values or {}).items() if key.startswith(f"{SCRIPT_PREFIX}/")}
        self.notices: list[str] = []

    @classmethod
    def load(cls, paths: Iterable[Path]) -> UiConfig:
        """From the first of these files that exists; an unreadable one is reported and counts as empty."""
        for path in paths:
            if not path.is_file():
                continue
            try:
                values = json.loads(path.read_text(encoding="utf-8"))
                if not isinstance(values, dict):
                    raise ValueError("it is not an object of keys and values")
            except (OSError, ValueError) as error:
                config = cls()
                config.notices.append(f"{FILE} could not be read: {error}. Every control starts at its default.")
                return config
            return cls(values)
        return cls()

    def of(self, tab: str, field: KnobField, choices: Iterable[str] = ()) -> dict[str, Any]:
        """What is set for a control: some of value, minimum, maximum, step (numbers) and visible (bool), all checked."""
        found: dict[str, Any] = {}
        for name in FIELDS:
            key = f"{tab}/{field.knob.label}/{name}"
            if key not in self._values:
                continue
            try:
                found[name] = _checked(field, name, self._values[key], list(choices))
            except RequestFault as fault:
                self.notices.append(f"{FILE}, {key}: {fault.why}; the default is used.")
        low, high = found.get("minimum", field.knob.range[0]), found.get("maximum", field.knob.range[1])
        if low is not None and high is not None and low >= high:
            self.notices.append(f"{FILE}, {tab}/{field.knob.label}: minimum {low} is not below maximum {high}; the defaults are used.")
            found = {name: value for name, value in found.items() if name not in ("minimum", "maximum")}
        return found

    def of_script(self, file: str, tab: str, label: str) -> dict[str, Any]:
        """What is set for a script's control, unchecked: some of value, minimum, maximum, step and visible."""
        start = f"{SCRIPT_PREFIX}/{file}/{tab}/{label}/"
        return {name: self._guests[start + name] for name in FIELDS if start + name in self._guests}

    def refused(self, file: str, tab: str, label: str, name: str, why: str) -> None:
        """A value of a script's control that does not fit."""
        self.notices.append(f"{FILE}, {SCRIPT_PREFIX}/{file}/{tab}/{label}/{name}: {why}; the script's own is used.")


def _plain_key(key: str) -> str:
    """A1111 1.8 and later put "customscript/<file>/" before the tab; both spellings mean the same control."""
    parts = key.split("/", 2)
    return parts[2] if len(parts) == 3 and parts[0] == SCRIPT_PREFIX else key


def _checked(field: KnobField, name: str, value: Any, choices: list[str]) -> Any:
    if name == "visible":
        if not isinstance(value, bool):
            raise RequestFault(name, "must be true or false", got=value)
        return value
    if name != "value":
        return bound(field, name, value)
    value = coerce(field, value)
    wanted = value if isinstance(value, list) else [value]
    missing = [v for v in wanted if choices and v not in choices]
    if missing:
        raise RequestFault(name, f"{missing[0]!r} is not among the choices", got=value, allowed=choices)
    return value
