"""Names of tensors in every dialect, and the entries they make."""

from __future__ import annotations

import pytest

from modules.weights.lora.dialects import entries

LAYER = "lora_unet_down_blocks_0_attentions_0_proj_in"


@pytest.mark.parametrize(
    ("kind", "layer", "names"),
    [
        ("lora", LAYER, [f"{LAYER}.lora_down.weight", f"{LAYER}.lora_up.weight", f"{LAYER}.alpha"]),
        ("lora", LAYER, [f"{LAYER}.lora_down.weight", f"{LAYER}.lora_up.weight", f"{LAYER}.lora_mid.weight", f"{LAYER}.dora_scale"]),
        ("lora", "unet.a.to_q", ["unet.a.to_q.lora_A.weight", "unet.a.to_q.lora_B.weight"]),
        (
            "lora",
            "base_model.model.a.to_q",
            [
                f"base_model.model.a.to_q.{x}"
                for x in ("lora_A.default.weight", "lora_B.default.weight", "lora_magnitude_vector.default.weight")
            ],
        ),
        ("lora", "unet.a.attn1.processor.to_q", [f"unet.a.attn1.processor.to_q_lora.{x}.weight" for x in ("down", "up")]),
        ("lora", "text_encoder.q_proj", [f"text_encoder.q_proj.lora_linear_layer.{x}.weight" for x in ("down", "up")]),
        ("lora", "unet.a.to_q", [f"unet.a.to_q.lora.{x}.weight" for x in ("down", "up")]),
        ("lora", "double_blocks.0.processor.qkv_lora1", [f"double_blocks.0.processor.qkv_lora1.{x}.weight" for x in ("down", "up")]),
        ("loha", LAYER, [f"{LAYER}.hada_{x}" for x in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")]),
        ("lokr", LAYER, [f"{LAYER}.lokr_{x}" for x in ("w1", "w2_a", "w2_b", "t2")]),
        ("lokr", LAYER, [f"{LAYER}.lokr_{x}" for x in ("w1", "w2")]),
        ("glora", LAYER, [f"{LAYER}.{x}.weight" for x in ("a1", "a2", "b1", "b2")]),
        ("ia3", LAYER, [f"{LAYER}.weight", f"{LAYER}.on_input"]),
        ("full", LAYER, [f"{LAYER}.diff", f"{LAYER}.diff_b"]),
        ("full", LAYER, [f"{LAYER}.diff_b"]),
        ("full", LAYER, [f"{LAYER}.w_norm", f"{LAYER}.b_norm"]),
    ],
)
def test_each_dialect_makes_one_entry(kind: str, layer: str, names: list[str]):
    [entry], rest = entries(names)
    assert (entry.kind, entry.layer, sorted(entry.parts.values())) == (kind, layer, sorted(names))
    assert rest == []


def test_words_carried_along_are_neither_entries_nor_strange():
    assert entries(["bundle_emb.cat.string_to_param.*"]) == ([], [])


def test_what_is_of_no_dialect_is_named():
    names = ["model.weight", "x.lora_down.weight", "lora_unet_a.oft_blocks", "y.alpha"]
    found, rest = entries(names)
    assert found == []
    assert sorted(rest) == sorted(names)
