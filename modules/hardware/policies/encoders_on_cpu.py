"""The text encoders work on the CPU for good: prompts are read there, and only what they say travels to the device. All else stays there.

Frees what `encoders` frees, without layers that travel: for devices that know no offloading, and where even their visit is too much.
"""

from __future__ import annotations

from modules.hardware.policies.resident import stay
from modules.hardware.policies.row import OFFLOADS, TEXT, Policy, is_text

ENCODERS_ON_CPU = Policy(
    help="the text encoders work on the CPU; pictures are decoded one by one and in tiles", apply=stay,
    kinds=(*OFFLOADS, "directml"), apart=is_text, on_cpu=(TEXT,),
)  # fmt: skip
