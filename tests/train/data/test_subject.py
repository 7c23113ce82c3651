"""The smart crop keeps what a picture is about, says why, and gives the same box every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image, ImageDraw

from modules.faults import RequestFault, UnknownName
from modules.pixels.crop import Box
from modules.train.data import crops
from modules.train.data.cropping import smart_crop
from modules.train.data.looking import find_subject
from modules.train.data.subject import DETAIL, FACES, MIDDLE, OBJECT, Subject, best_box
from modules.train.sessions import Session
from tests.train.data.conftest import Draw, config

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"  # they come with the package


def photograph(name: str) -> Image.Image:
    with Image.open(PHOTOGRAPHS / name) as image:
        return image.convert("RGB")


def holds(box: Box, x: float, y: float) -> bool:
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def test_a_face_is_found() -> None:
    astronaut = photograph("astronaut.png")
    subject = find_subject(astronaut)
    assert subject.reason == FACES
    assert subject.text == "a face"
    assert holds(subject.box, 222, 112)  # between the eyes and the mouth
    wide = Image.new("RGB", (1400, 512), "grey")
    wide.paste(astronaut, (880, 0))
    box = best_box(wide.size, (1, 1), find_subject(wide))
    assert holds(box, 880 + 222, 112)
    assert box[2] - box[0] == box[3] - box[1] == 512


@pytest.mark.parametrize("name", ["retina.jpg", "gravel.png"])
def test_what_is_no_face_is_none(name: str) -> None:
    assert find_subject(photograph(name)).reason != FACES


@pytest.mark.parametrize("ground", ["white", "gradient", "grain"])
def test_a_thing_on_a_ground(ground: str) -> None:
    values = np.full((300, 600, 3), 255, np.uint8)
    if ground == "gradient":
        values[:] = np.linspace(30, 220, 600).astype(np.uint8)[None, :, None]
    if ground == "grain":
        values[:] = np.random.default_rng(0).integers(90, 130, values.shape, dtype=np.uint8)
    image = Image.fromarray(values)
    ImageDraw.Draw(image).ellipse((420, 60, 560, 200), fill="red")
    subject = find_subject(image)
    assert subject.reason == OBJECT
    assert all(abs(found - true) < 25 for found, true in zip(subject.box, (420, 60, 560, 200), strict=True))
    assert best_box(image.size, (1, 1), subject) == (300, 0, 600, 300)


def test_detail_and_nothing() -> None:
    values = np.random.default_rng(0).integers(100, 156, (300, 600, 3)).astype(np.uint8)
    values[:, 400:] = np.random.default_rng(1).integers(0, 255, (300, 200, 3))
    found = find_subject(Image.fromarray(values))
    assert found.reason == DETAIL
    assert found.focus((600, 300))[0] > 0.65
    assert find_subject(Image.new("RGB", (300, 200), "grey")) == Subject((0, 0, 300, 200), MIDDLE, 0.0, "nothing that stands out")
    assert find_subject(Image.new("RGB", (1, 1))).reason == MIDDLE
    assert find_subject(Image.new("RGB", (3, 900))).reason == MIDDLE


def test_closing_in() -> None:
    subject = Subject((400, 50, 500, 150), OBJECT, 1.0, "")
    assert best_box((1000, 500), (1, 1), subject) == (200, 0, 700, 500)
    assert best_box((1000, 500), (1, 1), subject, margin=0.5) == (350, 0, 550, 200)
    assert best_box((1000, 500), (1, 1), subject, margin=0.5, least=(300, 300)) == (300, 0, 600, 300)
    assert best_box((1000, 500), (2, 1), subject, margin=0.0) == (350, 50, 550, 150)
    assert best_box((100, 80), (1, 1), Subject((0, 0, 10, 10), OBJECT, 1.0, ""), margin=9, least=(512, 512)) == (0, 0, 80, 80)


def test_over_a_session(session: Session, draw: Draw) -> None:
    draw("astronaut.png")
    wide = Image.new("RGB", (900, 300), "white")
    ImageDraw.Draw(wide).rectangle((700, 100, 800, 200), fill="navy")
    wide.save(session.paths.pictures / "box.png")
    photograph("astronaut.png").save(session.paths.pictures / "astronaut.png")
    (session.paths.pictures / "broken.png").write_bytes(b"no")
    square = config(enable_bucket=False)
    done = smart_crop(session, square)
    found = done.crops
    assert list(done.refused) == ["broken.png"]
    assert set(found) == {"astronaut.png", "box.png"}
    assert found["box.png"].box == (600, 0, 900, 300)
    assert found["astronaut.png"].reason == "a face"
    assert crops.read(session.paths.crops) == found
    mine = crops.Crop((0, 0, 100, 100), (900, 300))
    crops.put(session.paths.crops, {"box.png": mine})
    assert set(smart_crop(session, square).crops) == {"astronaut.png"}, "what a person chose stays"
    assert crops.read(session.paths.crops)["box.png"] == mine
    near = smart_crop(session, square, ["box.png"], replace_hand=True, margin=0.25).crops["box.png"].box
    assert all(abs(side - about) <= 20 for side, about in zip(near, (675, 75, 825, 225), strict=True))
    with pytest.raises(UnknownName):
        smart_crop(session, square, ["other.png"])


def test_another_detector(session: Session, draw: Draw) -> None:
    draw("a.png", (640, 128))
    found = smart_crop(session, config(enable_bucket=False), faces=lambda image: [(600, 10, 630, 50)]).crops
    assert found["a.png"].box == (512, 0, 640, 128)
    assert found["a.png"].reason == "a face"
    assert smart_crop(session, config(enable_bucket=False)).crops["a.png"].reason != "a face", "nothing of the other one is kept"


@pytest.mark.parametrize(
    ("box", "why"), [((0, 0, 65, 10), "inside"), ((5, 5, 9, 60), "at least"), ((0, 0, "x", 9), "four numbers"), ((1, 2), "four")]
)
def test_boxes_from_outside(box: tuple, why: str) -> None:
    assert crops.checked([0.4, 1.6, 60, 64], (64, 64)) == (0, 2, 60, 64)
    with pytest.raises(RequestFault, match=why):
        crops.checked(box, (64, 64))
