"""The whole model stays on the device: the fastest."""

from __future__ import annotations

from typing import Any

from modules.hardware.policies.row import Policy


def stay(pipeline: Any, torch_name: str) -> None:
    """Everything to the device."""
    pipeline.to(torch_name)


RESIDENT = Policy(help="the whole model stays on the device", apply=stay, spares_vae=False)
