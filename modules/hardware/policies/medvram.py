"""Only the part at work is on the device (diffusers' model offloading)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.hardware.policies.row import OFFLOADS, Part, Policy


def _apply(pipeline: Any, torch_name: str) -> None:
    pipeline.enable_model_cpu_offload(device=torch_name)


def _held(parts: Mapping[str, Part], at_work: str) -> int:
    return parts[at_work].whole_bytes


MEDVRAM = Policy(help="only the part at work is on the device", apply=_apply, kinds=OFFLOADS, held=_held)
