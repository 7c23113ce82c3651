"""A script that raises never loses the picture or the queue; one that goes on raising is switched off."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from modules.compat.callbacks import CALLED
from modules.compat.face import NOT_CALLED, Script
from modules.compat.guest import METHODS as CALLED_FROM
from modules.hooks import HOOKS
from modules.plugins.ledger import TOO_OFTEN
from tests.compat.conftest import Theatre, pixels, samples
from tests.compat.samples.scripts.native import Native

METHODS = {
    "setup": "setup", "before_process": "before_process", "process": "process", "before_process_batch": "before_batch",
    "after_extra_networks_activate": "before_batch", "process_batch": "before_batch", "process_before_every_sampling": "before_call",
    "before_hr": "before_call", "post_sample": "before_decode", "postprocess_batch": "decoded", "postprocess_batch_list": "decoded",
    "postprocess_image": "before_save", "postprocess_image_after_composite": "before_save", "postprocess": "postprocess",
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(theatre: Theatre) -> bytes:
    return pixels(theatre.make(steps=1).pictures[0])


@pytest.mark.parametrize("method", METHODS)
def test_a_script_that_raises_is_a_warning_on_the_picture(theatre: Theatre, plain: bytes, method: str):
    theatre.forgive()
    hires: dict[str, Any] = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.5} if method == "before_hr" else {}
    found = theatre.make(steps=1, alwayson_scripts={"raises": {"args": [method]}}, **hires)
    [picture] = samples(found)
    assert pixels(picture) == (pixels(theatre.make(steps=1, **hires).pictures[0]) if hires else plain)
    [warning] = [text for text in found.warnings if "failed" in text]
    assert f"ZeroDivisionError: on purpose in {method}" in warning
    faults = {row["hook"]: row["faults"] for row in found.trace if row["guest"] == "raises" and row["faults"]}
    assert list(faults) == [METHODS[method]]
    if METHODS[method] not in ("setup", "postprocess"):
        assert f"raises ({METHODS[method]})" in picture.infotext


def test_the_sample_raises_in_every_method_of_a_script_that_is_called(theatre: Theatre):
    theatre.make(steps=1)
    asked = set(theatre.module("raises.py").METHODS)
    called = {method for methods in CALLED_FROM.values() for method in methods}
    assert asked == set(METHODS) == called | {"setup", "before_process", "process", "postprocess"}
    every = {name for name, value in vars(Script).items() if callable(value) and not name.startswith("_")}
    page = {
        "title",
        "show",
        "ui",
        "describe",
        "elem_id",
        "before_component",
        "after_component",
        "on_before_component",
        "on_after_component",
    }
    assert every - page - {"run"} == asked | set(NOT_CALLED)


@pytest.mark.parametrize("where", [f"on_{name}" for name in (*CALLED, "activate", "deactivate") if name != "ui_settings"])
def test_a_function_of_a_script_that_raises_is_passed_over(theatre: Theatre, plain: bytes, where: str):
    theatre.forgive()
    theatre.make(steps=1)
    theatre.module("raises.py")
    theatre.at_work.views.callbacks.models.clear()
    name = where.removeprefix("on_") if "activate" in where else where
    asked = {"raises in a callback": {"args": [name]}}
    found = theatre.make(steps=1, prompt=f"a red circle{'<broken:x>' * ('activate' in where)}", alwayson_scripts=asked)
    [picture] = samples(found)
    assert pixels(picture) == plain
    failed = [text for text in found.warnings if "failed" in text]
    assert len(failed) == (where != "on_image_grid")  # a grid is made all the same; that one is in the log
    assert all(f"on purpose in {name}" in text for text in failed)


def test_a_guest_that_raises_before_anything_is_queued_does_not_stop_the_request(theatre: Theatre):
    theatre.forgive()
    found = theatre.make(steps=1, prompt="raise early")
    assert len(samples(found)) == 1
    assert [text for text in found.warnings if "failed in before_resolve" in text]


@pytest.mark.parametrize("at", ["process_firstpass", "process"])
def test_a_post_processing_script_that_raises_leaves_the_picture(theatre: Theatre, at: str):
    found, picture = theatre.extras(Image.new("RGB", (8, 8), "blue"), {"raises in extras": {"at": at}})
    assert picture.getpixel((4, 4)) == (0, 0, 255)
    assert [text for text in found.warnings if f"on purpose in {at}" in text]


def test_scripts_that_raise_before_they_are_on_the_page_stop_nobody(theatre: Theatre):
    theatre.forgive()
    names = {row["name"] for row in theatre.scripts.infos()}
    assert not names & {"in init", "in show", "in ui"}
    assert "Still here" in theatre.scripts.titles("txt2img")
    [row] = [row for row in theatre.scripts.grades() if row["file"] == "raises_early.py"]
    assert row["grade"] == "C"
    assert row["reasons"][0] == "; ".join(f"ZeroDivisionError: on purpose in {name}" for name in ("__init__", "title", "show", "ui"))


@pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook != "before_resolve"])
def test_a_native_guest_that_raises_is_a_warning_too(theatre: Theatre, plain: bytes, hook: str):
    theatre.forgive()
    assert hook in vars(Native)
    found = theatre.make(steps=1, alwayson_scripts={"native sample": {"args": [hook]}})
    [picture] = samples(found)
    assert pixels(picture) == plain
    assert [text for text in found.warnings if f"failed in {hook} " in text]


def test_a_selected_script_that_raises_leaves_what_it_made_or_a_plain_run(theatre: Theatre, plain: bytes):
    theatre.forgive()
    found = theatre.make(steps=1, script_name="Raises when it runs")
    assert pixels(samples(found)[0]) == plain
    assert [text for text in found.warnings if "made without it: ZeroDivisionError" in text]
    found = theatre.make(steps=1, n_iter=2, script_name="raises when it runs")
    assert [pixels(picture) for picture in samples(found)] == [plain]
    assert [text for text in found.warnings if "so far are shown" in text]


def test_a_script_that_fails_again_and_again_is_switched_off_until_it_is_forgiven(theatre: Theatre, plain: bytes):
    theatre.forgive()
    always = {"raises": {"args": ["process"]}}
    *_, last = [theatre.make(steps=1, alwayson_scripts=always) for _ in range(TOO_OFTEN)]
    assert [text for text in last.warnings if "switched off until" in text]
    assert "raises" not in {row["name"] for row in theatre.scripts.infos()}
    assert pixels(samples(theatre.make(steps=1))[0]) == plain


def test_an_interrupt_ends_a_script_and_keeps_the_pictures(theatre: Theatre):
    theatre.forgive()
    found = theatre.make(prompt="a|b|c", script_name="prompt matrix", stop_at=2)
    assert found.interrupted
    assert len(found.pictures) == 1
