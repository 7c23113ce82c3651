"""Options that extensions add (`OptionInfo`) as data for a page, and whether a value fits one.

What control an option asks for is read off its component, Gradio's or a sketch, by name. Start reading at `described`.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

from modules.compat.opts import OptionInfo
from modules.faults import RequestFault

TEXT_LIMIT = 100_000
_KINDS = {"Checkbox": "bool", "Slider": "number", "Number": "number", "Dropdown": "choice", "Radio": "choice", "CheckboxGroup": "many"}
_MANY = ("CheckboxGroup", "DropdownMulti")
_NO_VALUE = ("HTML", "Markdown")


def described(key: str, info: OptionInfo, value: Any, path: str) -> dict[str, Any]:
    """{key, label, kind, value, default, choices, minimum, maximum, step, section, note, path, infotext}. kind: "bool", "number",
    "text", "choice", "many" or "note", which has no value. infotext: its key in parameters texts, "" for none.
    """
    args = arguments(info)
    kind = kind_of(info, args)
    note = f"{info.comment_before} {info.comment_after}".strip()
    if kind == "note":
        value = _plain_text(str(info.default or info.label or ""))
    return {
        "key": key, "label": info.label or key, "kind": kind, "value": value, "default": info.default, "path": path,
        "choices": _choices(args), "minimum": args.get("minimum"), "maximum": args.get("maximum"), "step": args.get("step"),
        "section": str(info.section[1]) if isinstance(info.section, list | tuple) and len(info.section) > 1 else "",
        "note": _plain_text(note), "infotext": str(info.infotext or ""),
    }  # fmt: skip


def arguments(info: OptionInfo) -> dict[str, Any]:
    """What its control is made with; extensions give a function too. Nothing when that fails."""
    found = info.component_args
    if callable(found):
        try:
            found = found()
        except Exception:  # noqa: BLE001 - an extension's own function; the option is a plain text box then
            found = None
    return dict(found) if isinstance(found, dict) else {}


def kind_of(info: OptionInfo, args: dict[str, Any]) -> str:
    """Which control the option needs."""
    name = getattr(info.component, "__name__", "")
    if name in _NO_VALUE or (info.component is None and not info.label):
        return "note"
    if name in _MANY or args.get("multiselect") or isinstance(info.default, list):
        return "many"
    if name in _KINDS:
        return _KINDS[name]
    if args.get("choices"):
        return "choice"
    if isinstance(info.default, bool):
        return "bool"
    return "number" if isinstance(info.default, int | float) else "text"


def fitting(key: str, info: OptionInfo, value: Any) -> Any:
    """The value in the option's type. Raises RequestFault naming the option."""
    args = arguments(info)
    kind = kind_of(info, args)
    choices = _choices(args)
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        low, high = args.get("minimum"), args.get("maximum")
        if (low is not None and value < low) or (high is not None and value > high):
            raise RequestFault(key, f"must lie between {low} and {high}", got=value)
        return int(value) if isinstance(info.default, int) and float(value).is_integer() else value
    if kind == "text" and isinstance(value, str) and len(value) <= TEXT_LIMIT:
        return value
    if kind == "choice" and (not choices or value in choices):
        return value
    if kind == "many" and isinstance(value, list) and all(not choices or one in choices for one in value):
        return value
    raise RequestFault(key, f"is no value of this option, which is {kind}", got=value, allowed=choices or None)


def read(row: dict[str, Any], text: str) -> Any:
    """The value that a text gives to an option, as `described` tells it; whether it fits is for `fitting` to say. Raises RequestFault."""
    plain = text.strip()
    if row["kind"] == "bool":
        return plain.lower() in ("true", "1", "yes", "on")
    if row["kind"] in ("text", "choice"):
        return next((choice for choice in row["choices"] if str(choice) == plain), plain)
    try:
        return json.loads(plain)
    except ValueError as error:
        raise RequestFault(row["key"], f"is not written as its kind is ({row['kind']}): {error}", got=text[:80]) from error


def _choices(args: dict[str, Any]) -> list[Any]:
    found = args.get("choices") or []
    return [one[1] if isinstance(one, list | tuple) and len(one) == 2 else one for one in found]


def _plain_text(text: str) -> str:
    """Words without the markup that A1111 shows."""
    return html.unescape(re.sub(r"<[^>]{0,500}>", " ", text)).strip()
