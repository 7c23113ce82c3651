"""The field infotext of a body: what a parameters text adds where the body says nothing.

Knows how fields, ControlNet units and scripts of a text stand beside those of a body; `infotext` reads the text. Start reading at `read`,
then `Text.completed`. Source: the behaviour of A1111 1.10; ControlNet units are our addition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modules import infotext
from modules.faults import RequestFault
from modules.request.control import PICTURES as UNIT_PICTURES
from modules.server.accepted import TXT2IMG
from modules.server.control_units import FIELD
from modules.settings import Settings

Keep = Callable[[Any, str], str]  # (a picture as it was sent, field) -> its reference
Speaking = Callable[[str, str, str | None], dict[str, list[Any]]]  # see `Scripts.told_by`
ELSEWHERE = ("init_images", "mask", "firstpass_image", "style_image", FIELD)  # pictures are the body's own
LEFT_OUT = "ControlNet unit {} of the parameters text was left out: {}. Send the unit with its picture."


@dataclass(frozen=True, kw_only=True)
class Text:
    """values: fields of a request; units: ControlNet units in their places; problems: what is wrong with a unit, by place.

    scripts: arguments by lower-case title.
    """

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    units: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    problems: dict[int, str] = field(default_factory=dict[int, str])
    scripts: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])

    def completed(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """The body's fields with what the text adds: units and arguments behind those that the body has, always-on scripts it lacks."""
        found = dict(own)
        if units := [*own.get(FIELD, ()), *self.units[len(own.get(FIELD, ())) :]]:
            found[FIELD] = units
        always = dict(own.get("alwayson_scripts") or {})
        sent = {str(title).casefold(): title for title in always}
        chosen = str(own.get("script_name") or "").strip().casefold()
        for name, args in self.scripts.items():
            if name == chosen:
                found["script_args"] = _behind(own.get("script_args") or [], args)
            elif name not in sent:
                always[name] = {"args": args}
            elif isinstance(about := always[sent[name]], dict) and isinstance(given := about.get("args", []), list):
                always[sent[name]] = {**about, "args": _behind(given, args)}
        if always:
            found["alwayson_scripts"] = always
        return found

    def notes(self, own: Mapping[str, Any]) -> list[str]:
        """Sentences about units of the text that count and cannot be as they were."""
        return [LEFT_OUT.format(n, why) for n, why in self.problems.items() if n >= len(own.get(FIELD, ()))]


def read(text: str | None, task: str, keep: Keep, current: Settings, scripts: Speaking | None = None, chosen: str | None = None) -> Text:
    """What a text says. keep: finds a picture that is kept here by its reference; scripts: None where there are none; chosen: the script
    that the body names. Never raises.
    """
    if not text or not text.strip():
        return Text()
    parsed = infotext.parse(text)
    values = infotext.to_request(parsed, current)
    units: list[dict[str, Any]] = []
    problems: dict[int, str] = {}
    for n, unit in enumerate(values.get(FIELD, ())):
        why = _problem(unit, task, keep)
        units.append({**unit, **dict.fromkeys(UNIT_PICTURES), "enabled": False} if why else unit)
        if why:
            problems[n] = why
    return Text(
        values={name: value for name, value in values.items() if name not in ELSEWHERE},
        units=units,
        problems=problems,
        scripts=scripts(text, task, chosen) if scripts is not None else {},
    )


def _behind(given: list[Any], told: list[Any]) -> list[Any]:
    return [*given, *told[len(given) :]]


def _problem(unit: Mapping[str, Any], task: str, keep: Keep) -> str:
    """Why a unit cannot be made again; "" when it can, or is off."""
    if not unit["enabled"]:
        return ""
    if task == TXT2IMG and not unit["image"]:
        return "the text names no picture that is known here"
    for name in UNIT_PICTURES:
        try:
            if unit[name]:
                keep(unit[name], name)
        except RequestFault:
            return f"its {name} is not kept here"
    return ""
