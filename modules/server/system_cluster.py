"""/internal/system/cluster: what the Cluster tab shows of machines and workers. For administrators.

Knows what is asked for; `modules.cluster.roster` and the queue know the rest. Start reading at `routes`.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from modules.app import App
from modules.faults import UnknownJob

TITLE_CHARS = 60


def routes(app: App) -> APIRouter:
    """The one route."""
    router = APIRouter(prefix="/internal/system", tags=["system"])

    @router.get("/cluster")
    def cluster() -> dict[str, Any]:
        """{address, problem, version, hosts, gone} of the cluster, address "" without one; workers: here and there, what each holds and
        does now; waiting: jobs.
        """
        told = {"address": "", "problem": "", "version": "", "hosts": [], "gone": []} if app.roster is None else app.roster.to_data()
        return {**told, "workers": [_worker(app, row) for row in app.jobs.workers()], "waiting": app.jobs.queued()}

    return router


def _worker(app: App, row: dict[str, Any]) -> dict[str, Any]:
    doing = row.get("doing")
    return {
        **{name: row.get(name) for name in ("node", "place", "card", "state", "message", "model", "memory")},
        "device": row["device"].get("name", ""),
        "files": row.get("about"),
        "doing": None if doing is None else {**doing, "title": _title(app, doing["job"])},
    }


def _title(app: App, job_id: str) -> str:
    """What people know a job by."""
    try:
        job = app.jobs.get(job_id)
    except UnknownJob:
        return ""
    return str(job.resolved.get("title") or job.request.get("prompt") or job.kind)[:TITLE_CHARS]
