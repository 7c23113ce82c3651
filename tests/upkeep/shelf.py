"""Tiny models of the true classes as a library would list them. Start reading at `Shelf`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from modules.families import identify
from modules.faults import UnknownName
from modules.folders import Folders
from modules.request import Checkpoint
from modules.upkeep.plan import plan
from modules.weights import model_folder
from modules.weights.layouts import write
from modules.weights.layouts.files import header_of
from tests.model import tiny


class Shelf:
    """Stands for the library: models are built when first asked for, folders under one base."""

    def __init__(self, base: Path) -> None:
        self.folders = Folders.at(data=base)
        self.base = base / "models" / "Stable-diffusion"
        self.rows: dict[str, Checkpoint] = {}

    def folder(self, name: str, build: Callable[..., Path] = tiny.sd15, **options: Any) -> Path:
        """A diffusers folder of that name."""
        path = self.base / name
        if not path.exists():
            build(path, **options)
        self.add(path)
        return path

    def file(self, name: str, build: Callable[..., Path] = tiny.sd15, layout: str = "sd1", **options: Any) -> Path:
        """A single file of that name."""
        path = self.base / f"{name}.safetensors"
        if not path.exists():
            folder = self.base.parent.parent / "sources" / name
            build(folder, **options)
            self.base.mkdir(parents=True, exist_ok=True)
            write(folder, path, layout)
        self.add(path)
        return path

    def add(self, path: Path) -> Checkpoint:
        """List a file or folder."""
        family, match = identify(model_folder.read(path) if path.is_dir() else header_of(path))
        form = "folder" if path.is_dir() else path.suffix[1:]
        row = Checkpoint(
            title=path.name, model_name=path.stem, path=str(path), family=family.id, sha256=f"{len(self.rows):064x}",
            native_px=match.native_px, format=form, variant=match.variant, prediction=match.prediction,
        )  # fmt: skip
        self.rows[row.model_name] = row
        return row

    def checkpoints(self) -> list[Checkpoint]:
        return list(self.rows.values())

    def find_checkpoint(self, text: str) -> Checkpoint:
        if text not in self.rows:
            raise UnknownName("sd_model_checkpoint", text, self.rows)
        return self.rows[text]

    def plan(self, kind: str, **data: Any) -> dict[str, Any]:
        """The resolved job."""
        return plan(kind, data, self.folders, self)[1]
