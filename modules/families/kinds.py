"""What any weight file is: a checkpoint, a VAE, a LoRA, an upscaler, ...; by keys and shapes, never by its name.

Start reading at `kind_of`. Each kind has a function that looks for its own marks and says why. Sources: the key names that the
programs which write such files use; see also `lora_shapes` and `backbones`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from modules.families.backbones import find_flux, find_mmdit, find_unet, size
from modules.families.lora_shapes import is_lora, lora_architecture
from modules.families.strangers import name_of
from modules.families.unets import generation
from modules.weights.header import Header

PLACES = {
    "checkpoint": "Stable-diffusion", "unet": "Stable-diffusion", "vae": "VAE", "taesd": "VAE", "text_encoder": "text_encoder",
    "lora": "Lora", "embedding": "embeddings", "controlnet": "ControlNet", "ip_adapter": "ControlNet", "upscaler": "ESRGAN",
}  # fmt: skip
_ENCODERS = {768: "CLIP-L", 1024: "OpenCLIP-H", 1280: "OpenCLIP-G", 4096: "T5-XXL"}
_TEXT_WIDTHS = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl"}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """kind: a key of PLACES or "unknown". architecture: "sd1", "sd2", "sdxl", "sd3", "flux" when shapes tell, else None. why: a clause.

    width: latent channels of a VAE or TAESD (4, 16), text width of a text encoder or embedding (768, ...); None for others.
    """

    kind: str
    architecture: str | None
    why: str
    width: int | None = None

    @property
    def place(self) -> str | None:
        """The folder under models/ where files of this kind lie; None for unknown ones and for checkpoints."""
        return None if self.kind in ("checkpoint", "unet") else PLACES.get(self.kind)


def kind_of(header: Header) -> Kind:
    """What a weight file is. Never raises; "unknown" when it bears no known marks."""
    for test in _TESTS:
        found = test(header)
        if found is not None:
            return found
    return Kind(kind="unknown", architecture=None, why="it has none of the tensors this version knows")


def _lora(header: Header) -> Kind | None:
    if not is_lora(header):
        return None
    architecture, why = lora_architecture(header)
    return Kind(kind="lora", architecture=architecture, why=f"it is a LoRA; {why}")


def _ip_adapter(header: Header) -> Kind | None:
    if not (header.has("ip_adapter.") and header.has("image_proj.")):
        return None
    width = size(header, "ip_adapter.1.to_k_ip.weight", 1)
    return Kind(kind="ip_adapter", architecture=_TEXT_WIDTHS.get(width), why="it is an IP-Adapter")


def _controlnet(header: Header) -> Kind | None:
    names = header.tensors
    if "lora_controlnet" in names:
        return Kind(kind="controlnet", architecture="sdxl" if "label_emb.0.0.down" in names else None, why="it is a Control-LoRA")
    marks = ("input_hint_block.0.weight", "controlnet_cond_embedding.conv_in.weight", "controlnet_blocks.0.weight")
    mark = next((m for m in marks if m in names or f"control_model.{m}" in names), None)
    if mark is None and not header.has("control_model."):
        adapter = header.has("body.0.block1.") or header.has("adapter.body.0.")
        return Kind(kind="controlnet", architecture=None, why="it is a T2I-Adapter") if adapter else None
    if "controlnet_x_embedder.weight" in names or header.has("double_blocks."):
        return Kind(kind="controlnet", architecture="flux", why="it is a ControlNet with packed channels")
    if header.has("pos_embed_input.") or header.has("joint_blocks.") or "transformer_blocks.0.attn.to_q.weight" in names:
        return Kind(kind="controlnet", architecture="sd3", why="it is a ControlNet of joint blocks")
    cross = next((i.shape[-1] for n, i in names.items() if n.endswith("transformer_blocks.0.attn2.to_k.weight") and i.shape), 0)
    return Kind(kind="controlnet", architecture=_TEXT_WIDTHS.get(cross), why=f"it is a ControlNet that reads text of width {cross}")


def _model(header: Header) -> Kind | None:
    unet, mmdit, flux = find_unet(header), find_mmdit(header), find_flux(header)
    stranger = name_of(header)
    if not (unet or mmdit or flux or stranger):
        return None
    whole = any(header.has(start) for start in ("first_stage_model.", "vae.", "cond_stage_model.", "conditioner.", "text_encoders."))
    kind = "checkpoint" if whole else "unet"
    if stranger is not None:
        return Kind(kind=kind, architecture=None, why=f"it is {stranger}")
    if unet is not None:
        family = generation(unet).removesuffix("-refiner") or None
        return Kind(kind=kind, architecture=family, why=f"it has a UNet that reads text of width {unet.context}")
    return Kind(
        kind=kind,
        architecture="sd3" if mmdit else "flux",
        why="it has a transformer of joint blocks" if mmdit else "it has a transformer of double blocks",
    )


def _vae(header: Header) -> Kind | None:
    for prefix in ("", "first_stage_model.", "vae."):
        channels = size(header, f"{prefix}decoder.conv_in.weight", 1, 4)
        if channels and size(header, f"{prefix}decoder.conv_out.weight", 0, 4):
            return Kind(kind="vae", architecture=None, why=f"it is a VAE with {channels} channels", width=channels)
    return None


def _taesd(header: Header) -> Kind | None:
    for key in ("decoder.layers.0.weight", "taesd_decoder.1.weight", "decoder.1.weight", "1.weight", "0.weight"):
        shape = header.shape(key) or ()
        if len(shape) == 4 and shape[0] == 64 and (shape[1] in (4, 16) or (key == "0.weight" and shape[1] == 3)):
            start = key.removesuffix("0.weight").removesuffix("1.weight")
            if header.has(f"{start}3.conv.") or header.has(f"{start}2.conv.") or header.has(f"{start}1.conv."):
                channels = shape[1] if shape[1] != 3 else None
                return Kind(kind="taesd", architecture=None, why="it is a tiny autoencoder (TAESD)", width=channels)
    return None


_CLIP_KEYS = (
    "text_model.embeddings.token_embedding.weight", "embeddings.token_embedding.weight", "token_embedding.weight",
    "model.token_embedding.weight", "transformer.text_model.embeddings.token_embedding.weight",
)  # fmt: skip
_T5_KEYS = ("encoder.block.0.layer.0.SelfAttention.q.weight", "enc.blk.0.attn_q.weight")


def _text_encoder(header: Header) -> Kind | None:
    for prefix in ("", "cond_stage_model.", "text_encoders.clip_l.", "text_encoders.clip_g.", "text_encoders.t5xxl.transformer."):
        for key in (*_CLIP_KEYS, *_T5_KEYS):
            width = size(header, prefix + key, 1, 2)
            if width:
                name = _ENCODERS.get(width, "T5" if key in _T5_KEYS else "CLIP")
                return Kind(kind="text_encoder", architecture=None, why=f"it is a text encoder ({name}, width {width})", width=width)
    return None


def _embedding(header: Header) -> Kind | None:
    two = {name: info.shape for name, info in header.tensors.items() if len(info.shape) == 2}
    if "clip_g" in two:
        architecture = "sd3" if "t5xxl" in two else "sdxl"
        return Kind(kind="embedding", architecture=architecture, why="it is an embedding for two text encoders", width=two["clip_g"][1])
    if len(header.tensors) > 8:
        return None
    if {"clip_l", "t5xxl"} <= two.keys():
        return Kind(kind="embedding", architecture="flux", why="it is an embedding for CLIP-L and T5", width=two["clip_l"][1])
    for name, shape in two.items():
        named = name in ("emb_params", "clip_l", "t5xxl") or name.startswith("string_to_param.")
        if named or (shape[1] in (768, 1024) and shape[0] <= 512 and "." not in name.strip("<>.")):
            architecture = _TEXT_WIDTHS.get(shape[1])
            return Kind(kind="embedding", architecture=architecture, why=f"it is an embedding of width {shape[1]}", width=shape[1])
    return None


_UPSCALER_KEYS = re.compile(
    r"(params_ema\.|params\.|module\.)?"
    r"(body\.0\.rdb1\.conv1\.weight|RRDB_trunk\.0\.RDB1\.conv1\.weight|model\.1\.sub\.0\.RDB1\.conv1\.0\.weight"
    r"|layers\.0\.residual_group\.|layers\.0\.blocks\.0\.attn|feats\.0\.weight|block_1\.c1_r\.|conv_block_1|upsample\.0\.weight"
    r"|to_feat\.weight|dblocks\.0)"
)


def _upscaler(header: Header) -> Kind | None:
    if any(_UPSCALER_KEYS.match(name) for name in header.tensors):
        return Kind(kind="upscaler", architecture=None, why="it is an upscaler")
    for prefix in ("", "params_ema.", "params."):
        if size(header, f"{prefix}body.0.weight", 1, 4) == 3 and size(header, f"{prefix}body.1.weight", 0, 1):
            return Kind(kind="upscaler", architecture=None, why="it is a compact upscaler")
        if size(header, f"{prefix}conv_first.weight", 1, 4) == 3:
            return Kind(kind="upscaler", architecture=None, why="it is an upscaler")
    return None


_TESTS: tuple[Callable[[Header], Kind | None], ...] = (
    _ip_adapter, _lora, _controlnet, _model, _vae, _taesd, _text_encoder, _embedding, _upscaler,
)  # fmt: skip
