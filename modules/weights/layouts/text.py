"""The text encoders: CLIP under transformers' names and under OpenCLIP's, and T5. Rules, and configs from shapes.

The canonical names are those of `CLIPTextModelWithProjection` ("text_model.…"); folders of other versions of transformers leave
"text_model." out. Start reading at `openclip_rules`.
"""

from __future__ import annotations

from typing import Any

from modules.weights.layouts.rules import Rule, Rules, Shapes, blocks

IDENTITY = Rules((Rule("", ("",)),))
HEAD_WIDTH = 64
_LLAMA = {
    "attn_q.": "0.SelfAttention.q.",
    "attn_k.": "0.SelfAttention.k.",
    "attn_v.": "0.SelfAttention.v.",
    "attn_o.": "0.SelfAttention.o.",
    "attn_rel_b.": "0.SelfAttention.relative_attention_bias.",
    "attn_norm.": "0.layer_norm.",
    "ffn_gate.": "1.DenseReluDense.wi_0.",
    "ffn_up.": "1.DenseReluDense.wi_1.",
    "ffn_down.": "1.DenseReluDense.wo.",
    "ffn_norm.": "1.layer_norm.",
}
_LAYER = {"ln_1.": "layer_norm1.", "ln_2.": "layer_norm2.", "mlp.c_fc.": "mlp.fc1.", "mlp.c_proj.": "mlp.fc2."}


def clip_canonical(name: str) -> str | None:
    """A CLIP tensor's name with "text_model." in front; None for what is no weight (position_ids) or of no use here."""
    if name.endswith("position_ids") or name.startswith(("logit_scale", "vision_model.", "visual_projection.")):
        return None
    if name.startswith(("embeddings.", "encoder.", "final_layer_norm.")):
        return f"text_model.{name}"
    return name


def t5_canonical(name: str) -> str | None:
    """A T5 encoder tensor's name; None for the decoder of a whole T5 and for the copy of the embeddings some files carry."""
    return None if name.startswith(("decoder.", "lm_head.")) or name == "encoder.embed_tokens.weight" else name


def from_openclip(shapes: Shapes) -> Rules:
    """The rules for an OpenCLIP text tower whose names are those of a single file."""
    return openclip_rules(blocks(shapes, "transformer.resblocks."))


def from_clip(shapes: Shapes) -> Rules:
    """The rules for an OpenCLIP text tower whose names are transformers'."""
    return openclip_rules(blocks(shapes, "text_model.encoder.layers."))


def openclip_rules(layers: int) -> Rules:
    """The rules for so many layers."""
    found = [
        Rule("token_embedding.", ("text_model.embeddings.token_embedding.",)),
        Rule("positional_embedding", ("text_model.embeddings.position_embedding.weight",)),
        Rule("ln_final.", ("text_model.final_layer_norm.",)),
        Rule("text_projection", ("text_projection.weight",), "transpose"),
    ]
    for n in range(layers):
        single, part = f"transformer.resblocks.{n}.", f"text_model.encoder.layers.{n}."
        found += [Rule(single + theirs, (part + ours,)) for theirs, ours in _LAYER.items()]
        found.append(Rule(f"{single}attn.out_proj.", (f"{part}self_attn.out_proj.",)))
        found.append(Rule(f"{single}attn.in_proj_", tuple(f"{part}self_attn.{x}_proj." for x in "qkv"), "stack"))
    return Rules(tuple(found))


def t5_from_gguf(shapes: Shapes) -> Rules:
    """The rules for a T5 encoder whose names are those of GGUF files."""
    return _t5_rules(blocks(shapes, "enc.blk."))


def t5_to_gguf(shapes: Shapes) -> Rules:
    """The rules for a T5 encoder whose names are transformers'."""
    return _t5_rules(blocks(shapes, "encoder.block."))


def _t5_rules(layers: int) -> Rules:
    found = [Rule("token_embd.", ("shared.",)), Rule("enc.output_norm.", ("encoder.final_layer_norm.",))]
    for n in range(layers):
        found += [Rule(f"enc.blk.{n}.{theirs}", (f"encoder.block.{n}.layer.{ours}",)) for theirs, ours in _LLAMA.items()]
    return Rules(tuple(found))


def clip_config(shapes: Shapes) -> dict[str, Any]:
    """What the shapes tell, under transformers' names. shapes: by canonical names. Raises KeyError when it is no CLIP text encoder."""
    vocabulary, width = shapes["text_model.embeddings.token_embedding.weight"]
    found = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": shapes["text_model.encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": blocks(shapes, "text_model.encoder.layers."),
        "max_position_embeddings": shapes["text_model.embeddings.position_embedding.weight"][0],
    }
    projection = shapes.get("text_projection.weight")
    return found | ({"projection_dim": projection[0]} if projection else {})


def t5_config(shapes: Shapes) -> dict[str, Any]:
    """What the shapes tell, under transformers' names. Raises KeyError when it is no T5 encoder."""
    first = "encoder.block.0.layer."
    buckets, heads = shapes[f"{first}0.SelfAttention.relative_attention_bias.weight"]
    gated = f"{first}1.DenseReluDense.wi_0.weight" in shapes
    return {
        "vocab_size": shapes["shared.weight"][0],
        "d_model": shapes["shared.weight"][1],
        "d_kv": shapes[f"{first}0.SelfAttention.q.weight"][0] // max(1, heads),
        "d_ff": shapes[f"{first}1.DenseReluDense.{'wi_0' if gated else 'wi'}.weight"][0],
        "num_layers": blocks(shapes, "encoder.block."),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu" if gated else "relu",
    }
