"""/internal/system/benchmarks: runs the benchmark as jobs of the queue and keeps what came of it. For administrators.

Knows jobs and results; `modules.machine.benchmark` knows what is run and how it is counted. Start reading at `Benchmark.begin`.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from modules.faults import Fault, RequestFault, UnknownName
from modules.machine.benchmark import PREFIX, WARM, Results, asked, measured
from modules.machine.versions import short
from modules.request import GenerationRequest
from modules.users import viewer_of

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job
    from modules.request import Checkpoint

log = logging.getLogger(__name__)
ENDED_WELL = "done"


class Benchmark:
    """The benchmark of a server. Results are taken from finished jobs, so that one that ends while nobody looks is not lost."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.results = Results(app.folders.data / "benchmarks.json")

    def begin(self, owner: str) -> str:
        """Queue the run; the key of its job. Raises RequestFault while one waits or runs, ModelFault when there is no model."""
        if running := self.running():
            raise RequestFault("benchmark", "wait until the one in the queue has ended", got=running["key"])
        checkpoint = self._checkpoint()
        warm, run = asked(checkpoint.title, checkpoint.native_px)
        key = f"{PREFIX}{secrets.token_hex(6)}"
        self._app.submit(GenerationRequest.from_data(warm), owner=owner, key=f"{key}{WARM}")
        self._app.submit(GenerationRequest.from_data(run), owner=owner, key=key)
        return key

    def _checkpoint(self) -> Checkpoint:
        """The one that is loaded while its file is there, else the one that is chosen. Raises ModelFault."""
        try:
            if loaded := self._app.jobs.worker()["model"]:
                return self._app.library.find_checkpoint(str(loaded))
        except UnknownName:
            log.info("the loaded model is not in the list any more")
        return self._app.library.default_checkpoint(self._app.settings.current.sd_model_checkpoint)

    def running(self) -> dict[str, Any] | None:
        """The run that waits or runs: its key, its state and how far it is, 0 to 1."""
        for job in self._jobs():
            if not job.finished:
                live = self._app.jobs.live(job.id)
                return {"key": job.key, "state": job.state, "fraction": live.fraction if live is not None else 0.0}
        return None

    def stop(self) -> bool:
        """Take the run back; False when there is none."""
        stopped = False
        for job in self._jobs(warm=True):
            if not job.finished:
                stopped = self._app.jobs.cancel(job.id) or stopped
        return stopped

    def collect(self) -> str:
        """Keep the results of runs that have ended. What became of the latest one that gave none, in words; "" otherwise."""
        said, known = "", self.results.jobs()
        for n, job in enumerate(self._jobs()):
            if not job.finished or job.key is None or job.key in known:
                continue
            try:
                if job.state != ENDED_WELL:
                    raise ValueError((job.fault or {}).get("message") or "it was stopped")
                self.results.add({"job": job.key, **measured(job.result or {}, job.resolved), **self._around()})
            except (ValueError, Fault) as error:
                said = said or (f"The last run gave no result: {error}" if n == 0 else "")
        return said

    def _jobs(self, *, warm: bool = False) -> list[Job]:
        """Its jobs, the newest first. warm: with those that warm up."""
        return [job for job in self._app.jobs.of_keys(PREFIX) if job.key and (warm or not job.key.endswith(WARM))]

    def _around(self) -> dict[str, Any]:
        device: dict[str, Any] = self._app.jobs.worker()["device"]
        return {"device": device.get("name", ""), "kind": device.get("kind", ""), "dtype": device.get("dtype", ""),
                "policy": device.get("policy", ""), "versions": short()}  # fmt: skip


def routes(benchmark: Benchmark) -> APIRouter:
    """The routes of the benchmark."""
    router = APIRouter(prefix="/internal/system/benchmarks", tags=["system"])

    @router.get("")
    def shown() -> dict[str, Any]:
        """{running, results, said}: the run in the queue or null; what earlier ones gave, the newest first; why one has none."""
        said = benchmark.collect()
        return {"running": benchmark.running(), "results": benchmark.results.all(), "said": said}

    @router.post("")
    def begin(request: Request) -> dict[str, str]:
        """Queue a run on the loaded model: a few pictures of its own size, that are not kept."""
        return {"key": benchmark.begin(viewer_of(request).owner)}

    @router.post("/stop")
    def stop() -> dict[str, bool]:
        """Take back the run that waits or runs."""
        return {"ok": benchmark.stop()}

    @router.post("/{key}/forget")
    def forget(key: str) -> dict[str, bool]:
        """Take a result off the list."""
        if not benchmark.results.remove(key):
            raise UnknownName("benchmark", key, [str(row.get("job")) for row in benchmark.results.all()[:20]])
        return {"ok": True}

    return router
