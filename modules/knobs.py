"""`Knob`: everything about a value that a person can set, declared once on the field.

    steps: Annotated[int, Knob("Sampling steps", 1, 1000, ui=(1, 150), infotext="Steps")] = 20

The page, the API schema and its check, the command line, the infotext and the docs tables all read that line.
Knows nothing about which fields exist. Start reading at `Knob`, then `knobs_of`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import annotated_types as at

from modules.faults import RequestFault


@dataclass(frozen=True, kw_only=False)
class Knob(at.GroupedMetadata):
    """label: as shown on the page and used in ui-config.json keys. low, high: bounds that hold everywhere.

    ui: narrower (low, high) of the slider; step: slider step; multiline: text area; choices: a fixed tuple, or the
    name of a list that the App provides ("samplers", "schedulers", "checkpoints", "styles"); help: one sentence;
    infotext: key in the parameters text; elem: A1111's elem_id suffix where it differs from the field name;
    section: page of the settings tab; max_chars: longest text accepted; restart: takes effect after a restart.
    """

    label: str
    low: float | None = None
    high: float | None = None
    _: dataclasses.KW_ONLY
    ui: tuple[float, float] | None = None
    step: float | None = None
    choices: tuple[str, ...] | str | None = None
    help: str = ""
    infotext: str | None = None
    elem: str | None = None
    section: str | None = None
    multiline: bool = False
    max_chars: int | None = None
    restart: bool = False

    def __iter__(self) -> Iterator[at.BaseMetadata]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self.low is not None:
            yield at.Ge(self.low)
        if self.high is not None:
            yield at.Le(self.high)
        if self.max_chars is not None:
            yield at.MaxLen(self.max_chars)

    @property
    def range(self) -> tuple[float | None, float | None]:
        """The range a slider shows."""
        return self.ui or (self.low, self.high)


@dataclass(frozen=True)
class KnobField:
    """A dataclass field with its Knob. kind: the plain type (int, float, str, bool, list, dict); optional: None is allowed."""

    name: str
    kind: type
    optional: bool
    default: Any
    knob: Knob


@functools.cache
def knobs_of(cls: type) -> dict[str, KnobField]:
    """Every field of a dataclass that carries a Knob, in declared order, by field name."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found: dict[str, KnobField] = {}
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        knob = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Knob)), None)
        if knob is None:
            continue
        kind, optional = _plain_type(typing.get_args(hint)[0])
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            default = None if field.default is dataclasses.MISSING else field.default
        found[field.name] = KnobField(field.name, kind, optional, default, knob)
    return found


def coerce(field: KnobField, value: Any) -> Any:
    """The value in the field's type, checked against its knob. A1111's leniency: "512" and 512.0 are 512.

    Raises RequestFault naming the field.
    """
    if value is None:
        if field.optional:
            return None
        raise RequestFault(field.name, "a value is needed")
    if field.kind is bool:
        return _to_bool(field.name, value)
    if field.kind in (int, float):
        return _to_number(field, value)
    if field.kind is str:
        return _to_text(field, value)
    if field.kind in (list, tuple):
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise RequestFault(field.name, "must be a list", got=value)
        return field.kind(value)
    if field.kind is dict and not isinstance(value, dict):
        raise RequestFault(field.name, "must be an object", got=value)
    return value


def _to_number(field: KnobField, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise RequestFault(field.name, "must be a number", got=value)
    try:
        number = float(value) if not isinstance(value, int) else value
        finite = math.isfinite(number)
    except (ValueError, OverflowError):
        raise RequestFault(field.name, "must be a number of reasonable size", got=value) from None
    if not finite:
        raise RequestFault(field.name, "must be a finite number", got=value)
    low, high = field.knob.low, field.knob.high
    if (low is not None and number < low) or (high is not None and number > high):
        raise RequestFault(field.name, f"must lie between {low} and {high}", got=value, allowed=[low, high])
    return int(number) if field.kind is int else float(number)


def _to_text(field: KnobField, value: Any) -> str:
    if not isinstance(value, str):
        raise RequestFault(field.name, "must be text", got=value)
    limit = field.knob.max_chars
    if limit is not None and len(value) > limit:
        raise RequestFault(field.name, f"is {len(value)} characters long; the longest accepted is {limit}", allowed=limit)
    if isinstance(field.knob.choices, tuple) and value not in field.knob.choices:
        raise RequestFault(field.name, f"must be one of {', '.join(field.knob.choices)}", got=value, allowed=list(field.knob.choices))
    return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


def _to_bool(name: str, value: Any) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    found = known.get(str(value).lower()) if isinstance(value, bool | int | str) else None
    if found is None:
        raise RequestFault(name, "must be true or false", got=value)
    return found


def _plain_type(hint: Any) -> tuple[type, bool]:
    """(int | None) -> (int, True); list[str] -> (list, False)."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        parts = [a for a in typing.get_args(hint) if a is not type(None)]
        return _plain_type(parts[0])[0], len(parts) < len(typing.get_args(hint))
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return str, False
    return (origin or hint), False
