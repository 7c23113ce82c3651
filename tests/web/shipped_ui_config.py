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
from modules.knobs import KnobField, knobs_of
from modules.request import GenerationRequest
from modules.samplers import SAMPLERS, SCHEDULES
from modules.web.form import FIELDS
from modules.web.ui_config import FILE

FIRST = {"sampler_name": SAMPLERS.names()[0], "scheduler": SCHEDULES.names()[0]}
EXACT_IN_A_BROWSER = 2**53


def rows(tab: str, field: KnobField) -> dict[str, Any]:
    """The keys of one control."""
    key = f"{tab}/{field.knob.label}"
    found: dict[str, Any] = {f"{key}/visible": True}
    value = FIRST.get(field.name, field.default)
    if value is not None:
        found[f"{key}/value"] = value
    low, high = field.knob.range
    if low is not None and high is not None and high < EXACT_IN_A_BROWSER:
        found |= {f"{key}/minimum": low, f"{key}/maximum": high, f"{key}/step": field.knob.step}
    return found


def text() -> str:
    """The file's content."""
    knobs = knobs_of(GenerationRequest)
    values = {key: value for name in FIELDS for key, value in rows("txt2img", knobs[name]).items()}
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
