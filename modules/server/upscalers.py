"""The lists of what enlarges and finishes pictures: upscalers, latent modes, Real-ESRGAN files, face restorers.

Knows A1111's row shapes; `modules.upscale` knows the rows. Start reading at `routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from modules.upscale.finishing import FINISHING, names_of
from modules.upscale.table import A1111_NAMES, LATENT_MODES, Upscaler, upscaler_files, upscalers

if TYPE_CHECKING:
    from modules.app import App

REAL_ESRGAN = "RealESRGAN"


class UpscalerItem(BaseModel):
    """An upscaler. name is what hr_upscaler and upscaler_1 take; model_path: its file, null for a filter."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    model_name: str | None
    model_path: str | None
    model_url: str | None
    scale: float | None


class LatentModeItem(BaseModel):
    """A way to enlarge a latent, for hr_upscaler."""

    name: str


class RealEsrganItem(BaseModel):
    """A Real-ESRGAN file."""

    name: str
    path: str | None
    scale: int | None


class FaceRestorerItem(BaseModel):
    """A face restorer. cmd_dir: the folder its files belong into."""

    name: str
    cmd_dir: str | None


def routes(app: App) -> APIRouter:
    """The routes of these lists."""
    router = APIRouter(tags=["lists"])

    def rows() -> list[Upscaler]:
        return [row for _, row in upscalers(upscaler_files(app.folders)[0])]

    @router.get("/sdapi/v1/upscalers")
    def all_upscalers() -> list[UpscalerItem]:
        """None, Lanczos and Nearest, then the network files that were found."""
        return [
            UpscalerItem(
                name=row.name,
                model_name=row.path.stem if row.path else None,
                model_path=str(row.path) if row.path else None,
                model_url=None,
                scale=row.scale,
            )
            for row in rows()
        ]

    @router.get("/sdapi/v1/latent-upscale-modes")
    def latent_modes() -> list[LatentModeItem]:
        """The ways to enlarge a latent."""
        return [LatentModeItem(name=name) for name in LATENT_MODES]

    @router.get("/sdapi/v1/realesrgan-models")
    def realesrgan_models() -> list[RealEsrganItem]:
        """The Real-ESRGAN files that were found, under the names they are published with or in their folder."""
        found = [row for row in rows() if row.path and (row.path.parent.name == REAL_ESRGAN or _published(row.path.stem))]
        return [RealEsrganItem(name=row.name, path=str(row.path), scale=row.scale) for row in found]

    @router.get("/sdapi/v1/face-restorers")
    def face_restorers() -> list[FaceRestorerItem]:
        """The face restorers that are known, whether or not their files are there."""
        folder = app.folders.models
        return [FaceRestorerItem(name=name, cmd_dir=str(folder / FINISHING[name].folder)) for name in names_of("face restoration")]

    return router


def _published(stem: str) -> bool:
    return A1111_NAMES.get(stem, "").startswith("R-ESRGAN")
