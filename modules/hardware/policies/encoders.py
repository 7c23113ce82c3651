"""The text encoders wait in main memory, and their layers visit the device one by one while they read; all else stays there.

Worth most where the text encoders are large: T5 is 9 GB of Stable Diffusion 3 and of Flux.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.hardware.policies.grouped import settle, travel
from modules.hardware.policies.row import OFFLOADS, Part, Policy, is_text, modules_of


def _apply(pipeline: Any, torch_name: str) -> None:
    for name, module in modules_of(pipeline).items():
        if is_text(name):
            travel(module, torch_name)
        else:
            module.to(torch_name)


def _held(parts: Mapping[str, Part], at_work: str) -> int:
    staying = sum(part.whole_bytes for name, part in parts.items() if not is_text(name))
    return staying + (2 * parts[at_work].layer_bytes if is_text(at_work) else 0)


ENCODERS = Policy(
    help="the text encoders wait in main memory; pictures are decoded one by one and in tiles", apply=_apply, lift=settle, kinds=OFFLOADS,
    held=_held, apart=is_text, ran="CPU, without streams",
)  # fmt: skip
