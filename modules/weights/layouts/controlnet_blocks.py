"""ControlNets of transformers (Stable Diffusion 3, Flux): their names in single files, and their configs from their shapes.

Knows nothing about files. Start reading at `sd3_config` and `flux_config`. Sources: the published files of Stability AI (names of
timm inside the blocks) and of X-Labs (names of the first Flux files); the classes are those of diffusers (Apache-2.0).
"""

from __future__ import annotations

from typing import Any

from modules.weights.layouts import controlnet, flux
from modules.weights.layouts.rules import Rule, Rules, Shapes, blocks, root
from modules.weights.layouts.text import HEAD_WIDTH

_INSIDE = {
    "attn.proj.": "attn.to_out.0.",
    "mlp.fc1.": "ff.net.0.proj.",
    "mlp.fc2.": "ff.net.2.",
    "adaLN_modulation.1.": "norm1.linear.",
}
_SAME = ("controlnet_blocks.", "pos_embed_input.", "time_text_embed.")
_HINT = "input_hint_block."


def sd3_from_single(shapes: Shapes) -> Rules:
    """The rules for a ControlNet of SD3.5 as Stability AI published it."""
    found = [Rule(name, (name,)) for name in _SAME]
    for n in range(blocks(shapes, "transformer_blocks.")):
        at = f"transformer_blocks.{n}."
        found += [Rule(at + theirs, (at + ours,)) for theirs, ours in _INSIDE.items()]
        found.append(Rule(f"{at}attn.qkv.", tuple(f"{at}attn.to_{x}." for x in "qkv"), "stack"))
    return Rules(tuple(found))


def sd3_config(shapes: Shapes) -> dict[str, Any]:
    """What the shapes tell. One without a text input is given the transformer's own places and true pooled texts. Raises KeyError."""
    hidden, channels, patch = shapes["pos_embed_input.proj.weight"][:3]
    places = shapes.get("pos_embed.proj.weight")
    text = shapes.get("context_embedder.weight")
    layers = blocks(shapes, "transformer_blocks.")
    norm = shapes.get("transformer_blocks.0.attn.norm_q.weight")
    head = norm[0] if norm else HEAD_WIDTH
    own = places[1] if places else 16
    return {
        "patch_size": patch,
        "in_channels": own,
        "out_channels": own,
        "extra_conditioning_channels": channels - own,
        "num_layers": layers,
        "attention_head_dim": head,
        "num_attention_heads": hidden // max(1, head),
        "joint_attention_dim": text[1] if text else None,
        "caption_projection_dim": hidden,
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
        "pos_embed_max_size": root(shapes["pos_embed.pos_embed"][1]) if "pos_embed.pos_embed" in shapes else None,
        "pos_embed_type": "sincos" if places else None,
        "use_pos_embed": places is not None,
        "dual_attention_layers": [n for n in range(layers) if f"transformer_blocks.{n}.attn2.to_q.weight" in shapes],
        "qk_norm": "rms_norm" if norm else None,
        "force_zeros_for_pooled_projection": text is not None,
    }


def flux_from_single(shapes: Shapes) -> Rules:
    """The rules for a ControlNet of Flux as X-Labs published them: it reads the picture itself, not latents of it."""
    found = [*flux.from_single(shapes).rules, Rule("pos_embed_input.", ("controlnet_x_embedder.",))]
    return Rules((*found, Rule("controlnet_blocks.", ("controlnet_blocks.",)), *controlnet.hint_rules(shapes, _HINT)))


def flux_config(shapes: Shapes) -> dict[str, Any]:
    """What the shapes tell. Raises KeyError when it is no ControlNet of Flux."""
    hidden, channels = shapes["x_embedder.weight"]
    head = shapes["transformer_blocks.0.attn.norm_q.weight"][0]
    modes = shapes.get("controlnet_mode_embedder.weight")
    hint = shapes.get(f"{_HINT}conv_out.weight")
    rest = head - head // 8
    return {
        "patch_size": 2 if hint else 1,
        "in_channels": channels,
        "num_layers": blocks(shapes, "transformer_blocks."),
        "num_single_layers": blocks(shapes, "single_transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": hidden // max(1, head),
        "joint_attention_dim": shapes["context_embedder.weight"][1],
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
        "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in shapes,
        "axes_dims_rope": [head // 8, rest // 2, rest // 2],
        "num_mode": modes[0] if modes else None,
        "conditioning_embedding_channels": hint[0] if hint else None,
    }
