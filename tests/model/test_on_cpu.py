"""VAE and text encoders on the CPU through whole runs: the resident model's pictures, bit for bit; and the wish outlives want of memory.

The device is the CPU under the name of a kind that has memory of its own, since there is none here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.hardware.policies.on_cpu import OnCpu
from modules.knobs import knobs_of
from modules.processing.captioner_slot import CaptionerSlot
from modules.processing.careful_choice import ON_CPU, choice_for, wished
from modules.processing.memory_book import MemoryBook
from modules.processing.memory_need import spot_of
from modules.settings import Settings
from tests.model.conftest import Studio
from tests.model.test_memory_plan import ASKED, NOTHING_BESIDE, VAE, colours, failing, resolved, studio_of

SIZE = {"width": 64, "height": 64}


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """The starter model on a device of which only the name is not the CPU's."""
    studio = studio_of(tmp_path_factory.mktemp("beside"))
    bench = studio.runner._bench
    bench.device = replace(bench.device, kind="directml")
    return studio


def hooked(studio: Studio) -> set[str]:
    model = studio.runner._slot.present
    assert model is not None
    parts = model.pipeline.components.items()
    return {name for name, part in parts if isinstance(getattr(part, "_hf_hook", None), OnCpu)}


def begun(studio: Studio, **more: Any) -> dict[str, Any]:
    reference = studio.inputs.put_picture(Image.linear_gradient("L").resize((64, 64)).convert("RGB"))
    return {"init_images": [reference], "denoising_strength": 0.75, **more}


def masked(studio: Studio) -> dict[str, Any]:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 48, 48))
    return begun(studio, mask=studio.inputs.put_picture(mask.convert("RGB")))


RUNS = {"txt2img": lambda studio: {"batch_size": 2}, "img2img": begun, "inpaint": masked}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("wish", [name for name in ON_CPU if name != "None"])
def test_the_picture_is_that_of_the_resident_model(beside: Studio, run: str, wish: str):
    asked = {**ASKED, **SIZE, **RUNS[run](beside)}
    _, plain = beside.make(**asked, override_settings=NOTHING_BESIDE | {"memory_policy": "resident"})
    assert hooked(beside) == set()
    by_wish = {"memory_policy": "resident", "parts_on_cpu": wish}
    _, there = beside.make(**asked, override_settings=NOTHING_BESIDE | by_wish)
    assert hooked(beside) == set(ON_CPU[wish])
    for one, other in zip(plain.pictures, there.pictures, strict=True):
        assert np.array_equal(colours(one.path), colours(other.path))
    assert there.warnings == plain.warnings


def test_the_wish_outlives_want_of_memory(beside: Studio):
    asked = {**ASKED, **SIZE, "override_settings": NOTHING_BESIDE | {"parts_on_cpu": "VAE", "memory_policy": "resident"}}
    with failing(*VAE, at=1):
        _, result = beside.make(**asked)
    assert any("memory policy tiled" in text for text in result.warnings)
    assert hooked(beside) == {"vae"}
    assert beside.runner._bench.policy == "tiled"
    (beside.folders.cache / "memory.json").unlink()
    beside.runner._careful.book = MemoryBook.of(beside.folders)


def test_flags_and_setting_say_the_same(beside: Studio, tmp_path: Path):
    assert set(ON_CPU) == set(knobs_of(Settings)["parts_on_cpu"].knob.choices or ())
    plain = resolved(beside)
    by_setting = resolved(beside, override_settings={"parts_on_cpu": "Text encoders"})
    card = {"kind": "cuda", "first_policy": "medvram", "room_bytes": 1, "use_cpu": ["vae", "interrogate"]}
    assert wished(plain, card) == ("vae",)
    assert wished(by_setting, card) == ("text_encoder", "vae")
    assert wished(by_setting, card | {"kind": "cpu"}) == (), "everything is there already"
    book = MemoryBook(tmp_path / "book.json")
    need = book.counting.need(plain, "float16", "float16")
    for asked in (plain, replace(plain, settings={**plain.settings, "memory_policy": "streamed"})):
        assert choice_for(asked, need, book, card).on_cpu == ("vae",)
    assert choice_for(plain, None, book, card).on_cpu == ("vae",)
    there = choice_for(plain, need, book, card)
    without = choice_for(plain, need, book, card | {"use_cpu": []})
    assert without.peaks["lowvram"] > there.peaks["lowvram"], "decoding needs most there"
    assert spot_of(plain) != spot_of(by_setting)


def test_captions_on_the_cpu(beside: Studio):
    bench = replace(beside.runner._bench, use_cpu=("interrogate",), dtype="float16")
    assert CaptionerSlot.of(bench, lambda: False).dtype("auto") == ("float32", "")
