"""A training's configuration as a TOML file that people read and edit: a line of help above each value.

Only TOML's own data types are read (`tomllib`); nothing in a file is ever run. Start reading at `written` and `read`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from modules.faults import DiskFault, RequestFault
from modules.folders import write_atomic
from modules.knobs import KnobField

LARGEST_BYTES = 1_000_000
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}


def text_of(fields: dict[str, KnobField], values: dict[str, Any], head: str = "") -> str:
    """TOML text: `head` as a comment, then one value a line in the fields' order with their help above. None is left out."""
    lines = [f"# {line}" for line in head.splitlines()]
    for name, field in fields.items():
        if values.get(name) is None:
            continue
        lines += ["", f"# {field.knob.label}. {_told(field)}".rstrip(), f"{name} = {_value(name, values[name])}"]
    return "\n".join(lines) + "\n"


def written(path: Path, fields: dict[str, KnobField], values: dict[str, Any], head: str = "") -> None:
    """Write the file, the old one or the new one whole. Raises DiskFault, RequestFault for a value that TOML cannot hold."""
    write_atomic(path, text_of(fields, values, head).encode())


def parsed(text: str, name: str = "config.toml") -> dict[str, Any]:
    """The values of a TOML text. Raises RequestFault("config") with the line when it is no TOML, or holds tables."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestFault("config", f"{name} cannot be read: {error}") from error
    tables = [key for key, value in found.items() if isinstance(value, dict)]
    if tables:
        raise RequestFault("config", f"{name} holds the table [{tables[0]}]; values stand one below the other, without tables")
    return found


def read(path: Path) -> dict[str, Any]:
    """The values of a file. Raises RequestFault("config") when it cannot be understood, DiskFault when it cannot be read."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise RequestFault("config", f"{path.name} is larger than {LARGEST_BYTES} bytes; that is no configuration")
        return parsed(path.read_text(encoding="utf-8-sig"), path.name)
    except UnicodeDecodeError as error:
        raise RequestFault("config", f"{path.name} is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise DiskFault(f"cannot read {path.name} in {path.parent}: {error.strerror}.") from error


def _told(field: KnobField) -> str:
    choices = field.knob.choices
    return field.knob.help + (f" One of: {', '.join(choices)}." if isinstance(choices, tuple) else "")


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(_character(c) for c in value) + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(name, each) for each in value) + "]"
    raise RequestFault(name, "cannot be written into a TOML file", got=value)


def _character(c: str) -> str:
    if c in _ESCAPES:
        return _ESCAPES[c]
    return f"\\u{ord(c):04X}" if ord(c) < 0x20 or ord(c) == 0x7F else c
