"""The frame of the History tab: what the page's script looks for is there, and nothing in it comes from a person."""

from __future__ import annotations

import re

from modules.library.pictures import SORTS
from modules.web.page import ASSETS, SCRIPTS
from modules.web.tabs import history

OWN = ("history.js", "picture.js")


def scripts(*names: str) -> str:
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in names)


def test_every_action_of_the_frame_and_of_its_scripts_is_answered():
    answered = set(re.findall(r'darkroom\.on\("([a-z0-9-]+)"', scripts(*SCRIPTS)))
    asked = set(re.findall(r'data-do="([a-z-]+)"', history.FRAME)) | set(
        re.findall(r'action\([^;]*?"((?:history|compare|again)-[a-z-]+)"', scripts(*OWN))
    )
    assert len(asked) > 12
    assert asked <= answered


def test_every_place_that_the_scripts_fill_is_in_the_frame():
    asked = set(re.findall(r'part\("[.#]([a-z_-]+)"\)', scripts(*OWN)))
    assert {"dr-history-list", "dr-history-panel", "dr_history_search"} <= asked
    assert not {name for name in asked if name not in history.FRAME and f'"div.{name}"' not in scripts(*OWN)}


def test_the_scripts_are_on_the_page_after_what_they_use():
    places = [SCRIPTS.index(name) for name in ("core.js", "lightbox.js", "send.js", "models.js", *OWN)]
    assert places == sorted(places)


def test_sizes_and_orders_mean_something():
    bounds = [value for value, _ in history.SIZES if value]
    assert all(re.fullmatch(r"[0-9]*-[0-9]*", bound) for bound in bounds)
    assert 'value="newest"' in history.FRAME
    assert "newest" in SORTS
