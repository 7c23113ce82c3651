"""The transformer of Flux.1: its names in single files, and its config from its shapes.

Start reading at `rules`. Source of the names: Black Forest Labs' flux (Apache-2.0).
"""

from __future__ import annotations

from typing import Any

from modules.weights.layouts.rules import Rule, Rules, Shapes, blocks

_OUTSIDE = {
    "time_in.in_layer.": "time_text_embed.timestep_embedder.linear_1.",
    "time_in.out_layer.": "time_text_embed.timestep_embedder.linear_2.",
    "vector_in.in_layer.": "time_text_embed.text_embedder.linear_1.",
    "vector_in.out_layer.": "time_text_embed.text_embedder.linear_2.",
    "guidance_in.in_layer.": "time_text_embed.guidance_embedder.linear_1.",
    "guidance_in.out_layer.": "time_text_embed.guidance_embedder.linear_2.",
    "txt_in.": "context_embedder.",
    "img_in.": "x_embedder.",
    "final_layer.linear.": "proj_out.",
}
_DOUBLE = {
    "img_mod.lin.": "norm1.linear.",
    "txt_mod.lin.": "norm1_context.linear.",
    "img_attn.norm.query_norm.scale": "attn.norm_q.weight",
    "img_attn.norm.key_norm.scale": "attn.norm_k.weight",
    "txt_attn.norm.query_norm.scale": "attn.norm_added_q.weight",
    "txt_attn.norm.key_norm.scale": "attn.norm_added_k.weight",
    "img_attn.proj.": "attn.to_out.0.",
    "txt_attn.proj.": "attn.to_add_out.",
    "img_mlp.0.": "ff.net.0.proj.",
    "img_mlp.2.": "ff.net.2.",
    "txt_mlp.0.": "ff_context.net.0.proj.",
    "txt_mlp.2.": "ff_context.net.2.",
}
_SINGLE = {
    "modulation.lin.": "norm.linear.",
    "norm.query_norm.scale": "attn.norm_q.weight",
    "norm.key_norm.scale": "attn.norm_k.weight",
    "linear2.": "proj_out.",
}
_QKV = ("attn.to_q.", "attn.to_k.", "attn.to_v.")
_ADDED = ("attn.add_q_proj.", "attn.add_k_proj.", "attn.add_v_proj.")


def from_single(shapes: Shapes) -> Rules:
    """The rules for a Flux transformer whose names are those of a single file."""
    shape = shapes.get("single_blocks.0.linear1.weight", (0, 0))
    return rules(blocks(shapes, "double_blocks."), blocks(shapes, "single_blocks."), shape[1], shape[0])


def from_parts(shapes: Shapes) -> Rules:
    """The rules for a Flux transformer whose names are those of diffusers."""
    width = shapes.get("single_transformer_blocks.0.proj_mlp.weight", (0, 0))
    counts = blocks(shapes, "transformer_blocks."), blocks(shapes, "single_transformer_blocks.")
    return rules(*counts, width[1], 3 * width[1] + width[0])


def rules(double: int, single: int, hidden: int, rows: int) -> Rules:
    """The rules for so many double and single blocks; rows: height of a single block's linear1 (q, k, v, then the wide layer)."""
    found = [Rule(theirs, (ours,)) for theirs, ours in _OUTSIDE.items()]
    found.append(Rule("final_layer.adaLN_modulation.1.", ("norm_out.linear.",), "swap"))
    for n in range(double):
        at, part = f"double_blocks.{n}.", f"transformer_blocks.{n}."
        found += [Rule(at + theirs, (part + ours,)) for theirs, ours in _DOUBLE.items()]
        found.append(Rule(f"{at}img_attn.qkv.", tuple(part + x for x in _QKV), "stack"))
        found.append(Rule(f"{at}txt_attn.qkv.", tuple(part + x for x in _ADDED), "stack"))
    heights = (hidden, hidden, hidden, rows - 3 * hidden)
    for n in range(single):
        at, part = f"single_blocks.{n}.", f"single_transformer_blocks.{n}."
        found += [Rule(at + theirs, (part + ours,)) for theirs, ours in _SINGLE.items()]
        found.append(Rule(f"{at}linear1.", tuple(part + x for x in (*_QKV, "proj_mlp.")), "stack", heights))
    return Rules(tuple(found))


def config(shapes: Shapes) -> dict[str, Any]:
    """What the shapes tell, under diffusers' names. shapes: by diffusers' names. Raises KeyError when it is no Flux transformer."""
    hidden, channels = shapes["x_embedder.weight"]
    head = shapes["transformer_blocks.0.attn.norm_q.weight"][0]
    out = shapes["proj_out.weight"][0]
    return {
        "in_channels": channels,
        "out_channels": None if out == channels else out,
        "num_layers": blocks(shapes, "transformer_blocks."),
        "num_single_layers": blocks(shapes, "single_transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": hidden // max(1, head),
        "joint_attention_dim": shapes["context_embedder.weight"][1],
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
        "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in shapes,
    }
