"""Weights of 8 and 4 bits: every kind that captions is loaded so on the processor, holds less, and says what transformers itself says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image
from transformers import BitsAndBytesConfig

from modules.caption import ANSWER, CAPTION, CAPTIONERS
from modules.caption import quantised as room
from modules.caption.installed import describe
from modules.caption.loading import Captioner, load
from modules.caption.matching import match
from modules.caption.quantised import fit_kernels, full_bytes
from modules.caption.writing import write
from modules.faults import ModelFault
from modules.folders import PROGRAM
from modules.request.caption import Writing
from modules.weights.held import held_bytes
from tests.caption.tiny import MAKERS
from tests.caption.tiny_told import TOLD

WRITE = [kind for kind in MAKERS if {CAPTION, ANSWER} & set(CAPTIONERS.get(kind).does)]
HOW = Writing(
    min_length=0, max_length=6, num_beams=1, do_sample=False, top_k=50, top_p=1.0, temperature=1.0, repetition_penalty=1.0,
    length_penalty=1.0, early_stopping=True,
)  # fmt: skip


def _theirs(folder: Path, precision: str) -> torch.nn.Module:
    """The same model, loaded by a direct call."""
    config = {
        "int8": BitsAndBytesConfig(load_in_8bit=True),
        "4-bit": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32),
    }[precision]
    cls = getattr(transformers, CAPTIONERS.get(describe(folder).kind).architecture)
    model = cls.from_pretrained(folder, dtype=torch.float32, quantization_config=config, device_map={"": "cpu"}).eval()
    fit_kernels(model)  # bitsandbytes by itself fails with layers as narrow as these on some processors
    return model


@pytest.mark.parametrize("precision", ["int8", "4-bit"])
@pytest.mark.parametrize("kind", [*WRITE, *TOLD])
def test_a_quantised_captioner_says_what_transformers_says(
    kind: str, precision: str, model_of: Callable[[str], Path], pictures: list[Image.Image], tmp_path: Path
):
    folder = TOLD[kind](tmp_path / kind) if kind in TOLD else model_of(kind)
    ours = load(describe(folder), device="cpu", dtype="float32", precision=precision)
    theirs = _theirs(folder, precision)
    ours.kind.complete(theirs, ours.processor)
    question = ours.kind.template.replace("{}", "what is it ?") if ours.kind.does[0] == ANSWER else ""
    found = write(ours, pictures[:2], question, HOW, answer=bool(question))
    inputs = ours.placed(ours.kind.inputs(ours.processor, pictures[:2], question))
    made = theirs.generate(**inputs, max_new_tokens=6, num_beams=1, do_sample=False, return_dict_in_generate=True, output_logits=True)  # pyright: ignore[reportCallIssue]
    tokens = [row[-len(made.logits) :].tolist() for row in made.sequences]
    assert [list(row[0].tokens) for row in found] == [row[: len(best[0].tokens)] for row, best in zip(tokens, found, strict=True)]
    assert any(type(module).__module__.startswith("bitsandbytes") for module in ours.model.modules())
    assert held_bytes(ours.model) < 0.8 * ours.full_bytes
    assert ours.precision == precision
    assert f"{precision}, " in ours.form


def test_int8_says_the_same_as_float32_where_the_model_is_sure(starter: Path, pictures: list[Image.Image]):
    plain = load(describe(starter), device="cpu", dtype="float32")
    small = load(describe(starter), device="cpu", dtype="float32", precision="int8")
    texts = [[row[0].text for row in write(captioner, pictures, "", HOW)] for captioner in (plain, small)]
    assert texts[0] == texts[1]
    assert held_bytes(small.model) < 0.40 * held_bytes(plain.model)
    assert small.full_bytes == held_bytes(plain.model) - _buffers(plain.model)


@pytest.mark.parametrize("precision", ["int8", "4-bit"])
@pytest.mark.parametrize("kind", ["blip-itm", "clip"])
def test_models_that_compare_are_near_to_themselves(
    kind: str, precision: str, model_of: Callable[[str], Path], captioner_of: Callable[[str], Captioner], pictures: list[Image.Image]
):
    small = load(describe(model_of(kind)), device="cpu", dtype="float32", precision=precision)
    texts = ["a cat", "the red house on a tree"]
    for few, all_bits in zip(match(small, pictures, texts), match(captioner_of(kind), pictures, texts), strict=True):
        near = {row.text: row.cosine for row in all_bits}
        assert all(abs(row.cosine - near[row.text]) < 0.25 for row in few)


def test_what_a_model_holds_is_told_from_its_pieces():
    layer = torch.nn.Linear(10, 10, bias=False)
    tied = torch.nn.Linear(10, 10, bias=False)
    tied.weight = layer.weight
    both = torch.nn.ModuleList([layer, tied, torch.nn.LayerNorm(10)])
    assert held_bytes(both) == 4 * (100 + 20)
    assert full_bytes(both.half()) == 4 * (100 + 20)
    assert held_bytes(both.half()) == 2 * (100 + 20)


def test_without_the_package_it_is_said_how_to_get_it(model_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(ModelFault, match="pip install a_package_that_is_not_there"):
        load(describe(model_of("blip")), device="cpu", dtype="float32", precision="4-bit")


def _buffers(model: torch.nn.Module) -> int:
    return sum(buffer.untyped_storage().nbytes() for buffer in model.buffers())


@pytest.fixture(scope="module")
def starter() -> Path:
    """The starter's own captioner."""
    return PROGRAM / "models" / "BLIP" / "darkroom-starter-captioner"
