"""The peak of memory: real on this machine's CPU, and what is asked of torch for a card."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from modules.hardware.peak import Peak, held_at_most

MIB = 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")
def test_on_the_cpu_the_peak_is_counted_anew_from_begin():
    peak = Peak("cpu", "cpu")
    held = torch.ones(300 * MIB // 4)
    before = peak.bytes()
    del held
    peak.begin()
    calm = peak.bytes()
    assert calm < before - 200 * MIB
    held = torch.ones(120 * MIB // 4)
    del held
    assert calm + 90 * MIB < peak.bytes() < before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")
def test_what_is_held_while_a_model_is_read_does_not_count():
    peak = Peak("cpu", "cpu")
    peak.begin()
    calm = peak.bytes()
    held = torch.ones(120 * MIB // 4)
    del held
    before = peak.bytes()
    assert before > calm + 90 * MIB
    with peak.paused():
        held = torch.ones(300 * MIB // 4)
        del held
    assert before <= peak.bytes() < before + 30 * MIB
    peak.begin()
    assert peak.bytes() < before - 60 * MIB


@pytest.mark.parametrize(("kind", "module"), [("cuda", "cuda"), ("rocm", "cuda"), ("xpu", "xpu")])
def test_a_card_is_asked_by_torch(monkeypatch: pytest.MonkeyPatch, kind: str, module: str):
    asked: list[str] = []
    counter = SimpleNamespace(
        reset_peak_memory_stats=lambda name: asked.append(name), max_memory_allocated=lambda name: 5 if asked == [name] else 0
    )
    monkeypatch.setattr(torch, module, counter)
    peak = Peak(kind, f"{module}:1")
    peak.begin()
    assert asked == [f"{module}:1"]
    assert peak.bytes() == 5


def test_where_nobody_counts_it_is_not_known(tmp_path: Path):
    peak = Peak("mps", "mps")
    peak.begin()
    assert peak.bytes() == 0
    assert held_at_most(tmp_path / "none") == 0
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t  2048 kB\n")
    assert held_at_most(tmp_path / "status") == 2 * MIB
