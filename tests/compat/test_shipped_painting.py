"""The shipped scripts that begin with a picture: it grows on its sides, or is painted again from its own noise."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from modules.request import Result
from tests.compat.conftest import Theatre, pixels, samples

APPLE = {"prompt": "a red apple", "steps": 10, "cfg_scale": 3.0}


@pytest.fixture(scope="module")
def apple(theatre: Theatre) -> Image.Image:
    return opened(theatre.make(**APPLE))


def opened(result: Result) -> Image.Image:
    [picture] = samples(result)
    with Image.open(picture.path) as image:
        return image.convert("RGB")


def apart(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures, 0 to 255."""
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


def test_outpainting_mk2_is_the_programs_own_outpainting(theatre: Theatre, apple: Image.Image):
    start = theatre.inputs.put_picture(apple)
    args = [None, 32, 4, ["left", "up"], 0.5, 0.3]
    found = theatre.make(init_images=[start], denoising_strength=0.8, script_name="outpainting mk2", script_args=args)
    own = {"outpaint_left": 32, "outpaint_up": 32, "outpaint_begin": "matched noise", "outpaint_in_turns": True, "outpaint_overlap": 8}
    own |= {"outpaint_falloff": 0.5, "outpaint_color_variation": 0.3, "mask_blur_x": 4, "mask_blur_y": 4}
    single = theatre.make(init_images=[start], denoising_strength=0.8, **own)
    assert pixels(samples(found)[0]) == pixels(samples(single)[0])
    image = opened(found)
    assert image.size == (96, 96)
    assert image.crop((64, 64, 96, 96)).tobytes() == apple.crop((32, 32, 64, 64)).tobytes()
    assert "Outpaint fall-off: 0.5, Outpaint color variation: 0.3" in samples(found)[0].infotext


def test_poor_mans_outpainting_paints_only_the_tiles_that_are_new(theatre: Theatre, apple: Image.Image):
    start = theatre.inputs.put_picture(apple)
    found = theatre.make(
        init_images=[start], denoising_strength=0.8, script_name="poor man's outpainting", script_args=[32, 2, 2, ["right"]]
    )
    image = opened(found)
    assert image.size == (96, 64)
    assert image.crop((0, 0, 48, 64)).tobytes() == apple.crop((0, 0, 48, 64)).tobytes()
    grown = Image.new("RGB", image.size)
    grown.paste(apple.crop((63, 0, 64, 64)).resize((32, 64)), (64, 0))
    assert apart(image.crop((72, 0, 96, 64)), grown.crop((72, 0, 96, 64))) > 5  # painted, not only continued
    made = [event for event in theatre.control.events if event[0] == "picture"]
    assert len(made) == 3  # two tiles and the whole
    assert "Outpaint sides: right" in samples(found)[0].infotext


@pytest.mark.parametrize("title", ["outpainting mk2", "poor man's outpainting"])
def test_a_side_that_is_none_is_said(theatre: Theatre, apple: Image.Image, title: str):
    theatre.forgive()
    start = theatre.inputs.put_picture(apple)
    args = [None, 8, 1, ["inwards"]] if "mk2" in title else [8, 1, 0, ["inwards"]]
    found = theatre.make(init_images=[start], denoising_strength=0.1, script_name=title, script_args=args)
    assert [text for text in found.warnings if "'inwards' is no side" in text]


def test_img2img_alternative_gives_the_picture_back_where_plain_img2img_does_not(theatre: Theatre, apple: Image.Image):
    start = theatre.inputs.put_picture(apple)
    about = {**APPLE, "cfg_scale": 1.0, "init_images": [start], "denoising_strength": 0.3, "seed": 77}
    args = [None, True, True, "a red apple", "", True, 10, True, 1.0, 0.0]
    plain = apart(opened(theatre.make(**{**about, "denoising_strength": 1.0})), apple)
    found = theatre.make(**about, script_name="img2img alternative test", script_args=args)
    adjusted = theatre.make(**about, script_name="img2img alternative test", script_args=[*args, True])
    assert apart(opened(found), apple) < 0.6 * plain
    assert apart(opened(adjusted), apple) < 0.5 * plain
    assert "Denoising strength: 1.0" in samples(adjusted)[0].infotext
    assert "Decode steps: 10, Decode prompt: a red apple, Sigma Adjustment: True" in samples(adjusted)[0].infotext
    noisy = theatre.make(**about, script_name="img2img alternative test", script_args=[*args[:-1], 1.0, True])
    assert apart(opened(noisy), apple) > 0.8 * plain  # nothing of the picture's noise is left
