"""The lists of what can compute here: whole, with a reason or a figure, and readable without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modules.backends.table import BACKENDS
from modules.machine import computing
from modules.weights.quantisers import QUANTISERS


@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps"])
def test_everything_is_there_with_the_reason_of_its_row(kind: str) -> None:
    found = {one.name: one.why for one in computing.backends(kind)}
    assert found == {name: row.probe(kind) for name, row in BACKENDS}
    assert found["eager"] == ""
    assert found["tensorrt"]
    kept = {one.name: one for one in computing.quantisers(kind)}
    assert list(kept) == QUANTISERS.names()
    assert kept["torchao-int4"].psnr_db is None
    assert bool(kept["fp8"].why) == (kind == "mps")


def test_figures_are_those_that_were_measured() -> None:
    fp8 = next(one for one in computing.quantisers("cpu") if one.name == "fp8")
    told = computing.figures()
    assert (fp8.psnr_db, fp8.memory_share, fp8.time_ratio) == told.rows["fp8"]
    assert fp8.psnr_db is not None
    assert 25 < fp8.psnr_db < 60
    assert "benchmarks.quantisation" in told.command
    assert computing.cost("fp8") == f"{fp8.psnr_db:g} dB, {fp8.memory_share:.0%} of the memory"
    assert computing.cost("torchao-int4") == ""


def test_without_the_file_nothing_is_made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(computing, "FIGURES", computing.PROGRAM / "nowhere.json")
    computing.figures.cache_clear()
    assert computing.figures().rows == {}
    assert {one.psnr_db for one in computing.quantisers("cpu")} == {None}
    computing.figures.cache_clear()


def test_it_needs_no_torch() -> None:
    asked = "c.backends('cpu'); c.attentions('cpu'); c.quantisers('cpu')"
    code = f"import sys, modules.machine.computing as c; {asked}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
