"""The whole model stays on the device: the fastest."""

from __future__ import annotations

from typing import Any

from modules.hardware.policies.row import Policy


def _apply(pipeline: Any, torch_name: str) -> None:
    pipeline.to(torch_name)


RESIDENT = Policy(help="the whole model stays on the device", apply=_apply, spares_vae=False)
