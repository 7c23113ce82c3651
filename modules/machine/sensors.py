"""How warm the machine is, and what NVIDIA's own tool says about its cards. What cannot be read is left out, without a word.

Start reading at `temperatures`.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import psutil

ASK = "index,name,temperature.gpu,memory.used,memory.total,utilization.gpu,power.draw"
TIMEOUT_S = 5.0
MIB = 2**20
SENSIBLE_C = (-20.0, 150.0)  # sensors that are not connected say -273 or 255
# Names of Linux's drivers -> what people call it.
PARTS = {"coretemp": "Processor", "k10temp": "Processor", "zenpower": "Processor", "cpu_thermal": "Processor", "amdgpu": "Graphics card",
         "nouveau": "Graphics card", "nvme": "Disk", "drivetemp": "Disk"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """part: what is measured; celsius: now; limit: where it becomes too hot, None where nobody says."""

    part: str
    celsius: float
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """An NVIDIA card as its driver sees it. Memory in bytes; percent: how busy; None for what it does not tell."""

    index: int
    name: str
    celsius: float | None
    used_bytes: int | None
    total_bytes: int | None
    percent: float | None
    watts: float | None


def temperatures() -> list[Temperature]:
    """The warmest sensor of each part that the system tells about; none on systems that do not (Windows, macOS)."""
    read: Any = getattr(psutil, "sensors_temperatures", None)
    if read is None:
        return []
    try:
        chips = read()
    except (OSError, RuntimeError):
        return []
    warmest: dict[str, Temperature] = {}
    for chip, sensors in chips.items():
        part = PARTS.get(chip, "")
        for sensor in sensors if part else ():
            if SENSIBLE_C[0] < sensor.current < SENSIBLE_C[1] and (part not in warmest or sensor.current > warmest[part].celsius):
                warmest[part] = Temperature(part=part, celsius=round(float(sensor.current), 1), limit=sensor.critical or sensor.high)
    return list(warmest.values())


def cards(program: str | None = None) -> list[Card]:
    """What nvidia-smi tells; none where it is not there or fails. program: its path, for tests."""
    found = program or shutil.which("nvidia-smi")
    if not found:
        return []
    command = [found, f"--query-gpu={ASK}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [card for line in done.stdout.splitlines() if done.returncode == 0 and (card := _card(line)) is not None]


def _card(line: str) -> Card | None:
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != len(ASK.split(",")) or not cells[0].isdecimal():
        return None
    celsius, used, total, percent, watts = (_number(cell) for cell in cells[2:])
    return Card(
        index=int(cells[0]),
        name=cells[1],
        celsius=celsius,
        used_bytes=None if used is None else int(used * MIB),
        total_bytes=None if total is None else int(total * MIB),
        percent=percent,
        watts=watts,
    )


def _number(text: str) -> float | None:
    """None for "[N/A]" and the like."""
    try:
        return float(text)
    except ValueError:
        return None
