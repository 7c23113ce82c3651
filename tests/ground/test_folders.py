"""Folders: where things lie, joins that stay inside, and writes that leave the old file or the new one."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from modules.faults import DiskFault, RequestFault
from modules.folders import PROGRAM, Folders, safe_join, write_atomic


def test_the_program_is_its_own_data_folder_by_default() -> None:
    assert Folders.at().data == PROGRAM
    assert (PROGRAM / "modules" / "folders.py").is_file()


def test_everything_of_the_users_lies_in_the_data_folder(folders: Folders, data_dir: Path) -> None:
    own = (folders.outputs, folders.cache, folders.job_files, folders.config_file, folders.styles_file, folders.jobs_file, folders.logs)
    assert all(path.is_relative_to(data_dir) for path in own)
    assert folders.models == data_dir / "models"


def test_model_folders_begin_with_the_users_own(tmp_path: Path) -> None:
    folders = Folders.at(tmp_path, ckpt_dir=tmp_path / "mine", lora_dir=None)
    assert folders.model_folders("Stable-diffusion") == [
        tmp_path / "mine", tmp_path / "models" / "Stable-diffusion", PROGRAM / "models" / "Stable-diffusion",
    ]  # fmt: skip
    assert len(Folders.at().model_folders("Lora")) == 1


def test_they_travel_to_another_process(tmp_path: Path) -> None:
    folders = Folders.at(tmp_path, tmp_path / "m", ckpt_dir=tmp_path / "mine")
    assert Folders.from_data(folders.to_data()) == folders


@pytest.mark.parametrize("inside", ["a.png", "a/b.png", "a/../b.png", ".", "…/x"])
def test_joins_inside(tmp_path: Path, inside: str) -> None:
    assert safe_join(tmp_path, inside).is_relative_to(tmp_path)


@pytest.mark.parametrize("outside", ["../a", "a/../../b", "/etc/passwd", "link/x", "a\x00b"])
def test_joins_outside_are_refused(tmp_path: Path, outside: str) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "link").symlink_to(tmp_path)
    with pytest.raises(RequestFault):
        safe_join(base, outside)


def test_write_and_replace(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_no_overwriting(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, b"one", overwrite=False)
    with pytest.raises(FileExistsError):
        write_atomic(path, b"two", overwrite=False)
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_no_overwriting_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    write_atomic(tmp_path / "a.txt", b"one", overwrite=False)
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "a.txt", b"two", overwrite=False)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.txt", b"one")]


def test_only_one_of_many_writers_gets_the_name(tmp_path: Path) -> None:
    won: list[int] = []

    def write(n: int) -> None:
        try:
            write_atomic(tmp_path / "a.txt", str(n).encode(), overwrite=False)
            won.append(n)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / "a.txt").read_bytes()] == [str(n).encode() for n in won]


@pytest.mark.parametrize("call", ["fdopen", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, b"old")

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, call, full)
        with pytest.raises(DiskFault, match="No space left"):
            write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises((DiskFault, FileExistsError)):
        write_atomic(tmp_path / "file" / "a.txt", b"new")
    assert (tmp_path / "file").read_bytes() == b"x"
