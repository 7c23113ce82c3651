"""Pictures and captions brought into a session."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from modules.faults import RequestFault
from modules.folders import Folders
from modules.train.collection import Collection
from modules.train.sessions import Session
from modules.train.taking import safe_name, take, take_folder


def png(colour: str, size: tuple[int, int] = (64, 48)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(Folders.at(tmp_path / "data"), "cat")


def test_pictures_keep_their_names_and_captions_follow_them(session: Session) -> None:
    taken = take(session, [("a.txt", b"\xef\xbb\xbfa red thing"), ("a.png", png("red")), ("10_cat/b.PNG", png("blue")), ("x.exe", b"MZ")])
    assert taken.pictures == ["a.png", "10_cat/b.PNG"]
    assert (taken.captions, [name for name, _ in taken.refused]) == (1, ["x.exe"])
    items = {item.file: item for item in Collection(session).looked_at(Collection(session).names())}
    assert (items["a.png"].caption, items["10_cat/b.PNG"].caption) == ("a red thing", None)
    assert items["10_cat/b.PNG"].repeats == 10


def test_nothing_is_written_over_and_the_same_bytes_are_kept_once(session: Session) -> None:
    first = take(session, [("a.png", png("red")), ("a.txt", b"red")])
    again = take(session, [("a.png", png("red"))])
    other = take(session, [("a.png", png("blue")), ("a.txt", b"blue")])
    sharing = take(session, [("A.jpg", png("green"))])
    assert [one.pictures for one in (first, again, other, sharing)] == [["a.png"], ["a.png"], ["a-2.png"], ["A-3.jpg"]]
    captions = {item.file: item.caption for item in Collection(session).looked_at(["a.png", "a-2.png"])}
    assert captions == {"a.png": "red", "a-2.png": "blue"}


def test_a_zip_is_opened_and_a_broken_one_is_told(session: Session) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        packed.writestr("pics/deep/1.png", png("red"))
        packed.writestr("pics/deep/1.txt", "red")
        packed.writestr("../../evil.png", png("blue"))
        packed.writestr("__MACOSX/._1.png", b"x")
        packed.writestr("readme.md", "hello")
    taken = take(session, [("all.zip", data.getvalue()), ("bad.zip", b"PK no")])
    assert taken.pictures == ["deep/1.png", "evil.png"]
    assert taken.captions == 1
    assert [name for name, _ in taken.refused] == ["bad.zip"]
    assert all(path.resolve().is_relative_to(session.folder.resolve()) for path in session.pictures())


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a/b/c/d.png", "c/d.png"), ("..\\..\\x.png", "x.png"), ("/etc/p.png", "etc/p.png"),
        ('we:ird*"?.png', "we_ird_.png"), ("con.png", "_con.png"),
        ("名前 ä.png", "名前 ä.png"), (f"{'x' * 300}.png", f"{'x' * 116}.png"),
    ],
)  # fmt: skip
def test_names_are_made_safe(name: str, kept: str) -> None:
    assert safe_name(name) == kept


def test_a_name_of_nothing_is_refused(session: Session) -> None:
    with pytest.raises(RequestFault, match="no name"):
        safe_name("../..")
    assert take(session, [("...png", png("red")), (".png", png("red"))]).pictures == []


def test_a_folder_is_copied_with_its_captions(session: Session, tmp_path: Path) -> None:
    source = tmp_path / "from"
    (source / "5_dog").mkdir(parents=True)
    (source / "a.png").write_bytes(png("red"))
    (source / "5_dog" / "b.png").write_bytes(png("blue"))
    (source / "5_dog" / "b.txt").write_text("blue dog")
    (source / "link.png").symlink_to("/etc/hostname")
    taken = take_folder(session, source, within=source)
    assert sorted(taken.pictures) == ["5_dog/b.png", "a.png"]
    assert taken.captions == 1
    assert (source / "a.png").is_file()
    for wrong in (source / "none", session.folder.parent):
        with pytest.raises(RequestFault, match="folder"):
            take_folder(session, wrong, within=None)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RequestFault, match="no pictures"):
        take_folder(session, empty, within=None)
