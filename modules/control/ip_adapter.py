"""IP-Adapters: a file that lets a UNet read a picture beside the text, and the image encoder that it reads through.

Loading and running are diffusers' own; nothing but safetensors is read. For UNets (Stable Diffusion 1, XL).
Start reading at `worn`. Source: arXiv:2308.06721; which blocks carry style and which the layout: arXiv:2404.02733, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from modules.faults import ModelFault

# Architecture -> the blocks that carry style and those that carry the layout, as diffusers names them; no row: all blocks alike.
STYLE_BLOCKS: dict[str, Any] = {"sdxl": ("up", "block_0", [0.0, 1.0, 0.0])}
LAYOUT_BLOCKS: dict[str, Any] = {"sdxl": ("down", "block_2", [0.0, 1.0])}
# Width of the published CLIP image encoders -> (heads, activation), which shapes do not tell.
_PUBLISHED = {768: (12, "quick_gelu"), 1024: (16, "quick_gelu"), 1280: (16, "gelu"), 1664: (16, "gelu")}
_PREFIX = "vision_model."


def scales(architecture: str, style: float, composition: float) -> float | dict[str, Any]:
    """What `set_ip_adapter_scale` takes. style, composition: 0 to 1. Without known blocks the larger one counts everywhere."""
    if architecture not in STYLE_BLOCKS:
        return max(style, composition)
    found: dict[str, Any] = {}
    for (side, block, which), strength in ((STYLE_BLOCKS[architecture], style), (LAYOUT_BLOCKS[architecture], composition)):
        found[side] = {block: [strength * share for share in which]}
    return found


def read_adapter(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors of an IP-Adapter file as diffusers takes them. Raises ModelFault."""
    parts: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    with safe_open(path, framework="pt", device="cpu") as file:
        for key in file.keys():  # noqa: SIM118 - not a dict
            part, _, name = key.partition(".")
            if part in parts:
                parts[part][name] = file.get_tensor(key)
    if not all(parts.values()):
        raise ModelFault(f"{path.name} is no IP-Adapter: it has no image projection. Choose another file.")
    return parts


def read_encoder(path: Path, dtype: torch.dtype) -> CLIPVisionModelWithProjection:
    """The CLIP image encoder of a folder or of a single file, eval mode, on the CPU. Raises ModelFault."""
    if path.is_dir():
        loaded: Any = CLIPVisionModelWithProjection.from_pretrained(path, dtype=dtype, use_safetensors=True, local_files_only=True)
        return loaded.train(False)
    with safe_open(path, framework="pt", device="cpu") as file:
        names = [key for key in file.keys() if key.startswith(_PREFIX) or key == "visual_projection.weight"]  # noqa: SIM118
        weights = {key: file.get_tensor(key) for key in names if not key.endswith("position_ids")}
    model: Any = CLIPVisionModelWithProjection(_config(weights, path))
    missing, _ = model.load_state_dict(weights, strict=False)
    lacking = [name for name in missing if not name.endswith("position_ids")]
    if lacking:
        raise ModelFault(f"{path.name} lacks parts of a CLIP image encoder ({lacking[0]}). Choose another file.")
    return model.to(dtype).train(False)


def _config(weights: dict[str, torch.Tensor], path: Path) -> CLIPVisionConfig:
    try:
        width = weights[f"{_PREFIX}embeddings.class_embedding"].shape[0]
        patch = weights[f"{_PREFIX}embeddings.patch_embedding.weight"].shape[-1]
        places = weights[f"{_PREFIX}embeddings.position_embedding.weight"].shape[0]
        inner = weights[f"{_PREFIX}encoder.layers.0.mlp.fc1.weight"].shape[0]
        out = weights["visual_projection.weight"].shape[0]
    except KeyError as error:
        raise ModelFault(f"{path.name} is no CLIP image encoder: it has no {error}. Choose another file.") from error
    layers = len({key.split(".")[3] for key in weights if key.startswith(f"{_PREFIX}encoder.layers.")})
    heads, activation = _PUBLISHED.get(width, (max(1, width // 64), "gelu"))
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        patch_size=patch,
        image_size=math.isqrt(places - 1) * patch,
        projection_dim=out,
        hidden_act=activation,
    )


@contextmanager
def worn(pipeline: Any, adapter: Path, encoder: Path, *, architecture: str, style: float, composition: float) -> Iterator[None]:
    """Inside, the pipeline takes `ip_adapter_image` and reads it through this adapter; afterwards it is as before.

    Raises ModelFault when the two files do not go with each other or with the model.
    """
    network = pipeline.unet
    image_encoder = read_encoder(encoder, network.dtype).to(network.device)
    side: Any = image_encoder.config.image_size
    before = pipeline.feature_extractor
    pipeline.register_modules(
        image_encoder=image_encoder,
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}),
    )
    try:
        _load(pipeline, adapter, encoder)
        pipeline.set_ip_adapter_scale(scales(architecture, style, composition))
        yield
    finally:
        if network.encoder_hid_proj is not None:
            pipeline.unload_ip_adapter()
        pipeline.register_modules(image_encoder=None, feature_extractor=before)


def _load(pipeline: Any, adapter: Path, encoder: Path) -> None:
    parts = read_adapter(adapter)
    plain = parts["image_proj"].get("proj.weight")
    width = pipeline.image_encoder.config.projection_dim
    if plain is not None and plain.shape[1] != width:
        raise ModelFault(
            f"{adapter.name} reads pictures as vectors of width {plain.shape[1]}; the image encoder {encoder.name} makes {width}. "
            "Choose the encoder it was trained with."
        )
    try:
        pipeline.load_ip_adapter(parts, subfolder="", weight_name="", image_encoder_folder=None)
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ModelFault(f"{adapter.name} does not fit this model: {reason}. Choose an IP-Adapter made for it.") from error
