"""What any weight file is, from its keys and shapes: every kind in every dialect, and no checkpoint taken for another kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modules.families import kind_of
from modules.families.kinds import PLACES
from modules.weights.header import Header
from tests.families.full_size import component_shapes
from tests.families.stripped import NAMES, header, made, under

UNET_LAYERS = "down_blocks_1_attentions_0_transformer_blocks_0_"


def kohya(layer: str, inner: int, outer: int, rank: int = 8) -> dict[str, tuple[int, ...]]:
    """One kohya LoRA layer."""
    return {f"{layer}.lora_down.weight": (rank, inner), f"{layer}.lora_up.weight": (outer, rank), f"{layer}.alpha": ()}


def peft(layer: str, inner: int, outer: int, rank: int = 8) -> dict[str, tuple[int, ...]]:
    """One PEFT LoRA layer."""
    return {f"{layer}.lora_A.weight": (rank, inner), f"{layer}.lora_B.weight": (outer, rank)}


LORAS = {
    "kohya SD1": ("sd1", kohya(f"lora_unet_{UNET_LAYERS}attn2_to_k", 768, 640)),
    "kohya SD2": ("sd2", kohya(f"lora_unet_{UNET_LAYERS}attn2_to_k", 1024, 640)),
    "kohya XL": ("sdxl", kohya("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 2048, 640)),
    "kohya XL, self-attention only": ("sdxl", kohya("lora_unet_middle_block_1_transformer_blocks_9_attn1_to_q", 1280, 1280)),
    "kohya XL, text only": ("sdxl", kohya("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", 1280, 1280)),
    "kohya SD1, text only": ("sd1", kohya("lora_te_text_model_encoder_layers_0_self_attn_q_proj", 768, 768)),
    "kohya SD2, text only": ("sd2", kohya("lora_te_text_model_encoder_layers_0_self_attn_q_proj", 1024, 1024)),
    "kohya SD3": ("sd3", kohya("lora_unet_joint_blocks_0_x_block_attn_qkv", 1536, 4608)),
    "kohya Flux": ("flux", kohya("lora_unet_double_blocks_0_img_attn_qkv", 3072, 9216)),
    "kohya Flux, single blocks": ("flux", kohya("lora_unet_single_blocks_7_linear1", 3072, 21504)),
    "kohya HunyuanVideo": (None, kohya("lora_unet_double_blocks_19_img_attn_qkv", 3072, 9216)),
    "PEFT SD1": ("sd1", peft("unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 768, 640)),
    "PEFT XL": ("sdxl", peft("unet.down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k", 2048, 640)),
    "PEFT SD3": ("sd3", peft("transformer.transformer_blocks.0.attn.to_q", 1536, 1536)),
    "PEFT SD3.5 Large": ("sd3", peft("transformer.transformer_blocks.0.attn.add_q_proj", 2432, 2432)),
    "PEFT Flux": ("flux", peft("transformer.single_transformer_blocks.0.attn.to_q", 3072, 3072)),
    "PEFT Flux, double blocks only": ("flux", peft("transformer.transformer_blocks.0.attn.to_q", 3072, 3072)),
    "PEFT Qwen": (
        None,
        {**peft("transformer_blocks.0.attn.to_q", 3072, 3072), **peft("transformer_blocks.0.img_mod.1", 3072, 18432)},
    ),
    "diffusers, old": (
        "sd1",
        {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.down.weight": (4, 768)},
    ),
    "LoHa": (
        "sd1",
        {f"lora_unet_{UNET_LAYERS}attn2_to_k.hada_w1_a": (640, 4), f"lora_unet_{UNET_LAYERS}attn2_to_k.hada_w1_b": (4, 768)},
    ),
    "LoKr": (
        "sdxl",
        {
            "lycoris_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lokr_w1": (16, 32),
            "lycoris_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lokr_w2_a": (40, 8),
            "lycoris_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lokr_w2_b": (8, 64),
        },
    ),
    "LoKr of a transformer": (
        "sd3",
        {"lycoris_transformer_blocks_0_attn_to_q.lokr_w1": (32, 32), "lycoris_transformer_blocks_0_attn_to_q.lokr_w2": (48, 48)},
    ),
    "LoHa of a transformer": (
        "flux",
        {"lycoris_transformer_blocks_0_attn_to_q.hada_w1_a": (3072, 4), "lycoris_transformer_blocks_0_attn_to_q.hada_w1_b": (4, 3072)},
    ),
    "full difference": ("sd2", {f"lora_unet_{UNET_LAYERS}attn2_to_k.diff": (640, 1024)}),
    "widths of no known model": (None, kohya(f"lora_unet_{UNET_LAYERS}attn2_to_k", 33, 16)),
}
OTHERS: dict[str, tuple[str, str | None, int | None, dict[str, tuple[int, ...]]]] = {
    "embedding SD1": ("embedding", "sd1", 768, {"emb_params": (4, 768)}),
    "embedding SD2": ("embedding", "sd2", 1024, {"emb_params": (4, 1024)}),
    "embedding XL": ("embedding", "sdxl", 1280, {"clip_l": (4, 768), "clip_g": (4, 1280)}),
    "embedding SD3": ("embedding", "sd3", 1280, {"clip_l": (4, 768), "clip_g": (4, 1280), "t5xxl": (4, 4096)}),
    "embedding Flux": ("embedding", "flux", 768, {"clip_l": (4, 768), "t5xxl": (4, 4096)}),
    "embedding A1111": ("embedding", "sd1", 768, {"string_to_param.*": (2, 768)}),
    "embedding diffusers": ("embedding", "sd1", 768, {"<cat-toy>": (1, 768)}),
    "controlnet SD1": (
        "controlnet",
        "sd1",
        None,
        {
            "control_model.input_hint_block.0.weight": (16, 3, 3, 3),
            "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        },
    ),
    "controlnet XL, diffusers": (
        "controlnet",
        "sdxl",
        None,
        {
            "conv_in.weight": (320, 4, 3, 3),
            "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
            "time_embedding.linear_1.weight": (1280, 320),
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
        },
    ),
    "controlnet Flux": ("controlnet", "flux", None, {"controlnet_x_embedder.weight": (3072, 64), "controlnet_blocks.0.weight": (9, 9)}),
    "controlnet SD3": ("controlnet", "sd3", None, {"controlnet_blocks.0.weight": (9, 9), "pos_embed_input.proj.weight": (9, 16, 2, 2)}),
    "Control-LoRA": ("controlnet", "sdxl", None, {"lora_controlnet": (), "label_emb.0.0.down": (8, 8), "input_blocks.0.0.up": (8, 8)}),
    "Control-LoRA of SD1": (
        "controlnet",
        "sd1",
        None,
        {
            "lora_controlnet": (0,),
            "input_hint_block.0.weight": (16, 3, 3, 3),
            "zero_convs.0.0.weight": (320, 320, 1, 1),
            "middle_block_out.0.weight": (1280, 1280, 1, 1),
            "input_blocks.1.1.transformer_blocks.0.attn2.to_k.up": (320, 128),
            "input_blocks.1.1.transformer_blocks.0.attn2.to_k.down": (128, 768),
        },
    ),
    "LLLite": ("controlnet", None, None, {"lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight": (32, 640)}),
    "style adapter": ("controlnet", None, None, {"transformer_layes.0.ln_1.weight": (1024,), "style_embedding": (1, 8, 1024)}),
    "ControlNet-XS": (
        "controlnet",
        None,
        None,
        {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "up_connections.0.ctrl_to_base.0.weight": (9, 9, 1, 1)},
    ),
    "T2I-Adapter": ("controlnet", None, None, {"body.0.block1.weight": (320, 192, 3, 3)}),
    "IP-Adapter": ("ip_adapter", "sd1", None, {"image_proj.proj.weight": (3072, 1024), "ip_adapter.1.to_k_ip.weight": (320, 768)}),
    "IP-Adapter with LoRA": (
        "ip_adapter",
        "sdxl",
        None,
        {
            "image_proj.norm.weight": (9,),
            "ip_adapter.0.to_q_lora.down.weight": (128, 640),
            "ip_adapter.1.to_k_ip.weight": (640, 2048),
        },
    ),
    "TAESD decoder": ("taesd", None, 4, {"1.weight": (64, 4, 3, 3), "3.conv.0.weight": (64, 64, 3, 3)}),
    "TAESD encoder": ("taesd", None, None, {"0.weight": (64, 3, 3, 3), "1.conv.0.weight": (64, 64, 3, 3)}),
    "TAESD diffusers": ("taesd", None, 16, {"decoder.layers.0.weight": (64, 16, 3, 3), "decoder.layers.2.conv.0.weight": (64, 64, 3, 3)}),
    "ESRGAN": ("upscaler", None, None, {"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3)}),
    "RealESRGAN": ("upscaler", None, None, {"conv_first.weight": (64, 3, 3, 3), "body.0.rdb1.conv1.weight": (32, 64, 3, 3)}),
    "SwinIR": ("upscaler", None, None, {"layers.0.residual_group.blocks.0.norm1.weight": (180,)}),
    "compact": ("upscaler", None, None, {"body.0.weight": (64, 3, 3, 3), "body.1.weight": (64,)}),
    "T5 in GGUF": ("text_encoder", None, 4096, {"enc.blk.0.attn_q.weight": (4096, 4096), "token_embd.weight": (32128, 4096)}),
    "nothing": ("unknown", None, None, {"weight": (3, 4), "bias": (3,)}),
}


@pytest.mark.parametrize("dialect", LORAS)
def test_a_lora_of_every_dialect_is_known_with_its_architecture(dialect: str) -> None:
    architecture, shapes = LORAS[dialect]
    kind = kind_of(made(shapes))
    assert (kind.kind, kind.architecture) == ("lora", architecture), kind.why


def test_metadata_helps_where_shapes_do_not() -> None:
    odd = made(LORAS["widths of no known model"][1])
    assert kind_of(replace(odd, metadata={"ss_base_model_version": "sdxl_base_v1-0"})).architecture == "sdxl"
    assert kind_of(replace(odd, metadata={"modelspec.architecture": "flux-1-dev/lora"})).architecture == "flux"
    clear = made(LORAS["kohya SD1"][1])
    assert kind_of(replace(clear, metadata={"ss_base_model_version": "sdxl_base_v1-0"})).architecture == "sd1"


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_kind_is_known(name: str) -> None:
    kind, architecture, width, shapes = OTHERS[name]
    found = kind_of(made(shapes))
    assert (found.kind, found.architecture, found.width) == (kind, architecture, width), found.why
    assert found.kind in PLACES or found.kind == "unknown"


@pytest.mark.parametrize("name", NAMES)
def test_parts_of_the_published_files_are_known_alone(name: str) -> None:
    source = header(name)
    starts = ("cond_stage_model.transformer.", "cond_stage_model.model.", "conditioner.embedders.0.transformer.")
    encoders = (*starts, "text_encoders.clip_l.transformer.", "text_encoders.clip_g.transformer.", "text_encoders.t5xxl.transformer.")
    widths = [kind_of(under(source, start)).width for start in encoders if source.has(start)]
    refiner_only = ["conditioner.embedders.0.model.", "conditioner.embedders.1.model."]
    widths += [kind_of(under(source, start)).width for start in refiner_only if source.has(start)]
    expected = {
        "sd1": [768], "sd2": [1024], "sdx": [768, 1280], "sd3": [768, 1280, 4096], "flu": [768, 4096],
    }  # fmt: skip
    assert widths == ([1280] if name == "sdxl-refiner" else expected["sd2" if name.startswith("sd2") else name[:3]])
    vae = "vae." if source.has("vae.") else "first_stage_model."
    for prefix in ("", "first_stage_model."):
        kind = kind_of(under(source, vae, prefix))
        assert (kind.kind, kind.width, kind.place) == ("vae", 16 if name[:3] in ("sd3", "flu") else 4, "VAE")


def test_parts_under_diffusers_names_are_known() -> None:
    assert kind_of(made(component_shapes("sd15", "vae"))).width == 4
    assert kind_of(made(component_shapes("flux-dev", "vae"))).width == 16
    for component, width in (("text_encoder", 768), ("text_encoder_2", 1280), ("text_encoder_3", 4096)):
        kind = kind_of(made(component_shapes("sd3-medium", component)))
        assert (kind.kind, kind.width) == ("text_encoder", width)
    assert kind_of(made(component_shapes("sdxl", "unet"))).architecture == "sdxl"


def test_the_empty_and_the_strange_are_unknown() -> None:
    empty = Header(path=made({}).path, tensors={}, metadata={})
    assert kind_of(empty).kind == "unknown"
    assert kind_of(made({"": (), ".": (1,), "\0": (2**40,)})).kind == "unknown"
