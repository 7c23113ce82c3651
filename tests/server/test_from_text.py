"""The field infotext of a body: units of ControlNet and options of scripts from a parameters text, beside those of the body."""

from __future__ import annotations

from typing import Any

from modules.faults import RequestFault
from modules.request import GenerationRequest
from modules.server.fields import Asked, read
from modules.settings import Settings

KEPT, GONE = "a" * 64, "b" * 64
LINE = "Steps: 9, Sampler: Euler, CFG scale: 3.5, Seed: 77, Size: 64x64"
UNIT = 'ControlNet {}: "Module: canny, Model: edges, Weight: {}"'


def text(*more: str) -> str:
    return "\n".join(["a pear", ", ".join([LINE, *more])])


def keep(sent: Any, field: str) -> str:
    """Knows one picture."""
    if sent != f"input:{KEPT}":
        raise RequestFault(field, "is not kept here", got=sent)
    return sent


def spoken(whole: str, tab: str, chosen: str | None) -> dict[str, list[Any]]:
    """As `Scripts.told_by` for two scripts, an always-on one and one that is chosen."""
    if "Wheel: red" not in whole:
        return {}
    return {"wheel": [True, "red"], **({"plot": [1, tab]} if chosen == "Plot" else {})}


def asked(task: str = "txt2img", **body: Any) -> Asked:
    more = {"init_images": [f"input:{KEPT}"]} if task == "img2img" else {}
    return read({**more, **body}, task, keep, Settings(), spoken)


def units(request: GenerationRequest) -> list[tuple[Any, ...]]:
    return [(unit["enabled"], unit["module"], unit["weight"], unit["image"]) for unit in request.control_units]


def test_units_of_a_text_count_with_the_pictures_that_are_kept():
    found = asked(infotext=text(UNIT.format(0, 0.5), f"ControlNet 0 image: {KEPT}"))
    assert units(found.request) == [(True, "canny", 0.5, f"input:{KEPT}")]
    assert found.notes == ()


def test_a_unit_whose_picture_is_not_here_is_off_and_that_is_said():
    found = asked(infotext=text(UNIT.format(0, 0.5), UNIT.format(1, 0.7), f"ControlNet 1 image: {GONE}"))
    assert units(found.request) == [(False, "canny", 0.5, None), (False, "canny", 0.7, None)]
    first, second = found.notes
    assert "unit 0" in first
    assert "names no picture" in first
    assert "unit 1" in second
    assert "image is not kept here" in second
    again = asked("img2img", infotext=text(UNIT.format(0, 0.5)))
    assert units(again.request) == [(True, "canny", 0.5, None)]  # it looks at the picture that the run begins with
    assert again.notes == ()


def test_units_of_the_body_stand_before_those_of_the_text():
    own = {"alwayson_scripts": {"ControlNet": {"args": [{"enabled": True, "module": "depth", "image": f"input:{KEPT}"}]}}}
    told = text(UNIT.format(0, 0.5), UNIT.format(1, 0.7), f"ControlNet 1 image: {KEPT}")
    found = asked(infotext=told, **own)
    assert [unit[1:3] for unit in units(found.request)] == [("depth", 1.0), ("canny", 0.7)]
    assert found.notes == ()


def test_options_of_scripts_come_from_the_text_where_the_body_has_none():
    told = text("Wheel: red")
    assert asked(infotext=told).request.alwayson_scripts == {"wheel": {"args": [True, "red"]}}
    mine = asked(infotext=told, alwayson_scripts={"Wheel": {"args": [False]}}, script_name="Plot", script_args=[5]).request
    assert mine.alwayson_scripts == {"Wheel": {"args": [False, "red"]}}
    assert mine.script_args == [5, "txt2img"]
    assert asked(infotext=text()).request.alwayson_scripts == {}
