"""ControlNet units in the parameters text: the extension's eleven fields in its order, and back again."""

from __future__ import annotations

from modules import infotext
from modules.infotext.control import pairs, references, units_from
from modules.request import ControlUnit, ResolvedUnit, SideFile
from modules.request.control import CONTROL, HIGH

SHA = "d14c016b" + "0" * 56
PICTURE = "input:" + "a" * 64
# As the extension of the well-known program writes it.
FOREIGN = (
    "Module: canny, Model: control_canny [d14c016b], Weight: 0.6, Resize Mode: Resize and Fill, Processor Res: 512, Threshold A: 100.0, "
    "Threshold B: 200.0, Guidance Start: 0.0, Guidance End: 1.0, Pixel Perfect: False, Control Mode: ControlNet is more important"
)
TEXT = f'a dancer\nSteps: 25, Sampler: UniPC, CFG scale: 7, Seed: 5, Size: 768x512, ControlNet 1: "{FOREIGN}", Version: v1.10.1'


def unit(**values: object) -> ControlUnit:
    start = {"module": "canny", "model": "control_canny", "weight": 0.6, "resize_mode": "Resize and Fill", "control_mode": CONTROL}
    return ControlUnit.from_data({**start, "processor_res": 512, "threshold_a": 100.0, "threshold_b": 200.0, **values})


def written(*units: ControlUnit) -> dict[str, object]:
    file = SideFile(name="control_canny", path="/models/control_canny.safetensors", sha256=SHA)
    return pairs([ResolvedUnit(unit=one, kind="controlnet", architecture="sd1", file=file) for one in units])


def test_the_eleven_fields_are_the_extensions():
    assert written(unit()) == {"ControlNet 0": FOREIGN}


def test_the_extensions_text_is_read():
    [off, found] = units_from(infotext.parse(TEXT))
    assert not off["enabled"]
    assert found["enabled"]
    wanted = unit(model="control_canny [d14c016b]").to_data()
    assert found == wanted
    assert infotext.to_request(infotext.parse(TEXT))["control_units"] == [off, found]


def test_everything_comes_back():
    first = unit(image=PICTURE, mask="input:" + "b" * 64, hr_option=HIGH, advanced_weighting=[1.0, 0.5], save_detected_map=False)
    second = unit(module="reference_only", threshold_a=-1.0, processor_res=-1, effective_region_mask="input:" + "c" * 64)
    told = written(first, second)
    line = ", ".join(f"{key}: {infotext.quote(value)}" for key, value in told.items())
    parsed = infotext.parse(f"a cat\nSteps: 2, Sampler: Euler, Seed: 1, {line}")
    model = "control_canny [d14c016b]"
    again = [ControlUnit.from_data(data) for data in units_from(parsed)]
    left_open = {"threshold_a": 0.5, "processor_res": 512}  # the extension's words for what is left to the preprocessor
    assert again == [
        ControlUnit.from_data({**first.to_data(), "model": model}),
        ControlUnit.from_data({**second.to_data(), **left_open, "model": model}),
    ]
    assert references(parsed) == {f"input:{letter * 64}" for letter in "abc"}


def test_a_name_that_would_break_the_list_is_not_told():
    assert written(unit(model="edges: fine, soft")) == {}


def test_unknown_fields_and_nonsense_are_passed_over():
    older = FOREIGN.replace("Weight: 0.6", "Weight: 0.6, Guess Mode: True, Low Vram: True")
    [found] = units_from(infotext.parse(TEXT.replace(FOREIGN, older).replace("ControlNet 1", "ControlNet 0")))
    assert found["low_vram"]
    assert found["weight"] == 0.6
    assert units_from({"ControlNet 0": "preprocessor: canny, model: x"}) == []
    assert units_from({"ControlNet 0": FOREIGN.replace("0.6", "much")}) == []
    assert "control_units" not in infotext.to_request(infotext.parse("a cat\nSteps: 2, Sampler: Euler, Seed: 1"))
