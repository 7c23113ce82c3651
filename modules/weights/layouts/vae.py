"""The autoencoder (AutoencoderKL): its names in single files (LDM), and its config from its shapes.

Start reading at `rules`. Latent scale and shift cannot be told from shapes; they stand in `table`.
"""

from __future__ import annotations

from typing import Any

from modules.weights.layouts.rules import Rule, Rules, Shapes, blocks

_SAME = ("conv_in.", "conv_out.")
_ATTENTION = {"norm.": "group_norm.", "q.": "to_q.", "k.": "to_k.", "v.": "to_v.", "proj_out.": "to_out.0."}
_OLD = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def canonical(name: str) -> str | None:
    """The name today's diffusers has for a tensor of an older folder; None when it is not part of the model."""
    if name.startswith(("loss.", "model_ema.")):
        return None
    for old, new in _OLD.items():
        name = name.replace(old, new)
    return name


def from_single(shapes: Shapes) -> Rules:
    """The rules for an autoencoder whose names are those of a single file."""
    return rules(blocks(shapes, "encoder.down."), blocks(shapes, "encoder.down.0.block."))


def from_parts(shapes: Shapes) -> Rules:
    """The rules for an autoencoder whose names are those of diffusers."""
    return rules(blocks(shapes, "encoder.down_blocks."), blocks(shapes, "encoder.down_blocks.0.resnets."))


def rules(levels: int, layers: int) -> Rules:
    """The rules for so many levels with so many ResNets each (the decoder has one more a level, its levels run backwards)."""
    found = [Rule("quant_conv.", ("quant_conv.",)), Rule("post_quant_conv.", ("post_quant_conv.",))]
    for side in ("encoder.", "decoder."):
        found += [Rule(side + name, (side + name,)) for name in _SAME]
        found.append(Rule(f"{side}norm_out.", (f"{side}conv_norm_out.",)))
        for n in (0, 1):
            found += _resnet(f"{side}mid.block_{n + 1}.", f"{side}mid_block.resnets.{n}.")
        for theirs, ours in _ATTENTION.items():
            how = "same" if theirs == "norm." else "conv"
            found.append(Rule(f"{side}mid.attn_1.{theirs}", (f"{side}mid_block.attentions.0.{ours}",), how))
    for level in range(levels):
        for layer in range(layers):
            found += _resnet(f"encoder.down.{level}.block.{layer}.", f"encoder.down_blocks.{level}.resnets.{layer}.")
        for layer in range(layers + 1):
            found += _resnet(f"decoder.up.{levels - 1 - level}.block.{layer}.", f"decoder.up_blocks.{level}.resnets.{layer}.")
        found.append(Rule(f"encoder.down.{level}.downsample.conv.", (f"encoder.down_blocks.{level}.downsamplers.0.conv.",)))
        up = f"decoder.up_blocks.{level}.upsamplers.0.conv."
        found.append(Rule(f"decoder.up.{levels - 1 - level}.upsample.conv.", (up,)))
    return Rules(tuple(found))


def _resnet(single: str, part: str) -> list[Rule]:
    return [Rule(single, (part,)), Rule(f"{single}nin_shortcut.", (f"{part}conv_shortcut.",))]


def config(shapes: Shapes) -> dict[str, Any]:
    """What the shapes tell, under diffusers' names. shapes: by diffusers' names. Raises KeyError when it is no autoencoder."""
    levels = blocks(shapes, "encoder.down_blocks.")
    return {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "block_out_channels": [shapes[f"encoder.down_blocks.{n}.resnets.0.conv1.weight"][0] for n in range(levels)],
        "layers_per_block": blocks(shapes, "encoder.down_blocks.0.resnets."),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "mid_block_add_attention": "decoder.mid_block.attentions.0.to_q.weight" in shapes,
    }
