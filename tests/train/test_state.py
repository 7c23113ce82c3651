"""States on disk: exact, in two generations, and never half believed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from modules.faults import DiskFault
from modules.train import state

TREE = {
    "position": {"step": 3}, "numbers": [0.1, 1e-300, math.inf, 2**62, True, None], "pair": (0.9, 0.999),
    "rows": {0: {"step": torch.tensor(3.0), "average": torch.arange(6.0).reshape(2, 3)[:, ::2]}, "empty": torch.zeros(0, 4)},
    "half": torch.tensor([1.5], dtype=torch.bfloat16),
}  # fmt: skip


def test_everything_comes_back_as_it_was(tmp_path: Path):
    state.save(tmp_path, 3, TREE)
    step, found = state.load(tmp_path, print) or (0, {})
    assert step == 3
    assert found["position"] == TREE["position"]
    assert found["numbers"] == TREE["numbers"]
    assert found["pair"] == (0.9, 0.999)
    assert found["rows"].keys() == {0, "empty"}
    assert torch.equal(found["rows"][0]["average"], TREE["rows"][0]["average"])
    assert found["rows"]["empty"].shape == (0, 4)
    assert found["half"].dtype == torch.bfloat16


def test_tensors_that_share_memory_come_back_apart(tmp_path: Path):
    shared = torch.arange(4.0)
    state.save(tmp_path, 1, {"one": shared, "other": shared, "part": shared[1:3]})
    _, found = state.load(tmp_path, print) or (0, {})
    assert torch.equal(found["other"], shared)
    assert torch.equal(found["part"], shared[1:3])


def test_two_generations_are_kept(tmp_path: Path):
    for step in (5, 10, 15):
        state.save(tmp_path, step, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000010", "step-000015"]
    assert state.load(tmp_path, print) == (15, {"step": 15})


@pytest.mark.parametrize("damage", ["tensors cut", "tensor changed", "manifest cut", "manifest changed", "no manifest", "no tensors"])
def test_a_damaged_state_gives_way_to_the_one_before_and_is_told(tmp_path: Path, damage: str):
    for step in (5, 10):
        state.save(tmp_path, step, {"step": step, "weight": torch.full((8,), float(step))})
    newest = tmp_path / "step-000010"
    tensors, manifest = newest / state.TENSORS, newest / state.MANIFEST
    data = tensors.read_bytes()
    text = manifest.read_text()
    {
        "tensors cut": lambda: tensors.write_bytes(data[:-4]),
        "tensor changed": lambda: tensors.write_bytes(data[:-1] + bytes([data[-1] ^ 1])),
        "manifest cut": lambda: manifest.write_text(text[: len(text) // 2]),
        "manifest changed": lambda: manifest.write_text(text.replace('"step", 10', '"step", 11')),
        "no manifest": manifest.unlink,
        "no tensors": tensors.unlink,
    }[damage]()
    told: list[str] = []
    step, found = state.load(tmp_path, told.append) or (0, {})
    assert step == found["step"] == 5
    assert len(told) == 1
    assert "step-000010" in told[0]


def test_no_whole_state_is_a_fault_and_no_state_is_none(tmp_path: Path):
    assert state.load(tmp_path / "nothing", print) is None
    state.save(tmp_path, 5, {})
    (tmp_path / "step-000005" / state.MANIFEST).write_text("{}")
    with pytest.raises(DiskFault, match="damaged"):
        state.load(tmp_path, print)


def test_what_a_killed_process_left_is_swept_and_a_state_that_stepped_aside_comes_back(tmp_path: Path):
    state.save(tmp_path, 5, {"step": 5})
    (tmp_path / ".old-x").mkdir()
    (tmp_path / "step-000005").rename(tmp_path / ".old-x" / "step-000005")
    (tmp_path / ".new-y").mkdir()
    assert state.load(tmp_path, print) == (5, {"step": 5})
    state.save(tmp_path, 5, {"step": 5, "again": True})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000005"]
    assert state.load(tmp_path, print) == (5, {"step": 5, "again": True})


def test_what_cannot_be_part_of_a_state_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(TypeError, match="PosixPath"):
        state.save(tmp_path, 1, {"path": tmp_path})
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_sessions_reads_the_step_without_torch(tmp_path: Path):
    state.save(tmp_path, 7, {})
    assert json.loads((tmp_path / "step-000007" / state.MANIFEST).read_text())["step"] == 7
