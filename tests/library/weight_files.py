"""Small weight files written byte by byte, so that a test says what is in them. Start reading at `write_safetensors`."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

BYTES = {"F16": 2, "F32": 4}
LORA = {
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": ("F16", [4, 768]),
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": ("F16", [640, 4]),
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.alpha": ("F16", []),
}
EMBEDDING = {"emb_params": ("F32", [3, 768])}
VAE = {
    "encoder.conv_in.weight": ("F16", [128, 3, 3, 3]),
    "decoder.conv_in.weight": ("F16", [512, 4, 3, 3]),
    "decoder.conv_out.weight": ("F16", [3, 128, 3, 3]),
    "post_quant_conv.weight": ("F16", [4, 4, 1, 1]),
}


def write_safetensors(path: Path, tensors: Mapping[str, tuple[str, list[int]]], metadata: Mapping[str, str] | None = None) -> Path:
    """A file with these tensors, all zero; its data is a hole, so that full sizes cost no disk. Returns the path."""
    head: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + math.prod(shape) * BYTES[dtype]
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(head).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return path


def write_gguf(path: Path, tensors: Mapping[str, tuple[int, list[int], int]], metadata: Mapping[str, str | int] | None = None) -> Path:
    """tensors: name -> (type number, shape as torch sees it, bytes). Returns the path."""
    offset, infos = 0, b""
    for name, (kind, shape, size) in tensors.items():
        infos += (
            _text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape[::-1]) + struct.pack("<IQ", kind, offset)
        )
        offset += -(-size // 32) * 32
    entries = b""
    for key, value in (metadata or {}).items():
        entries += _text(key) + (struct.pack("<I", 8) + _text(value) if isinstance(value, str) else struct.pack("<II", 4, value))
    data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata or {})) + entries + infos
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data + bytes(-len(data) % 32) + bytes(offset))
    return path


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()
