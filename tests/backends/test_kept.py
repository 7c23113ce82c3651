"""What lies on the disk: whole or not at all, within its limit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from modules.backends import kept
from modules.backends.graphs import graph_file, opened
from modules.backends.record import CannotStandIn, Work


def _write(size: int = 100):
    return lambda folder: (folder / "a.bin").write_bytes(b"x" * size)


def test_it_is_made_once(tmp_path: Path):
    times: list[int] = []

    def write(folder: Path) -> None:
        times.append(1)
        (folder / "a.bin").write_bytes(b"abc")

    assert kept.made(tmp_path, "k", write) == kept.made(tmp_path, "k", write) == tmp_path / "k"
    assert times == [1]
    assert kept.whole(tmp_path / "k")


@pytest.mark.parametrize("damage", [b"", b"ab", b"abd"])
def test_a_damaged_one_is_made_again(tmp_path: Path, damage: bytes):
    path = kept.made(tmp_path, "k", lambda folder: (folder / "a.bin").write_bytes(b"abc"))
    (path / "a.bin").write_bytes(damage)
    assert not kept.whole(path)
    kept.made(tmp_path, "k", lambda folder: (folder / "a.bin").write_bytes(b"abc"))
    assert (path / "a.bin").read_bytes() == b"abc"
    assert [entry.name for entry in tmp_path.iterdir()] == ["k"]


def test_a_making_that_is_cut_off_leaves_nothing(tmp_path: Path):
    def cut_off(folder: Path) -> None:
        (folder / "a.bin").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.made(tmp_path, "k", cut_off)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_leaves_nothing(tmp_path: Path):
    class Odd(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no graph of this")

    work = Work(network=Odd(), example=(torch.zeros(1, 2),), kind="cpu", key="k", folder=tmp_path)
    with pytest.raises(CannotStandIn, match="no graph of this"):
        graph_file(work)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_cannot_be_opened_is_made_again_once(tmp_path: Path):
    work = Work(network=torch.nn.Linear(2, 2), example=(torch.zeros(1, 2),), kind="cpu", key="k", folder=tmp_path)
    graph_file(work)
    refused: list[Path] = []

    def open_(path: Path) -> str:
        refused.append(path)
        if len(refused) == 1:
            raise ValueError("of another version")
        return "open"

    assert opened(work, open_) == "open"
    assert len(refused) == 2

    def never(path: Path) -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        opened(work, never)


def test_what_a_killed_process_left_is_removed(tmp_path: Path):
    gone, own = tmp_path / f"{kept.PART}999999999-a", tmp_path / f"{kept.PART}{os.getpid()}-b"
    gone.mkdir()
    own.mkdir()
    kept.tidy(tmp_path, 1000)
    assert [path.name for path in tmp_path.iterdir()] == [own.name]


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path):
    for n, key in enumerate(("old", "older", "new")):
        path = kept.made(tmp_path, key, _write(1000))
        os.utime(path / kept.ABOUT, (n, n))
    kept.made(tmp_path, "old", _write())  # used: it is the newest now
    kept.tidy(tmp_path, 2500)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]
    kept.tidy(tmp_path, 10, spare="new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_folder_that_is_not_there_is_tidy(tmp_path: Path):
    kept.tidy(tmp_path / "none", 10)
    assert not (tmp_path / "none").exists()
