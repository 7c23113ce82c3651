"""The whole model stays on the device, and pictures are decoded one by one, large ones in tiles that are blended where they overlap."""

from __future__ import annotations

from typing import Any

from modules.hardware.policies.row import Policy, spare_vae


def _apply(pipeline: Any, torch_name: str) -> None:
    pipeline.to(torch_name)
    spare_vae(pipeline)


TILED = Policy(help="the whole model stays on the device; pictures are decoded one by one and in tiles", apply=_apply)
