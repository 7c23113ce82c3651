"""The store of input pictures: the same bytes are one file, nothing else gets in, and what jobs name stays."""

from __future__ import annotations

import hashlib
import io
import os
import time
from pathlib import Path

import pytest
from PIL import Image

from modules.faults import RequestFault
from modules.folders import Folders
from modules.inputs import KEPT_S, Inputs, references_in
from modules.jobs.store import JobStore

GRADIENT = Image.radial_gradient("L").resize((40, 30)).convert("RGB")


def file(kind: str = "PNG", image: Image.Image = GRADIENT, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def inputs(folders: Folders) -> Inputs:
    return Inputs(folders)


@pytest.mark.parametrize(
    ("kind", "end"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"), ("BMP", "bmp"), ("GIF", "gif"), ("TIFF", "tiff")]
)
def test_what_was_put_comes_back_byte_for_byte(inputs: Inputs, folders: Folders, kind: str, end: str) -> None:
    data = file(kind)
    reference = inputs.put(data)
    assert reference == f"input:{hashlib.sha256(data).hexdigest()}"
    assert inputs.path(reference) == folders.inputs / f"{reference[6:]}.{end}"
    assert inputs.path(reference).read_bytes() == data
    assert inputs.open(reference).size == (40, 30)


def test_the_same_bytes_are_one_file_and_count_as_new_again(inputs: Inputs, folders: Folders) -> None:
    first = inputs.put(file())
    os.utime(inputs.path(first), (1, 1))
    assert inputs.put(file()) == first
    assert len(list(folders.inputs.iterdir())) == 1
    assert inputs.path(first).stat().st_mtime > time.time() - 60


def test_a_picture_in_memory_is_kept_without_loss(inputs: Inputs) -> None:
    see_through = Image.merge("RGBA", [*GRADIENT.split(), GRADIENT.getchannel(0)])
    assert inputs.open(inputs.put_picture(see_through)).tobytes() == see_through.tobytes()


def test_text_and_upright_position_come_along(inputs: Inputs) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lying on its side
    assert inputs.open(inputs.put(file("JPEG", exif=exif))).size == (30, 40)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", file()[:200], b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_refused_and_leaves_nothing(inputs: Inputs, folders: Folders, data: bytes) -> None:
    with pytest.raises(RequestFault) as caught:
        inputs.put(data, "mask")
    assert caught.value.field == "mask"
    assert not folders.inputs.exists()


@pytest.mark.parametrize(
    "name", ["", "input:", "input:../../config.json", f"input:{'A' * 64}", f"input:{'0' * 64}\n", "/etc/passwd", "0" * 64]
)
def test_a_reference_is_never_a_path(inputs: Inputs, name: str) -> None:
    with pytest.raises(RequestFault, match="was sent before"):
        inputs.open(name)


def test_a_picture_that_is_gone_is_asked_for_again(inputs: Inputs) -> None:
    with pytest.raises(RequestFault, match="send it again") as caught:
        inputs.path(f"input:{'0' * 64}", "mask")
    assert caught.value.field == "mask"


def test_old_pictures_go_unless_a_job_names_them(inputs: Inputs, tmp_path: Path) -> None:
    references = [inputs.put(file(image=GRADIENT.rotate(turn))) for turn in (0, 1, 2, 3)]
    fresh, asked, resolved, unnamed = references
    for reference in references[1:]:
        os.utime(inputs.path(reference), (time.time() - KEPT_S - 60,) * 2)
    store = JobStore(tmp_path / "jobs.sqlite")
    store.submit("txt2img", {"init_images": [asked]}, {"prompt": "no picture"}, owner="x", key=None, priority=0)
    store.submit("txt2img", {"prompt": 'an "input:" of words'}, {"image": {"mask": resolved}}, owner="x", key=None, priority=0)
    assert store.named_inputs() == {asked, resolved}
    assert inputs.sweep(store.named_inputs()) == 1
    assert [inputs.path(r).is_file() for r in (fresh, asked, resolved)] == [True] * 3
    with pytest.raises(RequestFault):
        inputs.path(unnamed)
    assert inputs.sweep(set()) == 2


def test_sweeping_where_nothing_was_ever_put(inputs: Inputs) -> None:
    assert inputs.sweep(set()) == 0


def test_references_are_found_in_any_text() -> None:
    one, two = f"input:{'a' * 64}", f"input:{'0' * 64}"
    assert references_in(f'{{"mask": "{one}", "init_images": ["{two}", "{one}"]}}') == {one, two}
