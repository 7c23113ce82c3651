"""Pickles: honest ones become safetensors, malicious ones are named and never run, and the child's walls stand."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from modules.faults import Cancelled, ModelFault
from modules.folders import PROGRAM
from modules.upkeep.report import Report
from modules.upkeep.unpickle import unpickle
from modules.upkeep.unpickle_child import Refused, check_size, load, sort_out
from tests.upkeep.conftest import Control


def rescue(source: Path, report: Report) -> Path:
    target = source.with_suffix(".safetensors")
    unpickle({"paths": {"source": str(source)}, "target": str(target)}, report)
    return target


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


class ModelCheckpoint:
    """What PyTorch Lightning leaves in its checkpoints."""


ModelCheckpoint.__module__ = "pytorch_lightning.callbacks.model_checkpoint"


def test_a_checkpoint_of_a_training_program_gives_its_weights_bit_for_bit(tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch):
    weights = {"a.weight": torch.randn(5, 7), "b": torch.randn(3).half(), "c": torch.randn(4, 4).bfloat16().t(), "n": torch.tensor(3)}
    weights["same"] = weights["a.weight"]
    module = type(sys)("pytorch_lightning.callbacks.model_checkpoint")
    module.ModelCheckpoint = ModelCheckpoint
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    source = tmp_path / "m.ckpt"
    torch.save({"state_dict": weights, "global_step": 840000, "callbacks": {ModelCheckpoint: {"best": 1.0}}}, source)
    target = rescue(source, report)
    with safe_open(target, "pt") as file:
        assert set(file.keys()) == set(weights)
        for name, tensor in weights.items():
            assert torch.equal(file.get_tensor(name), tensor)
            assert file.get_tensor(name).dtype == tensor.dtype
        assert file.metadata()["global_step"] == "840000"
    assert report.files == [target]
    assert any("callbacks" in w for w in report.warnings)
    assert source.exists()


def test_an_embedding_of_a1111_keeps_its_vectors_and_name(tmp_path: Path):
    vectors = torch.nn.Parameter(torch.randn(4, 768))
    source = tmp_path / "style.pt"
    torch.save(
        {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "style", "step": 500, "sd_checkpoint": None}, source
    )
    tensors, texts, left_out = sort_out(load(source))
    assert torch.equal(tensors["emb_params"], vectors)
    assert (texts["name"], texts["step"], left_out) == ("style", "500", ["sd_checkpoint", "string_to_token"])


def test_the_old_format_without_zip_is_read_too(tmp_path: Path):
    source = tmp_path / "old.pt"
    torch.save({"w": torch.arange(6.0)}, source, _use_new_zipfile_serialization=False)
    assert torch.equal(sort_out(load(source))[0]["w"], torch.arange(6.0))


def test_a_malicious_file_leaves_nothing_behind(tmp_path: Path, report: Report):
    mark, source = tmp_path / "it-ran", tmp_path / "evil.ckpt"
    torch.save({"state_dict": {"w": torch.ones(3)}, "x": Evil(mark)}, source)
    with pytest.raises(ModelFault, match=r"evil\.ckpt holds more than weights: it wants to use posix\.system\. Nothing of it was run"):
        rescue(source, report)
    assert [p.name for p in tmp_path.iterdir()] == ["evil.ckpt"]


@pytest.mark.parametrize("way", ["zip", "old", "bare"])
def test_a_pickle_with_a_program_in_it_is_never_run(tmp_path: Path, way: str):
    mark, source = tmp_path / "it-ran", tmp_path / "evil.ckpt"
    content = {"state_dict": {"w": torch.ones(3)}, "x": Evil(mark)}
    if way == "bare":
        source.write_bytes(pickle.dumps(Evil(mark)))
    else:
        torch.save(content, source, _use_new_zipfile_serialization=way == "zip")
    with pytest.raises((Refused, pickle.UnpicklingError, RuntimeError)):
        load(source)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 broken zip", b"\x80\x02}q\x00."])
def test_broken_files_end_in_an_error_that_the_parent_tells(tmp_path: Path, content: bytes):
    source = tmp_path / "broken.ckpt"
    source.write_bytes(content)
    with pytest.raises((Refused, pickle.UnpicklingError, RuntimeError, EOFError)):
        sort_out(load(source))


def test_a_broken_file_is_told_in_words_and_leaves_nothing(tmp_path: Path, report: Report):
    source = tmp_path / "broken.ckpt"
    source.write_bytes(b"PK\x03\x04 broken zip")
    with pytest.raises(ModelFault, match=r"broken\.ckpt cannot be read: .*\. Download it again"):
        rescue(source, report)
    assert [p.name for p in tmp_path.iterdir()] == ["broken.ckpt"]


def test_a_small_file_cannot_become_a_huge_one(tmp_path: Path):
    source = tmp_path / "bomb.pt"
    torch.save({"w": torch.ones(1).expand(10**9)}, source)
    with pytest.raises(Refused, match="many times its size"):
        check_size(sort_out(load(source))[0], source.stat().st_size)


def test_it_can_be_stopped(tmp_path: Path):
    control = Control()
    report = Report(control)
    source = tmp_path / "m.ckpt"
    torch.save({"w": torch.ones(3)}, source)
    control.stop_after = 1
    with pytest.raises(Cancelled):
        rescue(source, report)
    assert [p.name for p in tmp_path.iterdir()] == ["m.ckpt"]


WALLS = """
import os, socket, subprocess, sys
from pathlib import Path
from modules.upkeep.unpickle_child import lock_up
folder = Path(sys.argv[1])
(folder / "precious").write_text("x")
lock_up(1000, folder / "target")
def tried(what):
    try:
        what()
        return "done"
    except (PermissionError, MemoryError, OSError, RuntimeError):
        return "refused"
(folder / "target").write_bytes(b"ok")
print(tried(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), 2)))
print(tried(lambda: os.system("true")), tried(lambda: subprocess.run(["true"])))
print(tried(lambda: (folder / "other").write_text("x")), tried(lambda: os.remove(folder / "precious")))
print(tried(lambda: bytearray(6 * 2**30)), tried(lambda: (folder / "target").write_bytes(bytes(200 * 2**20))))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory limits are Linux's")
def test_behind_the_walls_there_is_no_network_no_process_and_no_other_file(tmp_path: Path, site):
    done = subprocess.run(
        [sys.executable, "-c", WALLS, str(tmp_path), str(site.port)], cwd=PROGRAM, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["refused"] * 7
    assert sorted(p.name for p in tmp_path.iterdir()) == ["precious", "target"]
