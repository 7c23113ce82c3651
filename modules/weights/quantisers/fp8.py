"""8-bit floats, layer by layer: weights lie in float8 and become full numbers while their layer works (diffusers' layerwise casting).

Needs no package and no kernels of its own: casting works wherever torch has the type. Start reading at `FP8`.
"""

from __future__ import annotations

from typing import Any

from modules.weights.quantisers.row import Quantiser, Written

_NO_TYPE = "torch has no 8-bit floats on this device."


def _row(title: str, note: str, stored: str) -> Quantiser:
    def cast(layer: Any, compute: Any) -> Any:
        import torch
        from diffusers.hooks.layerwise_casting import apply_layerwise_casting_hook

        apply_layerwise_casting_hook(layer, getattr(torch, stored), compute, non_blocking=False)
        return layer

    def make(layer: Any, torch_name: str) -> Any:
        return cast(layer, layer.weight.dtype)

    def full(layer: Any) -> Any:
        import torch

        return layer.weight.detach().to("cpu", torch.float32)

    def tensors(layer: Any) -> Written:
        return dict(layer.state_dict()), {}

    def restore(layer: Any, found: Written) -> Any:
        compute = layer.weight.dtype
        layer.load_state_dict(found[0], assign=True)
        return cast(layer, compute)

    return Quantiser(
        title=title,
        bytes_per_weight=1.0,
        note=note,
        make=make,
        full=full,
        tensors=tensors,
        restore=restore,
        layers=("Linear", "Conv2d"),
        keeps=("norm",),  # as diffusers does: without scales the small numbers of modulation layers suffer
        refused={"mps": _NO_TYPE, "directml": _NO_TYPE},
        ran="CPU",
        source="https://huggingface.co/docs/diffusers/optimization/memory#layerwise-casting",
    )


FP8 = _row(
    "8-bit float (e4m3)", "Convolutions too, so it saves most on SD 1.x and SDXL. The same type as fp8 checkpoints have.", "float8_e4m3fn"
)
FP8_E5M2 = _row("8-bit float (e5m2)", "A wider range and fewer digits than e4m3: choose it only where e4m3 overflows.", "float8_e5m2")
