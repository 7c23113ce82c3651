"""A1111's lists of models of every kind but samplers: checkpoints, VAEs, LoRAs, embeddings; and looking for new ones.

Knows A1111's row shapes; the library knows the rows. Start reading at `routes`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from modules.families import FAMILIES
from modules.faults import Fault

if TYPE_CHECKING:
    from modules.app import App
    from modules.library import ModelRow


class ModelItem(BaseModel):
    """A checkpoint. title is what sd_model_checkpoint holds; hash: first ten characters of sha256, null until it is known."""

    model_config = ConfigDict(protected_namespaces=())

    title: str
    model_name: str
    hash: str | None
    sha256: str | None
    filename: str
    config: str | None


class FileItem(BaseModel):
    """A VAE or text encoder. model_name is its file name."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    filename: str


class LoraItem(BaseModel):
    """A LoRA. name is what <lora:name:1> takes; alias: how its maker called it; metadata: of the file's header."""

    name: str
    alias: str
    path: str
    metadata: dict[str, Any]


class HypernetworkItem(BaseModel):
    """A hypernetwork."""

    name: str
    path: str


class EmbeddingItem(BaseModel):
    """A textual inversion. shape: width of its vectors; vectors: how many."""

    step: int | None
    sd_checkpoint: str | None
    sd_checkpoint_name: str | None
    shape: int
    vectors: int


class EmbeddingsAnswer(BaseModel):
    """loaded: usable with the checkpoint in force; skipped: made for other models."""

    loaded: dict[str, EmbeddingItem]
    skipped: dict[str, EmbeddingItem]


def routes(app: App) -> APIRouter:
    """The routes of the models."""
    router = APIRouter(tags=["models"])

    @router.get("/sdapi/v1/sd-models")
    def sd_models() -> list[ModelItem]:
        """The checkpoints that were found."""
        return [
            ModelItem(
                title=row.title,
                model_name=row.model_name,
                hash=row.short_hash,
                sha256=row.sha256,
                filename=row.path,
                config=_config(row.path),
            )
            for row in app.library.checkpoints()
        ]

    @router.get("/sdapi/v1/sd-vae")
    def sd_vae() -> list[FileItem]:
        """The VAE files that were found."""
        return [_file(row) for row in app.library.rows("vae") if row.kind == "vae"]

    @router.get("/sdapi/v1/sd-modules")
    def sd_modules() -> list[FileItem]:
        """VAEs and text encoders: the parts that a checkpoint may lack."""
        return [_file(row) for kind in ("vae", "text_encoder") for row in app.library.rows(kind)]

    @router.get("/sdapi/v1/loras")
    def loras() -> list[LoraItem]:
        """The LoRAs that were found, with their metadata."""
        rows, metadata = app.library.rows("lora"), app.library.all_metadata("lora")
        return [LoraItem(name=r.name, alias=r.alias or r.name, path=r.path, metadata=_opened(metadata.get(r.id, {}))) for r in rows]

    @router.get("/sdapi/v1/hypernetworks")
    def hypernetworks() -> list[HypernetworkItem]:
        """Always empty: hypernetworks are pickles and a thing of the past."""
        return []

    @router.get("/sdapi/v1/embeddings")
    def embeddings() -> EmbeddingsAnswer:
        """The textual inversions that were found, by whether they fit the checkpoint in force."""
        wanted = _architecture(app)
        answer = EmbeddingsAnswer(loaded={}, skipped={})
        metadata = app.library.all_metadata("embedding")
        for row in app.library.rows("embedding"):
            fits = None in (wanted, row.architecture) or row.architecture == wanted
            (answer.loaded if fits else answer.skipped)[row.name] = _embedding(row, metadata.get(row.id, {}))
        return answer

    for path, kind, what in (
        ("refresh-checkpoints", "checkpoint", "checkpoints"),
        ("refresh-vae", "vae", "VAEs"),
        ("refresh-loras", "lora", "LoRAs"),
        ("refresh-embeddings", "embedding", "textual inversions"),
    ):
        router.add_api_route(f"/sdapi/v1/{path}", _refresh(app, kind, what), methods=["POST"], name=path)
    return router


def _refresh(app: App, kind: str, what: str) -> Any:
    def refresh() -> None:
        app.library.refresh(kind)

    refresh.__doc__ = f"Look for {what} again."
    return refresh


def _config(path: str) -> str | None:
    """The .yaml beside a file, as A1111 lists it."""
    config = Path(path).with_suffix(".yaml")
    return str(config) if config.is_file() else None


def _file(row: ModelRow) -> FileItem:
    return FileItem(model_name=Path(row.path).name, filename=row.path)


def _embedding(row: ModelRow, metadata: dict[str, str]) -> EmbeddingItem:
    step = metadata.get("step", "")
    return EmbeddingItem(
        step=int(step) if step.isdecimal() and len(step) < 10 else None,
        sd_checkpoint=metadata.get("sd_checkpoint") or None,
        sd_checkpoint_name=metadata.get("sd_checkpoint_name") or None,
        shape=row.extra.get("width", 0),
        vectors=row.extra.get("vectors", 0),
    )


def _architecture(app: App) -> str | None:
    """Of the checkpoint in force; None without one."""
    try:
        chosen = app.library.default_checkpoint(app.settings.current.sd_model_checkpoint)
    except Fault:
        return None
    return FAMILIES.get(chosen.family).architecture


def _opened(metadata: dict[str, str]) -> dict[str, Any]:
    """Metadata as A1111 gives it: values that are JSON objects are given as such."""
    return {key: _object(value) for key, value in metadata.items()}


def _object(value: str) -> Any:
    if not value.startswith("{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
