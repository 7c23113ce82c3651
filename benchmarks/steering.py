"""What the caches and token merging gain, and what they cost in likeness, on the starter model and this machine.

    python -m benchmarks.steering [--pairs 8] [--steps 20] [--side 128] [--only WORD]

Makes the same picture in turn without and with each way, A, B, A, B, ..., and prints the median of B/A pair by pair, and the PSNR of
B against A in dB over all seeds (higher is more alike; above 30 it takes a second look to see a difference).
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from typing import Any

from benchmarks.program import machine

PROMPT = "a red apple, 3d"
WAYS: dict[str, dict[str, Any]] = {
    "the guard alone": {},
    "DeepCache, interval 2, depth 1": {"cache": "DeepCache", "cache_interval": 2},
    "DeepCache, interval 3, depth 1": {"cache": "DeepCache", "cache_interval": 3},
    "DeepCache, interval 2, depth 2": {"cache": "DeepCache", "cache_interval": 2, "cache_depth": 2},
    "token merging 0.3": {"token_merging_ratio": 0.3},
    "token merging 0.5": {"token_merging_ratio": 0.5},
    "NGMS 2": {"s_min_uncond": 2.0},
    "guidance stop 0.6": {"cfg_stop": 0.6},
}


def maker(side: int, steps: int) -> Any:
    """make(seed, asked or None) -> (pixels (1, 3, H, W) around [-1, 1], seconds in the sampler). None: a plain call."""
    import torch
    from diffusers import StableDiffusionPipeline

    from modules.folders import PROGRAM
    from modules.request import Steering
    from modules.samplers.build import build_scheduler
    from modules.steering.course import Context
    from modules.steering.steer import steered

    torch.set_num_threads(1)
    folder = PROGRAM / "models" / "Stable-diffusion" / "darkroom-starter"
    pipeline: Any = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, safety_checker=None, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    config = dict(pipeline.scheduler.config)
    fields = Steering.__dataclass_fields__

    def make(seed: int, asked: dict[str, Any] | None) -> tuple[Any, float]:
        pipeline.scheduler = build_scheduler("DPM++ 2M", "Automatic", config)
        call = {"prompt": PROMPT, "negative_prompt": "", "num_inference_steps": steps, "guidance_scale": 5.0, "output_type": "latent"}
        call |= {"width": side, "height": side, "generator": torch.Generator("cpu").manual_seed(seed)}
        began = time.perf_counter()
        if asked is None:
            latents = pipeline(**call).images
        else:
            steering = Steering(**{k: v for k, v in asked.items() if k in fields})
            settings = {k: v for k, v in asked.items() if k not in fields}
            context = Context(name="starter", architecture="sd1", cfg_scale=5.0, seeds=(seed,), settings=settings)
            with torch.inference_mode(), steered(pipeline, steering, context) as steer, steer.guiding():
                latents = pipeline(**call).images
        spent = time.perf_counter() - began
        with torch.inference_mode():
            return pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample.clamp(-1, 1), spent

    return make


def psnr(a: Any, b: Any) -> float:
    """Of pixels around [-1, 1], in dB; infinite for equal ones."""
    error = float(((a - b) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(4 / error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--only", default="", help="ways whose name holds this word")
    args = parser.parse_args()
    print(machine())
    print(f"{args.pairs} pairs, {args.steps} steps, {args.side}x{args.side}, one thread")
    make = maker(args.side, args.steps)
    make(0, None)
    for name, asked in WAYS.items():
        if args.only not in name:
            continue
        ratios: list[float] = []
        likeness: list[float] = []
        make(0, asked)
        for seed in range(args.pairs):
            plain, before = make(seed, None)
            found, after = make(seed, asked)
            ratios.append(after / before)
            likeness.append(psnr(plain, found))
        times = f"time {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name}: {times}, PSNR {statistics.median(likeness):.1f} dB ({min(likeness):.1f} to {max(likeness):.1f})")


if __name__ == "__main__":
    main()
