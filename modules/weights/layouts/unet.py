"""The UNet of Stable Diffusion 1, 2 and XL: its names in single files (LDM and SGM), and its config from its shapes.

Knows nothing about files. Start reading at `rules`. Source of the names: the published checkpoints; the block numbering
follows diffusers (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from modules.weights.layouts.rules import Rule, Rules, Shapes, blocks

_RESNET = {
    "in_layers.0.": "norm1.",
    "in_layers.2.": "conv1.",
    "emb_layers.1.": "time_emb_proj.",
    "out_layers.0.": "norm2.",
    "out_layers.3.": "conv2.",
    "skip_connection.": "conv_shortcut.",
}
_OUTSIDE = {
    "time_embed.0.": "time_embedding.linear_1.",
    "time_embed.2.": "time_embedding.linear_2.",
    "label_emb.0.0.": "add_embedding.linear_1.",
    "label_emb.0.2.": "add_embedding.linear_2.",
    "input_blocks.0.0.": "conv_in.",
    "out.0.": "conv_norm_out.",
    "out.2.": "conv_out.",
    "middle_block.1.": "mid_block.attentions.0.",
}


@dataclass(frozen=True, slots=True)
class Levels:
    """layers: ResNets a level on the way down; attention: for each level on the way up, whether its blocks have attention."""

    layers: int
    attention: tuple[bool, ...]


def from_single(shapes: Shapes) -> Rules:
    """The rules for a UNet whose names are those of a single file."""
    count = blocks(shapes, "input_blocks.")
    layers = next((n - 1 for n in range(2, count) if f"input_blocks.{n}.0.op.weight" in shapes), max(count - 1, 1))
    levels = max(1, -(-(count - 1) // (layers + 1)))
    up = tuple(f"output_blocks.{level * (layers + 1)}.1.norm.weight" in shapes for level in range(levels))
    return rules(Levels(layers, up))


def from_parts(shapes: Shapes) -> Rules:
    """The rules for a UNet whose names are those of diffusers."""
    levels = blocks(shapes, "down_blocks.")
    layers = blocks(shapes, "down_blocks.0.resnets.")
    return rules(Levels(layers, tuple(f"up_blocks.{n}.attentions.0.norm.weight" in shapes for n in range(levels))))


def rules(levels: Levels) -> Rules:
    """The rules for a UNet of these levels."""
    found = [Rule(single, (part,)) for single, part in _OUTSIDE.items()]
    found += _resnet("middle_block.0.", "mid_block.resnets.0.") + _resnet("middle_block.2.", "mid_block.resnets.1.")
    per, last = levels.layers, len(levels.attention) - 1
    for level in range(last + 1):
        for layer in range(per):
            at = f"input_blocks.{(per + 1) * level + layer + 1}."
            found += _block(at, f"down_blocks.{level}.", layer)
        for layer in range(per + 1):
            found += _block(f"output_blocks.{(per + 1) * level + layer}.", f"up_blocks.{level}.", layer)
        if level < last:
            down, up = f"input_blocks.{(per + 1) * (level + 1)}.0.op.", f"output_blocks.{(per + 1) * level + per}."
            found.append(Rule(down, (f"down_blocks.{level}.downsamplers.0.conv.",)))
            found.append(Rule(f"{up}{2 if levels.attention[level] else 1}.conv.", (f"up_blocks.{level}.upsamplers.0.conv.",)))
    return Rules(tuple(found))


def _block(single: str, part: str, layer: int) -> list[Rule]:
    return [*_resnet(f"{single}0.", f"{part}resnets.{layer}."), Rule(f"{single}1.", (f"{part}attentions.{layer}.",))]


def _resnet(single: str, part: str) -> list[Rule]:
    return [Rule(single + theirs, (part + ours,)) for theirs, ours in _RESNET.items()]


def config(shapes: Shapes) -> dict[str, Any]:
    """What the shapes tell, under diffusers' names. shapes: by diffusers' names. Raises KeyError when it is no UNet."""
    levels = blocks(shapes, "down_blocks.")
    mid = _depth(shapes, "mid_block.attentions.0.")
    down = [_depths(shapes, f"down_blocks.{n}.") for n in range(levels)]
    up = [_depths(shapes, f"up_blocks.{n}.") for n in range(levels)]
    keys = [name for name in shapes if name.endswith("attn2.to_k.weight")]
    linear = next((len(shape) == 2 for name, shape in shapes.items() if name.endswith(".proj_in.weight")), False)
    found: dict[str, Any] = {
        "in_channels": shapes["conv_in.weight"][1],
        "out_channels": shapes["conv_out.weight"][0],
        "block_out_channels": [shapes[f"down_blocks.{n}.resnets.0.conv1.weight"][0] for n in range(levels)],
        "layers_per_block": blocks(shapes, "down_blocks.0.resnets."),
        "down_block_types": ["CrossAttnDownBlock2D" if depths else "DownBlock2D" for depths in down],
        "up_block_types": ["CrossAttnUpBlock2D" if depths else "UpBlock2D" for depths in up],
        "mid_block_type": "UNetMidBlock2DCrossAttn" if mid else "UNetMidBlock2D",
        "cross_attention_dim": shapes[keys[0]][1],
        "use_linear_projection": linear,
        **_transformer_depths(down, up, mid),
    }
    extra = shapes.get("add_embedding.linear_1.weight")
    if extra:
        found |= {"addition_embed_type": "text_time", "projection_class_embeddings_input_dim": extra[1]}
    if "time_embedding.cond_proj.weight" in shapes:
        found["time_cond_proj_dim"] = shapes["time_embedding.cond_proj.weight"][1]
    return found


def _depths(shapes: Shapes, block: str) -> list[int]:
    """Transformer blocks in each attention of a level; empty when it has none."""
    return [_depth(shapes, f"{block}attentions.{n}.") for n in range(blocks(shapes, f"{block}attentions."))]


def _depth(names: Iterable[str], attention: str) -> int:
    return blocks(names, f"{attention}transformer_blocks.")


def _transformer_depths(down: list[list[int]], up: list[list[int]], mid: int) -> dict[str, Any]:
    """How deep each level's transformers are: one number when all are equal, else one a level, and lists where a level mixes them."""
    every = {depth for depths in down + up for depth in depths} | ({mid} if mid else set())
    if len(every) == 1:
        return {"transformer_layers_per_block": every.pop()}
    folded: list[Any] = [_fold(depths) for depths in down]
    if not down[-1] and mid:
        folded[-1] = mid
    found: dict[str, Any] = {"transformer_layers_per_block": folded}
    upward = [_fold(depths) for depths in up]
    mixed = any(isinstance(depth, list) for depth in (*folded, *upward))
    if mixed or any(there and here != depth for there, here, depth in zip(up, upward, reversed(folded), strict=True)):
        found["reverse_transformer_layers_per_block"] = upward
    return found


def _fold(depths: list[int]) -> int | list[int]:
    return depths[0] if len(set(depths)) == 1 else (depths or 1)


def heads(width: int, channels: list[int]) -> list[int]:
    """Attention heads of each level when a head is `width` wide (the rule of SD2 and SDXL)."""
    return [max(1, count // width) for count in channels]
