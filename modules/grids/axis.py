"""One axis: what it is called, which values it takes, and what a value changes in a request.

Knows single axes; which there are stands in `axes`. Start reading at `Axis`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modules.faults import RequestFault, UnknownName
from modules.grids.values import as_kind, join_list, read_values
from modules.knobs import KnobField, coerce, knobs_of
from modules.request import GenerationRequest
from modules.settings import Settings

BOTH = ("txt2img", "img2img")
KNOBS, SETTINGS = knobs_of(GenerationRequest), knobs_of(Settings)
NO_VALUE = ("", "None")
# Lists whose names follow rules of their own (a schedule behind a sampler's name, a part of a model's): they are looked up when a cell
# is resolved.
RESOLVED = frozenset({"samplers", "hr_samplers", "schedulers", "hr_schedulers", "checkpoints", "refiners", "hr_checkpoints"})
Lists = Mapping[str, Callable[[], Sequence[str]]]
# (what holds the fields: a request or A1111's p; the value; all values of the axis) -> fields that change
Change = Callable[[Any, Any, Sequence[Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """label: A1111's or the field's, as written into the parameters text; name: for programs, unique.

    kind: how its text is read, one of `values.READERS`. choices: a list by name, or the values themselves; None: whatever is typed.
    shown: how a value is written beside the grid, one of SHOWN. cost: how much longer a change takes than another, 0 to 1, as A1111
    tells scripts. own: of a script, which applies it in the worker; check, describe and prepare are its ways to look at values, to word
    them and to read them.
    """

    label: str
    name: str
    kind: str
    change: Change
    choices: str | tuple[str, ...] | None = None
    tabs: tuple[str, ...] = BOTH
    shown: str = "named"
    cost: float = 0.0
    own: bool = False
    check: Callable[[Sequence[Any]], Sequence[Any]] | None = None
    describe: Callable[[Any], str] | None = None
    prepare: Callable[[str], list[Any]] | None = None

    def listed(self, lists: Lists) -> list[str] | None:
        """Its choices as they are now, None where values are typed."""
        if isinstance(self.choices, str):
            return list(lists[self.choices]()) if self.choices in lists else None
        return None if self.choices is None else list(self.choices)

    def read(self, text: str, chosen: Sequence[str], lists: Lists, *, typed: bool) -> list[Any]:
        """Its values, checked. typed: the text counts also for an axis with choices. Raises RequestFault."""
        if self.kind == "none":
            return [None]
        listed = self.listed(lists)
        if listed is not None and chosen and not typed:
            found = as_kind(chosen, self.kind, self.label)
        elif self.prepare is not None:
            found = self.prepare(text or join_list(chosen))
        else:
            found = read_values(text if text.strip() or not chosen else join_list(chosen), self.kind, self.label)
        if self.kind == "str" and listed is not None:
            found = [_known(value, self.label, self.choices, listed) for value in found if value != ""]
        if not found:
            raise RequestFault("values", f"{self.label} has no values; give some, or choose Nothing")
        return list(self.check(found)) if self.check is not None else found

    def words(self, value: Any) -> str:
        """The value as it stands beside the grid."""
        return self.describe(value) if self.describe is not None else SHOWN[self.shown](self.label, value)

    def apply(self, request: GenerationRequest, value: Any, values: Sequence[Any]) -> GenerationRequest:
        """The request with this value. Raises RequestFault naming the field."""
        changed = self.change(request, value, values)
        return dataclasses.replace(request, **{name: coerce(KNOBS[name], given) for name, given in changed.items()})


def plain(value: Any) -> str:
    """A value as text; numbers without the dust of rounding."""
    if isinstance(value, float):
        return str(round(value, 8))
    return ", ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)


def _base_name(_: str, value: Any) -> str:
    """Of a file, without folder, hash and ending."""
    name = str(value).replace("\\", "/").rpartition("/")[2]
    name = name.rpartition(" [")[0] if name.endswith("]") and " [" in name else name
    stem, dot, ending = name.rpartition(".")
    return stem if dot and ending.casefold() in ("safetensors", "ckpt", "pt", "gguf", "bin") else name


SHOWN: dict[str, Callable[[str, Any], str]] = {
    "nothing": lambda label, value: "",
    "named": lambda label, value: f"{label}: {plain(value)}",
    "value": lambda label, value: plain(value),
    "file": _base_name,
}


def field(name: str) -> Change:
    """Sets a field of the request."""
    return lambda holder, value, values: {name: None if KNOBS[name].optional and value in NO_VALUE else value}


def setting(name: str) -> Change:
    """Sets a setting for the run. Raises RequestFault for a value that it cannot have."""

    def change(holder: Any, value: Any, values: Sequence[Any]) -> dict[str, Any]:
        return {"override_settings": {**(holder.override_settings or {}), name: coerce(SETTINGS[name], value)}}

    return change


def kind_of(declared: KnobField) -> str:
    """The kind of values that a Knob takes."""
    return {int: "int", float: "float", bool: "bool", str: "str"}.get(declared.kind, "json")


def of_knob(name: str, declared: KnobField, *, label: str = "", change: Change | None = None, tabs: tuple[str, ...] = BOTH) -> Axis:
    """The axis of a field with a Knob."""
    return Axis(
        label=label or declared.knob.label, name=name, kind=kind_of(declared), change=change or field(name), tabs=tabs,
        choices=declared.knob.choices if declared.kind is str else None,
    )  # fmt: skip


def _known(value: str, label: str, name: str | tuple[str, ...] | None, listed: Sequence[str]) -> str:
    """The value as its list spells it. Raises UnknownName."""
    if name in RESOLVED:
        return value
    wanted = value.casefold()
    found = next((one for one in listed if one.casefold() == wanted), None)
    if found is None:
        found = next((one for one in listed if _base_name("", one).casefold() == _base_name("", value).casefold()), None)
    if found is None and value in NO_VALUE:
        return value
    if found is None:
        raise UnknownName(label, value, listed)
    return found
