"""Control networks from their own headers: full sizes as published, every dialect of names, and what is none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import save_file

from modules.families import kind_of
from modules.faults import ModelFault
from modules.weights.header import Header, TensorInfo
from modules.weights.layouts.controls import described, open_control, recognise
from modules.weights.layouts.module import build

XL: dict[str, Any] = {
    "block_out_channels": [320, 640, 1280], "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "transformer_layers_per_block": [1, 2, 10], "attention_head_dim": [5, 10, 20], "cross_attention_dim": 2048,
    "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
SMALL_XL = {**XL, "down_block_types": ["DownBlock2D"] * 3, "mid_block_type": "UNetMidBlock2D", "transformer_layers_per_block": 1}
SD35: dict[str, Any] = {
    "num_layers": 19, "num_attention_heads": 38, "joint_attention_dim": None, "caption_projection_dim": 2432, "pos_embed_max_size": None,
    "pos_embed_type": None, "use_pos_embed": False, "force_zeros_for_pooled_projection": False,
}  # fmt: skip
UNSEEN = ("transformer_layers_per_block", "cross_attention_dim", "use_linear_projection", "attention_head_dim")  # without attention
# As published: class, config where it is not the class's own, architecture, what runs it.
PUBLISHED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "SD 1.5": ("ControlNetModel", {"cross_attention_dim": 768}, "sd1", "controlnet"),
    "SD 2.1": (
        "ControlNetModel",
        {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True},
        "sd2",
        "controlnet",
    ),
    "SDXL": ("ControlNetModel", XL, "sdxl", "controlnet"),
    "SDXL small": ("ControlNetModel", SMALL_XL, "sdxl", "controlnet"),
    "SDXL union": (
        "ControlNetUnionModel",
        {**XL, "num_control_type": 8, "conditioning_embedding_out_channels": [16, 32, 96, 256]},
        "sdxl",
        "union",
    ),
    "T2I-Adapter SD 1.5": ("T2IAdapter", {}, "sd1", "t2i_adapter"),
    "T2I-Adapter SD 1.5, sketch": ("T2IAdapter", {"in_channels": 1}, "sd1", "t2i_adapter"),
    "T2I-Adapter SD 1.5, light": (
        "T2IAdapter",
        {"adapter_type": "light_adapter", "channels": [320, 640, 1280], "num_res_blocks": 4},
        "sd1",
        "t2i_adapter",
    ),
    "T2I-Adapter SDXL": ("T2IAdapter", {"adapter_type": "full_adapter_xl", "downscale_factor": 16}, "sdxl", "t2i_adapter"),
    "SD3": ("SD3ControlNetModel", {"num_layers": 6, "num_attention_heads": 24, "caption_projection_dim": 1536}, "sd3", "controlnet"),
    "SD3.5 Large": ("SD3ControlNetModel", SD35, "sd3", "controlnet"),
    "Flux": ("FluxControlNetModel", {"num_layers": 5, "num_single_layers": 10, "guidance_embeds": True}, "flux", "controlnet"),
    "Flux union": ("FluxControlNetModel", {"num_layers": 5, "num_single_layers": 10, "num_mode": 10}, "flux", "union"),
    "Flux, X-Labs": (
        "FluxControlNetModel",
        {"num_layers": 2, "num_single_layers": 0, "conditioning_embedding_channels": 16, "patch_size": 2, "guidance_embeds": True},
        "flux",
        "controlnet",
    ),
}


def header_of(net: torch.nn.Module, path: str = "x.safetensors") -> Header:
    tensors = {name: TensorInfo("F16", tuple(value.shape)) for name, value in net.state_dict().items()}
    return Header(path=Path(path), tensors=tensors, metadata={})


def same(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_are_known_from_the_header_alone(name: str) -> None:
    kind, config, architecture, runs = PUBLISHED[name]
    with torch.device("meta"):
        net: Any = getattr(diffusers, kind)(**config)
    header = header_of(net)
    found = kind_of(header)
    assert (found.kind, found.architecture, found.control) == ("controlnet", architecture, runs)
    _, component = described(header) or (None, None)
    assert component is not None
    told = {key: same(value) for key, value in component.config.items()}
    wanted = {key: same(value) for key, value in net.config.items() if not key.startswith("_")}
    idle = {"sample_size", *(UNSEEN if name == "SDXL small" else ())}
    other = {key: (told[key], wanted.get(key)) for key in told.keys() & wanted.keys() - idle if told[key] != wanted[key]}
    assert not other


def small(kind: str, **config: Any) -> Any:
    torch.manual_seed(0)
    net = getattr(diffusers, kind)(**config)
    for weight in net.parameters():
        weight.data = torch.randn(weight.shape)
    return net.eval()


def unet_names(names: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A ControlNet of one level and one layer a level as the first files name it."""
    table = {
        "controlnet_cond_embedding.conv_in.": "input_hint_block.0.", "controlnet_cond_embedding.blocks.0.": "input_hint_block.2.",
        "controlnet_cond_embedding.blocks.1.": "input_hint_block.4.", "controlnet_cond_embedding.conv_out.": "input_hint_block.6.",
        "controlnet_mid_block.": "middle_block_out.0.", "conv_in.": "input_blocks.0.0.", "time_embedding.linear_1.": "time_embed.0.",
        "time_embedding.linear_2.": "time_embed.2.", "down_blocks.0.resnets.0.": "input_blocks.1.0.",
        "down_blocks.0.attentions.0.": "input_blocks.1.1.", "down_blocks.0.downsamplers.0.conv.": "input_blocks.2.0.op.",
        "down_blocks.1.resnets.0.": "input_blocks.3.0.", "mid_block.resnets.0.": "middle_block.0.",
        "mid_block.attentions.0.": "middle_block.1.", "mid_block.resnets.1.": "middle_block.2.",
        **{f"controlnet_down_blocks.{n}.": f"zero_convs.{n}.0." for n in range(9)},
    }  # fmt: skip
    inner = {
        "norm1.": "in_layers.0.", "conv1.": "in_layers.2.", "time_emb_proj.": "emb_layers.1.", "norm2.": "out_layers.0.",
        "conv2.": "out_layers.3.", "conv_shortcut.": "skip_connection.",
    }  # fmt: skip
    found: dict[str, torch.Tensor] = {}
    for name, value in names.items():
        begin = max((start for start in table if name.startswith(start)), key=len)
        end = name[len(begin) :]
        if ".resnets." in name:
            part = next(start for start in inner if end.startswith(start))
            end = inner[part] + end[len(part) :]
        found[f"control_model.{table[begin]}{end}"] = value
    return found


def stacked(names: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As Stability AI names the blocks of SD3.5's ControlNets."""
    found: dict[str, torch.Tensor] = {}
    table = {"attn.to_out.0.": "attn.proj.", "norm1.linear.": "adaLN_modulation.1.", "ff.net.0.proj.": "mlp.fc1.", "ff.net.2.": "mlp.fc2."}
    for name, value in names.items():
        if ".attn.to_q." in name:
            three = [names[name.replace(".to_q.", f".to_{x}.")] for x in "qkv"]
            found[name.replace(".to_q.", ".qkv.")] = torch.cat(three)
        elif ".attn.to_k." not in name and ".attn.to_v." not in name:
            theirs = next(((ours, other) for ours, other in table.items() if ours in name), ("", ""))
            found[name.replace(*theirs) if theirs[0] else name] = value
    return found


def in_a_row(names: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As T2I-Adapters were first published."""
    found: dict[str, torch.Tensor] = {}
    for name, value in names.items():
        parts = name.removeprefix("adapter.").split(".")
        if "resnets" in parts:
            parts = ["body", str(int(parts[1]) * 2 + int(parts[3])), *parts[4:]]
        elif "in_conv" in parts:
            parts[1] = str(int(parts[1]) * 2)
        found[".".join(parts)] = value
    return found


def light_row(names: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix("adapter.").replace(".resnets.", ".body."): value for name, value in names.items()}


UNET: dict[str, Any] = {
    "block_out_channels": [32, 64], "layers_per_block": 1, "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "cross_attention_dim": 48, "attention_head_dim": 8, "conditioning_embedding_out_channels": [16, 32],
}  # fmt: skip
DIALECTS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "LDM": ("ControlNetModel", UNET, unet_names),
    "SD3.5": ("SD3ControlNetModel", {**SD35, "num_layers": 2, "num_attention_heads": 2, "caption_projection_dim": 128}, stacked),
    "T2I-Adapter": ("T2IAdapter", {"channels": [8, 16, 32, 32]}, in_a_row),
    "light T2I-Adapter": (
        "T2IAdapter",
        {"channels": [8, 16, 32], "num_res_blocks": 4, "adapter_type": "light_adapter"},
        light_row,
    ),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_other_names_lead_to_the_same_numbers(tmp_path: Path, name: str) -> None:
    kind, config, renamed = DIALECTS[name]
    net = small(kind, **config)
    path = tmp_path / "some.safetensors"
    save_file({key: value.contiguous() for key, value in renamed(net.state_dict()).items()}, path)
    _, component = open_control(path)
    read = build(component, "float32", path.name)
    assert type(read) is type(net)
    assert read.state_dict().keys() == net.state_dict().keys()
    assert all(torch.equal(value, read.state_dict()[key]) for key, value in net.state_dict().items())


def test_a_config_beside_the_file_and_the_host_tell_what_shapes_do_not(tmp_path: Path) -> None:
    net = small("ControlNetModel", **{**UNET, "attention_head_dim": 4})
    net.save_pretrained(tmp_path)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    assert open_control(path)[1].config["attention_head_dim"] == 4
    (tmp_path / "config.json").unlink()
    assert open_control(path)[1].config["attention_head_dim"] == 8
    host = {"block_out_channels": [32, 64], "attention_head_dim": 2}
    assert open_control(path, host)[1].config["attention_head_dim"] == 2
    assert open_control(path, {**host, "block_out_channels": [64, 64]})[1].config["attention_head_dim"] == 8
    shuffled = path.rename(tmp_path / "control_v11e_sd15_shuffle.safetensors")
    assert open_control(shuffled)[1].config["global_pool_conditions"]


def test_checkpoints_are_no_control_networks_and_half_files_say_what_they_lack(tmp_path: Path) -> None:
    with torch.device("meta"):
        flux = diffusers.FluxTransformer2DModel(num_layers=1, num_single_layers=1)
        unet = diffusers.UNet2DConditionModel(cross_attention_dim=768)
    assert recognise(header_of(flux)) is None
    assert recognise(header_of(unet)) is None
    tensors = small("ControlNetModel", **UNET).state_dict()
    del tensors["controlnet_mid_block.weight"]
    save_file({key: value.contiguous() for key, value in tensors.items()}, tmp_path / "half.safetensors")
    _, component = open_control(tmp_path / "half.safetensors")
    with pytest.raises(ModelFault, match=r"half\.safetensors is not whole.*controlnet_mid_block"):
        build(component, "float32", "half.safetensors")


def test_pieces_in_a_folder_are_one_network(tmp_path: Path) -> None:
    net = small("ControlNetModel", **{**UNET, "attention_head_dim": 4})
    net.save_pretrained(tmp_path, max_shard_size="200KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    _, component = open_control(tmp_path)
    read = build(component, "float32", tmp_path.name)
    assert read.config.attention_head_dim == 4
    assert all(torch.equal(value, read.state_dict()[key]) for key, value in net.state_dict().items())
    next(tmp_path.glob("*-00001-*.safetensors")).unlink()
    with pytest.raises(ModelFault, match="00001-of"):
        open_control(tmp_path)
