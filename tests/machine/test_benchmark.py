"""How a benchmark is counted and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.machine import benchmark
from modules.machine.benchmark import Results, asked, measured
from modules.machine.versions import short, versions

RESOLVED = {"steps": 20, "width": 128, "height": 128, "checkpoint": {"model_name": "m", "family": "sd15", "sha256": "0123456789abcdef"}}
SAMPLES = [{"kind": "sample"}] * 3


def test_the_runs_differ_in_length_only():
    warm, run = asked("m [01]", 512)
    assert {name for name in run if warm[name] != run[name]} == {"steps", "n_iter"}
    assert (run["width"], run["save_images"], run["override_settings"]["sd_model_checkpoint"]) == (512, False, "m [01]")


def test_steps_are_counted_in_their_own_time_and_pictures_in_all_of_it():
    found = measured({"pictures": [*SAMPLES, {"kind": "grid"}], "seconds": {"total": 6.0, "sample": 4.0, "decode": 1.0}}, RESOLVED)
    assert (found["pictures"], found["it_per_s"], found["pictures_per_s"]) == (3, 15.0, 0.5)
    assert (found["model"], found["hash"], found["size"]) == ("m", "0123456789", "128x128")


@pytest.mark.parametrize("result", [{}, {"pictures": [], "seconds": {"total": 1.0}}, {"pictures": SAMPLES}])
def test_no_picture_is_no_result(result: dict[str, object]):
    with pytest.raises(ValueError, match="no picture"):
        measured(result, RESOLVED)


def test_results_are_kept_newest_first_and_forgotten_ones_do_not_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(benchmark, "KEPT", 5)
    results = Results(tmp_path / "b.json")
    assert results.all() == []
    for n in range(6):
        results.add({"job": f"j{n}", "it_per_s": n})
    assert [row["job"] for row in results.all()[:2]] == ["j5", "j4"]
    assert len(results.all()) == 5
    assert results.remove("j5")
    assert not results.remove("nobody")
    again = Results(tmp_path / "b.json")
    assert again.all()[0]["job"] == "j4"
    assert "j5" in again.jobs()
    (tmp_path / "b.json").write_text("[broken")
    assert again.all() == []


def test_versions_name_the_tested_one():
    rows = {row["name"]: row for row in versions()}
    assert rows["torch"]["tested"]
    assert set(short()) == {"Darkroom", "Python", "System", "torch", "diffusers"}
