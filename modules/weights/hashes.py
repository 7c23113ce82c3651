"""SHA-256 of model files and folders. The first ten hex digits are A1111's short hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

READ_BYTES = 4 * 1024 * 1024


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(folder: Path) -> str:
    """One digest for a model folder: over the names and digests of its .safetensors and .json files, in name order.

    A1111 has no hash for folders; this one changes whenever a weight, a config or the tokenizer changes.
    Raises FileNotFoundError when there is no such file in it.
    """
    if not (files := model_files(folder)):
        raise FileNotFoundError(2, "holds no model files", str(folder))
    lines = [f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that decide what it does, in name order."""
    found = [p for pattern in ("*.safetensors", "*.json") for p in folder.rglob(pattern) if p.is_file()]
    return sorted(found, key=lambda p: p.relative_to(folder).as_posix())


def content_sha256(path: Path) -> str:
    """Hex digest of a safetensors file without its header, so that a changed description changes nothing.

    A1111 calls a LoRA by its first twelve digits ("sshs_model_hash", on model sites "AutoV3").
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
