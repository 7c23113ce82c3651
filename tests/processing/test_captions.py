"""Jobs of captions in this process: pictures of every kind, broken ones, memory that runs out, a stop, and a slot that gives back."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.caption import writing
from modules.faults import Fault, ModelFault, OutOfMemory, RequestFault
from modules.folders import Folders
from modules.inputs import Inputs
from modules.processing import caption_run, captioner_slot
from modules.processing.caption_plan import resolve_caption
from modules.processing.caption_run import CaptionDesk
from modules.processing.captions import run_captions
from modules.request import Result
from modules.request.caption import CaptionModel, CaptionRequest
from modules.settings import Settings
from tests.processing.caption_backend import Control, desk_of
from tests.processing.pictures import data_of, noise

STARTER = CaptionModel(
    name="darkroom-starter-captioner", path=str(Path(__file__).parents[2] / "models" / "BLIP" / "darkroom-starter-captioner"), kind="blip"
)


@pytest.fixture
def desk(folders: Folders) -> CaptionDesk:
    return desk_of(folders)


@pytest.fixture
def say(folders: Folders, desk: CaptionDesk) -> Callable[..., tuple[str, dict[str, Any]]]:
    """Caption picture files; control and desk may be others, and settings."""

    def call(*files: bytes, control: Any = None, on: CaptionDesk | None = None, settings: Settings | None = None, **asked: Any) -> Any:
        references = [desk.inputs.put(data) for data in files]
        names = [f"{n}.png" for n in range(len(files))]
        request = CaptionRequest(images=references, **{"image_names": names, **asked})
        plan = resolve_caption(request, settings or Settings(), folders, desk.inputs)
        return run_captions({"resolved": plan.to_data()}, control or Control(), on or desk)

    return call


def yellow(mode: str = "RGB", size: tuple[int, int] = (96, 64)) -> Image.Image:
    return Image.new("RGB", size, (250, 214, 60)).convert(mode)


def events_of(control: Control, kind: str) -> list[dict[str, Any]]:
    return [data for name, data in control.events if name == kind]


def test_every_picture_is_told_and_stands_in_the_result(say: Any):
    control = Control()
    state, result = say(*(data_of(noise(seed=n)) for n in range(5)), control=control, batch_size=2)
    assert state == "done"
    assert [entry["name"] for entry in result["captions"]] == [f"{n}.png" for n in range(5)]
    assert events_of(control, "caption") == result["captions"]
    assert all(entry["caption"] == entry["candidates"][0]["text"] != "" for entry in result["captions"])
    assert Result.from_data(result).pictures == ()
    assert result["notes"] == ["darkroom-starter-captioner in float32"]


def test_words_are_told_as_they_come(say: Any):
    control = Control()
    _, result = say(data_of(yellow()), control=control, num_beams=1)
    told = events_of(control, "words")
    assert "".join(word["text"] for word in told).strip() == result["captions"][0]["caption"]
    assert len(told) > 3
    assert {word["index"] for word in told} == {0}


def turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return data_of(image, "JPEG", exif=exif)


def sixteen_bits(image: Image.Image) -> bytes:
    return data_of(Image.frombytes("I;16", image.size, b"".join(bytes((0, value)) for value in image.convert("L").tobytes())))


def animated() -> bytes:
    buffer = io.BytesIO()
    yellow().save(buffer, "GIF", save_all=True, append_images=[Image.new("RGB", (96, 64), "black")])
    return buffer.getvalue()


def test_every_form_of_picture_is_as_its_plain_self(say: Any, monkeypatch: pytest.MonkeyPatch):
    picture = noise(3, 2).resize((60, 40), Image.Resampling.BICUBIC)
    white, grey, cyan = Image.new("RGB", (60, 40), "white"), picture.convert("L").convert("RGB"), yellow("CMYK")
    clear = picture.convert("RGBA")
    clear.putalpha(Image.new("L", clear.size, 0))
    forms = [
        (turned(picture), picture.rotate(-90, expand=True)), (sixteen_bits(picture), grey), (data_of(picture.convert("L")), grey),
        (data_of(clear), white), (animated(), yellow()), (data_of(cyan, "TIFF"), cyan.convert("RGB")),
    ]  # fmt: skip
    seen: list[list[Image.Image]] = []
    plain = caption_run.write

    def write(captioner: Any, images: list[Image.Image], *rest: Any, **more: Any) -> Any:
        seen.append(images)
        return plain(captioner, images, *rest, **more)

    monkeypatch.setattr(caption_run, "write", write)
    say(*(data for data, _ in forms), batch_size=16)
    for n, (one, (_, other)) in enumerate(zip(seen[0], forms, strict=True)):
        assert (one.mode, one.size) == ("RGB", other.size)
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 24, n


def test_what_is_transparent_shows_the_background_asked_for(say: Any):
    clear = Image.new("RGBA", (96, 64), (0, 0, 0, 0))
    (on_white,) = say(data_of(clear))[1]["captions"]
    (on_yellow,) = say(data_of(clear), background="#fad63c")[1]["captions"]
    (plain,) = say(data_of(yellow()))[1]["captions"]
    assert on_yellow["candidates"] == plain["candidates"]
    assert on_white["candidates"] != plain["candidates"]


def test_a_picture_that_is_gone_is_named_and_the_others_are_done(say: Any, desk: CaptionDesk, monkeypatch: pytest.MonkeyPatch):
    control, data = Control(), [data_of(noise(seed=n)) for n in range(4)]
    gone = {desk.inputs.put(data[1]), desk.inputs.put(data[2])}
    opened = Inputs.open

    def open_there(self: Inputs, reference: str, field: str = "images") -> Image.Image:
        if reference in gone:
            raise RequestFault(field, "is damaged")
        return opened(self, reference, field)

    monkeypatch.setattr(Inputs, "open", open_there)
    state, result = say(*data, control=control, batch_size=2)
    assert state == "done"
    assert [bool(entry.get("fault")) for entry in result["captions"]] == [False, True, True, False]
    assert result["warnings"] == ["1.png: is damaged", "2.png: is damaged"]
    with pytest.raises(RequestFault, match="images: is damaged"):
        say(data[1])
    with pytest.raises(RequestFault, match="none of the 2 pictures could be used; of the first: is damaged"):
        say(data[1], data[2])


def test_a_stop_keeps_what_is_there(say: Any):
    class StopsAtTheSecond(Control):
        def event(self, kind: str, data: dict[str, Any]) -> None:
            super().event(kind, data)
            self.interrupted = self.interrupted or kind == "caption"

    state, result = say(*(data_of(noise(seed=n)) for n in range(3)), control=StopsAtTheSecond(), batch_size=1)
    assert state == "canceled"
    assert [entry["index"] for entry in result["captions"]] == [0]


def test_a_skip_goes_on_with_the_next_batch(say: Any):
    class SkipsTheFirst(Control):
        asked = 0

        def take_skip(self) -> bool:
            self.asked += 1
            return self.asked == 3

    state, result = say(*(data_of(noise(seed=n)) for n in range(2)), control=SkipsTheFirst(), batch_size=1)
    assert state == "done"
    assert [entry["index"] for entry in result["captions"]] == [1]
    assert result["warnings"] == ["0.png skipped."]


def test_comparing_and_clip(say: Any):
    _, result = say(data_of(yellow()), texts=["a 3d heart on a black background", "a 3d heart on a yellow background"])
    (entry,) = result["captions"]
    assert entry["caption"] == "a 3d heart on a yellow background" == entry["fits"][0]["text"]
    _, result = say(data_of(noise()), model="clip", settings=Settings(interrogate_return_ranks=True))
    (entry,) = result["captions"]
    assert entry["caption"].startswith(entry["candidates"][0]["text"])
    assert set(entry["words"]) == {"styles", "things"}
    word, near = next((w, n) for w, n in entry["words"]["things"] if w not in entry["candidates"][0]["text"])
    assert f"({word}:{near:.3f})" in entry["caption"]


def out_of_memory_above(count: int) -> Callable[..., Any]:
    plain = writing.write

    def write(captioner: Any, images: list[Image.Image], *rest: Any, **more: Any) -> Any:
        if len(images) > count:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(captioner, images, *rest, **more)

    return write


def test_memory_that_runs_out_first_takes_the_pictures_models_then_smaller_batches(
    say: Any, folders: Folders, monkeypatch: pytest.MonkeyPatch
):
    room = iter([True])
    on = desk_of(folders, make_room=lambda: next(room, False))
    monkeypatch.setattr(caption_run, "write", out_of_memory_above(1))
    files = [data_of(noise(seed=n)) for n in range(3)]
    _, result = say(*files, on=on)
    assert [entry["index"] for entry in result["captions"]] == [0, 1, 2]
    assert result["warnings"] == [
        "Memory ran out; the model was put away to make room.",
        "Memory ran out; fewer pictures were captioned at once.",
    ]
    monkeypatch.setattr(caption_run, "write", out_of_memory_above(0))
    with pytest.raises(OutOfMemory, match="not enough memory for a caption by darkroom-starter-captioner"):
        say(*files)


def test_another_precision(say: Any):
    _, result = say(data_of(yellow()), precision="bfloat16")
    assert result["notes"] == ["darkroom-starter-captioner in bfloat16"]
    _, result = say(data_of(yellow()), precision="float16")
    assert result["notes"] == ["darkroom-starter-captioner in float32"]
    assert result["warnings"] == ["float16 does not work on this device, so float32 was taken."]


def taken(desk: CaptionDesk, precision: str = "auto") -> Any:
    return desk.slot.take(STARTER, precision, lambda message: None)


def test_a_captioner_is_loaded_once_and_two_stay(desk: CaptionDesk, folders: Folders):
    first = taken(desk)
    assert taken(desk) is first
    taken(desk, "bfloat16")
    assert taken(desk) is first
    scorer = CaptionModel(
        name="darkroom-starter-scorer", path=STARTER.path.replace("BLIP", "CLIP").replace("captioner", "scorer"), kind="clip"
    )
    desk.slot.take(scorer, "auto", lambda message: None)
    assert desk.slot.names == ["darkroom-starter-captioner", "darkroom-starter-scorer"]
    assert taken(desk) is first
    assert desk.slot.release()
    assert not desk.slot.release()


def test_room_is_made_before_a_large_captioner_is_loaded(folders: Folders):
    asked: list[bool] = []
    on = desk_of(folders, memory=lambda: (1000, 10**9), make_room=lambda: asked.append(True) or True)
    taken(on)
    assert asked == [True]


def test_memory_that_runs_out_while_loading(folders: Folders, monkeypatch: pytest.MonkeyPatch):
    def load(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(captioner_slot, "load", load)
    with pytest.raises(OutOfMemory, match="not enough memory for darkroom-starter-captioner"):
        taken(desk_of(folders))


def test_it_gives_way_to_pictures_only_when_room_is_scarce(folders: Folders):
    free = [10**9]
    on = desk_of(folders, memory=lambda: (free[0], 10**9))
    taken(on)
    on.slot.give_way()
    assert on.slot.names
    free[0] = 4 * 10**8
    on.slot.give_way()
    assert on.slot.names == []


def test_a_captioner_that_rests_gives_its_memory_back(folders: Folders):
    on, before = desk_of(folders, idle_s=0.01), set(threading.enumerate())
    with on.slot.at_work(keep=False):
        taken(on)
        assert set(threading.enumerate()) <= before, "nothing goes while a job runs"
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert on.slot.names == []
    with on.slot.at_work(keep=True):
        taken(on)
    assert set(threading.enumerate()) <= before
    assert on.slot.names == ["darkroom-starter-captioner"]


def test_a_model_that_changed_since_it_was_asked_for(desk: CaptionDesk):
    other = CaptionModel(name="x", path=STARTER.path, kind="git")
    with pytest.raises(ModelFault, match="x is another model than when the job was made"):
        desk.slot.take(other, "auto", lambda message: None)


def test_a_row_of_another_version_is_a_fault():
    with pytest.raises(Fault, match="written by another version"):
        run_captions({"resolved": {"title": "x"}}, Control(), None)  # pyright: ignore[reportArgumentType]
