"""The words after a command: every Knob of its record is a flag, the most usual fields may stand without one.

Start reading at `read`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any

from modules.faults import RequestFault
from modules.knobs import KnobField, coerce, knobs_of
from modules.request import GenerationRequest

API_ONLY = ("send_images", "images", "image_names")
FILES = ("init_images", "mask", "firstpass_image", "style_image")  # of a generation: here the names of picture files
UNITS = "control_units"  # each a JSON object, with the names of picture files in it
ALIASES = {"--init-image": "init_images"}
EXAMPLE = '{"samples_format": "webp"}'
EXAMPLES = {UNITS: '{"module": "canny", "model": "NAME", "image": "FILE"}'}
USAGES = {
    "txt2img": 'python launch.py txt2img [flags] "a red apple"',
    "img2img": 'python launch.py img2img --init-image FILE [--mask FILE] [flags] "a red apple"',
}


def fields(record: type = GenerationRequest) -> dict[str, KnobField]:
    """Flag -> the field of the record that it sets."""
    known = knobs_of(record)
    found = {"--" + name.replace("_", "-"): field for name, field in known.items() if name not in API_ONLY}
    return found | {flag: known[name] for flag, name in ALIASES.items() if name in known}


def read(
    words: Sequence[str], record: type = GenerationRequest, *, bare: Sequence[str] = ("prompt",), command: str = "txt2img"
) -> dict[str, Any]:
    """The record's fields as plain data, checked. Raises RequestFault naming the field, or "flag" for an unknown one.

    bare: the fields that words without a flag are, in order; command: the one whose --help lists the flags.
    "--steps 20", "--steps=20" and "--cfg_scale 5" are understood; a switch may stand alone or as --no-NAME; a list flag may be repeated.
    """
    known = fields(record)
    left, waiting = list(words), list(bare)
    values: dict[str, Any] = {}
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        if not word.startswith("--"):
            free = next((field for field in waiting if field not in values or isinstance(values[field], list)), None)
            if free is None:
                raise RequestFault(bare[-1], "was given twice; put it in quotation marks", got=word)
            _set(values, known["--" + free.replace("_", "-")], word, left)
        elif name.startswith("--no-") and "--" + name[5:] in known and known["--" + name[5:]].kind is bool:
            values[known["--" + name[5:]].name] = False
        elif name in known:
            _set(values, known[name], value if equals else None, left)
        else:
            near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
            hint = f"did you mean {' or '.join(near)}?" if near else f"{command} --help lists them all"
            raise RequestFault("flag", f"there is no {name}; {hint}")
    return values


def _set(values: dict[str, Any], field: KnobField, value: str | None, left: list[str]) -> None:
    if value is None:
        if field.kind is bool and (not left or left[0].lower() not in ("true", "false")):
            values[field.name] = True
            return
        if not left:
            raise RequestFault(field.name, "needs a value")
        value = left.pop(0)
    if field.name in FILES and field.kind is str:
        values[field.name] = value
    elif field.name == UNITS:
        values[UNITS] = [*values.get(UNITS, []), _json(UNITS, value)]
    elif field.kind in (list, tuple):
        values[field.name] = [*values.get(field.name, []), value]
    elif field.kind is dict:
        values[field.name] = coerce(field, _json(field.name, value))
    else:
        values[field.name] = coerce(field, value)


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise RequestFault(name, f"must be JSON such as '{EXAMPLES.get(name, EXAMPLE)}' ({error})", got=text) from error


def help_text(command: str = "txt2img") -> str:
    """What `txt2img --help` or `img2img --help` prints."""
    lines = [
        f"usage: {USAGES[command]}",
        "",
        "Prints one path a line; progress goes to the error output.",
        "The flags of `python launch.py --help` hold too.",
        "",
    ]
    return "\n".join([*lines, *flag_lines(GenerationRequest), ""])


def flag_lines(record: type) -> list[str]:
    """A line of help for each flag of a record."""
    lines: list[str] = []
    for flag, field in fields(record).items():
        low, high = field.knob.low, field.knob.high
        bounds = f" {low} to {high}." if low is not None and high is not None and field.name != "seed" else ""
        shown = str(field.default).lower() if field.kind is bool else field.default
        default = "" if field.default in (None, "", [], {}) else f" Default: {shown}."
        file = " A picture file; may be repeated." if field.name in FILES and field.kind is list else ""
        file = " A picture file." if field.name in FILES and not file else file
        file = f" May be repeated: '{EXAMPLES[UNITS]}'." if field.name == UNITS else file
        lines.append(f"  {flag:<20} {field.knob.label}.{bounds}{file} {field.knob.help}{default}".rstrip())
    return lines
