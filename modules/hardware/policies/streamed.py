"""Only the layer at work is on the device, and the next one on its way there (diffusers' group offloading with streams)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.hardware.policies.grouped import settle, travel
from modules.hardware.policies.row import OFFLOADS, Part, Policy, modules_of


def visit_by_layers(pipeline: Any, torch_name: str) -> None:
    """Layers are on the device only while they work."""
    for module in modules_of(pipeline).values():
        travel(module, torch_name)


def two_layers(parts: Mapping[str, Part], at_work: str) -> int:
    """The layer at work and the one that follows it."""
    return 2 * parts[at_work].layer_bytes


STREAMED = Policy(
    help="only the layer at work and the next one are on the device; slower", apply=visit_by_layers, lift=settle, kinds=OFFLOADS,
    held=two_layers, apart=lambda component: True, ran="CPU, without streams",
)  # fmt: skip
