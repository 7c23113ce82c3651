"""What quantising the UNet and the text encoder costs in likeness and saves in memory, on the starter model and this machine.

    python -m benchmarks.quantisation [--pictures 4] [--steps 10] [--side 128] [--only WORD] [--write]

Makes the same pictures in full precision and with every quantiser that runs here, in turn, and prints the PSNR of the pictures against
full precision in dB over all seeds (higher is more alike; above 30 it takes a second look to see a difference), the bytes that the two
components hold, and the median of the time by the full one's, picture by picture. --write keeps the figures in
benchmarks/quantisation.json, from where docs/quantisation.md takes them.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.program import machine
from benchmarks.steering import psnr

PROMPTS = ("a red apple, 3d", "a blue car", "a green tree", "a yellow star")
COMPONENTS = ("unet", "text_encoder")
KEPT = Path(__file__).with_suffix(".json")
MEGABYTE = 1_000_000


def pipelines(only: str) -> dict[str, Any]:
    """Name -> the starter model with that quantiser, "" in full precision first."""
    import torch

    from modules.families import FAMILIES, LoadPlan
    from modules.folders import PROGRAM
    from modules.weights.quantisers import QUANTISERS

    torch.set_num_threads(1)
    folder = PROGRAM / "models" / "Stable-diffusion" / "darkroom-starter"
    names = ["", *(name for name, row in QUANTISERS if not row.refusal("cpu") and only in name)]
    made: dict[str, Any] = {}
    for name in names:
        quantised = dict.fromkeys(COMPONENTS, name) if name else {}
        made[name] = FAMILIES.get("sd15").load(LoadPlan(path=folder, dtype="float32", quantise=quantised))
        made[name].set_progress_bar_config(disable=True)
    gc.collect()
    return made


def picture(pipeline: Any, seed: int, steps: int, side: int) -> tuple[Any, float]:
    """(pixels (1, 3, H, W) in [-1, 1], seconds)."""
    import torch

    call = {"prompt": PROMPTS[seed % len(PROMPTS)], "negative_prompt": "", "num_inference_steps": steps, "guidance_scale": 5.0}
    call |= {"width": side, "height": side, "output_type": "pt", "generator": torch.Generator("cpu").manual_seed(seed)}
    began = time.perf_counter()
    with torch.inference_mode():
        pixels = pipeline(**call).images
    return pixels * 2 - 1, time.perf_counter() - began


def measured(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Name -> {"psnr_db", "bytes", "seconds_ratio"}; "" is full precision."""
    from modules.weights.held import held_bytes

    ways = pipelines(args.only)
    errors: dict[str, list[float]] = {name: [] for name in ways}
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    for pipeline in ways.values():  # what is laid out anew at the first use is so before anything is timed
        picture(pipeline, 0, 2, args.side)
    for seed in range(args.pictures):
        whole, full_s = picture(ways[""], seed, args.steps, args.side)
        for name, pipeline in ways.items():
            pixels, spent_s = picture(pipeline, seed, args.steps, args.side)
            errors[name].append(10 ** (-psnr(whole, pixels) / 10))
            ratios[name].append(spent_s / full_s)
    return {
        name: {
            "psnr_db": round(-10 * math.log10(error), 1) if (error := statistics.fmean(errors[name])) else math.inf,
            "bytes": sum(held_bytes(getattr(pipeline, part)) for part in COMPONENTS),
            "seconds_ratio": round(statistics.median(ratios[name]), 2),
        }
        for name, pipeline in ways.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--only", default="", help="only quantisers with this in their name")
    parser.add_argument("--write", action="store_true", help="keep the figures for the documentation")
    args = parser.parse_args()
    found = measured(args)
    full = found.pop("")
    command = f"python -m benchmarks.quantisation --pictures {args.pictures} --steps {args.steps} --side {args.side}"
    print(f"{command} ({machine()})\n\n| quantiser | PSNR | UNet and text encoder hold | time |\n| --- | --- | --- | --- |")
    print(f"| none, float32 | same | {full['bytes'] / MEGABYTE:.1f} MB | 1 |")
    for name, row in found.items():
        print(f"| {name} | {row['psnr_db']} dB | {row['bytes'] / MEGABYTE:.1f} MB | {row['seconds_ratio']} |")
    if args.write:
        told = {"command": command, "machine": machine(), "full_bytes": full["bytes"], "rows": found}
        KEPT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
