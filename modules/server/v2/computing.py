"""/api/v2/computing: backends, kinds of attention, step caches and quantisers, with why one cannot be used here and what it costs.

Start reading at `routes`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fastapi import APIRouter

from modules.machine import computing
from modules.server.v2.shapes import Answer, problems

if TYPE_CHECKING:
    from modules.app import App


class Way(Answer):
    """One way of computing. why: it cannot be used here, empty where it can. families: architectures it is for, empty for all."""

    name: str
    title: str
    help: str
    why: str
    families: list[str]


class Kept(Answer):
    """One way of keeping weights. psnr_db: of pictures against full precision, higher is more alike; memory_share and time_ratio: 1 is

    full precision's. null: not measured. bytes_per_weight: of the layers it takes.
    """

    name: str
    title: str
    help: str
    why: str
    bytes_per_weight: float
    psnr_db: float | None
    memory_share: float | None
    time_ratio: float | None


class Computing(Answer):
    """device: kind of the worker's device, for which this holds. measured_on, command: of the quantisers' figures."""

    device: str
    backends: list[Way]
    attentions: list[Way]
    caches: list[Way]
    quantisers: list[Kept]
    measured_on: str
    command: str


def routes(app: App) -> APIRouter:
    """The one route."""
    router = APIRouter(prefix="/api/v2/computing", tags=["v2 choices"])

    @router.get("", summary="List what can compute", responses=problems())
    def listed() -> Computing:
        """What may run the network in place of eager torch, and how weights may be kept: what works on this device, and what each costs."""
        kind = str(app.jobs.worker()["device"].get("kind") or "cpu")
        told = computing.figures()
        return Computing(
            device=kind,
            backends=[_way(one) for one in computing.backends(kind)],
            attentions=[_way(one) for one in computing.attentions(kind)],
            caches=[_way(one) for one in computing.caches()],
            quantisers=[Kept(**asdict(one)) for one in computing.quantisers(kind)],
            measured_on=told.machine,
            command=told.command,
        )

    return router


def _way(one: computing.Way) -> Way:
    return Way(name=one.name, title=one.title, help=one.help, why=one.why, families=list(one.families))
