"""Tiny upscaling networks of a true architecture, random weights, saved as people's files are."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact


def tiny(path: Path, *, scale: int = 2, channels: int = 3, seed: int = 0) -> Path:
    """RealESRGAN's compact network with three small convolutions: what it sees reaches three pixels."""
    torch.manual_seed(seed)
    model = Compact(num_in_ch=channels, num_out_ch=channels, num_feat=6, num_conv=1, upscale=scale, act_type="prelu")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return path
