"""The ui-config.json at the top of the repository, made from the Knobs: every key there is, with its default.

    python -m tests.web.shipped_ui_config            say whether it is out of date; exit 1 when it is
    python -m tests.web.shipped_ui_config --write    write it

Width and Height have no value in it: they start at the model's own size.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from modules.folders import PROGRAM
from modules.samplers import SAMPLERS, SCHEDULES
from modules.web.form import start_of
from modules.web.form_fields import IMG2IMG, TXT2IMG, Form
from modules.web.ui_config import FILE

FIRST = {"sampler_name": SAMPLERS.names()[0], "scheduler": SCHEDULES.names()[0]}
EXACT_IN_A_BROWSER = 2**53
SIZES = ("width", "height")
HIDDEN = ("begin", "style_image", "control_units")  # written by the page's script


def rows(form: Form, name: str) -> dict[str, Any]:
    """The keys of one control."""
    field = form.fields[name]
    key = f"{form.tab}/{field.knob.label}"
    found: dict[str, Any] = {f"{key}/visible": True}
    value = FIRST.get(name, form.starts.get(name, field.default))
    if value is not None or field.kind is bool:
        found[f"{key}/value"] = start_of(form, name) if field.kind is bool else value
    low, high = field.knob.range
    if low is not None and high is not None and high < EXACT_IN_A_BROWSER and (value is not None or name in SIZES):
        found |= {f"{key}/minimum": low, f"{key}/maximum": high, f"{key}/step": field.knob.step}
    return found


def text() -> str:
    """The file's content."""
    values = {
        key: value for form in (TXT2IMG, IMG2IMG) for name in form.fields if name not in HIDDEN for key, value in rows(form, name).items()
    }
    return json.dumps(values, indent=4, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    path = PROGRAM / FILE
    if "--write" in arguments:
        path.write_text(text(), encoding="utf-8")
        return 0
    fits = path.is_file() and path.read_text(encoding="utf-8") == text()
    print(f"{FILE} is {'up to date' if fits else 'out of date: python -m tests.web.shipped_ui_config --write'}")
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
