"""The denoiser in a description: which kind of network it is, and the few sizes that tell the families apart.

Reads keys and shapes of single files (original and diffusers names, with or without a prefix) and configs of model folders, and
gives the same record for all of them. Knows no family by name. Start reading at `find_unet`, `find_mmdit`, `find_flux`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modules.weights.header import Header
from modules.weights.model_folder import ModelFolder

PREFIXES = ("model.diffusion_model.", "", "diffusion_model.", "unet.", "transformer.", "model.", "net.")


@dataclass(frozen=True, kw_only=True)
class UNet:
    """names: "original", "diffusers" or "folder"; prefix: before its keys. Channels, context (text width), labels (width of the size and
    pooled-text input, None without one), linear: attention projections are matrices, not convolutions; classes: it has class labels."""

    names: str
    prefix: str = ""
    in_channels: int
    out_channels: int
    context: int
    labels: int | None
    linear: bool
    classes: bool = False


@dataclass(frozen=True, kw_only=True)
class MMDiT:
    """Stable Diffusion 3's transformer. hidden: width; depth: joint blocks; normed: attention keys are normalised; dual: has attn2;
    text, pooled: widths of its two text inputs."""

    names: str
    prefix: str = ""
    in_channels: int
    hidden: int
    depth: int
    normed: bool
    dual: bool
    text: int
    pooled: int


@dataclass(frozen=True, kw_only=True)
class FluxNet:
    """Flux.1's transformer. in_channels: after packing 2x2 cells (64 = 16 latent channels); guided: takes a guidance scale."""

    names: str
    prefix: str = ""
    in_channels: int
    out_channels: int
    hidden: int
    double: int
    single: int
    text: int
    pooled: int
    guided: bool


def size(header: Header, key: str, axis: int, dims: int | None = None) -> int:
    """One side of a tensor; 0 when it is not there, has fewer axes, or not `dims` axes."""
    shape = header.shape(key) or ()
    if not -len(shape) <= axis < len(shape) or (dims is not None and len(shape) != dims):
        return 0
    return shape[axis]


def depth(names: Iterable[str], start: str) -> int:
    """How many numbered blocks there are: 1 + the highest N among names "<start>N.…"."""
    highest = -1
    for name in names:
        if name.startswith(start):
            number = name[len(start) :].partition(".")[0]
            if number.isascii() and number.isdigit() and len(number) < 5:
                highest = max(highest, int(number))
    return highest + 1


def find_unet(description: Header | ModelFolder) -> UNet | None:
    """The UNet in a file or folder, None when there is none."""
    if isinstance(description, ModelFolder):
        return _unet_of_folder(description)
    for prefix in PREFIXES:
        if size(description, f"{prefix}input_blocks.0.0.weight", 1, 4) and size(description, f"{prefix}out.2.weight", 0, 4):
            return _unet_original(description, prefix)
        ends = size(description, f"{prefix}conv_in.weight", 1, 4) and size(description, f"{prefix}conv_out.weight", 0, 4)
        if ends and size(description, f"{prefix}time_embedding.linear_1.weight", 0, 2):  # a VAE's encoder has no time
            return _unet_diffusers(description, prefix)
    return None


def _unet_original(header: Header, prefix: str) -> UNet:
    context, linear = _attention(header, prefix)
    label = header.shape(f"{prefix}label_emb.0.0.weight") or ()
    return UNet(
        names="original",
        prefix=prefix,
        in_channels=size(header, f"{prefix}input_blocks.0.0.weight", 1),
        out_channels=size(header, f"{prefix}out.2.weight", 0),
        context=context,
        labels=label[1] if len(label) == 2 else None,
        linear=linear,
        classes=f"{prefix}label_emb.weight" in header.tensors,
    )


def _unet_diffusers(header: Header, prefix: str) -> UNet:
    context, linear = _attention(header, prefix)
    label = header.shape(f"{prefix}add_embedding.linear_1.weight") or ()
    return UNet(
        names="diffusers",
        prefix=prefix,
        in_channels=size(header, f"{prefix}conv_in.weight", 1),
        out_channels=size(header, f"{prefix}conv_out.weight", 0),
        context=context,
        labels=label[1] if len(label) == 2 else None,
        linear=linear,
        classes=any(f"{prefix}class_embedding{end}" in header.tensors for end in (".weight", ".linear_1.weight")),
    )


def _attention(header: Header, prefix: str) -> tuple[int, bool]:
    """(width of the text that cross-attention reads, 0 without any; are the projections around it linear?)"""
    for name, info in header.tensors.items():
        if name.startswith(prefix) and name.endswith(".transformer_blocks.0.attn2.to_k.weight") and len(info.shape) == 2:
            block = name.removesuffix("transformer_blocks.0.attn2.to_k.weight")
            return info.shape[1], size(header, f"{block}proj_in.weight", 0, 2) > 0
    return 0, False


def _unet_of_folder(folder: ModelFolder) -> UNet | None:
    config = folder.configs.get("unet")
    if config is None or folder.components.get("unet") != "UNet2DConditionModel":
        return None
    return UNet(
        names="folder",
        in_channels=_number(config, "in_channels", 4),
        out_channels=_number(config, "out_channels", 4),
        context=_number(config, "cross_attention_dim", 1280),
        labels=_number(config, "projection_class_embeddings_input_dim", 0) if config.get("addition_embed_type") == "text_time" else None,
        linear=bool(config.get("use_linear_projection")),
        classes=config.get("class_embed_type") is not None or config.get("num_class_embeds") is not None,
    )


def find_mmdit(description: Header | ModelFolder) -> MMDiT | None:
    """Stable Diffusion 3's transformer in a file or folder, None when there is none."""
    if isinstance(description, ModelFolder):
        config = description.configs.get("transformer")
        if config is None or description.components.get("transformer") != "SD3Transformer2DModel":
            return None
        heads, width = _number(config, "num_attention_heads", 18), _number(config, "attention_head_dim", 64)
        return MMDiT(
            names="folder",
            in_channels=_number(config, "in_channels", 16),
            hidden=heads * width,
            depth=_number(config, "num_layers", 18),
            normed=config.get("qk_norm") is not None,
            dual=bool(config.get("dual_attention_layers")),
            text=_number(config, "joint_attention_dim", 4096),
            pooled=_number(config, "pooled_projection_dim", 2048),
        )
    for prefix in PREFIXES:
        if size(description, f"{prefix}joint_blocks.0.context_block.attn.qkv.weight", 1, 2):
            return _mmdit(description, "original", prefix, "joint_blocks.", "x_block.attn.ln_q.weight", "x_block.attn2.qkv.weight")
        if size(description, f"{prefix}pos_embed.proj.weight", 1, 4) and size(
            description, f"{prefix}transformer_blocks.0.attn.add_q_proj.weight", 1, 2
        ):
            return _mmdit(description, "diffusers", prefix, "transformer_blocks.", "attn.norm_q.weight", "attn2.to_q.weight")
    return None


_MMDIT_KEYS = {
    "original": ("x_embedder.proj.weight", "context_embedder.weight", "y_embedder.mlp.0.weight"),
    "diffusers": ("pos_embed.proj.weight", "context_embedder.weight", "time_text_embed.text_embedder.linear_1.weight"),
}


def _mmdit(header: Header, names: str, prefix: str, blocks: str, norm: str, second: str) -> MMDiT:
    patch, text, pooled = (f"{prefix}{key}" for key in _MMDIT_KEYS[names])
    return MMDiT(
        names=names,
        prefix=prefix,
        in_channels=size(header, patch, 1, 4),
        hidden=size(header, patch, 0, 4),
        depth=depth(header.tensors, f"{prefix}{blocks}"),
        normed=f"{prefix}{blocks}0.{norm}" in header.tensors,
        dual=f"{prefix}{blocks}0.{second}" in header.tensors,
        text=size(header, text, 1, 2),
        pooled=size(header, pooled, 1, 2),
    )


_FLUX_KEYS = {
    "original": (
        "img_in.weight", "final_layer.linear.weight", "double_blocks.", "single_blocks.", "txt_in.weight", "vector_in.in_layer.weight",
        "guidance_in.in_layer.weight",
    ),
    "diffusers": (
        "x_embedder.weight", "proj_out.weight", "transformer_blocks.", "single_transformer_blocks.", "context_embedder.weight",
        "time_text_embed.text_embedder.linear_1.weight", "time_text_embed.guidance_embedder.linear_1.weight",
    ),
}  # fmt: skip
_FLUX_ANCHORS = {"original": "double_blocks.0.img_attn.norm.key_norm.scale", "diffusers": "transformer_blocks.0.attn.norm_added_k.weight"}


def find_flux(description: Header | ModelFolder) -> FluxNet | None:
    """Flux.1's transformer in a file or folder, None when there is none."""
    if isinstance(description, ModelFolder):
        config = description.configs.get("transformer")
        if config is None or description.components.get("transformer") != "FluxTransformer2DModel":
            return None
        channels = _number(config, "in_channels", 64)
        return FluxNet(
            names="folder",
            in_channels=channels,
            out_channels=_number(config, "out_channels", channels),
            hidden=_number(config, "num_attention_heads", 24) * _number(config, "attention_head_dim", 128),
            double=_number(config, "num_layers", 19),
            single=_number(config, "num_single_layers", 38),
            text=_number(config, "joint_attention_dim", 4096),
            pooled=_number(config, "pooled_projection_dim", 768),
            guided=bool(config.get("guidance_embeds")),
        )
    for prefix in PREFIXES:
        for names, (first, last, double, single, text, pooled, guidance) in _FLUX_KEYS.items():
            if f"{prefix}{_FLUX_ANCHORS[names]}" in description.tensors and size(description, f"{prefix}{first}", 1, 2):
                return FluxNet(
                    names=names,
                    prefix=prefix,
                    in_channels=size(description, f"{prefix}{first}", 1, 2),
                    out_channels=size(description, f"{prefix}{last}", 0, 2),
                    hidden=size(description, f"{prefix}{first}", 0, 2),
                    double=depth(description.tensors, f"{prefix}{double}"),
                    single=depth(description.tensors, f"{prefix}{single}"),
                    text=size(description, f"{prefix}{text}", 1, 2),
                    pooled=size(description, f"{prefix}{pooled}", 1, 2),
                    guided=f"{prefix}{guidance}" in description.tensors,
                )
    return None


def _number(config: Mapping[str, Any], key: str, otherwise: int) -> int:
    """A natural number of a config from outside; `otherwise` when it is not one. Of a list, the first."""
    value = config.get(key, otherwise)
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else otherwise
