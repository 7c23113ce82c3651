"""The frame of the Caption tab: each control sets a field of a request, with that field's bounds and choices."""

from __future__ import annotations

import re

from modules.knobs import knobs_of
from modules.request.caption_folder import FolderRequest
from modules.web.page import ASSETS
from modules.web.tabs import caption

PAGE_ONLY = {"at_once", "preset_name"}
NOT_ON_THE_PAGE = {"images", "image_names", "caption", "attention", "background", "resume"}  # given by what is done, not by a control


def test_every_control_is_a_field_and_every_field_has_a_control():
    named = set(re.findall(r'name="(\w+)"', caption.FRAME))
    assert named - PAGE_ONLY == set(knobs_of(FolderRequest)) - NOT_ON_THE_PAGE


def test_bounds_and_choices_are_the_fields_own():
    beams = re.search(r'<input type="number" name="num_beams"[^>]*>', caption.FRAME)
    assert beams
    assert 'min="1" max="10" step="1"' in beams[0]
    for name in ("output", "existing", "fit", "precision"):
        (box,) = re.findall(rf'<select name="{name}">(.*?)</select>', caption.FRAME)
        assert tuple(re.findall(r'value="([^"]*)"', box)) == knobs_of(FolderRequest)[name].knob.choices


def test_every_function_of_the_script_has_its_button():
    """A control whose action nobody registers would do nothing."""
    scripts = "".join((ASSETS / f"{name}.js").read_text() for name in ("caption", "caption_cards", "caption_folder"))
    for action in re.findall(r'data-do="([\w-]+)"', caption.FRAME):
        assert f'darkroom.on("{action}"' in scripts, action
