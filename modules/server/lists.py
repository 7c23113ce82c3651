"""The lists that clients fill their menus with: samplers, schedulers, styles. Models have a file of their own.

Knows A1111's row shapes; the registries know the rows. Start reading at `routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import BaseModel

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

    @router.get("/sdapi/v1/prompt-styles")
    def prompt_styles() -> list[StyleItem]:
        """The saved styles."""
        return [StyleItem(name=s.name, prompt=s.prompt, negative_prompt=s.negative_prompt) for s in app.styles.list()]

    return router
