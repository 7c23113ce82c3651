"""A picture of a job is written once, also by the process that takes over from one that was killed in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modules.folders import is_temporary, write_atomic
from modules.receipts import KEPT_S, Receipts


class Disk:
    """Writes numbered files, as a saver does, and may die."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written = 0

    def write(self, data: bytes = b"picture", *, dies: str = "") -> Path:
        if dies == "before":
            raise KeyboardInterrupt
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / f"{len(list(self.root.iterdir())):05}.png"
        path.write_bytes(data)
        self.written += 1
        if dies == "after":
            raise KeyboardInterrupt
        return path


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "out" / "2026-01-01")


def once(tmp_path: Path, disk: Disk, receipts: Receipts | None = None, job: str = "one", what: str = "first", dies: str = "") -> Path:
    own = receipts or Receipts(tmp_path / "receipts")
    return own.once(job, what, b"picture", tmp_path / "out", lambda: disk.write(dies=dies))


def test_the_next_process_is_given_what_is_there(tmp_path: Path, disk: Disk):
    path = once(tmp_path, disk)
    assert once(tmp_path, disk) == path
    assert disk.written == 1


@pytest.mark.parametrize(("dies", "written"), [("before", 1), ("after", 1)])
def test_killed_in_the_middle(tmp_path: Path, disk: Disk, dies: str, written: int):
    with pytest.raises(KeyboardInterrupt):
        once(tmp_path, disk, dies=dies)
    assert once(tmp_path, disk).read_bytes() == b"picture"
    assert disk.written == written


def test_killed_before_the_file_got_its_name(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch):
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    receipts, own = Receipts(tmp_path / "receipts"), disk.root / "own.png"
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dies)
        patch.setattr(os, "unlink", lambda _path: None)  # a killed process tidies nothing
        with pytest.raises(KeyboardInterrupt):
            receipts.once("one", "first", b"picture", tmp_path / "out", lambda: write_atomic(own, b"picture") or own)
    (left,) = disk.root.iterdir()
    assert (left.read_bytes(), is_temporary(left)) == (b"picture", True)
    assert once(tmp_path, disk) not in (left, own)
    assert disk.written == 1, "what has no name yet will be swept away"


def test_the_same_process_writes_as_often_as_it_is_told(tmp_path: Path, disk: Disk):
    receipts = Receipts(tmp_path / "receipts")
    assert once(tmp_path, disk, receipts) != once(tmp_path, disk, receipts)
    later = Receipts(tmp_path / "receipts")
    assert {once(tmp_path, disk, later), once(tmp_path, disk, later)} == set(disk.root.iterdir()), "each is given out once"
    assert once(tmp_path, disk, later) not in {disk.root / "00000.png", disk.root / "00001.png"}


def test_other_jobs_pictures_and_files_that_are_gone(tmp_path: Path, disk: Disk):
    path = once(tmp_path, disk)
    assert once(tmp_path, disk, job="two") != path
    assert once(tmp_path, disk, what="second") != path
    path.unlink()
    assert once(tmp_path, disk).is_file()
    assert disk.written == 4


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path, disk: Disk):
    path = once(tmp_path, disk)
    [file] = (tmp_path / "receipts").iterdir()
    file.write_bytes(file.read_bytes() + b'{"life": "x", "num')
    assert once(tmp_path, disk) == path


def test_old_ones_go(tmp_path: Path, disk: Disk):
    once(tmp_path, disk)
    [file] = (tmp_path / "receipts").iterdir()
    now = file.stat().st_mtime
    assert Receipts(tmp_path / "receipts").sweep(now + KEPT_S - 1) == 0
    os.utime(file, (now, now))
    assert Receipts(tmp_path / "receipts").sweep(now + KEPT_S + 1) == 1
