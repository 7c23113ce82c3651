"""Names of layers in every program's spelling. Full-size layers, from the shapes alone."""

from __future__ import annotations

import pytest

from modules.weights.lora.names import Names

CLIP = {f"encoder.layers.{n}.self_attn.{x}_proj": (768, 768) for n in range(2) for x in ("q", "k", "v", "out")}
UNET = {
    "conv_in": (320, 4, 3, 3),
    "time_embedding.linear_1": (1280, 320),
    "down_blocks.0.resnets.0.conv1": (320, 320, 3, 3),
    "down_blocks.0.resnets.1.conv1": (320, 320, 3, 3),
    "down_blocks.0.resnets.1.time_emb_proj": (320, 1280),
    "down_blocks.0.downsamplers.0.conv": (320, 320, 3, 3),
    "down_blocks.1.attentions.1.transformer_blocks.0.attn1.to_out.0": (640, 640),
    "mid_block.attentions.0.proj_in": (1280, 1280),
    "mid_block.resnets.1.conv2": (1280, 1280, 3, 3),
    "up_blocks.0.attentions.0.norm": (1280,),
    "up_blocks.0.attentions.2.proj_out": (1280, 1280),
    "up_blocks.0.upsamplers.0.conv": (1280, 1280, 3, 3),
    "up_blocks.1.attentions.0.norm": (640,),
}
BLOCK, SINGLE = "transformer_blocks.3.attn", "single_transformer_blocks.5"
FLUX = {
    **{f"{BLOCK}.{x}": (3072, 3072) for x in ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")},
    **{f"{SINGLE}.attn.{x}": (3072, 3072) for x in ("to_q", "to_k", "to_v")},
    f"{SINGLE}.proj_mlp": (12288, 3072),
    f"{SINGLE}.proj_out": (3072, 15360),
    "norm_out.linear": (6144, 3072),
}
LAST = "transformer_blocks.1"
SD3 = {
    **{f"{LAST}.attn.{x}": (1536, 1536) for x in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "to_out.0")},
    f"{LAST}.norm1_context.linear": (3072, 1536),
    "transformer_blocks.0.norm1_context.linear": (9216, 1536),
    f"{LAST}.ff.net.0.proj": (6144, 1536),
}


@pytest.fixture(scope="module")
def models() -> dict[str, Names]:
    two = {"text_encoder": CLIP, "text_encoder_2": {f"text_model.{k}": (1280, 1280) for k in CLIP}}
    t5 = {"encoder.block.0.layer.0.SelfAttention.q": (4096, 4096)}
    return {
        "sd1": Names("sd1", {"unet": UNET, "text_encoder": CLIP}),
        "sdxl": Names("sdxl", {"unet": UNET, **two}),
        "sd3": Names("sd3", {"transformer": SD3, **two, "text_encoder_3": t5}),
        "flux": Names("flux", {"transformer": FLUX, "text_encoder": CLIP, "text_encoder_2": t5}),
    }


@pytest.mark.parametrize(
    ("architecture", "name", "target"),
    [
        ("sd1", "lora_unet_down_blocks_0_resnets_1_time_emb_proj", "unet:down_blocks.0.resnets.1.time_emb_proj"),
        ("sd1", "lora_te_text_model_encoder_layers_1_self_attn_q_proj", "text_encoder:encoder.layers.1.self_attn.q_proj"),
        ("sd1", "text_encoder.text_model.encoder.layers.1.self_attn.q_proj", "text_encoder:encoder.layers.1.self_attn.q_proj"),
        ("sd1", "unet.down_blocks.1.attentions.1.transformer_blocks.0.attn1.processor.to_out", "unet:" + list(UNET)[6]),
        ("sd1", "lycoris_conv_in", "unet:conv_in"),
        ("sd1", "lycoris_encoder_layers_0_self_attn_k_proj", "text_encoder:encoder.layers.0.self_attn.k_proj"),
        ("sdxl", "lora_unet_input_blocks_0_0", "unet:conv_in"),
        ("sdxl", "lora_unet_time_embed_0", "unet:time_embedding.linear_1"),
        ("sdxl", "lora_unet_input_blocks_1_0_in_layers_2", "unet:down_blocks.0.resnets.0.conv1"),
        ("sdxl", "lora_unet_input_blocks_2_0_emb_layers_1", "unet:down_blocks.0.resnets.1.time_emb_proj"),
        ("sdxl", "lora_unet_input_blocks_3_0_op", "unet:down_blocks.0.downsamplers.0.conv"),
        ("sdxl", "lora_unet_input_blocks_5_1_transformer_blocks_0_attn1_to_out_0", "unet:" + list(UNET)[6]),
        ("sdxl", "lora_unet_middle_block_1_proj_in", "unet:mid_block.attentions.0.proj_in"),
        ("sdxl", "lora_unet_middle_block_2_out_layers_3", "unet:mid_block.resnets.1.conv2"),
        ("sdxl", "lora_unet_output_blocks_2_1_proj_out", "unet:up_blocks.0.attentions.2.proj_out"),
        ("sdxl", "diffusion_model.output_blocks.2.2.conv", "unet:up_blocks.0.upsamplers.0.conv"),
        ("sdxl", "lora_te1_text_model_encoder_layers_0_self_attn_v_proj", "text_encoder:encoder.layers.0.self_attn.v_proj"),
        ("sdxl", "lora_te2_text_model_encoder_layers_0_self_attn_v_proj", "text_encoder_2:text_model.encoder.layers.0.self_attn.v_proj"),
        ("sd3", "lora_te3_encoder_block_0_layer_0_SelfAttention_q", "text_encoder_3:encoder.block.0.layer.0.SelfAttention.q"),
        ("sd3", "lora_unet_joint_blocks_1_x_block_mlp_fc1", "transformer:transformer_blocks.1.ff.net.0.proj"),
        ("flux", "lora_te3_encoder_block_0_layer_0_SelfAttention_q", "text_encoder_2:encoder.block.0.layer.0.SelfAttention.q"),
        ("flux", "lora_te1_text_model_encoder_layers_0_self_attn_q_proj", "text_encoder:encoder.layers.0.self_attn.q_proj"),
        ("flux", "transformer_blocks.3.attn.to_out.0", "transformer:transformer_blocks.3.attn.to_out.0"),
        ("flux", "base_model.model.transformer_blocks.3.attn.to_q", "transformer:transformer_blocks.3.attn.to_q"),
        ("flux", "double_blocks.3.processor.proj_lora2", "transformer:transformer_blocks.3.attn.to_add_out"),
        ("flux", "lora_unet_single_blocks_5_linear2", "transformer:single_transformer_blocks.5.proj_out"),
    ],
)
def test_one_layer(models: dict[str, Names], architecture: str, name: str, target: str):
    [found] = models[architecture].find(name)
    assert f"{found.component}:{found.path}" == target


@pytest.mark.parametrize(
    ("architecture", "name", "rows"),
    [
        ("flux", "lora_unet_double_blocks_3_img_attn_qkv", {"to_q": (0, 3072), "to_k": (3072, 6144), "to_v": (6144, 9216)}),
        ("flux", "double_blocks.3.processor.qkv_lora2", {"add_q_proj": (0, 3072), "add_k_proj": (3072, 6144), "add_v_proj": (6144, 9216)}),
        (
            "flux",
            "diffusion_model.single_blocks.5.linear1",
            {"to_q": (0, 3072), "to_k": (3072, 6144), "to_v": (6144, 9216), "proj_mlp": (9216, 21504)},
        ),
        (
            "sd3",
            "lora_unet_joint_blocks_1_context_block_attn_qkv",
            {f"add_{x}_proj": (n * 1536, n * 1536 + 1536) for n, x in enumerate("qkv")},
        ),
    ],
)
def test_several_layers_share_the_rows_of_one_entry(
    models: dict[str, Names], architecture: str, name: str, rows: dict[str, tuple[int, int]]
):
    found = models[architecture].find(name)
    assert {t.path.rpartition(".")[2]: (t.rows.start, t.rows.stop) for t in found} == rows


@pytest.mark.parametrize(
    ("architecture", "name", "swapped"),
    [
        ("sd3", "lora_unet_joint_blocks_1_context_block_adaLN_modulation_1", True),
        ("sd3", "lora_unet_joint_blocks_0_context_block_adaLN_modulation_1", False),
        ("sd3", "transformer.transformer_blocks.1.norm1_context.linear", False),
        ("flux", "lora_unet_final_layer_adaLN_modulation_1", True),
    ],
)
def test_halves_that_stand_the_other_way_round(models: dict[str, Names], architecture: str, name: str, swapped: bool):
    assert [t.swapped for t in models[architecture].find(name)] == [swapped]


@pytest.mark.parametrize("name", ["lora_unet_nothing", "lora_te2_text_model_encoder_layers_0_self_attn_q_proj", "", "lora_te_"])
def test_a_name_that_the_model_has_not(models: dict[str, Names], name: str):
    assert models["sd1"].find(name) == ()
