"""What the library knows of one model file or folder: `ModelRow`, and the places and kinds there are.

Knows names and tables; knows nothing about SQLite or files. Start reading at `ModelRow`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKPOINTS = ("checkpoint", "unet")
# Folder in models/ -> the kind that is meant to lie there. It decides only where the file itself does not say what it is.
PLACES: Mapping[str, str] = {
    "Stable-diffusion": "checkpoint",
    "VAE": "vae",
    "Lora": "lora",
    "LyCORIS": "lora",
    "embeddings": "embedding",
    "ControlNet": "controlnet",
    "ESRGAN": "upscaler",
    "text_encoder": "text_encoder",
    "unet": "unet",
    "VAE-approx": "taesd",
    "clip_vision": "clip_vision",
}
UNKNOWN = "unknown"  # the kind of a loose file until it was opened, and of what bears no known marks
LOOSE = ""  # the place of a file that lies in models/ itself
# What a list holds: its name -> kinds.
LISTS: Mapping[str, tuple[str, ...]] = {
    "checkpoint": CHECKPOINTS,
    "lora": ("lora",),
    "embedding": ("embedding",),
    "vae": ("vae", "taesd"),
    "controlnet": ("controlnet", "ip_adapter"),
    "text_encoder": ("text_encoder",),
    "upscaler": ("upscaler",),
    "ip_adapter": ("ip_adapter",),
    "clip_vision": ("clip_vision",),
}
NAMELESS = frozenset(
    {"pytorch_lora_weights", "diffusion_pytorch_model", "diffusion_pytorch_model.fp16", "learned_embeds", "model"}
)  # what libraries call every file
REFUSED = "refused"  # the list of what cannot be used, with reasons
PRECISIONS = {"F64": "fp64", "F32": "fp32", "F16": "fp16", "BF16": "bf16", "F8_E4M3": "fp8", "F8_E5M2": "fp8", "I8": "int8", "U8": "int8"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file or diffusers folder that a scan met. place: a key of PLACES or LOOSE; base: the folder it was found under.

    format: "safetensors", "gguf", "pickle" or "folder". stamp: changes whenever the file does. size_bytes: of all its files.
    """

    path: Path
    base: Path
    place: str
    format: str
    size_bytes: int
    stamp: str
    changed_s: float

    @property
    def title(self) -> str:
        """The path below its folder with forward slashes: A1111's list entry without the hash."""
        return self.path.relative_to(self.base).as_posix()

    @property
    def name(self) -> str:
        """What people call it: the file without its ending, or its folder where the file is called after nothing in particular."""
        if self.format == "folder":
            return self.path.name
        return self.path.parent.name if self.path.stem in NAMELESS and self.path.parent != self.base else self.path.stem


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a file says about itself. kind: see `modules.families.kinds`; refusal: why it cannot be used, "" when it can.

    architecture: what LoRAs, embeddings and ControlNets must match; precision: "fp16", "Q4_0"; alias: ss_output_name.
    extra: "parts" of a checkpoint, "vectors" and "width" of an embedding. content_sha256: as its metadata gives it.
    """

    kind: str
    architecture: str | None = None
    family: str | None = None
    variant: str = ""
    prediction: str | None = None
    native_px: int = 512
    precision: str = ""
    parameters: int = 0
    alias: str = ""
    refusal: str = ""
    content_sha256: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A model of any kind. id: stands for the path; name: what prompts and menus call it; title: path below its folder.

    described False: only its name and size are known so far. sha256: of the file; content_sha256: of a safetensors file without
    its header, what A1111 calls a LoRA by. Both None until they were computed.
    """

    id: str
    path: str
    base: str
    place: str
    name: str
    title: str
    format: str
    size_bytes: int
    changed_s: float
    kind: str
    described: bool
    architecture: str | None
    family: str | None
    variant: str
    prediction: str | None
    native_px: int
    precision: str
    parameters: int
    alias: str
    refusal: str
    extra: Mapping[str, Any]
    sha256: str | None
    content_sha256: str | None

    @property
    def short_hash(self) -> str | None:
        """The hash as A1111 writes it: of a LoRA twelve digits of its content, of an embedding twelve of the file, else ten."""
        digest = self.content_sha256 if self.kind == "lora" else self.sha256
        return digest[: 12 if self.kind in ("lora", "embedding") else 10] if digest else None

    @property
    def usable(self) -> bool:
        return not self.refusal
