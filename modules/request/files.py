"""The files of a run as records: checkpoint, side files, networks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model that can be loaded. title: A1111's list entry, "name [hash10]"; model_name: stem; native_px: its own side.

    format: "folder", "safetensors" or "gguf"; variant, prediction: as the family's `Match` says (prediction None: not known).
    """

    title: str
    model_name: str
    path: str
    family: str
    sha256: str | None = None
    native_px: int = 512
    format: str = "folder"
    variant: str = ""
    prediction: str | None = None

    @property
    def short_hash(self) -> str | None:
        return self.sha256[:10] if self.sha256 else None


@dataclass(frozen=True, kw_only=True)
class SideFile:
    """A file that is used beside the checkpoint. name: as A1111 writes it; sha256: of the file."""

    name: str
    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Network:
    """A LoRA that this run applies. te, unet: its weights on text encoders and network; rank: use only so many ranks (None: all).

    sha256: of its tensors, as A1111 writes it into "Lora hashes".
    """

    name: str
    path: str
    sha256: str
    te: float
    unet: float
    rank: int | None = None
