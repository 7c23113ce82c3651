"""The prompt enhancer: words of lists for each picture, and what a language model of a folder goes on to write."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from modules.faults import RequestFault
from modules.request import GenerationRequest
from tests.compat.conftest import Theatre, samples
from tests.house.tree import ROOT

ENHANCER = ROOT / "extensions" / "prompt-enhancer"


@pytest.fixture
def parts() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(ENHANCER))
    try:
        yield {name: importlib.import_module(f"enhancing.{name}") for name in ("lists", "writer")}
    finally:
        sys.path.remove(str(ENHANCER))
        for name in [name for name in sys.modules if name == "enhancing" or name.startswith("enhancing.")]:
            del sys.modules[name]


@pytest.fixture
def model(theatre: Theatre) -> str:
    """A tiny random language model with the starter's tokenizer, in the person's folder."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(3)
    folder = theatre.folders.models / "prompt-enhancer" / "tiny-writer"
    if not folder.is_dir():
        tokenizer = AutoTokenizer.from_pretrained(ROOT / "models" / "Stable-diffusion" / "darkroom-starter" / "tokenizer")
        config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=128)
        GPT2LMHeadModel(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder.name


def enhanced(**values: object) -> dict[str, object]:
    return {"alwayson_scripts": {"prompt enhancer": {"args": values}}}


def test_words_of_lists_are_drawn_for_each_picture_and_stand_in_its_text(theatre: Theatre, parts: dict[str, ModuleType]):
    own = theatre.folders.models / "prompt-enhancer"
    own.mkdir(parents=True, exist_ok=True)
    (own / "mine.txt").write_text("# mine\ntall\nsmall, \nwi{de}\n", encoding="utf-8")
    found = theatre.make(steps=1, n_iter=4, **enhanced(how="lists", lists=["mine", "light"], count=2))
    light = set(parts["lists"].entries("light", [ENHANCER / "lists"]))
    texts = [picture.infotext.split("\n")[0] for picture in samples(found)]
    assert len(set(texts)) > 1
    for text in texts:
        first, *words = text.split(", ")
        assert first == "a red circle"
        assert set(words[:2]) == {"tall", "small"}
        assert len(words) == 4
        assert set(words[2:]) <= light
    assert "prompt enhancer" not in {row["guest"] for row in found.trace}  # its work is done before the job begins
    quiet = {"prompt": "a", "override_settings": {"wildcards_enabled": False}}
    off = GenerationRequest.from_data({**quiet, **enhanced(how="lists", lists=["mine"])})
    assert theatre.scripts.before_resolve(off)[0].prompt in ("a, tall", "a, small")
    with_fault, said = theatre.scripts.before_resolve(GenerationRequest.from_data({"prompt": "a", **enhanced(how="lists", lists=["none"])}))
    assert with_fault.prompt == "a"
    assert "there is no list 'none'" in said[0]


def test_a_language_model_writes_on_from_each_seed(theatre: Theatre, model: str):
    about = {"steps": 1, "batch_size": 2, **enhanced(how="language model", model=model, most=12)}
    texts = [[picture.infotext.split("\n")[0] for picture in samples(theatre.make(**about))] for _ in range(2)]
    assert texts[0] == texts[1]
    assert texts[0][0] != texts[0][1]
    assert all(text.startswith("a red circle, ") for text in texts[0])
    with pytest.raises(RequestFault, match="must be one of"):
        theatre.make(**enhanced(how="language model", model="another"))


def test_what_a_model_wrote_has_no_marks_of_the_prompt(parts: dict[str, ModuleType]):
    cleaned = parts["writer"].cleaned
    assert cleaned("a (big:1.3) <lora:x> [sky]|{now} AND more, , half a") == "a big 1.3 lora x sky now more"
    assert cleaned("one, two, three, fo") == "one, two, three"
    assert cleaned("") == ""
