"""What any weight file is: a checkpoint, a VAE, a LoRA, an upscaler, ...; by keys and shapes, never by its name.

Start reading at `kind_of`. Each kind has a function that looks for its own marks and says why. Sources: the key names that the
programs which write such files use; see also `lora_shapes` and `backbones`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modules.families.backbones import UNet, find_flux, find_mmdit, find_unet, size
from modules.families.lora_shapes import is_lora, lora_architecture
from modules.families.strangers import name_of
from modules.families.unets import generation
from modules.faults import ModelFault
from modules.weights.header import Header
from modules.weights.layouts import control_lora, controls

PLACES = {
    "checkpoint": "Stable-diffusion", "unet": "Stable-diffusion", "vae": "VAE", "taesd": "VAE", "text_encoder": "text_encoder",
    "lora": "Lora", "embedding": "embeddings", "controlnet": "ControlNet", "ip_adapter": "ControlNet", "upscaler": "ESRGAN",
    "clip_vision": "clip_vision",
}  # fmt: skip
_ENCODERS = {768: "CLIP-L", 1024: "OpenCLIP-H", 1280: "OpenCLIP-G", 4096: "T5-XXL"}
# A part of a name that only such files have -> what they are: beside ControlNets, and not run here.
_CONTROL_STRANGERS = {
    "lllite_": "a ControlNet-LLLite, whose changes lie inside the attention layers",
    "style_embedding": "a style adapter (T2I-Adapter); take an IP-Adapter",
    "pulid_": "a PuLID adapter, which needs InsightFace",
    ".ctrl_to_base.": "a ControlNet-XS, which works inside the network's own layers",
    ".motion_modules.": "a SparseCtrl of AnimateDiff, for films",
    "encoder_hid_proj.": "a ControlNet for Kolors",
}
_ALONE = tuple(_CONTROL_STRANGERS.values())[:3]  # without a ControlNet's marks
_TEXT_WIDTHS = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl"}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """kind: a key of PLACES or "unknown". architecture: "sd1", "sd2", "sdxl", "sd3", "flux" when shapes tell, else None. why: a clause.

    width: latent channels of a VAE or TAESD (4, 16), text width of a text encoder or embedding (768, ...); None for others.
    control: of a ControlNet "controlnet", "union" or "t2i_adapter", as `modules.request.ResolvedUnit` has it.
    """

    kind: str
    architecture: str | None
    why: str
    width: int | None = None
    control: str = ""

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


def _clip_vision(header: Header) -> Kind | None:
    width = size(header, "visual_projection.weight", 1, 2)
    if not width or not header.has("vision_model.") or header.has("text_model."):
        return None
    return Kind(kind="clip_vision", architecture=None, why=f"it is a CLIP image encoder of width {width}", width=width)


def _controlnet(header: Header) -> Kind | None:
    if control_lora.LORA in header.tensors:
        return _control_lora(header)
    control = controls.recognise(header)
    stranger = next((what for mark, what in _CONTROL_STRANGERS.items() if any(mark in name for name in header.tensors)), "")
    if stranger and (control is not None or stranger in _ALONE):
        return Kind(kind="controlnet", architecture=None, why=f"it is {stranger}")
    if control is None:
        return None
    called = {"t2i_adapter": "a T2I-Adapter", "union": "a union ControlNet"}.get(control.kind, "a ControlNet")
    try:
        _, component = controls.described(header) or (None, None)
        config = component.config if component else {}
    except ModelFault as fault:
        text = next((i.shape[-1] for n, i in header.tensors.items() if n.endswith("attn2.to_k.weight") and i.shape), 0)
        meant = control.id if control.id in ("flux", "sd3") else _TEXT_WIDTHS.get(text)
        return Kind(kind="controlnet", architecture=meant, why=f"it looks like {called}, but {fault.message.rstrip('.')}")
    architecture = _controlled(control.id, config)
    runs = "union" if config.get("num_mode") else control.kind
    return Kind(kind="controlnet", architecture=architecture, why=f"it is {called} for {architecture}", control=runs)


def _control_lora(header: Header) -> Kind:
    width, lack = control_lora.text_width(header), control_lora.lacking(header)
    xl = "sdxl" if any(name.startswith("label_emb.") for name in header.tensors) else None
    architecture = _TEXT_WIDTHS.get(width, xl)
    if lack:
        return Kind(kind="controlnet", architecture=architecture, why=f"it is a Control-LoRA that lacks {lack}")
    if architecture is None:
        return Kind(kind="controlnet", architecture=None, why=f"it is a Control-LoRA for a model that reads text of width {width}")
    return Kind(kind="controlnet", architecture=architecture, why=f"it is a Control-LoRA for {architecture}", control="controlnet")


def _controlled(control: str, config: Mapping[str, Any]) -> str:
    """The architecture that a control is for."""
    if control in ("flux", "sd3"):
        return control
    if control == "t2i":
        return "sdxl" if config["adapter_type"] == "full_adapter_xl" else "sd1"
    if config.get("addition_embed_type"):
        return "sdxl"
    width, linear = config.get("cross_attention_dim") or 0, bool(config["use_linear_projection"])
    return generation(UNet(names="", in_channels=4, out_channels=4, context=width, labels=None, linear=linear))


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
    _ip_adapter, _clip_vision, _lora, _controlnet, _model, _vae, _taesd, _text_encoder, _embedding, _upscaler,
)  # fmt: skip
