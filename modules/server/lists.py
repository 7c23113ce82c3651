"""The lists that clients fill their menus with: samplers, schedulers, models, styles; and refreshing the models.

Knows A1111's row shapes; the registries and the library know the rows. Start reading at `routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from modules.app import App


class SamplerItem(BaseModel):
    """A sampler. options: A1111's facts about it."""

    name: str
    aliases: list[str]
    options: dict[str, Any]


class SchedulerItem(BaseModel):
    """A schedule of noise levels. name or label may be sent as `scheduler`."""

    name: str
    label: str
    aliases: list[str] | None
    default_rho: float
    need_inner_model: bool


class ModelItem(BaseModel):
    """A checkpoint. title is what sd_model_checkpoint holds; hash: first ten characters of sha256, null until it is known."""

    model_config = ConfigDict(protected_namespaces=())

    title: str
    model_name: str
    hash: str | None
    sha256: str | None
    filename: str
    config: str | None


class StyleItem(BaseModel):
    """A saved piece of prompt."""

    name: str
    prompt: str | None
    negative_prompt: str | None


def routes(app: App) -> APIRouter:
    """The routes of the lists."""
    router = APIRouter(tags=["lists"])

    @router.get("/sdapi/v1/samplers")
    def samplers() -> list[SamplerItem]:
        """The samplers, in the order of the page."""
        return [SamplerItem(name=row.name, aliases=list(row.aliases), options=row.options) for _, row in app.samplers]

    @router.get("/sdapi/v1/schedulers")
    def schedulers() -> list[SchedulerItem]:
        """The schedules that samplers can follow."""
        return [
            SchedulerItem(
                name=row.name,
                label=row.label,
                aliases=list(row.aliases) or None,
                default_rho=row.default_rho,
                need_inner_model=row.need_inner_model,
            )
            for _, row in app.schedules
        ]

    @router.get("/sdapi/v1/sd-models")
    def sd_models() -> list[ModelItem]:
        """The checkpoints that were found."""
        return [
            ModelItem(title=row.title, model_name=row.model_name, hash=row.short_hash, sha256=row.sha256, filename=row.path, config=None)
            for row in app.library.checkpoints()
        ]

    @router.post("/sdapi/v1/refresh-checkpoints")
    def refresh_checkpoints() -> None:
        """Look for checkpoints again."""
        app.library.refresh()

    @router.get("/sdapi/v1/prompt-styles")
    def prompt_styles() -> list[StyleItem]:
        """The saved styles."""
        return [StyleItem(name=s.name, prompt=s.prompt, negative_prompt=s.negative_prompt) for s in app.styles.list()]

    return router
