"""Scripts in A1111's manner and guests of our own do their work on the starter model, and what they did can be read."""

from __future__ import annotations

from PIL import Image

from modules.server.fields import read
from modules.settings import Settings
from tests.compat.conftest import Theatre, pixels, samples
from tests.compat.samples.scripts.native import Native

ON = {"every hook": {"args": [True, "dusk"]}}


def test_every_method_of_a_script_is_called_in_its_place_and_changes_the_picture(theatre: Theatre):
    plain = theatre.make()
    found = theatre.make(alwayson_scripts=ON, enable_hr=True, hr_scale=1.5, denoising_strength=0.5)
    seen = theatre.module("every_hook.py").seen
    order = list(dict.fromkeys(name for name in seen if not name.startswith("on_")))
    assert order == [
        "setup", "before_process", "process", "before_process_batch", "after_extra_networks_activate", "process_batch",
        "process_before_every_sampling", "before_hr", "post_sample", "postprocess_batch", "postprocess_batch_list", "postprocess_image",
        "postprocess_image_after_composite", "postprocess",
    ]  # fmt: skip
    assert {"on_cfg_denoiser", "on_cfg_denoised", "on_image_saved png"} <= set(seen)
    [picture, appended] = [p for p in found.pictures if p.kind != "grid"]
    assert picture.infotext.startswith("a red circle, dusk, batch 0\n")
    assert "Every hook: True" in picture.infotext
    assert "Every hook word: dusk" in picture.infotext
    assert "Saved by: every hook" in picture.infotext
    assert picture.seed == 105
    assert appended.infotext == "made by every hook"
    with Image.open(picture.path) as image:
        assert image.getpixel((0, 0)) == (1, 2, 3)
        assert image.getpixel((5, 5))[0] == 255  # pyright: ignore[reportOptionalSubscript, reportIndexIssue]
    assert pixels(picture) != pixels(plain.pictures[0])
    assert not [text for text in found.warnings if "failed" in text]
    rows = {(row["guest"], row["hook"]): row for row in found.trace}
    assert rows["every hook", "before_batch"]["changed"] == ["prompts"]
    assert rows["every hook", "decoded"]["calls"] == 1


def test_a_script_that_is_off_changes_nothing(theatre: Theatre):
    theatre.module("every_hook.py").seen.clear()
    with_guests = theatre.make(alwayson_scripts={"Every Hook": {}, "native sample": {}})
    assert with_guests.trace
    alone = PLAIN(theatre)
    assert pixels(with_guests.pictures[0]) == alone


def PLAIN(theatre: Theatre) -> bytes:
    """The same picture by a runner without a house."""
    house, theatre.runner._house = theatre.runner._house, None  # pyright: ignore[reportPrivateUsage]
    try:
        return pixels(theatre.make().pictures[0])
    finally:
        theatre.runner._house = house  # pyright: ignore[reportPrivateUsage]


def test_a_native_guest_uses_every_hook(theatre: Theatre):
    found = theatre.make(prompt="teh red circle", alwayson_scripts={"native sample": {"args": {"watch": True}}})
    hooks = [name for name in vars(Native) if not name.startswith("_") and callable(getattr(Native, name)) and name != "knobs"]
    seen = theatre.module("native.py").seen
    assert set(seen) == set(hooks) - {"before_resolve"}
    [picture] = samples(found)
    assert picture.infotext.startswith("the red circle, native\nSteps: 3,")
    assert "Native: yes" in picture.infotext
    assert pixels(picture) != pixels(theatre.make(prompt="the red circle, native", steps=3).pictures[0])


def test_a_hook_may_run_pictures_of_its_own_inside_the_job(theatre: Theatre):
    plain = theatre.make()
    found = theatre.make(alwayson_scripts={"marker": {"args": [True]}})
    assert not [text for text in found.warnings if "failed" in text]
    [picture] = samples(found)
    assert "Marker: True" in picture.infotext
    with Image.open(picture.path) as image:
        assert image.getpixel((1, 1)) == (255, 0, 0)
    assert pixels(picture) != pixels(plain.pictures[0])
    assert theatre.module("b_first.py").order == ["b_first", "a_second"]


def test_what_the_web_process_says_about_scripts(theatre: Theatre):
    infos = {(row["name"], row["is_img2img"]): row for row in theatre.scripts.infos()}
    row = infos["every hook", False]
    assert row["is_alwayson"]
    assert [arg["label"] for arg in row["args"]] == ["Enabled", "Word", "Kind", "Picture"]
    assert [arg["value"] for arg in row["args"]] == [False, "dusk", 1, None]
    assert row["args"][2]["choices"] == ["one", "two", "three"]
    grades = {row["file"]: row for row in theatre.scripts.grades()}
    assert grades["every_hook.py"]["grade"] == "A"
    assert "torch" in grades["every_hook.py"]["reasons"][0]
    assert infos["native sample", True]["args"][0]["label"] == "Raise in"


def test_a_parameters_text_fills_the_options_of_scripts_for_the_api(theatre: Theatre):
    begun = samples(theatre.make(alwayson_scripts={"every hook": {"args": [True, "dawn", 2]}}))[0].infotext
    body = {"infotext": begun, "prompt": "a red circle"}
    asked = read(body, "txt2img", lambda sent, _: str(sent), Settings(), theatre.scripts.told_by).request
    [args] = [about["args"] for name, about in asked.alwayson_scripts.items() if name == "every hook"]
    assert args[:3] == [True, "dawn", 1]  # the third has no key in the text
    again = samples(theatre.make(alwayson_scripts=asked.alwayson_scripts))[0].infotext
    assert again.startswith("a red circle, dawn")
    assert theatre.scripts.told_by("a pear\nSteps: 2, Seed: 1, Sampler: Euler", "txt2img") == {}
