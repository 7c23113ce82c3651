"""A resolved request and parameters texts that several tests start from."""

from __future__ import annotations

import dataclasses
from typing import Any

from modules.request import Checkpoint, ResolvedRequest
from modules.settings import Settings

CHECKPOINT = Checkpoint(
    title="exampleMix_v1 [0a1b2c3d4e]", model_name="exampleMix_v1", path="exampleMix_v1", family="sd15", sha256="0a1b2c3d4e" + "0" * 54
)
PLAIN = """a lighthouse on a cliff, evening light
Negative prompt: people, text
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1234567890, Size: 512x768, Model hash: 0a1b2c3d4e, \
Model: exampleMix_v1, Version: v1.10.1"""
HIRES = """portrait of a knight, (ornate armour:1.2) <lora:inkStyle:0.7>
Negative prompt: badhands
Steps: 28, Sampler: Euler a, Schedule type: Automatic, CFG scale: 6.5, Seed: 42, Size: 512x512, Model hash: 0a1b2c3d4e, \
Model: exampleMix_v1, VAE hash: 5f6e7d8c9b, VAE: some-vae.safetensors, Denoising strength: 0.45, Clip skip: 2, \
Hires prompt: "portrait of a knight, sharp, detailed", Hires upscale: 1.5, Hires steps: 12, Hires upscaler: R-ESRGAN 4x+, \
Lora hashes: "inkStyle: 9f8e7d6c5b4a", TI hashes: "badhands: 1122334455aa", Version: v1.10.1"""
INPAINT = """a sign that says "Open: 9, 10",
wooden frame
Negative prompt: blurry
Steps: 30, Sampler: DPM++ SDE, Schedule type: Karras, CFG scale: 7.0, Seed: 99, Size: 512x512, Model hash: 0a1b2c3d4e, \
Model: exampleInpaint, Denoising strength: 0.6, Conditional mask weight: 1.0, Mask blur: 8, Inpaint area: Only masked, \
Masked area padding: 32, Masked content: latent noise, Version: v1.10.1"""
UNITS = """a dancer
Steps: 25, Sampler: UniPC, Schedule type: Automatic, CFG scale: 7, Seed: 5, Size: 768x512, Model hash: 0a1b2c3d4e, Model: exampleMix_v1, \
Variation seed: 77, Variation seed strength: 0.3, ControlNet 0: "Module: openpose_full, Model: control_pose [cab727d4], Weight: 1.0, \
Resize Mode: Crop and Resize, Guidance End: 0.8, Control Mode: Balanced", ControlNet 1: "Module: canny, Model: control_canny [d14c016b], \
Control Mode: ControlNet is more important", ADetailer model: face_yolov8n.pt, ADetailer confidence: 0.3, ADetailer version: 24.5.1, \
Version: v1.10.1"""
XYZ = """a cat
Steps: 20, Sampler: Euler, Schedule type: Automatic, CFG scale: 5, Seed: 11, Size: 512x512, Model: exampleMix_v1, Script: X/Y/Z plot, \
X Type: CFG Scale, X Values: 5-9 [3], Y Type: Seed, Y Values: "11,12", Fixed Y Values: "11, 12", Version: v1.10.1"""


def resolved(**changes: Any) -> ResolvedRequest:
    """A resolved request for n_iter * batch_size pictures, seeds from `seed` (1000) on. settings: some that differ from the defaults."""
    n_iter, batch_size = changes.pop("n_iter", 1), changes.pop("batch_size", 1)
    prompt, negative = changes.pop("prompt", "a red apple, 3d"), changes.pop("negative_prompt", "")
    seed, count = changes.pop("seed", 1000), n_iter * batch_size
    base = ResolvedRequest(
        prompt=prompt, negative_prompt=negative, all_prompts=(prompt,) * count, all_negative_prompts=(negative,) * count,
        all_seeds=tuple(range(seed, seed + count)), styles=(), steps=20, sampler_name="Euler a", scheduler="Automatic", cfg_scale=7.0,
        width=64, height=48, batch_size=batch_size, n_iter=n_iter, checkpoint=CHECKPOINT, save_images=True,
        settings=dataclasses.asdict(Settings()) | changes.pop("settings", {}), overrides={},
    )  # fmt: skip
    return dataclasses.replace(base, **changes)
