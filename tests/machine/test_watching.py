"""Memory over time, temperatures and cards: figures of real processes, and what is not there is left out."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from modules.machine import sensors, watching
from modules.machine.watching import Sample, Watch, highest

CARD = {"cuda": {"system": {"used": 5, "free": 3, "total": 8}}}
SMI = """#!/bin/sh
echo "0, NVIDIA H200, 41, 1024, 143771, 7, 120.5"
echo "1, Quiet card, [N/A], [N/A], 100, [Not Supported], [N/A]"
echo "a line of something else"
"""


def test_a_sample_counts_the_processes_below(tmp_path: Path):
    watch = Watch(lambda: [])
    before = watch.samples("hour")[0]
    code = "x = bytearray(80_000_000); print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        watch.step()
        child.kill()
    after = watch.samples("hour")[-1]
    assert after["workers"] - before["workers"] > 70_000_000
    assert after["page"] > 10_000_000
    assert after["machine"] > after["page"]
    assert after["device"] is None


def test_the_device_is_what_its_worker_reported():
    watch = Watch(lambda: [CARD, CARD, {"cuda": {"error": "none"}}, {}])
    watch.step()
    assert watch.samples("hour")[-1]["device"] == 10


def test_a_day_is_kept_coarsely_with_the_highest_of_each(monkeypatch: pytest.MonkeyPatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(watching, "HOUR", 50)
    monkeypatch.setattr(watching.time, "time", lambda: clock.now)
    watch = Watch(lambda: [])
    for _ in range(100):
        watch.step()
        clock.now += watching.EVERY_S
    assert len(watch.samples("hour")) == 50
    assert len(watch.samples("day")) == -(-100 // watching.COARSE) + 1


def test_the_highest_of_several_samples():
    one = Sample(time_s=1, page=5, workers=1, machine=9, device=None)
    two = dataclasses.replace(one, time_s=2, page=4, workers=7)
    assert highest([one, two]) == Sample(time_s=2, page=5, workers=7, machine=9, device=None)
    assert highest([dataclasses.replace(one, device=3), two]).device == 3


@pytest.fixture
def chips(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: found, raising=False)
    return found


def test_the_warmest_sensor_of_each_part(chips: dict[str, list[Any]]):
    def sensor(current: float, high: float | None = None, critical: float | None = None) -> SimpleNamespace:
        return SimpleNamespace(current=current, high=high, critical=critical)

    chips["coretemp"] = [sensor(40.0, 80.0, 100.0), sensor(55.3, 80.0, 100.0), sensor(255.0)]
    chips["nvme"] = [sensor(38.0, 70.0)]
    chips["acpitz"] = [sensor(27.8)]
    assert [(t.part, t.celsius, t.limit) for t in sensors.temperatures()] == [("Processor", 55.3, 100.0), ("Disk", 38.0, 70.0)]


def test_a_system_without_sensors_says_nothing(chips: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch):
    assert sensors.temperatures() == []
    monkeypatch.delattr(psutil, "sensors_temperatures")
    assert sensors.temperatures() == []


def test_cards_as_the_drivers_tool_tells_them(tmp_path: Path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(SMI)
    tool.chmod(0o755)
    first, second = sensors.cards(str(tool))
    assert (first.name, first.celsius, first.used_bytes, first.percent, first.watts) == ("NVIDIA H200", 41.0, 2**30, 7.0, 120.5)
    assert (second.celsius, second.used_bytes, second.total_bytes, second.watts) == (None, None, 100 * 2**20, None)
    assert sensors.cards(str(tmp_path / "nothing")) == []
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert sensors.cards(str(tool)) == []
