"""Keys of the page: the list behind `?` is the table that they act from, so nothing may listen for keys beside it."""

from __future__ import annotations

import re

from modules.web.page import ASSETS, SCRIPTS

ROW = re.compile(r'darkroom\.keys\("([^"]+)"')
GROUPS = {
    "Everywhere", "txt2img and img2img", "Prompt boxes", "Suggestions while typing", "Full view", "Menus", "Tour", "Canvas",
    "ControlNet units", "Extras", "Caption", "Train, in a caption", "Train, on the curve of the loss", "Crop of a training picture",
    "History", "Queue", "Models", "Curve of memory",
}  # fmt: skip


def test_all_keys_stand_in_the_one_table():
    texts = {name: (ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS}
    beside = [name for name, text in texts.items() if 'addEventListener("keydown"' in text and name != "core.js"]
    assert beside == []
    assert {group for text in texts.values() for group in ROW.findall(text)} == GROUPS
