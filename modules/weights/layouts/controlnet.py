"""ControlNets and T2I-Adapters of UNets: their names in single files, and their configs from their shapes.

A ControlNet is the way down of a UNet with a small encoder for the control picture before it and a convolution behind each layer.
Knows nothing about files. Start reading at `from_single`. Sources: arXiv:2302.05543, arXiv:2302.08453 and the published files; the
classes are those of diffusers (Apache-2.0).
"""

from __future__ import annotations

from typing import Any

from modules.weights.layouts import unet
from modules.weights.layouts.rules import Rule, Rules, Shapes, blocks

_HINT = "input_hint_block."
_EMBEDDING = "controlnet_cond_embedding."
# Channels of a T2I-Adapter's first convolution -> (side of the squares it folds, channels of the picture)
_FOLDS = {64: (8, 1), 192: (8, 3), 256: (16, 1), 768: (16, 3)}


def from_single(shapes: Shapes) -> Rules:
    """The rules for a ControlNet whose names are those of the first single files (LDM)."""
    found = [*unet.from_single(shapes).rules, Rule("middle_block_out.0.", ("controlnet_mid_block.",))]
    found += [Rule(f"zero_convs.{n}.0.", (f"controlnet_down_blocks.{n}.",)) for n in range(blocks(shapes, "zero_convs."))]
    return Rules((*found, *hint_rules(shapes, _EMBEDDING)))


def from_parts(shapes: Shapes) -> Rules:
    """The same from diffusers' names."""
    levels, layers = blocks(shapes, "down_blocks."), blocks(shapes, "down_blocks.0.resnets.")
    found = [*unet.rules(unet.Levels(layers, (False,) * levels)).rules, Rule("middle_block_out.0.", ("controlnet_mid_block.",))]
    count = blocks(shapes, "controlnet_down_blocks.")
    found += [Rule(f"zero_convs.{n}.0.", (f"controlnet_down_blocks.{n}.",)) for n in range(count)]
    return Rules((*found, *_hint(blocks(shapes, f"{_EMBEDDING}blocks."), _EMBEDDING)))


def hint_rules(shapes: Shapes, part: str) -> list[Rule]:
    """The encoder of the control picture: convolutions with a function between each two. part: its name in diffusers."""
    return _hint(max(0, blocks(shapes, _HINT) // 2 - 1), part)


def _hint(inner: int, part: str) -> list[Rule]:
    found = [Rule(f"{_HINT}0.", (f"{part}conv_in.",)), Rule(f"{_HINT}{2 * inner + 2}.", (f"{part}conv_out.",))]
    return found + [Rule(f"{_HINT}{2 * n + 2}.", (f"{part}blocks.{n}.",)) for n in range(inner)]


def config(shapes: Shapes) -> dict[str, Any]:
    """What the shapes tell, under diffusers' names. shapes: by diffusers' names. Raises KeyError when it is no ControlNet of a UNet."""
    levels = blocks(shapes, "down_blocks.")
    down = [_depth(shapes, f"down_blocks.{n}.attentions.0.") for n in range(levels)]
    mid = _depth(shapes, "mid_block.attentions.0.")
    deep = [depth or 1 for depth in down]
    if not down[-1] and mid:
        deep[-1] = mid
    text = next((shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")), None)
    encoder = f"{_EMBEDDING}blocks."
    steps = [shapes[f"{encoder}{n}.weight"][0] for n in range(1, blocks(shapes, encoder), 2)]
    found: dict[str, Any] = {
        "in_channels": shapes["conv_in.weight"][1],
        "conditioning_channels": shapes[f"{_EMBEDDING}conv_in.weight"][1],
        "conditioning_embedding_out_channels": [shapes[f"{_EMBEDDING}conv_in.weight"][0], *steps],
        "block_out_channels": [shapes[f"down_blocks.{n}.resnets.0.conv1.weight"][0] for n in range(levels)],
        "layers_per_block": blocks(shapes, "down_blocks.0.resnets."),
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in down],
        "mid_block_type": "UNetMidBlock2DCrossAttn" if mid else "UNetMidBlock2D",
        "transformer_layers_per_block": deep[0] if len(set(deep)) == 1 else deep,
        "use_linear_projection": next((len(shape) == 2 for name, shape in shapes.items() if name.endswith(".proj_in.weight")), False),
        **({} if text is None else {"cross_attention_dim": text}),
    }
    extra = shapes.get("add_embedding.linear_1.weight")
    if extra:
        found |= {"addition_embed_type": "text_time", "projection_class_embeddings_input_dim": extra[1]}
    return found


def union_config(shapes: Shapes) -> dict[str, Any]:
    """The same for a ControlNet that is told what its picture shows. Raises KeyError."""
    kinds, width = shapes["task_embedding"]
    return {
        **config(shapes),
        "num_control_type": kinds,
        "num_trans_channel": width,
        "num_trans_layer": blocks(shapes, "transformer_layes."),
        "num_proj_channel": shapes["spatial_ch_projs.weight"][0],
        "addition_time_embed_dim": shapes["control_add_embedding.linear_1.weight"][1] // max(1, kinds),
    }


def adapter_from_single(shapes: Shapes) -> Rules:
    """The rules for a T2I-Adapter as it was first published: its ResNets in one row, those of a light one in rows of their own."""
    if any(name.startswith("body.0.body.") for name in shapes):
        return Rules(
            tuple(
                Rule(f"body.{n}.{theirs}", (f"adapter.body.{n}.{ours}",))
                for n in range(blocks(shapes, "body."))
                for theirs, ours in (("in_conv.", "in_conv."), ("out_conv.", "out_conv."), ("body.", "resnets."))
            )
        )
    found = [Rule("conv_in.", ("adapter.conv_in.",))]
    per = 2  # ResNets a level of every full adapter there is
    for n in range(blocks(shapes, "body.")):
        level, layer = divmod(n, per)
        found += [Rule(f"body.{n}.in_conv.", (f"adapter.body.{level}.in_conv.",))]
        found += [Rule(f"body.{n}.block{side}.", (f"adapter.body.{level}.resnets.{layer}.block{side}.",)) for side in (1, 2)]
    return Rules(tuple(found))


def adapter_config(shapes: Shapes) -> dict[str, Any]:
    """What the shapes of a T2I-Adapter tell. Raises KeyError when it is none, or folds its picture as none does."""
    levels = blocks(shapes, "adapter.body.")
    layers = blocks(shapes, "adapter.body.0.resnets.")
    if "adapter.body.0.out_conv.weight" in shapes:
        fold, picture = _FOLDS[shapes["adapter.body.0.in_conv.weight"][1]]
        widths = [shapes[f"adapter.body.{n}.out_conv.weight"][0] for n in range(levels - 1)]
        kind = "light_adapter"
    else:
        fold, picture = _FOLDS[shapes["adapter.conv_in.weight"][1]]
        widths = [shapes[f"adapter.body.{n}.resnets.0.block1.weight"][0] for n in range(levels)]
        kind = "full_adapter_xl" if fold == 16 else "full_adapter"
    return {"adapter_type": kind, "channels": widths, "num_res_blocks": layers, "downscale_factor": fold, "in_channels": picture}


def _depth(shapes: Shapes, attention: str) -> int:
    return blocks(shapes, f"{attention}transformer_blocks.")
