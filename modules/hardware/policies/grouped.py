"""Putting layers on the device one by one with diffusers' group offloading, and taking that off again.

The next layer travels while the present one works where the device has streams. Start reading at `travel`.
Source: https://huggingface.co/docs/diffusers/optimization/memory#group-offloading
"""

from __future__ import annotations

from typing import Any

from modules.hardware.policies.row import modules_of, take_away

WITHOUT_STREAMS = ("cpu", "mps")
HOOKS = ("group_offloading", "layer_execution_tracker", "lazy_prefetch_group_offloading")  # by which diffusers knows what it has set


def travel(module: Any, torch_name: str) -> None:
    """The layers of a module are on the device only while they work."""
    import torch
    from diffusers.hooks import apply_group_offloading

    apply_group_offloading(
        module,
        onload_device=torch.device(torch_name),
        offload_device=torch.device("cpu"),
        offload_type="leaf_level",
        use_stream=torch_name not in WITHOUT_STREAMS,
    )


def settle(pipeline: Any) -> None:
    """Layers stay where they are put again; everything goes to main memory."""
    from diffusers.hooks import HookRegistry

    for module in modules_of(pipeline).values():
        registry = HookRegistry.check_if_exists_or_initialize(module)
        for name in HOOKS:
            registry.remove_hook(name, recurse=True)
    take_away(pipeline)
