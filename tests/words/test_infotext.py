"""The parameters text: A1111's grammar both ways, its own examples, and anything at all as a prompt."""

from __future__ import annotations

import dataclasses
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modules.infotext import VERSION, parse, quote, to_request, unquote, write
from modules.request import GenerationRequest
from tests.words.examples import CHECKPOINT, HIRES, INPAINT, PLAIN, UNITS, XYZ, resolved

# --- writing ---


def test_writes_the_keys_in_a1111s_order() -> None:
    assert write(resolved(negative_prompt="blurry, text"), 0) == (
        "a red apple, 3d\nNegative prompt: blurry, text\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.0, Seed: 1000, Size: 64x48, "
        f"Model hash: 0a1b2c3d4e, Model: exampleMix_v1, RNG: CPU, Version: {VERSION}"
    )


def test_every_picture_has_its_own_seed_and_a_grid_the_first() -> None:
    request = resolved(n_iter=2, batch_size=2)
    seeds = [re.findall(r"Seed: (\d+)", write(request, index))[0] for index in (0, 1, 2, 3, -1)]
    assert seeds == ["1000", "1001", "1002", "1003", "1000"]


def test_prompts_of_one_picture() -> None:
    request = resolved(n_iter=2, all_prompts=("one", "two"), all_negative_prompts=("", "bad"))
    assert write(request, 0).startswith("one\nSteps: ")
    assert write(request, 1).startswith("two\nNegative prompt: bad\nSteps: ")


def test_the_model_can_be_left_out() -> None:
    text = write(resolved(settings={"add_model_hash_to_info": False, "add_model_name_to_info": False}), 0)
    assert "Model" not in text
    assert "Model hash" not in write(resolved(checkpoint=dataclasses.replace(CHECKPOINT, sha256=None)), 0)


def test_extra_keys_stand_before_the_version_and_none_drops_one() -> None:
    text = write(resolved(), 0, extra={"Clip skip": 2, "Tiling": None, "Hires prompt": "a, b", "Refiner": "Refiner"})
    assert text.endswith(f'Model: exampleMix_v1, RNG: CPU, Clip skip: 2, Hires prompt: "a, b", Refiner, Version: {VERSION}')


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7.0, "7.0"), (7, "7"), (True, "True"), ("plain - text/x", "plain - text/x"), ("a, b", '"a, b"'), ("a:b", '"a:b"'),
        ("a\nb", '"a\\nb"'), ('say "hi"', 'say "hi"'), ('"hi", he', '"\\"hi\\", he"'), ("é, 中", '"é, 中"'),
    ],
)  # fmt: skip
def test_quoting_as_a1111_does(value: object, text: str) -> None:
    assert quote(value) == text
    assert unquote(text) == str(value)


def test_the_version_is_none_that_a1111_reads_as_an_old_one() -> None:
    """A1111 looks for vN.N.N or N.N.N from the start on, to turn on what old versions did."""
    assert not re.match(r"v?\d", VERSION)


def test_an_empty_prompt_leaves_no_empty_line() -> None:
    assert write(resolved(prompt=""), 0).startswith("Steps: ")
    assert write(resolved(prompt="", negative_prompt="x"), 0).startswith("Negative prompt: x\nSteps: ")


# --- reading ---


def test_plain_example() -> None:
    found = parse(PLAIN)
    assert found["Prompt"] == "a lighthouse on a cliff, evening light"
    assert found["Negative prompt"] == "people, text"
    expected = {
        "Steps": "20", "Sampler": "DPM++ 2M", "Schedule type": "Karras", "CFG scale": "7", "Seed": "1234567890", "Size-1": "512",
        "Size-2": "768", "Model hash": "0a1b2c3d4e", "Model": "exampleMix_v1", "Version": "v1.10.1",
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    assert "Size" not in found


def test_hires_example() -> None:
    found = parse(HIRES)
    assert found["Prompt"] == "portrait of a knight, (ornate armour:1.2) <lora:inkStyle:0.7>"
    assert found["Hires prompt"] == "portrait of a knight, sharp, detailed"
    assert found["Lora hashes"] == "inkStyle: 9f8e7d6c5b4a"
    assert found["VAE"] == "some-vae.safetensors"
    assert found["Hires upscaler"] == "R-ESRGAN 4x+"
    assert found["Clip skip"] == "2"
    assert found["Emphasis"] == "Original"


def test_inpaint_example_keeps_the_prompt_raw() -> None:
    found = parse(INPAINT)
    assert found["Prompt"] == 'a sign that says "Open: 9, 10",\nwooden frame'
    assert found["Negative prompt"] == "blurry"
    assert (found["Mask blur"], found["Inpaint area"], found["Masked content"]) == ("8", "Only masked", "latent noise")
    assert "Emphasis" not in found


def test_units_example() -> None:
    found = parse(UNITS)
    assert found["ControlNet 0"].startswith("Module: openpose_full, Model: control_pose [cab727d4], Weight: 1.0")
    assert found["ControlNet 1"].endswith("Control Mode: ControlNet is more important")
    assert found["ADetailer model"] == "face_yolov8n.pt"
    assert found["Variation seed strength"] == "0.3"


def test_grid_script_example() -> None:
    found = parse(XYZ)
    assert found["Script"] == "X/Y/Z plot"
    assert (found["X Values"], found["Y Values"], found["Fixed Y Values"]) == ("5-9 [3]", "11,12", "11, 12")


@pytest.mark.parametrize("text", ["", "   \n ", "just a prompt", PLAIN])
def test_defaults_are_always_there(text: str) -> None:
    found = parse(text)
    assert found["Clip skip"] == "1"
    assert found["Hires sampler"] == "Use same sampler"
    assert found["RNG"] == "GPU"
    assert all(isinstance(v, str) for v in found.values())
    assert {"Prompt", "Negative prompt", "Schedule type"} <= set(found)


def test_fewer_than_three_pairs_belong_to_the_prompt() -> None:
    assert parse("a cat\nSteps: 20, Seed: 5")["Prompt"] == "a cat\nSteps: 20, Seed: 5"
    assert parse("a cat\nSteps: 20, Seed: 5, CFG scale: 7")["Prompt"] == "a cat"


def test_only_the_last_line_counts() -> None:
    inner = "Steps: 1, Sampler: X, Seed: 1"
    found = parse(f"a cat\n{inner}\nmore\nSteps: 2, Sampler: Y, Seed: 3")
    assert found["Prompt"] == f"a cat\n{inner}\nmore"
    assert found["Steps"] == "2"


def test_a_second_negative_line_goes_on() -> None:
    assert parse("a\nNegative prompt: b\nc\nNegative prompt: d")["Negative prompt"] == "b\nc\nd"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('Steps: 1, Seed: 2, Size: 3x4, Bad: "un, closed', {"Bad": '"un', "Size-1": "3"}),
        ('Steps: 1, Seed: 2, CFG scale: 3, Odd: "\\q, x", End: 5', {"Odd": '"\\q, x"', "End": "5"}),
        ("Steps: 1, Seed: 2, CFG scale: 3, bare key, End: 5", {"End": "5"}),
        ("Steps: 1, Seed: 2, Empty: , End: 5", {"End": "5"}),
        ("Steps: 1, x: 2, Seed: 3, End: 5", {"Steps": "1", "Seed": "3"}),
        ("Steps:1,Seed:2,CFG scale:  3 ", {"Steps": "1", "Seed": "2", "CFG scale": "3"}),
        ("Steps: 1, Seed: 2, Time: 12:30:05, End: 5", {"Time": "12:30:05", "End": "5"}),
        ("Steps: 1, Seed: 2, -/Key one/two-3: v, End: 5", {"Key one/two-3": "v"}),
        ("Steps: 1, Seed: 2, Any size: 10x20", {"Any size-1": "10", "Any size-2": "20"}),
        ("Steps: 1, Seed: 2, Prompt: stolen, End: 1", {"Prompt": "p"}),
        ("Steps: 1, Seed: 2, CFG scale: 3, Prix été: 5", {"Prix été": "5"}),
        ('Steps: 1, Seed: 2, CFG scale: 3, Lone: "a\\ud800, b"', {"Lone": "a?, b"}),
    ],
)
def test_pairs(line: str, expected: dict[str, str]) -> None:
    found = parse(f"p\n{line}")
    assert {k: found.get(k) for k in expected} == expected
    assert not any("Empty" in k or "bare" in k for k in found)


def test_old_forms() -> None:
    old = parse("a\nSteps: 20, Seed: 1, Size: 1024x768, First pass size: 512x384, Hypernet: ink, Hypernet strength: 0.5")
    assert (old["Size-1"], old["Size-2"], old["Hires resize-1"], old["Hires resize-2"]) == ("512", "384", "1024", "768")
    assert old["Prompt"] == "a<hypernet:ink:0.5>"
    automatic = parse("a\nSteps: 20, Seed: 1, Size: 1024x1024, First pass size: 0x0")
    assert (automatic["Size-1"], automatic["Hires resize-1"]) == ("512", "1024")


def test_sdnext_spellings() -> None:
    core = "Steps: 20, Size: 512x512, Sampler: Euler a, Seed: 7, CFG scale: 6.0, CLiP-skip: 2, App: SD.Next, Version: 0a1b2c3"
    found = parse(f"a\nNegative prompt: \n{core}")
    assert found["Clip skip"] == "2"
    assert found["Negative prompt"] == ""
    assert to_request(found)["seed"] == 7


# --- into a request ---


def test_to_request_has_the_right_types() -> None:
    values = to_request(parse(PLAIN))
    assert values == {
        "prompt": "a lighthouse on a cliff, evening light", "negative_prompt": "people, text", "steps": 20, "sampler_name": "DPM++ 2M",
        "scheduler": "Karras", "cfg_scale": 7.0, "seed": 1234567890, "width": 512, "height": 768,
        "override_settings": {"sd_model_checkpoint": "0a1b2c3d4e"},
    }  # fmt: skip
    assert GenerationRequest.from_data(values).width == 512


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ("DPM++ 2M Karras", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M SDE Exponential", ("DPM++ 2M SDE", "Exponential")),
        ("Euler a SGMUniform", ("Euler a", "SGM Uniform")),
        ("DPM2 a", ("DPM2 a", "Automatic")),
        ("Karras", ("Karras", "Automatic")),
    ],
)
def test_an_old_sampler_name_is_split(sampler: str, expected: tuple[str, str]) -> None:
    values = to_request(parse(f"a\nSteps: 20, Sampler: {sampler}, Seed: 1"))
    assert (values["sampler_name"], values["scheduler"]) == expected


@pytest.mark.parametrize(
    ("line", "model"),
    [
        ("Model hash: 0a1b2c3d4e, Model: x", "0a1b2c3d4e"),
        ("Model: x_v1", "x_v1"),
        ("Model hash: what, Model: x_v1", "x_v1"),
        ("Model: 512x768", "512x768"),
        ("Model: \"odd, name: 'x'\"", "odd, name: 'x'"),
    ],
)
def test_the_model_by_hash_else_by_name(line: str, model: str) -> None:
    assert to_request(parse(f"a\nSteps: 20, Sampler: E, Seed: 1, {line}"))["override_settings"] == {"sd_model_checkpoint": model}


def test_no_model_no_override() -> None:
    assert "override_settings" not in to_request(parse("a\nSteps: 20, Sampler: E, Seed: 1"))


@pytest.mark.parametrize("value", ["abc", "-5", "0", "1e999", "nan", "9" * 5000, "99999", "½", '"x, y"', "0x10"])
def test_bad_values_are_left_out(value: str) -> None:
    values = to_request(parse(f"a\nSteps: {value}, Sampler: E, Seed: 1, CFG scale: seven, Size: 1x2"))
    assert "steps" not in values
    assert not {"cfg_scale", "width", "height"} & set(values)
    assert GenerationRequest.from_data(values).steps == 20


def test_a_seed_of_64_bits_keeps_its_digits() -> None:
    assert to_request(parse(write(resolved(seed=2**63 - 2), 0)))["seed"] == 2**63 - 2


# --- there and back ---

_CHARS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00\n") | st.sampled_from(list('",:()[]<>\\{}|#="=\''))
_WORDS = st.sampled_from(
    ["Steps: 20", "Seed: 5, Size: 512x512", "Negative prompt", "Model: x", '"quoted, text"', "中文", "🍎", "e\u0301", "{a|b}", "BREAK"]
)
# What the grammar cannot carry, here as in A1111, and nothing else: white space at the ends of lines, blank lines before the first
# word of the whole text, and lines that begin with "Negative prompt:".
_LINE = st.lists(st.text(_CHARS, max_size=30) | _WORDS, max_size=4).map(", ".join).map(str.strip)
_TEXT = st.lists(_LINE.filter(lambda line: not line.startswith("Negative prompt:")), max_size=5).map("\n".join)
FIELDS = ("prompt", "negative_prompt", "steps", "sampler_name", "scheduler", "cfg_scale", "width", "height", "seed")
_REQUESTS = st.fixed_dictionaries(
    {
        "prompt": _TEXT.map(lambda text: text.lstrip("\n")),
        "negative_prompt": _TEXT,
        "steps": st.integers(1, 1000),
        "sampler_name": st.sampled_from(["Euler", "Euler a", "DPM++ 2M", "DPM++ 2M SDE", "UniPC"]),
        "scheduler": st.sampled_from(["Automatic", "Karras", "Exponential", "SGM Uniform", "Beta"]),
        "cfg_scale": st.floats(0, 100),
        "width": st.integers(1, 2048).map(lambda n: n * 8),
        "height": st.integers(1, 2048).map(lambda n: n * 8),
        "seed": st.integers(0, 2**63 - 1),
    }
)
_MODEL_NAMES = st.text(_CHARS, min_size=1, max_size=40).map(str.strip).filter(lambda n: n and not (n[0] == n[-1] == '"'))


@settings(max_examples=500, deadline=None)
@given(_REQUESTS)
@example(dict(zip(FIELDS, ("a\n\n\nb\n", "\n", 1, "Euler", "Karras", 0.1, 8, 16384, 2**63 - 1), strict=True)))
def test_request_to_text_and_back(asked: dict) -> None:
    found = to_request(parse(write(resolved(**asked), 0)))
    assert found.pop("override_settings") == {"sd_model_checkpoint": "0a1b2c3d4e"}
    assert found == asked
    assert GenerationRequest.from_data(found) == GenerationRequest(**asked)


@settings(max_examples=300, deadline=None)
@given(_MODEL_NAMES)
@example("512x768")
@example('a "b", c')
def test_model_names_come_back(name: str) -> None:
    checkpoint = dataclasses.replace(CHECKPOINT, model_name=name, sha256=None)
    assert to_request(parse(write(resolved(checkpoint=checkpoint), 0)))["override_settings"] == {"sd_model_checkpoint": name}


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text(alphabet='ab:,"\\ -/x0\n'))
def test_reading_never_raises(text: str) -> None:
    values = to_request(parse(text))
    GenerationRequest.from_data(values)


@pytest.mark.parametrize("lost", [" a", "a ", "\n\na", "a \nb"])
def test_white_space_at_the_ends_is_what_is_lost(lost: str) -> None:
    assert to_request(parse(write(resolved(prompt=lost), 0)))["prompt"] == "\n".join(line.strip() for line in lost.strip().split("\n"))


HOSTILE = [
    "a: " * 330_000, "aa " * 330_000, 'aa:"\\",' * 140_000, 'aa: "' * 200_000, '"' * 1_000_000, "aa:" + " " * 990_000,
    "- " * 500_000 + ":", "a," * 500_000, "Steps: 1, " * 100_000, 'aa:"' + "\\\\" * 500_000, "1x" * 500_000, "(" * 1_000_000,
]  # fmt: skip


@pytest.mark.parametrize("line", HOSTILE, ids=lambda line: line[:8])
def test_a_hostile_megabyte_takes_time_in_proportion(line: str) -> None:
    """A quadratic reader takes minutes for these."""
    began = time.process_time()
    parse(f"a\n{line}")
    parse(f"{line}\nSteps: 1, Sampler: x, Seed: 5")
    assert time.process_time() - began < 4


def test_a_megabyte_of_prompt_takes_less_than_200_ms() -> None:
    began = time.process_time()
    found = parse(f"{'a red (apple:1.2), 3d ' * 47_000}\nSteps: 20, Sampler: x, Seed: 5")
    assert time.process_time() - began < 0.2
    assert found["Seed"] == "5"
