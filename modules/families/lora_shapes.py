"""Which architecture a LoRA (of any dialect) was made for, from the names and shapes of its tensors.

Start reading at `is_lora` and `lora_architecture`. Knows nothing about applying them. Sources: the names that kohya's scripts,
diffusers, PEFT and LyCORIS write.
"""

from __future__ import annotations

import re

from modules.weights.header import Header

_SUFFIXES = (
    ".lora_down.weight", ".lora_up.weight", ".lora_A.weight", ".lora_B.weight", ".lora_A.default.weight", ".lora.down.weight",
    "_lora.down.weight", ".lora_linear_layer.down.weight", ".lora_A", ".lora_B", ".hada_w1_a", ".hada_w1_b", ".lokr_w1", ".lokr_w1_a",
    ".lokr_w2", ".lokr_w2_a", ".oft_blocks", ".oft_diag", ".on_input", ".a1.weight", ".dora_scale",
)  # fmt: skip
_STARTS = ("lora_unet_", "lora_te", "lycoris_", "lora_transformer_")
_INPUT_SIDE = (
    ".lora_down.weight", ".lora_A.weight", ".lora_A.default.weight", ".lora.down.weight", "_lora.down.weight", ".lora_A", ".hada_w1_b",
    ".diff",
)  # fmt: skip
_CROSS = re.compile(r"attn2[._](processor\.)?to_k")
_TEXT = re.compile(r"(lora_te\d?_|lycoris_te\d?_|text_encoder(_\d)?\.).*layers[._]0[._]self_attn[._]q_proj")
_JOINT = re.compile(r"joint_blocks[._]\d")
_FLUX = re.compile(r"(^|[._])(double_blocks|single_blocks|single_transformer_blocks)[._]\d")
_HUNYUAN = re.compile(r"double_blocks[._]19[._]|single_blocks[._]3[89][._]")
_PLAIN = re.compile(r"(base_model\.model\.)?(transformer\.|lora_transformer_|lycoris_)?transformer_blocks[._]\d")
_SECOND_ENCODER = re.compile(r"(lora|lycoris)_te2_|text_encoder_2\.")
_DEEP = re.compile(r"blocks?[._]\d.*transformer_blocks[._][1-9]")
_BY_TEXT_WIDTH = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl"}
_BASE_VERSIONS = (("sd_v1", "sd1"), ("sd_v2", "sd2"), ("sdxl", "sdxl"), ("sd3", "sd3"), ("flux1", "flux"))
_MODELSPEC = (
    ("stable-diffusion-v1", "sd1"), ("stable-diffusion-v2", "sd2"), ("stable-diffusion-xl", "sdxl"), ("stable-diffusion-3", "sd3"),
    ("flux-1", "flux"),
)  # fmt: skip


def is_lora(header: Header) -> bool:
    """Does any tensor have a name that only LoRA and LyCORIS files use?"""
    return any(name.endswith(_SUFFIXES) or name.startswith(_STARTS) for name in header.tensors)


def lora_architecture(header: Header) -> tuple[str | None, str]:
    """(architecture or None, why): from block names, then widths, then the metadata the trainer wrote."""
    names = list(header.tensors)
    transformer = _of_transformer(header, names)
    if transformer is not None:
        return transformer
    width = _cross_width(header)
    if width in _BY_TEXT_WIDTH:
        return _BY_TEXT_WIDTH[width], f"its cross-attention reads text of width {width}"
    if any(_SECOND_ENCODER.match(name) for name in names):
        return "sdxl", "it has parts for a second text encoder"
    if any(_DEEP.search(name) for name in names):
        return "sdxl", "it has parts for deep transformer blocks of a UNet"
    text = _text_width(header)
    if text in (768, 1024):
        return _BY_TEXT_WIDTH[text], f"its text encoder has width {text}"
    return _by_metadata(header)


def _of_transformer(header: Header, names: list[str]) -> tuple[str | None, str] | None:
    """The answer for LoRAs of transformers; None when it is not one."""
    if any(_JOINT.search(name) for name in names):
        return "sd3", "it has parts for joint blocks"
    if any(_FLUX.search(name) for name in names):
        if any(_HUNYUAN.search(name) for name in names):
            return None, "it has parts for more blocks than Flux has"
        return "flux", "it has parts for double and single blocks"
    plain = [name for name in names if _PLAIN.match(name)]
    if not plain:
        return None
    if any("img_mod" in name or "img_mlp" in name for name in plain):
        return None, "it is for a Qwen-Image model"
    queries = [name for name in plain if "attn.to_q" in name or "attn_to_q" in name or "add_q_proj" in name]
    widths = {_side(header, name) or _kronecker(header, name) for name in queries}
    if 3072 in widths:
        return "flux", "its blocks have the width of Flux"
    if widths & {1536, 2432}:
        return "sd3", "its blocks have the width of Stable Diffusion 3"
    return None, "its blocks have the width of no transformer this version knows"


def _side(header: Header, name: str) -> int | None:
    """The input width of the layer a tensor belongs to, when this tensor tells it."""
    shape = header.tensors[name].shape
    return shape[1] if name.endswith(_INPUT_SIDE) and len(shape) >= 2 else None


def _cross_width(header: Header) -> int | None:
    for name in header.tensors:
        if _CROSS.search(name) is None:
            continue
        if (side := _side(header, name)) is not None:
            return side
        if (side := _kronecker(header, name)) is not None:
            return side
    return None


def _text_width(header: Header) -> int | None:
    sides = (_side(header, name) or _kronecker(header, name) for name in header.tensors if _TEXT.match(name))
    return next((side for side in sides if side), None)


def _kronecker(header: Header, name: str) -> int | None:
    """The input width of a LoKr layer: the product of those of its two factors, each whole or as a pair."""
    base, dot, end = name.rpartition(".")
    if not dot or not end.startswith("lokr_w"):
        return None
    widths: list[int] = []
    for factor in ("lokr_w1", "lokr_w2"):
        shape = header.shape(f"{base}.{factor}") or header.shape(f"{base}.{factor}_b")
        if shape is None or len(shape) < 2:
            return None
        widths.append(shape[1])
    return widths[0] * widths[1]


def _by_metadata(header: Header) -> tuple[str | None, str]:
    base = header.metadata.get("ss_base_model_version", "").lower()
    for start, architecture in _BASE_VERSIONS:
        if base.startswith(start):
            return architecture, f"its metadata names the base {base[:40]}"
    spec = header.metadata.get("modelspec.architecture", "").lower()
    for start, architecture in _MODELSPEC:
        if spec.startswith(start):
            return architecture, f"its metadata names the architecture {spec[:60]}"
    return None, "its shapes do not tell for which model"
