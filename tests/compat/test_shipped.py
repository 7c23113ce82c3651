"""The scripts that come with the program: names, arguments and results of A1111."""

from __future__ import annotations

import pytest
from PIL import Image

from modules.faults import RequestFault, UnknownScript
from tests.compat.conftest import Theatre, pixels, samples


def test_a_prompt_matrix_equals_the_single_runs_bit_for_bit(theatre: Theatre):
    found = theatre.make(prompt="a red circle|blue|on grass", script_name="Prompt matrix")
    prompts = ["a red circle", "a red circle, blue", "a red circle, on grass", "a red circle, blue, on grass"]
    assert [picture.kind for picture in found.pictures] == ["grid", *["sample"] * 4]
    assert [pixels(p) for p in samples(found)] == [pixels(theatre.make(prompt=prompt).pictures[0]) for prompt in prompts]
    assert [p.infotext.partition("\n")[0] for p in samples(found)] == prompts
    assert theatre.control.fractions == sorted(theatre.control.fractions)


def test_a_matrix_that_was_cut_off_makes_only_what_is_missing(theatre: Theatre):
    whole = theatre.make(prompt="a red circle|blue|on grass", script_name="Prompt matrix")
    made = [picture.to_data() for picture in samples(whole)[:2]]
    again = theatre.make(prompt="a red circle|blue|on grass", script_name="Prompt matrix", made=made)
    assert [p.path for p in samples(again)[:2]] == [row["path"] for row in made]
    assert [pixels(p) for p in again.pictures] == [pixels(p) for p in whole.pictures]


def test_prompts_from_a_textbox_are_one_run_each(theatre: Theatre):
    text = 'a blue square\n--prompt "a green dot" --steps 1 --seed 9\n\n--no-such-flag 3'
    found = theatre.make(prompt="a circle", script_name="prompts from file or textbox", script_args=[False, False, "end", text])
    assert [p.infotext.partition("\n")[0] for p in samples(found)] == [
        "a circle a blue square",
        "a circle a green dot",
        "a circle --no-such-flag 3",
    ]
    assert [p.seed for p in samples(found)] == [5, 9, 5]
    single = theatre.make(prompt="a circle a green dot", steps=1, seed=9)
    assert pixels(samples(found)[1]) == pixels(single.pictures[0])


def test_loopback_begins_each_run_with_the_picture_before(theatre: Theatre):
    start = theatre.inputs.put_picture(Image.new("RGB", (64, 64), "teal"))
    found = theatre.make(init_images=[start], denoising_strength=0.5, script_name="loopback", script_args=[2, 0.9, "Linear"])
    grid, first, second = found.pictures
    assert grid.kind == "grid"
    assert "Final denoising strength: 0.9, Denoising curve: Linear" in second.infotext
    single = theatre.make(init_images=[start], denoising_strength=0.5)
    assert pixels(first) == pixels(single.pictures[0])
    with Image.open(first.path) as image:
        onward = theatre.inputs.put_picture(image.convert("RGB"))
    assert pixels(second) == pixels(theatre.make(init_images=[onward], denoising_strength=0.9, seed=6).pictures[0])


def test_sd_upscale_paints_tiles_and_puts_them_together(theatre: Theatre):
    start = theatre.inputs.put_picture(Image.radial_gradient("L").resize((64, 64)).convert("RGB"))
    found = theatre.make(init_images=[start], denoising_strength=0.3, script_name="SD upscale", script_args=[None, 16, "lanczos", 1.5])
    [picture] = found.pictures
    assert (picture.width, picture.height) == (96, 96)
    assert "SD upscale upscaler: Lanczos" in picture.infotext
    assert len([event for event in theatre.control.events if event[0] == "picture"]) == 5  # four tiles and the whole


def test_names_are_checked_before_anything_is_queued(theatre: Theatre):
    with pytest.raises(UnknownScript) as fault:
        theatre.make(script_name="prompt matrxi")
    assert fault.value.words == "Script 'prompt matrxi' not found"
    with pytest.raises(UnknownScript, match="alwayson_scripts"):
        theatre.make(alwayson_scripts={"nothing like it": {"args": []}})
    with pytest.raises(UnknownScript) as fault:
        theatre.make(alwayson_scripts={"Prompt Matrix": {"args": []}})
    assert fault.value.words == "Cannot have a selectable script in the always on scripts params"
    with pytest.raises(RequestFault, match="must be a list"):
        theatre.make(alwayson_scripts={"marker": {"args": 3}})
    with pytest.raises(UnknownScript):
        theatre.make(script_name="loopback")  # of img2img alone
