"""Only the layer at work is on the device (accelerate's sequential offloading): the least memory, and the slowest.

Not run here: accelerate cannot move layers from the CPU to the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.hardware.policies.row import OFFLOADS, Part, Policy


def _apply(pipeline: Any, torch_name: str) -> None:
    pipeline.enable_sequential_cpu_offload(device=torch_name)


def _held(parts: Mapping[str, Part], at_work: str) -> int:
    return parts[at_work].layer_bytes


LOWVRAM = Policy(
    help="only the layer at work is on the device; slow", apply=_apply, kinds=OFFLOADS, held=_held, apart=lambda component: True, ran=""
)
