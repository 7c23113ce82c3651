"""The bench of a worker: chosen from what is there, cached, placed; memory figures in A1111's shape."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from modules.hardware import bench, detect
from modules.hardware.bench import Bench
from modules.hardware.detect import Device
from modules.hardware.memory import cuda_figures, memory
from modules.hardware.speed import half_gain

CARD = Device(kind="cuda", torch_name="cuda:0", name="Card", memory_bytes=8 * 2**30)
CPU = Device(kind="cpu", torch_name="cpu", name="Processor", memory_bytes=16 * 2**30)


def test_the_real_machine_has_a_working_bench(tmp_path: Path):
    cache = tmp_path / "hardware.json"
    found = Bench.choose({"use_cpu": ["all"]}, 0, cache)
    assert (found.device.kind, found.dtype, found.policy) == ("cpu", "float32", "resident")
    data = json.loads(json.dumps(found.to_data()))
    assert [line.partition(":")[0] for line in data["lines"]] == ["Device", "Memory", "Numbers"]
    assert data["count"] == 1
    assert "float32" in data["dtypes"]


def test_what_was_tried_is_kept_until_torch_or_the_driver_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tries: list[str] = []
    monkeypatch.setattr(detect, "try_dtypes", lambda name: (tries.append(name), (("float32",), {"float16": "slow"}))[1])
    cache = tmp_path / "hardware.json"
    first = bench.with_dtypes(CPU, cache)
    again = bench.with_dtypes(CPU, cache)
    assert tries == ["cpu"]
    assert first == again
    assert again.refused == {"float16": "slow"}
    monkeypatch.setattr(bench, "stamp", lambda: "torch 99")
    bench.with_dtypes(CPU, cache)
    assert tries == ["cpu", "cpu"]


def test_a_damaged_cache_is_made_anew(tmp_path: Path):
    cache = tmp_path / "hardware.json"
    cache.write_text("{half")
    assert "float32" in bench.with_dtypes(CPU, cache).dtypes
    assert isinstance(json.loads(cache.read_text()), dict)


def test_a_card_whose_driver_crashes_leaves_the_cpu_and_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench, "probe", lambda with_kernels: [CARD, CPU])
    monkeypatch.setattr(bench, "diagnoses", list)
    monkeypatch.setattr(bench, "probe_in_child", lambda name: {"devices": [], "diagnoses": [], "error": "ended the process (signal 11)"})
    found = Bench.choose({}, 0)
    assert found.device.kind == "cpu"
    assert any("Card computes nothing right (ended the process (signal 11))" in note for note in found.notes)


def test_a_card_is_tried_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch):
    tried = replace(CARD, dtypes=("float32", "float16"))
    monkeypatch.setattr(bench, "probe", lambda with_kernels: [CARD, CPU])
    monkeypatch.setattr(bench, "diagnoses", lambda: ["a diagnosis"])
    monkeypatch.setattr(bench, "probe_in_child", lambda name: {"devices": [tried.to_data()], "diagnoses": [], "error": ""})
    found = Bench.choose({"no_half_vae": True, "medvram": True}, 0)
    assert (found.dtype, found.vae_dtype, found.policy, found.notes) == ("float16", "float32", "medvram", ("a diagnosis",))
    assert [found.step_down() and found.policy for _ in range(5)] == ["vae-on-cpu", "streamed", "lowvram", "streamed-vae-on-cpu", False]


def test_place_changes_the_vae_alone_when_it_needs_another_type():
    calls: list[Any] = []

    class Part:
        def to(self, *where: Any, **what: Any) -> None:
            calls.append((self, where, what))

    pipeline = Part()
    pipeline.vae = Part()
    Bench(CARD, "float16", "float32", "resident").place(pipeline)
    assert [(part is pipeline.vae, where, {k: str(v) for k, v in what.items()}) for part, where, what in calls] == [
        (True, (), {"dtype": "torch.float32"}),
        (False, ("cuda:0",), {}),
    ]


def test_a_second_process_reports_the_real_devices():
    answer = detect.probe_in_child("cpu")
    assert answer["error"] == ""
    found = [Device.from_data(d) for d in answer["devices"]]
    assert [d.kind for d in found] == ["cpu"]
    assert "float32" in found[0].dtypes


def test_a_second_process_that_dies_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    crasher = tmp_path / "python"
    crasher.write_text("#!/bin/sh\necho 'driver says no' >&2\nkill -SEGV $$\n")
    crasher.chmod(0o755)
    monkeypatch.setattr(detect.sys, "executable", str(crasher))
    answer = detect.probe_in_child()
    assert answer["devices"] == []
    assert "signal 11" in answer["error"]
    assert "driver says no" in answer["error"]


def test_memory_has_a1111s_shape():
    found = memory("cpu", "cpu")
    assert set(found) == {"ram", "cuda"}
    assert set(found["ram"]) == {"free", "used", "total"}
    assert found["ram"]["total"] == psutil.virtual_memory().total
    assert found["ram"]["free"] + found["ram"]["used"] == found["ram"]["total"]
    assert set(found["cuda"]) == {"error"}


def test_cuda_memory_has_a1111s_shape():
    stats = {"active_bytes.all.current": 3, "active_bytes.all.peak": 4, "num_ooms": 1}
    found = cuda_figures(10, 30, stats)
    assert found["system"] == {"free": 10, "used": 20, "total": 30}
    assert found["active"] == {"current": 3, "peak": 4}
    assert found["events"] == {"retries": 0, "oom": 1}
    assert set(found) == {"system", "active", "allocated", "reserved", "inactive", "events"}


def test_cuda_memory_without_a_card_says_so():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a card here")
    assert "error" in memory("cuda", "cuda:0")["cuda"]


def test_half_precision_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    cache, asked = tmp_path / "hardware.json", []
    monkeypatch.setattr(bench, "half_gain", lambda dtype: asked.append(dtype) or 1.234)
    flags = {"use_cpu": ["all"], "precision": "fastest"}
    first, second = (Bench.choose(flags, 0, cache) for _ in range(2))
    assert asked == ["bfloat16"]
    assert first.dtype == second.dtype == "bfloat16"
    assert "1.2 times as fast" in " ".join(second.notes)


def test_half_precision_is_measured_with_real_kernels():
    assert 0.01 < half_gain("bfloat16") < 100
