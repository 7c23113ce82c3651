"""Tiny autoencoders (TAESD): small networks that decode latents roughly and at once. Files of their maker and diffusers folders.

Knows files and names of weights; knows nothing about when one is used. Start reading at `load`.
Source: github.com/madebyollin/taesd; diffusers' AutoencoderTiny.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from modules.faults import ModelFault
from modules.weights.header import read

_LAYER = re.compile(r"^(?:taesd_)?(encoder|decoder)\.(?:layers\.)?(\d+)\.(.+)$")


def load(path: Path, dtype: str) -> Any:
    """diffusers' AutoencoderTiny of a folder, or of a file that holds a decoder, with or without its encoder; eval mode, on the CPU.

    A file that holds only a decoder ("1.weight", ...) gives an encoder of random weights, which nobody should use.
    Raises ModelFault when it is none.
    """
    import torch
    from diffusers import AutoencoderTiny

    number = getattr(torch, dtype)
    if path.is_dir():
        return AutoencoderTiny.from_pretrained(path, dtype=number, local_files_only=True).train(False)
    names = _names(path)
    from safetensors.torch import load_file

    stored = load_file(path)
    weights = {new: stored[old].to(number) for old, new in names.items()}
    first = weights["decoder.layers.0.weight"]
    model = AutoencoderTiny(
        latent_channels=first.shape[1],
        encoder_block_out_channels=(first.shape[0],) * 4,
        decoder_block_out_channels=(first.shape[0],) * 4,
    ).to(number)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or any(name.startswith("decoder.") for name in missing):
        raise ModelFault(f"{path.name} is not a tiny autoencoder of the usual build ({[*unexpected, *missing][0]}).")
    return model.train(False)


def latent_channels(path: Path) -> int:
    """How many channels its latents have: 4 for SD and SDXL, 16 for SD3 and Flux. Raises ModelFault when it is no tiny autoencoder."""
    if path.is_dir():
        try:
            return int(json.loads((path / "config.json").read_text(encoding="utf-8"))["latent_channels"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFault(f"{path.name} has no description of a tiny autoencoder.") from error
    header = read(path)
    names = {new: old for old, new in _names(path).items()}
    shape = header.shape(names["decoder.layers.0.weight"]) or ()
    if len(shape) != 4:
        raise ModelFault(f"{path.name} is not a tiny autoencoder.")
    return shape[1]


def _names(path: Path) -> dict[str, str]:
    """Name in the file -> name in diffusers. The maker's decoder begins with a clamp that diffusers does not count."""
    found: dict[str, str] = {}
    tensors = read(path).tensors
    bare = all(name.split(".")[0].isdecimal() for name in tensors)
    for name in tensors:
        match = _LAYER.match(f"decoder.{name}" if bare else name)
        if match is None:
            continue
        part, index, rest = match.group(1), int(match.group(2)), match.group(3)
        counted = part == "decoder" and ".layers." not in name
        found[name] = f"{part}.layers.{index - 1 if counted else index}.{rest}"
    if "decoder.layers.0.weight" not in found.values():
        raise ModelFault(f"{path.name} is not a tiny autoencoder.")
    return found
