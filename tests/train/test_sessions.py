"""Sessions on disk: names, lists, copies, removal; nothing that leads out of models/train."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.faults import RequestFault, UnknownName
from modules.folders import Folders
from modules.request.train import TrainConfig
from modules.train import archive, state
from modules.train.sessions import Session, home_of, session_name


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders.at(data=tmp_path)


def filled(folders: Folders, name: str = "my cat") -> Session:
    session = Session.create(folders, name, TrainConfig(max_train_steps=30, checkpoint="starter"))
    (session.paths.pictures / "sub").mkdir()
    for file in ("a.png", "sub/Ü b.JPG", "a.txt", ".hidden.png", "notes.md"):
        (session.paths.pictures / file).write_bytes(b"x")
    session.paths.crops.write_text("{}")
    session.paths.cache.mkdir()
    (session.paths.cache / "one.tensors").write_bytes(b"cached")
    state.save(session.paths.state, 20, {"step": 20})
    (session.paths.output / "my_cat.safetensors").write_bytes(b"made")
    return session


def test_a_session_is_made_opened_and_listed(folders: Folders):
    session = filled(folders)
    assert session.name == "my_cat"
    assert Session.open(folders, "my_cat") == session
    (summary,) = Session.list(folders)
    assert (summary.name, summary.checkpoint, summary.pictures, summary.step, summary.steps) == ("my_cat", "starter", 2, 20, 30)
    assert not summary.running
    assert session.config().session == "my_cat"
    assert [path.name for path in session.pictures()] == ["a.png", "Ü b.JPG"]


def test_a_config_that_cannot_be_read_stays_in_the_list_with_its_fault(folders: Folders):
    session = filled(folders)
    session.paths.config.write_text("seed = ")
    (summary,) = Session.list(folders)
    assert "cannot be read" in summary.fault
    with pytest.raises(RequestFault):
        session.config()


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "a\\b", "../cat", ".cat", "-cat", "con", "aux.txt", "a:b", "a\x00b", "cat.", "x" * 81, "a*"]
)
def test_names_that_some_system_cannot_hold_are_refused(folders: Folders, name: str):
    with pytest.raises(RequestFault) as fault:
        Session.create(folders, name)
    assert fault.value.field == "session"
    assert not home_of(folders).exists() or list(home_of(folders).iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../Lora", "a/../../b", "none", "\x00"])
def test_only_what_lies_in_the_folder_is_opened(folders: Folders, name: str):
    filled(folders)
    with pytest.raises(RequestFault):
        Session.open(folders, name)


def test_names_of_people_are_kept(folders: Folders):
    assert session_name("  Кошка  2 ") == "Кошка_2"
    assert session_name("猫 (rank 4)") == "猫_(rank_4)"
    filled(folders)
    with pytest.raises(RequestFault, match="there is a session of that name"):
        Session.create(folders, "my cat")
    with pytest.raises(UnknownName, match="my_cat"):
        Session.open(folders, "my_cut")


def test_a_copy_has_the_pictures_and_not_the_training_unless_asked(folders: Folders):
    session = filled(folders)
    plain = session.clone(folders, "other")
    assert plain.config().session == "other"
    assert [path.name for path in plain.pictures()] == ["a.png", "Ü b.JPG"]
    assert (plain.paths.pictures / "a.txt").is_file()
    assert (plain.paths.cache / "one.tensors").is_file()
    assert plain.summary().step == 0
    assert not plain.paths.output.exists()
    whole = session.clone(folders, "whole", trained=True)
    assert whole.summary().step == 20
    assert (whole.paths.output / "my_cat.safetensors").is_file()
    with pytest.raises(RequestFault):
        session.clone(folders, "other")


def test_removing_and_training_anew(folders: Folders):
    session = filled(folders)
    with session.lock(), pytest.raises(RequestFault, match="is being trained"):
        session.delete()
    session.forget_training()
    assert session.summary().step == 0
    assert (session.paths.pictures / "a.png").is_file()
    assert (session.paths.cache / "one.tensors").is_file()
    session.delete()
    assert Session.list(folders) == []
    assert [path.name for path in home_of(folders).iterdir() if not path.name.endswith(".lock")] == []


def test_a_folder_moved_elsewhere_is_the_same_session(folders: Folders, tmp_path: Path):
    session = filled(folders)
    there = Folders.at(data=tmp_path / "disk")
    home_of(there).mkdir(parents=True)
    session.folder.rename(home_of(there) / "moved")
    moved = Session.open(there, "moved")
    assert moved.config().session == "moved"
    assert moved.summary().step == 20


@pytest.fixture
def another_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system, where the machine has one; else a folder elsewhere."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        (tmp_path / "elsewhere").mkdir()
        yield tmp_path / "elsewhere"
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


def test_sessions_may_lie_on_another_disk(folders: Folders, another_disk: Path):
    """models/train as a link to a mounted drive: made, trained on, copied, packed, taken in again and removed there."""
    home_of(folders).parent.mkdir(parents=True)
    home_of(folders).symlink_to(another_disk, target_is_directory=True)
    session = filled(folders)
    assert (another_disk / "my_cat" / "config.toml").is_file()
    state.save(session.paths.state, 21, {"step": 21})
    assert session.summary().step == 21
    with session.lock():
        assert Session.list(folders)[0].running
    assert session.clone(folders, "copy", trained=True).summary().step == 21
    packed = archive.export(session, folders.data / "session.zip")
    session.delete()
    with packed.open("rb") as file:
        assert archive.take_in(folders, file, "back").summary().step == 21
    assert sorted(one.name for one in Session.list(folders)) == ["back", "copy"]
    assert sorted(path.name for path in another_disk.iterdir() if path.is_dir()) == ["back", "copy"]
