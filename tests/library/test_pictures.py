"""The picture index: what it knows of files, how it keeps up with the folders, search, marks and the bin."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.faults import DiskFault, RequestFault
from modules.folders import Folders
from modules.library.pictures import Pictures, Wish
from modules.library.pictures import pictures as room
from modules.library.pictures.noting import Noting
from modules.settings import SettingsStore
from tests.library.picture_files import write_picture

DAY = 86400.0
THEN = 1_700_000_000.0


@pytest.fixture
def pictures(folders: Folders) -> Iterator[Pictures]:
    made = Pictures(folders, SettingsStore(folders.config_file))
    yield made
    made.close()


@pytest.fixture
def own(folders: Folders) -> Path:
    """The folder of the day under txt2img-images."""
    return folders.outputs / "txt2img-images" / "2026-01-02"


def settled(pictures: Pictures, timeout_s: float = 60) -> Pictures:
    """Once the folders have been looked at and every file has been read."""
    pictures.refresh(force=True)
    end = time.monotonic() + timeout_s
    while (page := pictures.page(Wish(), limit=0)).unread or page.looking:
        assert time.monotonic() < end, "the background did not come to an end"
        time.sleep(0.02)
    return pictures


def names(pictures: Pictures, **wish: object) -> list[str]:
    return [row.name for row in settled(pictures).page(Wish(**wish)).rows]  # pyright: ignore[reportArgumentType]


def test_what_a_file_says_is_in_its_row(pictures: Pictures, own: Path):
    path = write_picture(own / "00001-7.webp", prompt="a cat, <lora:ink:0.8>", seed=7, sampler="DPM++ 2M", width=64)
    row = settled(pictures).page(Wish()).rows[0]
    assert (row.path, row.kind, row.width, row.height, row.seed, row.steps, row.cfg) == (str(path), "txt2img", 64, 24, 7, 20, 7.0)
    assert (row.model, row.model_hash, row.sampler, row.scheduler) == ("starter", "0a1b2c3d4e", "DPM++ 2M", "Karras")
    assert (row.prompt, row.negative, row.described, row.problem) == ("a cat, <lora:ink:0.8>", "blurry", True, "")


def test_kinds_come_from_the_folder_or_else_from_the_text(pictures: Pictures, folders: Folders):
    other = folders.outputs / "old"
    write_picture(
        other / "hires.png", text="x\nSteps: 1, Sampler: a, Seed: 1, Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Latent"
    )
    write_picture(other / "repainted.png", text="x\nSteps: 1, Sampler: a, Seed: 1, Denoising strength: 0.5")
    write_picture(other / "large.png", text="x\nSteps: 1, Sampler: a, Seed: 1, Postprocess upscale by: 4, Postprocess upscaler: Lanczos")
    write_picture(other / "grid-0001.png")
    write_picture(other / "photo.jpg", text="")
    write_picture(folders.outputs / "txt2img-grids" / "0001.png")
    kinds = {row.name: row.kind for row in settled(pictures).page(Wish()).rows}
    assert kinds == {
        "hires.png": "txt2img", "repainted.png": "img2img", "large.png": "extras", "grid-0001.png": "grid", "photo.jpg": "other",
        "0001.png": "grid",
    }  # fmt: skip


def test_broken_and_foreign_files_are_listed_and_harm_nothing(pictures: Pictures, own: Path):
    write_picture(own / "good.png")
    (own / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    (own / "empty.jpg").write_bytes(b"")
    (own / "notes.txt").write_text("no picture")
    (own / ".hidden.png").write_bytes(b"")
    (own / "to-nothing.png").symlink_to(own / "gone.png")
    rows = {row.name: row for row in settled(pictures).page(Wish()).rows}
    assert sorted(rows) == ["broken.png", "empty.jpg", "good.png"]
    assert rows["broken.png"].problem
    assert rows["empty.jpg"].problem
    assert not rows["good.png"].problem


def test_links_in_a_circle_end(pictures: Pictures, own: Path):
    write_picture(own / "one.png")
    (own / "round").symlink_to(own.parent, target_is_directory=True)
    assert names(pictures) == ["one.png"]


def test_what_others_add_change_and_delete_shows(pictures: Pictures, own: Path):
    first = write_picture(own / "1.png", prompt="before")
    assert names(pictures) == ["1.png"]
    write_picture(own / "deeper" / "2.png", at_s=THEN)
    assert names(pictures) == ["1.png", "2.png"]
    write_picture(first, prompt="something after")
    assert names(pictures, search="after") == ["1.png"]
    assert names(pictures, search="before") == []
    first.unlink()
    (own / "deeper" / "2.png").unlink()
    (own / "deeper").rmdir()
    assert names(pictures) == []


def test_a_folder_that_has_not_changed_is_not_listed_again(pictures: Pictures, own: Path, folders: Folders):
    path = write_picture(own / "1.png", prompt="old words")
    for folder in (own, own.parent, folders.outputs):
        os.utime(folder, (THEN, THEN))
    assert names(pictures) == ["1.png"]
    write_picture(path, prompt="new")  # in place: only the file changes
    os.utime(own, (THEN, THEN))
    assert names(pictures, search="new") == []
    pictures.refresh(thorough=True)
    assert names(pictures, search="new") == ["1.png"]


def test_a_picture_is_read_anew_when_it_is_opened(pictures: Pictures, own: Path):
    path = write_picture(own / "1.png", prompt="old")
    row = settled(pictures).page(Wish()).rows[0]
    write_picture(path, prompt="new words")
    now = pictures.row(row.id)
    assert now is not None
    assert now.prompt == "new words"
    path.unlink()
    assert pictures.row(row.id) is None


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", "abcde"),
        ("appl", "ab"),
        ("APPLE red", "a"),
        ('"red apple"', "a"),
        ('"apple red"', ""),
        ("apple -red", "b"),
        ("-apple", "cde"),
        ("blurry", ""),
        ("negative:blurry", "ab"),
        ("model:photo", "c"),
        ("photo", "c"),
        ("seed:3", "c"),
        ("山", "d"),
        ("山 -川", "d"),
        ("cafe", "e"),
        ('"unfinished phrase', ""),
        ('" ( : * ^ AND', ""),
        ("* ( ) : \" '", "abcde"),
        ("100%", "e"),
    ],
)
def test_search(pictures: Pictures, own: Path, search: str, found: str):
    write_picture(own / "a.png", prompt="a red apple", seed=1)
    write_picture(own / "b.png", prompt="(apple:1.2), green", seed=2)
    write_picture(own / "c.png", prompt="a boat", negative="people", model="photoreal", seed=3)
    write_picture(own / "d.png", prompt="高い山、空", negative="川", seed=4)
    write_picture(own / "e.png", prompt="Café at 100 percent", negative="", seed=5)
    assert "".join(sorted(name[0] for name in names(pictures, search=search))) == found


def test_filters_orders_and_pages(pictures: Pictures, own: Path):
    for n in range(10):
        write_picture(
            own / f"{n}.png", at_s=THEN + n * DAY, width=16 * (n + 1), model="ab"[n % 2], sampler=("Euler", "LMS")[n // 5], seed=9 - n
        )
    assert names(pictures) == [f"{n}.png" for n in range(9, -1, -1)]
    assert names(pictures, sort="oldest", model="a", sampler="Euler") == ["0.png", "2.png", "4.png"]
    assert names(pictures, since_s=THEN + 3 * DAY, until_s=THEN + 5 * DAY) == ["4.png", "3.png"]
    assert names(pictures, least_px=33, most_px=64, sort="largest") == ["3.png", "2.png"]
    assert names(pictures, sort="seed")[0] == "9.png"
    page = settled(pictures).page(Wish(sort="oldest"), offset=4, limit=3)
    assert ([row.name for row in page.rows], page.total) == (["4.png", "5.png", "6.png"], 10)
    choices = settled(pictures).choices()
    assert choices == {"kind": [("txt2img", 10)], "model": [("a", 5), ("b", 5)], "sampler": [("Euler", 5), ("LMS", 5)]}


def test_marks_outlive_the_index_and_moves(pictures: Pictures, own: Path, folders: Folders):
    write_picture(own / "1.png", prompt="one")
    write_picture(own / "2.png", prompt="two, longer")
    (row,) = [row for row in settled(pictures).page(Wish()).rows if row.name == "1.png"]
    pictures.set_favourite([row], True)
    assert names(pictures, favourites=True) == ["1.png"]
    (folders.outputs / "best").mkdir()
    (own / "1.png").rename(folders.outputs / "best" / "first.png")
    assert names(pictures, favourites=True) == ["first.png"]
    pictures.rebuild()
    assert names(pictures, favourites=True) == ["first.png"]
    write_picture(folders.outputs / "best" / "first.png", prompt="another picture that took its name", seed=99)
    assert names(pictures, favourites=True) == []


def test_a_list_of_marks_that_cannot_be_read_is_kept_aside(pictures: Pictures, own: Path, folders: Folders):
    write_picture(own / "1.png")
    (folders.data / "favourites.json").write_text("{ not JSON")
    assert names(pictures) == ["1.png"]
    assert [p.read_text() for p in folders.data.glob("favourites.json.bad-*")] == ["{ not JSON"]


def test_the_bin_and_back(pictures: Pictures, own: Path, folders: Folders):
    path = write_picture(own / "1.png")
    path.with_suffix(".txt").write_text("beside it")
    before = path.read_bytes()
    binned = pictures.remove(settled(pictures).page(Wish()).rows[0])
    assert not path.exists()
    assert not path.with_suffix(".txt").exists()
    assert binned.picture.read_bytes() == before
    assert names(pictures) == []
    assert [b.place for b in pictures.in_bin()] == [binned.place]
    restored = pictures.restore(binned.place)
    assert restored is not None
    assert restored.path == str(path)
    assert path.read_bytes() == before
    assert path.with_suffix(".txt").read_text() == "beside it"
    assert (names(pictures), pictures.in_bin()) == (["1.png"], [])
    assert not list((folders.data / "bin" / "pictures").iterdir())


def test_what_stands_in_the_way_of_the_bin(pictures: Pictures, own: Path):
    path = write_picture(own / "1.png")
    row = settled(pictures).page(Wish()).rows[0]
    binned = pictures.remove(row)
    write_picture(path, prompt="a new one of that name")
    with pytest.raises(DiskFault, match="already in"):
        pictures.restore(binned.place)
    assert binned.picture.is_file()
    with pytest.raises(RequestFault):
        pictures.restore("../../" + binned.place)
    with pytest.raises(RequestFault):
        pictures.restore("")
    path.unlink()
    with pytest.raises(RequestFault, match="not there any more"):
        pictures.remove(row)


def test_a_record_of_the_bin_cannot_point_outside(pictures: Pictures, own: Path, folders: Folders):
    write_picture(own / "1.png")
    binned = pictures.remove(settled(pictures).page(Wish()).rows[0])
    record = binned.picture.parent / "where-from.json"
    record.write_text(record.read_text().replace(str(folders.outputs), str(folders.data / "elsewhere")))
    with pytest.raises(RequestFault):
        pictures.restore(binned.place)
    assert binned.picture.is_file()


def test_an_index_that_is_no_database_is_made_anew(folders: Folders, own: Path):
    folders.pictures_file.parent.mkdir(parents=True)
    folders.pictures_file.write_bytes(b"this is no database at all" * 100)
    write_picture(own / "1.png")
    pictures = Pictures(folders, SettingsStore(folders.config_file))
    assert names(pictures) == ["1.png"]
    pictures.close()


def test_many_new_files_are_listed_at_once_and_read_apart(pictures: Pictures, own: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "MANY", 20)
    monkeypatch.setattr(room, "AT_ONCE_S", 0.0)
    for n in range(150):
        write_picture(own / f"{n:04}.png", at_s=THEN + n, prompt=f"number{n}")
    pictures.refresh()
    page = pictures.page(Wish(), limit=5)
    assert page.total == 150
    assert page.unread > 0
    assert [row.name for row in page.rows] == ["0149.png", "0148.png", "0147.png", "0146.png", "0145.png"]
    settled(pictures)
    assert names(pictures, search="number77") == ["0077.png"]


def test_the_saver_tells_the_job(pictures: Pictures, folders: Folders, own: Path):
    path = write_picture(own / "1.png", prompt="told")
    Noting(folders).saved(path, "told\nSteps: 1, Sampler: Euler, Seed: 5, Size: 32x24", (32, 24), kind="img2img", job="j1")
    row = settled(pictures).page(Wish(search="told")).rows[0]
    assert (row.job, row.kind, row.seed, row.described) == ("j1", "img2img", 5, True)


def test_the_saver_goes_on_without_an_index(folders: Folders, own: Path, caplog: pytest.LogCaptureFixture):
    folders.cache.mkdir()
    folders.pictures_file.mkdir()
    Noting(folders).saved(write_picture(own / "1.png"), "x", (1, 1), kind="", job="j")
    assert "was not noted" in caplog.text


def test_what_kept_pictures_began_from_is_known(pictures: Pictures, own: Path):
    assert pictures.named_inputs() is None
    digest = "ab" * 32
    write_picture(own / "1.png", text=f"x\nSteps: 1, Sampler: a, Seed: 1, Denoising strength: 0.5, Init image: {digest}")
    assert names(pictures) == ["1.png"]
    assert pictures.named_inputs() == {f"input:{digest}"}


def test_the_words_follow_the_rows(pictures: Pictures, own: Path, folders: Folders):
    """SQLite's own check of the full-text table after files came, changed, moved and went."""
    for n in range(6):
        write_picture(own / f"{n}.png", prompt=f"word{n}")
    assert len(names(pictures)) == 6
    write_picture(own / "1.png", prompt="changed words here")
    (own / "2.png").unlink()
    (own / "3.png").rename(own / "three.png")
    (own / "5.png").replace(own / "4.png")
    assert sorted(names(pictures)) == ["0.png", "1.png", "4.png", "three.png"]
    with sqlite3.connect(folders.pictures_file) as db:
        db.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
    assert (names(pictures, search="word5"), names(pictures, search="word4")) == (["4.png"], [])
