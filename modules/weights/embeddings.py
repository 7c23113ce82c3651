"""Textual inversion: words that stand for vectors learnt for a text encoder. Reads every shape such files come in.

Only safetensors is opened; a .pt is converted first, on the Models tab. Knows files and widths; how words become vectors inside a
text encoder is `modules.prompts.embeddings`. Start reading at `describe` (no tensor is read), then `load`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.faults import ModelFault
from modules.weights.hashes import file_sha256
from modules.weights.header import Header, read

ENDINGS = (".safetensors",)
MAX_VECTORS = 75
# What a tensor is called in such files -> the text encoders it can be for, best first. "" stands for files with one tensor.
_CLIP_L, _CLIP_G, _T5 = ("text_encoder",), ("text_encoder_2", "text_encoder"), ("text_encoder_3", "text_encoder_2")
SLOTS: dict[str, tuple[str, ...]] = {
    "clip_l": _CLIP_L,
    "clip_g": _CLIP_G,
    "t5xxl": _T5,
    "t5": _T5,
    "text_encoders_0": ("text_encoder",),
    "text_encoders_1": ("text_encoder_2",),
    "text_encoders_2": ("text_encoder_3",),
    "emb_params": ("text_encoder", "text_encoder_2"),
    "": ("text_encoder", "text_encoder_2"),
}
# A1111's .pt after conversion, and a LoRA that carries its words along: bundle_emb.<name>.string_to_param.*
_PARAM = re.compile(r"(?:string_to_param[./])?\*|string_to_param[./].+")
_BUNDLED = re.compile(r"bundle_emb\.(?P<name>.+?)\.(?P<rest>string_to_param\..+|emb_params|clip_l|clip_g|t5xxl)")


@dataclass(frozen=True, eq=False, kw_only=True)
class Embedding:
    """A word and its vectors for one model. Equal only to itself, so that it can be part of a cache's key.

    name: what is typed; sha256: of its file; vectors: component ("text_encoder", ...) -> (n, width), float32.
    """

    name: str
    sha256: str
    vectors: Mapping[str, Any]

    @property
    def length(self) -> int:
        """How many tokens it takes."""
        return max(len(v) for v in self.vectors.values())


@dataclass(frozen=True, kw_only=True)
class EmbeddingFile:
    """What a file says. slots: what its tensors are for ("clip_l", "emb_params", "") -> (tensor's name, vectors, width)."""

    path: Path
    name: str
    slots: Mapping[str, tuple[str, int, int]] = field(default_factory=dict[str, tuple[str, int, int]])

    def fit(self, widths: Mapping[str, int], optional: Collection[str] = ()) -> dict[str, str]:
        """component -> name of the tensor for it, for a model whose text encoders have these widths.

        optional: components that may go without vectors (T5: it reads the word as text).
        Raises ModelFault with both widths when it was made for another kind of model.
        """
        found: dict[str, str] = {}
        for slot, (tensor, _, width) in self.slots.items():
            component = next((c for c in SLOTS[slot] if widths.get(c) == width and c not in found), None)
            if component is not None:
                found[component] = tensor
        if len({count for _, count, _ in self.slots.values()}) > 1:
            raise ModelFault(f"The embedding {self.name} has another number of vectors for each text encoder; its file is broken.")
        missing = [c for c in widths if c not in found and c not in optional]
        if not found or missing:
            made_for = " + ".join(str(width) for _, _, width in self.slots.values())
            has = " + ".join(str(w) for w in widths.values())
            raise ModelFault(
                f"The embedding {self.name} was made for text encoders of width {made_for}; this model's are {has} wide. "
                "Use it with a model of the family it was trained on."
            )
        return found


def describe(header: Header, name: str | None = None) -> EmbeddingFile:
    """What the header of an embedding's file says. name: the word; None takes the file's stem.

    Raises ModelFault when it holds no embedding, or one of more vectors than fit into a prompt's chunk.
    """
    slots: dict[str, tuple[str, int, int]] = {}
    name = name or header.path.stem
    for tensor, info in header.tensors.items():
        slot = tensor if tensor in SLOTS else "" if _PARAM.fullmatch(tensor) or len(header.tensors) == 1 else None
        if slot is None or len(info.shape) not in (1, 2):
            continue
        count = info.shape[0] if len(info.shape) == 2 else 1
        if not 1 <= count <= MAX_VECTORS:
            raise ModelFault(f"The embedding {name} has {count} vectors; a prompt's chunk holds {MAX_VECTORS}. It cannot be used.")
        slots[slot] = (tensor, count, info.shape[-1])
    if not slots:
        raise ModelFault(f"{header.path.name} holds no textual inversion that this version knows.")
    return EmbeddingFile(path=header.path, name=name, slots=_ordered(slots))


def bundled(header: Header) -> dict[str, EmbeddingFile]:
    """The embeddings that a LoRA file carries along, by name."""
    found: dict[str, dict[str, tuple[str, int, int]]] = {}
    for tensor, info in header.tensors.items():
        match = _BUNDLED.fullmatch(tensor)
        if match and len(info.shape) == 2 and 1 <= info.shape[0] <= MAX_VECTORS:
            slot = match["rest"] if match["rest"] in SLOTS else ""
            found.setdefault(match["name"], {})[slot] = (tensor, info.shape[0], info.shape[1])
    return {name: EmbeddingFile(path=header.path, name=name, slots=_ordered(slots)) for name, slots in found.items()}


def load(file: EmbeddingFile, widths: Mapping[str, int], optional: Collection[str] = (), sha256: str | None = None) -> Embedding:
    """The embedding for a model whose text encoders have these widths (component -> hidden size). Raises ModelFault."""
    import torch
    from safetensors import SafetensorError, safe_open

    fit = file.fit(widths, optional)
    try:
        with safe_open(file.path, framework="pt") as opened:
            tensors = {component: opened.get_tensor(tensor).float() for component, tensor in fit.items()}
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelFault(f"The embedding {file.path.name} cannot be read: {error}. Download it again.") from error
    vectors = {component: torch.atleast_2d(tensor) for component, tensor in tensors.items()}
    if any(not bool(torch.isfinite(v).all()) for v in vectors.values()):
        raise ModelFault(f"The embedding {file.name} holds values that are not numbers. Download it again.")
    return Embedding(name=file.name, sha256=sha256 or file_sha256(file.path), vectors=vectors)


def read_file(path: Path) -> EmbeddingFile:
    """`describe` for a path. Raises ModelFault; a .pt is refused with what to do."""
    if path.suffix.lower() not in ENDINGS:
        raise ModelFault(f"{path.name} is not a safetensors file. Convert it on the Models tab.")
    return describe(read(path))


def _ordered(slots: dict[str, tuple[str, int, int]]) -> dict[str, tuple[str, int, int]]:
    return {slot: slots[slot] for slot in SLOTS if slot in slots}
