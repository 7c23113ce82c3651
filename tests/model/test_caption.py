"""Captions in the worker's own runner, beside a picture model: what the starter painted is named rightly; memory goes to and fro."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image

from modules.processing import runner as runner_module
from modules.processing.caption_plan import resolve_caption
from modules.request.caption import CaptionRequest
from modules.settings import Settings
from tests.model.conftest import FakeControl, Studio

PROMPTS = {"a strawberry, 3d": "strawberry", "a red heart": "heart", "a panda on a yellow background": "yellow background"}
SMALL: dict[str, Any] = {"prompt": "a red apple", "seed": 1, "steps": 2, "width": 64, "height": 64}


@pytest.fixture(scope="module")
def painted(studio: Studio) -> dict[str, Image.Image]:
    """A picture a prompt, by the starter's own model."""
    return {prompt: studio.pictures(prompt=prompt, seed=n, steps=20, cfg_scale=5.0)[0] for n, prompt in enumerate(PROMPTS)}


def caption(studio: Studio, *images: Image.Image, control: FakeControl | None = None, **asked: Any) -> list[dict[str, Any]]:
    request = CaptionRequest(images=[studio.inputs.put_picture(image) for image in images], **asked)
    plan = resolve_caption(request, Settings(), studio.folders, studio.inputs)
    state, result = studio.runner.run({"id": "c", "kind": "caption", "resolved": plan.to_data(), "made": []}, control or FakeControl())
    assert state == "done"
    return result["captions"]


def test_what_was_painted_is_named_rightly(studio: Studio, painted: dict[str, Image.Image]):
    found = caption(studio, *painted.values())
    for word, entry in zip(PROMPTS.values(), found, strict=True):
        assert word in entry["caption"], entry


def test_candidates_questions_words_and_texts(studio: Studio, painted: dict[str, Image.Image]):
    strawberry = painted["a strawberry, 3d"]
    control = FakeControl()
    (entry,) = caption(studio, strawberry, control=control, num_beams=1)
    assert "".join(data["text"] for kind, data in control.events if kind == "words").strip() == entry["caption"]
    (entry,) = caption(studio, strawberry, num_beams=4, num_return_sequences=4)
    texts = [candidate["text"] for candidate in entry["candidates"]]
    assert len(set(texts)) == 4
    assert "strawberry" in texts[0]
    (entry,) = caption(studio, strawberry, texts=["a 3d panda bear on a white background", "a 3d strawberry on a white background"])
    assert entry["caption"] == "a 3d strawberry on a white background"
    (entry,) = caption(studio, strawberry, model="clip")
    assert "a strawberry" in [word for word, _ in entry["words"]["things"]]


def test_pictures_and_captions_take_turns(studio: Studio, painted: dict[str, Image.Image]):
    before = studio.pictures(**SMALL)[0].tobytes()
    caption(studio, painted["a red heart"])
    assert studio.pictures(**SMALL)[0].tobytes() == before


def test_memory_that_runs_out_takes_the_captioner_first(studio: Studio, painted: dict[str, Image.Image], monkeypatch: pytest.MonkeyPatch):
    """The picture is made again under the same memory policy, without a warning: nothing about it changed."""
    caption(studio, painted["a red heart"])
    plain, failed = runner_module.make_batch, list[bool]()

    def make_batch(*args: Any) -> Any:
        if not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(*args)

    monkeypatch.setattr(runner_module, "make_batch", make_batch)
    policy = studio.runner.device()["policy"]
    _, result = studio.make(**SMALL)
    assert failed
    assert len(result.pictures) == 1
    assert studio.runner.device()["policy"] == policy
    assert not [text for text in result.warnings if "emory" in text]
