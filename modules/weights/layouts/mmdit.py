"""The transformer of SD3 and SD3.5 (MMDiT): its names in single files, and its config from its shapes.

Start reading at `rules`. The final modulation, and the last block's for the text, have scale and shift in the other order in
diffusers. Source of the names: Stability AI's sd3.5 reference implementation (MIT).
"""

from __future__ import annotations

from typing import Any

from modules.weights.layouts.rules import Rule, Rules, Shapes, blocks, root

_OUTSIDE = {
    "pos_embed": "pos_embed.pos_embed",
    "x_embedder.proj.": "pos_embed.proj.",
    "t_embedder.mlp.0.": "time_text_embed.timestep_embedder.linear_1.",
    "t_embedder.mlp.2.": "time_text_embed.timestep_embedder.linear_2.",
    "y_embedder.mlp.0.": "time_text_embed.text_embedder.linear_1.",
    "y_embedder.mlp.2.": "time_text_embed.text_embedder.linear_2.",
    "context_embedder.": "context_embedder.",
    "final_layer.linear.": "proj_out.",
}
_BLOCK = {
    "x_block.attn.ln_q.": "attn.norm_q.",
    "x_block.attn.ln_k.": "attn.norm_k.",
    "x_block.attn.proj.": "attn.to_out.0.",
    "x_block.attn2.ln_q.": "attn2.norm_q.",
    "x_block.attn2.ln_k.": "attn2.norm_k.",
    "x_block.attn2.proj.": "attn2.to_out.0.",
    "x_block.adaLN_modulation.1.": "norm1.linear.",
    "x_block.mlp.fc1.": "ff.net.0.proj.",
    "x_block.mlp.fc2.": "ff.net.2.",
    "context_block.attn.ln_q.": "attn.norm_added_q.",
    "context_block.attn.ln_k.": "attn.norm_added_k.",
    "context_block.attn.proj.": "attn.to_add_out.",
    "context_block.mlp.fc1.": "ff_context.net.0.proj.",
    "context_block.mlp.fc2.": "ff_context.net.2.",
}
_STACKS = {
    "x_block.attn.qkv.": ("attn.to_q.", "attn.to_k.", "attn.to_v."),
    "x_block.attn2.qkv.": ("attn2.to_q.", "attn2.to_k.", "attn2.to_v."),
    "context_block.attn.qkv.": ("attn.add_q_proj.", "attn.add_k_proj.", "attn.add_v_proj."),
}


def from_single(shapes: Shapes) -> Rules:
    """The rules for an MMDiT whose names are those of a single file."""
    return rules(blocks(shapes, "joint_blocks."))


def from_parts(shapes: Shapes) -> Rules:
    """The rules for an MMDiT whose names are those of diffusers."""
    return rules(blocks(shapes, "transformer_blocks."))


def rules(layers: int) -> Rules:
    """The rules for so many blocks."""
    found = [Rule(single, (part,)) for single, part in _OUTSIDE.items()]
    found.append(Rule("final_layer.adaLN_modulation.1.", ("norm_out.linear.",), "swap"))
    for n in range(layers):
        single, part = f"joint_blocks.{n}.", f"transformer_blocks.{n}."
        found += [Rule(single + theirs, (part + ours,)) for theirs, ours in _BLOCK.items()]
        found += [Rule(single + theirs, tuple(part + x for x in ours), "stack") for theirs, ours in _STACKS.items()]
        how = "swap" if n == layers - 1 else "same"
        found.append(Rule(f"{single}context_block.adaLN_modulation.1.", (f"{part}norm1_context.linear.",), how))
    return Rules(tuple(found))


def config(shapes: Shapes) -> dict[str, Any]:
    """What the shapes tell, under diffusers' names. shapes: by diffusers' names. Raises KeyError when it is no MMDiT."""
    hidden, channels, patch = shapes["pos_embed.proj.weight"][:3]
    layers = blocks(shapes, "transformer_blocks.")
    found: dict[str, Any] = {
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": shapes["proj_out.weight"][0] // max(1, patch**2),
        "num_layers": layers,
        "joint_attention_dim": shapes["context_embedder.weight"][1],
        "caption_projection_dim": shapes["context_embedder.weight"][0],
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
        "pos_embed_max_size": root(shapes["pos_embed.pos_embed"][1]),
        "dual_attention_layers": [n for n in range(layers) if f"transformer_blocks.{n}.attn2.to_q.weight" in shapes],
        "qk_norm": None,
    }
    norm = shapes.get("transformer_blocks.0.attn.norm_q.weight")
    if norm:
        found |= {"qk_norm": "rms_norm", "attention_head_dim": norm[0], "num_attention_heads": hidden // max(1, norm[0])}
    return found
