"""Number types and the order of numbers in memory on this processor: time of a UNet's call, in turn, against float32 as it comes.

    python -m benchmarks.layouts [--rounds 6] [--sides 128 256] [--real]

The starter model's UNet; --real: one of the size of Stable Diffusion 1.5 with random weights (11 GB of memory). Two rows a call, as
with guidance.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from typing import Any

from benchmarks.program import ROOT, machine


def networks(*, real: bool) -> dict[str, Any]:
    """Way -> network. Each has weights of its own, so that nothing is laid out anew between calls."""
    import torch
    from diffusers import UNet2DConditionModel

    from modules.families import shipped

    kind: Any = UNet2DConditionModel
    if real:
        made = kind.from_config(shipped.config("sd15", "unet"))
    else:
        made = kind.from_pretrained(ROOT / "models" / "Stable-diffusion" / "darkroom-starter" / "unet", local_files_only=True)
    made = made.eval().requires_grad_(False)
    found: dict[str, Any] = {}
    for dtype in (torch.float32, torch.bfloat16):
        word = str(dtype).removeprefix("torch.")
        found[word] = copy.deepcopy(made).to(dtype)
        found[f"{word}, channels last"] = copy.deepcopy(made).to(dtype).to(memory_format=torch.channels_last)
    return found


def call(network: Any, side: int) -> float:
    """Seconds of one call."""
    import torch

    drawn = torch.Generator().manual_seed(0)
    latent = torch.randn(2, 4, side // 8, side // 8, generator=drawn).to(network.dtype)
    text = torch.randn(2, 77, network.config.cross_attention_dim, generator=drawn).to(network.dtype)
    began = time.perf_counter()
    with torch.inference_mode():
        network(latent, torch.tensor(500), text)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--real", action="store_true")
    args = parser.parse_args()
    print(machine())
    ways = networks(real=args.real)
    first = next(iter(ways))
    print("| UNet | time | milliseconds a call |\n| --- | --- | --- |")
    for side in args.sides:
        spent: dict[str, list[float]] = {way: [] for way in ways}
        for n in range(args.rounds + 1):
            for way, network in ways.items():
                seconds = call(network, side)
                if n:  # the first round warms up
                    spent[way].append(seconds)
        for way, seconds in spent.items():
            ratio = statistics.median(a / b for a, b in zip(seconds, spent[first], strict=True))
            print(f"| {way}, {side} px | {ratio:.2f} | {1000 * statistics.median(seconds):.1f} |", flush=True)


if __name__ == "__main__":
    main()
