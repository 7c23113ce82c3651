"""What lies beside a model: previews, notes, and the bin with the way back."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from modules.faults import DiskFault, ModelFault, RequestFault
from modules.folders import Folders
from modules.library import Library, ModelRow
from modules.library.sidecars import EMBEDDED, notes_of, preview_of, previews_of, write_notes
from modules.library.thumbnails import SIDE_PX, Thumbnails
from tests.library.weight_files import LORA, write_safetensors


@pytest.fixture
def library(tmp_path: Path) -> Library:
    write_safetensors(tmp_path / "models" / "Lora" / "a.v2.safetensors", LORA)
    return Library(Folders.at(tmp_path))


@pytest.fixture
def row(library: Library) -> ModelRow:
    return library.find("lora", "a.v2")


def picture(path: Path, size: tuple[int, int] = (900, 600)) -> Path:
    Image.new("RGB", size, "red").save(path)
    return path


def test_the_preview_is_the_picture_of_that_name(row: ModelRow):
    folder = Path(row.path).parent
    assert preview_of(row) is None
    picture(folder / "a.png")  # of another model
    assert previews_of([row]) == {}
    plain = picture(folder / "a.v2.png")
    assert preview_of(row) == plain
    own = picture(folder / "a.v2.preview.png")
    assert previews_of([row]) == {row.id: own}


def test_thumbnails_are_small_kept_and_made_anew(row: ModelRow, tmp_path: Path):
    thumbnails = Thumbnails(tmp_path / "cache")
    assert thumbnails.of(row, {}) is None
    preview = picture(Path(row.path).with_name("a.v2.png"))
    first = thumbnails.of(row, {})
    assert first is not None
    with Image.open(first) as image:
        assert (image.format, max(image.size)) == ("WEBP", SIDE_PX)
    assert thumbnails.of(row, {}) == first
    picture(preview, (100, 700))
    assert thumbnails.of(row, {}) != first


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"x" * 100])
def test_a_preview_that_is_no_picture_gives_none(row: ModelRow, tmp_path: Path, data: bytes):
    Path(row.path).with_name("a.v2.png").write_bytes(data)
    assert Thumbnails(tmp_path / "cache").of(row, {}) is None


def test_the_picture_in_the_metadata_is_used_when_none_lies_beside(row: ModelRow, tmp_path: Path):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "blue").save(buffer, "JPEG")
    data = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    assert Thumbnails(tmp_path / "cache").of(row, {EMBEDDED: data}) is not None
    for broken in ("", "data:image/jpeg;base64,!!!", "data:text/html;base64,aGk=", "https://example.org/a.png"):
        assert Thumbnails(tmp_path / "cache").of(row, {EMBEDDED: broken}) is None


def test_notes_are_a1111s_and_the_rest_of_the_file_stays(row: ModelRow):
    path = Path(row.path).with_name("a.v2.json")
    path.write_text(json.dumps({"description": "soft", "preferred weight": 0.7, "vae": "kept", "sd version": "SD1"}))
    notes = notes_of(row)
    assert (notes["description"], notes["preferred weight"], notes["sd version"], notes["notes"]) == ("soft", 0.7, "SD1", "")
    assert write_notes(row, {"activation text": "ink ‹x›", "preferred weight": 1.2})["activation text"] == "ink ‹x›"
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "description": "soft", "preferred weight": 1.2, "vae": "kept", "sd version": "SD1", "activation text": "ink ‹x›",
    }  # fmt: skip


def test_a_text_file_is_the_description_when_the_notes_have_none(row: ModelRow):
    Path(row.path).with_name("a.v2.txt").write_text("from a text file")
    assert notes_of(row)["description"] == "from a text file"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vae": "x"}, "is no note"),
        ({"preferred weight": 99}, "from -10 to 10"),
        ({"notes": 5}, "must be text"),
        ({"notes": "x" * 30_000}, "at most"),
    ],
)
def test_notes_that_do_not_fit_change_nothing(row: ModelRow, changes: dict[str, object], words: str):
    with pytest.raises(RequestFault, match=words):
        write_notes(row, {"description": "new", **changes})
    assert not Path(row.path).with_name("a.v2.json").exists()


def test_notes_that_cannot_be_read_are_not_written_over(row: ModelRow):
    path = Path(row.path).with_name("a.v2.json")
    path.write_text("{broken")
    assert notes_of(row)["description"] == ""
    with pytest.raises(RequestFault, match="cannot be read"):
        write_notes(row, {"description": "new"})
    assert path.read_text() == "{broken"


def test_a_removed_model_lies_in_the_bin_with_what_belongs_to_it_and_can_come_back(library: Library, row: ModelRow):
    path = Path(row.path)
    picture(path.with_name("a.v2.preview.png"))
    write_notes(row, {"notes": "mine"})
    other = write_safetensors(path.with_name("a.safetensors"), LORA)
    place = library.remove(row)
    assert not path.exists()
    assert {p.name for p in place.iterdir()} == {"a.v2.safetensors", "a.v2.preview.png", "a.v2.json", "where-from.json"}
    assert [r.path for r in library.rows("lora") if not r.name.startswith("darkroom-starter")] == [str(other)]
    library.restore(place)
    assert library.find("lora", "a.v2").path == str(path)
    assert notes_of(row)["notes"] == "mine"
    assert not place.exists()


def test_nothing_is_put_back_over_a_file_or_from_elsewhere(library: Library, row: ModelRow, tmp_path: Path):
    place = library.remove(row)
    write_safetensors(Path(row.path), LORA)
    with pytest.raises(DiskFault, match="already in"):
        library.restore(place)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "where-from.json").write_text(json.dumps({"folder": str(tmp_path), "files": ["x"]}))
    (place / "where-from.json").write_text(json.dumps({"folder": "/etc", "files": ["a.v2.safetensors"]}))
    for bad in (foreign, place, place.parent, tmp_path / "not there"):
        with pytest.raises(RequestFault, match="no folder of the bin"):
            library.restore(bad)


def test_the_programs_own_model_stays(library: Library, row: ModelRow, starter_path: Path):
    [own] = [r for r in library.rows("checkpoint") if r.path == str(starter_path)]
    with pytest.raises(ModelFault, match="belongs to the program"):
        library.remove(own)
    gone = dataclasses.replace(row, path="/not/there")
    with pytest.raises(ModelFault, match="not there any more"):
        library.remove(gone)
