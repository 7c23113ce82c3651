"""From a request for captions to a plan: models, ways of writing, and what is refused before it is queued."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modules.faults import ModelFault, RequestFault, UnknownName
from modules.folders import Folders
from modules.inputs import Inputs
from modules.processing.caption_plan import names, resolve_caption
from modules.request.caption import CaptionRequest, ResolvedCaption, Writing
from modules.settings import Settings
from tests.caption.conftest import model_of
from tests.processing.pictures import data_of, noise

__all__ = ["model_of"]
STARTER = "darkroom-starter-captioner"


@pytest.fixture
def resolve(folders: Folders) -> Callable[..., ResolvedCaption]:
    inputs = Inputs(folders)
    reference = inputs.put(data_of(noise()))

    def call(settings: Settings | None = None, **asked: Any) -> ResolvedCaption:
        request = CaptionRequest.from_data({"images": [reference], **asked})
        resolved = resolve_caption(request, settings or Settings(), folders, inputs)
        assert ResolvedCaption.from_data(json.loads(json.dumps(resolved.to_data()))) == resolved
        return resolved

    return call


@pytest.fixture
def add(folders: Folders, model_of: Callable[[str], Path]) -> Callable[..., Path]:
    def call(kind: str, name: str, **generation: Any) -> Path:
        folder = folders.models / "BLIP" / name
        shutil.copytree(model_of(kind), folder)
        if generation:
            (folder / "generation_config.json").write_text(json.dumps(generation))
        return folder

    return call


def test_the_starters_captioner_is_used_when_there_is_no_other(resolve: Any, add: Any):
    found = resolve(image_names=["C:\\x\\cat.png"])
    assert (found.model.name, found.model.kind, found.task, found.title) == (STARTER, "blip", "caption", "Caption: cat.png")
    assert (found.writing.num_beams, found.writing.max_length) == (3, 40)  # beams as suits BLIP, the length as its own file says
    add("git", "mine")
    assert resolve().model.name == "mine"
    assert resolve(Settings(interrogate_captioner=STARTER)).model.name == STARTER
    assert resolve(model="DARKROOM-starter-captioner").model.name == STARTER


def test_the_way_of_writing_is_asked_else_the_models_own(resolve: Any, add: Any):
    add("blip", "mine", max_length=20, num_beams=4, min_length=5, length_penalty=0.5, temperature="hot", top_k=-3, do_sample=False)
    add("blip", "odd", max_new_tokens=7, max_length=20, min_length=9, num_beams=50, early_stopping="never")
    assert resolve(model="mine").writing == Writing(
        min_length=5, max_length=20, num_beams=4, do_sample=False, top_k=0, top_p=1.0, temperature=1.0, repetition_penalty=1.0,
        length_penalty=0.5, early_stopping=True,
    )  # fmt: skip
    odd = resolve(model="odd").writing
    assert (odd.max_length, odd.min_length, odd.num_beams, odd.early_stopping) == (7, 0, 10, True)
    asked = resolve(model="mine", max_length=3, num_beams=1, repetition_penalty=1.2).writing
    assert (asked.max_length, asked.min_length, asked.num_beams, asked.repetition_penalty) == (3, 3, 1, 1.2)


def test_what_is_left_open_follows_from_what_is_asked(resolve: Any):
    assert resolve(do_sample=True).writing.num_beams == 1
    assert resolve(num_return_sequences=5).writing.num_beams == 5
    assert resolve(min_length=60).writing.max_length == 60
    assert 0 <= resolve(do_sample=True).seed < 2**32
    assert resolve(seed=77).seed == 77
    assert resolve(background="red").background == "#ff0000"


def test_settings_that_change_nothing_are_told(resolve: Any):
    assert resolve(top_k=5, temperature=0.5).warnings == ("top_k and temperature changed nothing: words are drawn only with do_sample.",)
    assert resolve(top_k=5, do_sample=True).warnings == ()


def test_the_question_is_put_as_the_model_wants_it(resolve: Any, add: Any):
    add("blip-2", "two")
    add("blip-vqa", "vqa")
    assert resolve(question=" what? ").model.name == "two"
    assert (resolve(question="what?", model="two").text, resolve(question="what?", model="vqa").text) == (
        "Question: what? Answer:",
        "what?",
    )
    assert resolve(question="what?", model="vqa").task == "answer"
    assert resolve(prompt=" a photo of ", model="two").text == "a photo of"


def test_texts_are_compared_by_what_can_compare(resolve: Any):
    found = resolve(texts=["a", " b "])
    assert (found.task, found.model.name, found.texts) == ("match", "darkroom-starter-scorer", ("a", "b"))


def test_clip_is_a_caption_with_ranked_words_as_the_settings_say(resolve: Any, add: Any):
    said = Settings(
        interrogate_clip_num_beams=2, interrogate_clip_min_length=3, interrogate_clip_max_length=9, interrogate_clip_dict_limit=10,
        interrogate_clip_skip_categories=["artists"], interrogate_return_ranks=True, interrogate_keep_models_in_memory=True,
    )  # fmt: skip
    found = resolve(said, model="CLIP")
    assert (found.writing.num_beams, found.writing.min_length, found.writing.max_length, found.keep) == (2, 3, 9, True)
    assert found.words is not None
    assert (found.words.scorer.name, found.words.most, found.words.skip, found.words.ranks) == (
        "darkroom-starter-scorer",
        10,
        ("artists",),
        True,
    )
    assert resolve(said, model="clip", num_beams=4).writing.num_beams == 4
    add("blip-itm", "own-itm")
    assert resolve(model="clip").words.scorer.name == "own-itm"
    assert resolve(Settings(interrogate_scorer="darkroom-starter-scorer"), model="clip").words.scorer.kind == "clip"
    assert resolve().words is None


def test_the_names_that_a_model_may_have(folders: Folders, add: Any):
    add("blip-vqa", "vqa")
    add("git", "mine")
    assert names(folders) == ["clip", "mine", STARTER]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"images": []}, "images: a picture is needed"),
        ({"images": ["input:x"]}, "images: must name a picture"),
        ({"model": "blimp"}, "model: there is no model of that name"),
        ({"model": "deepdanbooru"}, "no tagger here. Its successors, the WD taggers, are: python launch.py models download"),
        (
            {"model": "darkroom-starter-scorer"},
            "can compare texts, rank words, but not write captions; these can: darkroom-starter-captioner",
        ),
        ({"question": "what?"}, r"question|answer questions; put one into models/BLIP"),
        ({"model": STARTER, "question": "what?"}, "but not answer questions; these can: none here can"),
        ({"prompt": "a", "question": "b"}, "question: cannot be given together with prompt"),
        ({"texts": ["a"], "prompt": "b"}, "texts: cannot be given together with prompt"),
        ({"texts": ["a", ""]}, "texts: must be texts of 1 to 2000 characters"),
        ({"texts": [3]}, "texts: must be texts"),
        ({"model": "clip", "texts": ["a"]}, "clip writes captions"),
        ({"min_length": 9, "max_length": 8}, "min_length: must not be above max_length, 8"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences: must not be above num_beams, 2"),
        ({"num_beams": 2, "do_sample": True, "num_return_sequences": 3}, "must not be above num_beams, 2"),
        ({"num_beams": 11}, "num_beams: must lie between 1 and 10"),
        ({"temperature": 0}, "temperature: must lie between"),
        ({"precision": "int3"}, "precision: must be one of"),
        ({"background": "greenish"}, "background: is not a colour"),
    ],
)
def test_refused_before_it_is_queued(asked: dict[str, Any], told: str, resolve: Any):
    with pytest.raises((RequestFault, UnknownName), match=told):
        resolve(**asked)


def test_a_model_that_cannot_be_used_says_why(resolve: Any, add: Any):
    (add("git", "broken") / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelFault, match="not a safetensors file"):
        resolve(model="broken")
    assert resolve().model.name == STARTER
    with pytest.raises(ModelFault, match=r"blip2-opt-2\.7b is not here yet: 15 GB"):
        resolve(model="Salesforce/blip2-opt-2.7b")
