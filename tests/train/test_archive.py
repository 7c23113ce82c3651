"""A session as a zip and back: what comes out is what went in, and what is no such zip writes nothing."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from modules.faults import RequestFault, UnknownName
from modules.folders import Folders
from modules.request.train import TrainConfig
from modules.train import archive
from modules.train.sessions import Session, home_of

CONFIG = TrainConfig(max_train_steps=7).to_toml().encode()


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders.at(tmp_path)


@pytest.fixture
def session(folders: Folders) -> Session:
    made = Session.create(folders, "cat", TrainConfig(max_train_steps=7))
    for name, data in {
        "pictures/10_cat/ä.png": b"\x89PNG pixels", "pictures/10_cat/ä.txt": b"eine Katze",
        "crops.json": b'{"version": 1, "crops": {}}',
        "state/step-000005/manifest.json": b'{"step": 5}', "cache/encoded/x.tensors": b"x" * 999, "output/cat.safetensors": b"w" * 50,
        "samples/000005-0.png": b"sample", "log/metrics.jsonl": b'{"step": 5}\n',
    }.items():  # fmt: skip
        path = made.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return made


def files(session: Session) -> dict[str, bytes]:
    return {
        path.relative_to(session.folder).as_posix(): path.read_bytes()
        for path in session.folder.rglob("*")
        if path.is_file() and path.name != "config.toml"
    }


def packed(members: dict[str, bytes], links: dict[str, bytes] | None = None) -> io.BytesIO:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
        for name, content in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            zipped.writestr(info, content)
    data.seek(0)
    return data


def test_what_comes_out_is_what_went_in(folders: Folders, session: Session, tmp_path: Path) -> None:
    target = archive.export(session, tmp_path / "away" / "cat.zip", cache=True)
    with target.open("rb") as file:
        back = archive.take_in(folders, file, "tom cat")
    assert back.name == "tom_cat"
    assert files(back) == files(session)
    assert back.config() == TrainConfig(max_train_steps=7, session="tom_cat")


def test_caches_and_states_can_stay_behind(folders: Folders, session: Session, tmp_path: Path) -> None:
    target = archive.export(session, tmp_path / "cat.zip", state=False)
    session.delete()
    with target.open("rb") as file:
        back = archive.take_in(folders, file)
    assert back.name == "cat"
    assert not [name for name in files(back) if name.startswith(("state", "cache"))]
    assert back.summary().step == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cat/../../evil.txt", "leads out"), ("../config.txt", "leads out"), ("/etc/passwd", "leads out"), ("C:/x.txt", "leads out"),
        ("cat\\pictures\\a.png", "leads out"), ("cat/pictures/../../x.png", "leads out"), ("cat/pictures/./a.png", "leads out"),
        ("dog/pictures/a.png", "more than one folder"), ("cat/run.py", "no part of a session"),
        ("cat/scripts/x.py", "no part of a session"),
        ("cat/pictures", "no part of a session"), ("cat/CONFIG.toml", "no part of a session"),
        ("cat/pictures/1/2/3/4/5/6/7/8/a.png", "no part of a session"),
    ],
)  # fmt: skip
def test_a_zip_with_such_a_name_is_refused_and_leaves_nothing(folders: Folders, name: str, words: str) -> None:
    with pytest.raises(RequestFault, match=words):
        archive.take_in(folders, packed({"cat/config.toml": CONFIG, name: b"x"}))
    assert not home_of(folders).exists() or not any(home_of(folders).iterdir())
    assert not list(folders.data.rglob("evil*"))


def test_links_files_in_the_place_of_folders_and_other_files_are_refused(folders: Folders) -> None:
    base = {"cat/config.toml": CONFIG}
    with pytest.raises(RequestFault, match="link"):
        archive.take_in(folders, packed(base, {"cat/pictures/a.png": b"/etc/passwd"}))
    with pytest.raises(RequestFault, match="where a folder should be"):
        archive.take_in(folders, packed({**base, "cat/pictures/a": b"x", "cat/pictures/a/b.png": b"x"}))
    with pytest.raises(RequestFault, match="two files of one name"):
        archive.take_in(folders, packed({**base, "cat/pictures/a.png": b"x", "cat/pictures/A.png": b"x"}))
    with pytest.raises(RequestFault, match="no config"):
        archive.take_in(folders, packed({"cat/pictures/a.png": b"x"}))
    with pytest.raises(RequestFault, match="zip"):
        archive.take_in(folders, io.BytesIO(b"this is no zip at all"))
    assert Session.names(folders) == []


def test_a_config_that_cannot_be_read_is_refused_before_it_has_a_name(folders: Folders) -> None:
    with pytest.raises(RequestFault, match="max_train_steps"):
        archive.take_in(folders, packed({"config.toml": b"max_train_steps = -1\n"}), "cat")
    assert Session.names(folders) == []
    assert not list(home_of(folders).iterdir())


def test_a_member_that_is_larger_than_it_says_is_refused(folders: Folders) -> None:
    data = packed({"cat/config.toml": CONFIG, "cat/pictures/a.png": b"x" * 5000}).getvalue()
    small = data.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert small != data
    with pytest.raises(RequestFault):
        archive.take_in(folders, io.BytesIO(small))
    assert Session.names(folders) == []


def test_a_name_that_is_taken_is_told_and_the_session_stays(folders: Folders, session: Session, tmp_path: Path) -> None:
    target = archive.export(session, tmp_path / "cat.zip")
    before = files(session)
    with target.open("rb") as file, pytest.raises(RequestFault, match="there is a session of that name"):
        archive.take_in(folders, file)
    assert files(session) == before


def test_renaming_moves_everything_and_is_refused_while_it_trains(folders: Folders, session: Session) -> None:
    before = files(session)
    with session.lock(), pytest.raises(RequestFault, match="being trained"):
        archive.rename(folders, session, "tom")
    renamed = archive.rename(folders, session, "tom")
    assert files(renamed) == before
    assert renamed.config().session == "tom"
    with pytest.raises(UnknownName):
        Session.open(folders, "cat")
    Session.create(folders, "dog")
    with pytest.raises(RequestFault, match="there is a session of that name"):
        archive.rename(folders, renamed, "dog")
