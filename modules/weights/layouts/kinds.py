"""The kinds of component a model is made of: how each is told by its names, which rules it has, and what its shapes tell.

Start reading at `KINDS`. Where the components lie in a model's single file stands in `table`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modules.weights.layouts import controlnet, controlnet_blocks, flux, mmdit, text, unet, vae
from modules.weights.layouts.rules import Rules, Shapes


@dataclass(frozen=True, slots=True)
class Naming:
    """One way single files name a component. mark: a name that only this one has.

    reading(shapes by single names), writing(shapes by canonical names): the rules.
    """

    mark: str
    reading: Callable[[Shapes], Rules]
    writing: Callable[[Shapes], Rules]


def _same_name(name: str) -> str | None:
    return name


def _identity(_: Shapes) -> Rules:
    return text.IDENTITY


@dataclass(frozen=True, kw_only=True)
class Kind:
    """library: where its classes live. mark: a canonical name that only this kind has. namings: those of single files.

    canonical(name): today's name for a name in a diffusers folder, None for what is left behind; config(shapes): what shapes tell.
    """

    library: str
    mark: str
    namings: Mapping[str, Naming]
    config: Callable[[Shapes], dict[str, Any]]
    canonical: Callable[[str], str | None] = _same_name


KINDS: Mapping[str, Kind] = {
    "unet": Kind(
        library="diffusers",
        mark="down_blocks.0.resnets.0.conv1.weight",
        namings={"ldm": Naming("out.2.weight", unet.from_single, unet.from_parts)},
        config=unet.config,
    ),
    "vae": Kind(
        library="diffusers",
        mark="decoder.mid_block.resnets.0.conv1.weight",
        namings={"ldm": Naming("decoder.mid.block_1.conv1.weight", vae.from_single, vae.from_parts)},
        config=vae.config,
        canonical=vae.canonical,
    ),
    "clip": Kind(
        library="transformers",
        mark="text_model.embeddings.token_embedding.weight",
        namings={
            "openclip": Naming("transformer.resblocks.0.attn.in_proj_weight", text.from_openclip, text.from_clip),
            "hf": Naming("text_model.embeddings.token_embedding.weight", _identity, _identity),
        },
        config=text.clip_config,
        canonical=text.clip_canonical,
    ),
    "t5": Kind(
        library="transformers",
        mark="encoder.block.0.layer.0.SelfAttention.q.weight",
        namings={
            "hf": Naming("encoder.block.0.layer.0.SelfAttention.q.weight", _identity, _identity),
            "gguf": Naming("enc.blk.0.attn_q.weight", text.t5_from_gguf, text.t5_to_gguf),
        },
        config=text.t5_config,
        canonical=text.t5_canonical,
    ),
    "mmdit": Kind(
        library="diffusers",
        mark="transformer_blocks.0.attn.add_q_proj.weight",
        namings={"sai": Naming("joint_blocks.0.x_block.attn.qkv.weight", mmdit.from_single, mmdit.from_parts)},
        config=mmdit.config,
    ),
    "flux": Kind(
        library="diffusers",
        mark="single_transformer_blocks.0.attn.to_q.weight",
        namings={"bfl": Naming("double_blocks.0.img_attn.qkv.weight", flux.from_single, flux.from_parts)},
        config=flux.config,
    ),
    "controlnet": Kind(
        library="diffusers",
        mark="controlnet_cond_embedding.conv_in.weight",
        namings={"ldm": Naming("input_hint_block.0.weight", controlnet.from_single, controlnet.from_parts)},
        config=controlnet.config,
    ),
    "controlnet_union": Kind(
        library="diffusers",
        mark="control_add_embedding.linear_1.weight",
        namings={"same": Naming("control_add_embedding.linear_1.weight", _identity, _identity)},
        config=controlnet.union_config,
    ),
    "controlnet_sd3": Kind(
        library="diffusers",
        mark="pos_embed_input.proj.weight",
        namings={"sai": Naming("transformer_blocks.0.attn.qkv.weight", controlnet_blocks.sd3_from_single, _identity)},
        config=controlnet_blocks.sd3_config,
    ),
    "controlnet_flux": Kind(
        library="diffusers",
        mark="controlnet_x_embedder.weight",
        namings={"xlabs": Naming("pos_embed_input.weight", controlnet_blocks.flux_from_single, _identity)},
        config=controlnet_blocks.flux_config,
    ),
    "t2i_adapter": Kind(
        library="diffusers",
        mark="adapter.body.0.resnets.0.block1.weight",
        namings={
            "tencent": Naming("body.0.block1.weight", controlnet.adapter_from_single, _identity),
            "light": Naming("body.0.body.0.block1.weight", controlnet.adapter_from_single, _identity),
        },
        config=controlnet.adapter_config,
    ),
}
