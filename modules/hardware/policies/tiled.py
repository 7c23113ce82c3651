"""The whole model stays on the device, and pictures are decoded one by one, large ones in tiles that are blended where they overlap."""

from __future__ import annotations

from modules.hardware.policies.resident import stay
from modules.hardware.policies.row import Policy

TILED = Policy(help="the whole model stays on the device; pictures are decoded one by one and in tiles", apply=stay)
