"""Two processes with a batch of one, their sums carried by accelerate over gloo, against one process with a batch of two."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modules.folders import Folders
from modules.train.company import Company
from modules.train.data.cache import DiskCache
from modules.train.data.dataset import Dataset
from modules.train.loop import train
from modules.train.sessions import Session
from tests.train.killing import NAME, processes
from tests.train.runs import PLAIN, Quiet, curve, session_at
from tests.train.tiny_trainee import TinyTrainee

CONFIG = {**PLAIN, "train_batch_size": 2, "max_train_steps": 5, "save_every": 100, "validate_every": 0, "sample_every": 0}


def go(home: Path, rank: int, size: int, port: int) -> None:
    """One of the processes."""
    if size > 1:
        where = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": size,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "ACCELERATE_USE_CPU": 1,
        }
        os.environ.update({name: str(value) for name, value in where.items()})
    torch.set_num_threads(1)
    session = Session.open(Folders.at(data=home), NAME)
    config = session.config()
    trainee = TinyTrainee(config)
    trainee.body[2].p = 0.0  # dropout is drawn by each process for itself
    train(session, config, trainee, Dataset.of(session, config), Quiet(), cache=DiskCache(session.paths.cache))


def test_two_processes_train_what_one_does_with_the_doubled_batch(tmp_path: Path):
    alone = session_at(tmp_path / "alone", CONFIG)
    go(tmp_path / "alone", 0, 1, 0)
    both = session_at(tmp_path / "both", {**CONFIG, "train_batch_size": 1, "num_processes": 2})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [processes().Process(target=go, args=(tmp_path / "both", rank, 2, port)) for rank in (0, 1)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0]
    one, two = ([row["loss"] for row in curve(session)] for session in (alone, both))
    assert two == pytest.approx(one, rel=1e-5)
    made, other = (load_file(session.paths.output / "cat.safetensors") for session in (alone, both))
    assert all(torch.allclose(made[name], other[name], atol=1e-6) for name in made)


def test_one_process_that_is_left_takes_the_batches_of_two(tmp_path: Path):
    """In pieces of the size that each would have had: a training goes on with fewer devices and learns the same."""
    alone = session_at(tmp_path / "alone", CONFIG)
    left = session_at(tmp_path / "left", {**CONFIG, "train_batch_size": 1, "num_processes": 2})
    for home in ("alone", "left"):
        go(tmp_path / home, 0, 1, 0)
    one, other = ([row["loss"] for row in curve(session)] for session in (alone, left))
    assert other == pytest.approx(one, rel=1e-5)
    made, again = (load_file(session.paths.output / "cat.safetensors") for session in (alone, left))
    assert all(torch.allclose(made[name], again[name], atol=1e-6) for name in made)


def test_shares_of_a_batch_are_whole_and_apart():
    for size in (1, 2, 3, 4):
        for count in range(1, 9):
            shares = [list(Company(rank, size).share(range(count))) for rank in range(size)]
            assert [row for share in shares for row in share] == list(range(count))
