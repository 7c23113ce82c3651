"""What is asked of models that are told what to do, how it is put to them, and pictures of a folder for a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.caption import CAPTIONERS
from modules.caption.installed import describe
from modules.caption.loading import load
from modules.faults import RequestFault
from modules.folders import Folders
from modules.inputs import Inputs
from modules.processing import caption_search
from modules.processing.caption_plan import resolve_caption
from modules.processing.caption_run import CaptionDesk
from modules.processing.caption_tasks import put, task_of
from modules.processing.captioner_slot import CaptionerSlot
from modules.processing.captions import run_captions
from modules.request.caption import CaptionRequest
from modules.settings import Settings
from tests.caption.conftest import model_of
from tests.processing.pictures import data_of
from tests.processing.test_caption_plan import add

__all__ = ["add", "model_of"]


class Control:
    """What a job tells and asks, kept."""

    interrupted = False

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def take_skip(self) -> bool:
        return False

    def status(self, text: str) -> None: ...

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))

    def progress(self, **values: Any) -> None: ...


@pytest.fixture
def run(folders: Folders) -> Callable[..., dict[str, Any]]:
    inputs = Inputs(folders)
    slot = CaptionerSlot(device="cpu", dtype="float32", dtypes=("float32",), memory=lambda: (1 << 40, 1 << 40), make_room=lambda: False)
    desk = CaptionDesk(folders=folders, inputs=inputs, slot=slot)

    def call(control: Control | None = None, **asked: Any) -> dict[str, Any]:
        images = [] if asked.get("search") else [inputs.put(data_of(Image.new("RGB", (60, 40), "red")))]
        plan = resolve_caption(CaptionRequest.from_data({"images": images, **asked}), Settings(), folders, inputs)
        state, result = run_captions({"id": "job", "resolved": plan.to_data()}, control or Control(), desk)
        assert state == "done"
        return result

    return call


@pytest.mark.parametrize(
    ("kind", "asked", "wanted"),
    [
        ("florence-2", {"task": "od"}, "<OD>"),
        ("florence-2", {"task": "caption"}, ""),
        ("florence-2", {"task": "caption_to_phrase_grounding", "prompt": "a red car"}, "<CAPTION_TO_PHRASE_GROUNDING>a red car"),
        ("florence-2", {"task": "region_to_ocr", "prompt": "10, 20, 300.5 999"}, "<REGION_TO_OCR><loc_10><loc_20><loc_300><loc_999>"),
        ("idefics3", {"prompt": "a photo of"}, "Describe this picture in one sentence.<reply>a photo of"),
        ("idefics3", {"task": "tags", "prompt": "1girl,"}, CAPTIONERS.get("idefics3").tasks["tags"].text + "<reply>1girl,"),
        ("idefics3", {"question": "What is it?"}, "What is it?"),
        ("blip-2", {"question": "what is it?"}, "Question: what is it? Answer:"),
        ("blip", {"prompt": "a photo of"}, "a photo of"),
        ("blip", {}, ""),
    ],
)
def test_what_is_asked_is_put_as_the_kind_wants_it(kind: str, asked: dict[str, Any], wanted: str):
    request = CaptionRequest.from_data(asked)
    task, _ = task_of(request)
    assert put(request, task, CAPTIONERS.get(kind), "mine").text == wanted
    after = put(CaptionRequest.from_data({**asked, "caption": "a cat"}), "attend", CAPTIONERS.get(kind), "mine")
    assert (after.text, after.before) == ("a cat", wanted.partition("<reply>")[0])


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"task": "od", "prompt": "a cat"}, "is not read"),
        ({"task": "open_vocabulary_detection"}, "the words to look for"),
        ({"task": "region_to_category", "prompt": "10, 20, 30"}, "thousandths"),
        ({"task": "region_to_category", "prompt": "300, 20, 30, 40"}, "thousandths"),
        ({"task": "od", "question": "what is it?"}, "together"),
        ({"task": "od", "texts": ["a cat"]}, "together"),
        ({"task": "tags"}, "not list tags"),
        ({"task": "dance"}, "task"),
        ({"search": "set"}, "needs texts"),
        ({"search": "..", "texts": ["a cat"]}, "inside the data folder"),
    ],
)
def test_what_cannot_be_asked_is_refused_beforehand(asked: dict[str, Any], why: str, add: Any, run: Any):
    add("florence-2", "florence")
    with pytest.raises(RequestFault, match=why):
        run(**{"model": "florence", **asked})


def test_a_model_that_can_is_taken_where_none_is_named(add: Any, run: Any):
    add("florence-2", "florence")
    add("idefics3", "smol")
    assert run(task="od", max_length=6)["notes"][0].startswith("florence")
    assert run(task="tags", max_length=4)["notes"][0].startswith("smol")
    assert run(question="What is it?", max_length=4)["notes"][0].startswith("smol")


def test_tasks_and_replies_are_told_and_followed(add: Any, run: Any):
    place = add("florence-2", "florence")
    add("idefics3", "smol")
    control = Control()
    (entry,) = run(control, model="florence", task="od", num_beams=1, max_length=12)["captions"]
    mine = load(describe(place), device="cpu", dtype="float32")
    inputs = mine.processor(images=[Image.new("RGB", (60, 40), "red")], text=["<OD>"], return_tensors="pt")
    made = mine.model.generate(**inputs, max_new_tokens=12, num_beams=1, do_sample=False)[0, 1:]
    found = mine.processor.post_process_generation(sequence=made, task="<OD>", image_size=(60, 40))["<OD>"]
    assert [[value for point in one["points"] for value in point] for one in entry["places"]] == found["bboxes"]
    assert ([one["label"] for one in entry["places"]], entry["size"]) == (found["labels"], [60, 40])
    assert not [kind for kind, _ in control.events if kind == "words"], "signs for places are no words"
    control = Control()
    asked = {"model": "smol", "task": "detailed_caption", "prompt": "a cat", "attention": True}
    (entry,) = run(control, **asked, max_length=12)["captions"]
    assert entry["caption"].startswith("a cat")
    assert entry["attention"]["words"][0] == "a"
    assert entry["attention"]["words"][1].startswith("cat")
    assert entry["attention"]["grid"] == [4, 4]
    told = "".join(data["text"] for kind, data in control.events if kind == "words")
    assert " ".join(f"a cat{told}".split()) == entry["caption"]
    (entry,) = run(model="smol", question="What is it?", caption="a cat")["captions"]
    assert entry["attention"]["words"] == ["a", "cat"]


def test_pictures_of_a_folder_are_found_and_their_vectors_kept(folders: Folders, add: Any, run: Any, monkeypatch: pytest.MonkeyPatch):
    add("blip-itm", "judge")
    place = folders.data / "set" / "inner"
    place.mkdir(parents=True)
    for n, colour in enumerate(("red", "green", "blue", "white")):
        Image.new("RGB", (40, 30 + n), colour).save(place / f"{n}.png")
    (place.parent / "bad.png").write_bytes(b"nothing")
    images = [(place / f"{n}.png") for n in range(4)]
    sent = Inputs(folders)
    whole = {"model": "judge", "texts": ["a red cat", "the sky"], "images": [sent.put(path.read_bytes()) for path in images]}
    plan = resolve_caption(CaptionRequest.from_data(whole), Settings(), folders, sent)
    slot = CaptionerSlot(device="cpu", dtype="float32", dtypes=("float32",), memory=lambda: (1 << 40, 1 << 40), make_room=lambda: False)
    _, wanted = run_captions({"id": "b", "resolved": plan.to_data()}, Control(), CaptionDesk(folders=folders, inputs=sent, slot=slot))
    control = Control()
    found = run(control, model="judge", texts=["a red cat", "the sky"], search="set")
    assert [text for kind, data in control.events if kind == "warning" for text in [data["text"]] if "bad.png" in text]
    assert found["captions"] == []
    for row, other in zip(found["ranking"], wanted["ranking"], strict=True):
        assert row["text"] == other["text"]
        assert [Path(one["name"]).stem for one in row["pictures"]] == [str(one["index"]) for one in other["pictures"]]
        assert [one["chance"] for one in row["pictures"]] == pytest.approx([one["chance"] for one in other["pictures"]], abs=1e-5)
        assert [one["cosine"] for one in row["pictures"]] == pytest.approx([one["cosine"] for one in other["pictures"]], abs=1e-5)
    looked: list[int] = []
    plain = caption_search.image_features
    monkeypatch.setattr(caption_search, "image_features", lambda captioner, some: looked.append(len(some)) or plain(captioner, some))
    Image.new("RGB", (50, 50), "yellow").save(place / "4.png")
    again = run(model="judge", texts=["a red cat"], search="set")
    assert looked == [1], "only what is new is looked at"
    assert len(again["ranking"][0]["pictures"]) == 5
