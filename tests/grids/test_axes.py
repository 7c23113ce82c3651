"""Which axes there are, how they are found, and what a value of each changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from modules.faults import RequestFault, UnknownName
from modules.grids.axes import A1111, axes_of, find
from modules.grids.axis import KNOBS
from modules.request import GenerationRequest

BASE = GenerationRequest(prompt="a red cat, a dog", negative_prompt="dog", steps=4, seed=3)


def changed(label: str | int, value: Any, values: list[Any] | None = None, base: GenerationRequest = BASE) -> dict[str, Any]:
    """What differs from the base."""
    found = find(label, base.task).apply(base, value, values or [value])
    return {name: new for name, new in vars(found).items() if new != getattr(base, name)}


def test_the_places_of_axes_are_a1111s_in_both_tabs() -> None:
    txt2img, img2img = ([axis.label for axis in axes_of(tab)] for tab in ("txt2img", "img2img"))
    for n, m, label in [(0, 0, "Nothing"), (1, 1, "Seed"), (4, 4, "Steps"), (6, 5, "CFG Scale"), (7, 7, "Prompt S/R"), (9, 9, "Sampler"),
                        (11, 10, "Checkpoint name"), (17, 16, "Schedule type"), (25, 24, "Denoising"), (29, 28, "VAE"), (30, 29, "Styles"),
                        (37, 36, "Refiner checkpoint"), (39, 38, "RNG source"), (41, 40, "Size")]:  # fmt: skip
        assert (txt2img[n], img2img[m]) == (label, label)
    assert img2img[6] == "Image CFG Scale"
    assert (txt2img[5], txt2img[28]) == ("Hires steps", "Hires upscaler")


@pytest.mark.parametrize("name", sorted(KNOBS))
def test_every_field_of_a_request_has_an_axis_by_its_name(name: str) -> None:
    tab = "txt2img" if any(name in (a.name, a.label) for a in axes_of("txt2img")) else "img2img"
    axis = find(name, tab)
    assert name in (axis.name, axis.label)


def test_names_of_axes_are_unique() -> None:
    for tab in ("txt2img", "img2img"):
        names, labels = ([getattr(a, what).casefold() for a in axes_of(tab)] for what in ("name", "label"))
        assert len(set(names)) == len(names)
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        ("steps", 9, {"steps": 9}),
        (6, 2.5, {"cfg_scale": 2.5}),
        ("6", 2.5, {"cfg_scale": 2.5}),
        ("Clip skip", 2, {"override_settings": {"CLIP_stop_at_last_layers": 2}}),
        ("settings.eta_ancestral", 0.5, {"override_settings": {"eta_ancestral": 0.5}}),
        ("Styles", "a, b", {"styles": ["a", "b"]}),
        ("Size", "64 x 128", {"width": 64, "height": 128}),
        ("UniPC Order", 9, {"override_settings": {"uni_pc_order": 3}}),
        ("Face restore", "gfpgan", {"override_settings": {"face_restoration": True, "face_restoration_model": "GFPGAN"}}),
        ("Face restore", "no", {"override_settings": {"face_restoration": False}}),
        ("Refiner checkpoint", "None", {}),
        ("freeu", True, {"freeu": True}),
        ("Prompt", "other", {"prompt": "other"}),
    ],
)
def test_what_a_value_changes(label: str | int, value: Any, expected: dict[str, Any]) -> None:
    assert changed(label, value) == expected


def test_search_and_replace_takes_both_prompts_and_keeps_the_first_value() -> None:
    assert changed("Prompt S/R", "bird", ["dog", "bird"]) == {"prompt": "a red cat, a bird", "negative_prompt": "bird"}
    assert changed("Prompt S/R", "dog", ["dog", "bird"]) == {}
    with pytest.raises(RequestFault, match="did not find 'fish'"):
        changed("Prompt S/R", "fish", ["fish", "bird"])


def test_an_order_keeps_what_stands_between() -> None:
    assert changed("Prompt order", ("dog", "red")) == {"prompt": "a dog cat, a red"}
    with pytest.raises(RequestFault, match="did not find 'blue'"):
        changed("Prompt order", ("blue", "red"))


def test_the_weight_of_a_lora_is_that_of_its_tag() -> None:
    one = dataclasses.replace(BASE, prompt="x <lora:a b:1:0.5> y")
    two = dataclasses.replace(BASE, prompt="<lora:a:1><lyco:b:1>")
    assert changed("LoRA weight", 0.25, base=one) == {"prompt": "x <lora:a b:0.25> y"}
    assert changed("LoRA weight: b", 0, base=two) == {"prompt": "<lora:a:1><lyco:b:0>"}
    with pytest.raises(RequestFault, match="LoRA weight: a"):
        changed("LoRA weight", 0.5, base=two)
    with pytest.raises(RequestFault, match="did not find a tag"):
        changed("LoRA weight", 0.5)


def test_a_field_of_a_controlnet_unit() -> None:
    with_units = dataclasses.replace(BASE, control_units=[{"weight": 1.0}, {"weight": 1.0, "model": "m"}])
    assert changed("control_units[1].weight", 0.5, base=with_units) == {"control_units": [{"weight": 1.0}, {"weight": 0.5, "model": "m"}]}
    with pytest.raises(RequestFault, match="no ControlNet unit 0"):
        changed("control_units[0].weight", 0.5)
    with pytest.raises(UnknownName, match="weight"):
        find("control_units[0].wieght", "txt2img")


@pytest.mark.parametrize(
    ("label", "value", "words"),
    [
        ("Steps", 0, "must lie between 1 and 1000"),
        ("Size", "64", "WIDTHxHEIGHT"),
        ("Face restore", "perhaps", "codeformer, gfpgan"),
        ("FP8 mode", "Perhaps", "Enable for SDXL"),
        ("Clip skip", 99, "must lie between"),
    ],
)
def test_values_that_cannot_be_are_refused(label: str, value: Any, words: str) -> None:
    with pytest.raises(RequestFault, match=words):
        changed(label, value)


def test_unknown_axes_name_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Steps"):
        find("Stepps", "txt2img")
    with pytest.raises(RequestFault, match="counted from 0"):
        find(9999, "txt2img")
    with pytest.raises(UnknownName):
        find("Hires steps", "img2img")


def test_words_beside_the_grid() -> None:
    words = {axis.label: axis.words for axis in A1111}
    assert words["CFG Scale"](7.100000001) == "CFG Scale: 7.1"
    assert words["Sampler"]("Euler") == "Euler"
    assert words["Checkpoint name"]("dir/model v1.5.safetensors [0123456789]") == "model v1.5"
    assert words["Prompt order"](("a", "b")) == "a, b"
    assert words["Nothing"](None) == ""
