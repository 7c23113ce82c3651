"""A stand-in App for the page's tests: real settings, styles, samplers and files; a queue that "runs" a job in a thread.

It writes real PNG files with a parameters chunk, gives previews, and can be slowed, failed and paused. Also the few
/internal routes that the page calls, so that the page can be driven without a model. Start reading at `fake_app`.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import secrets
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

from fastapi import Body, FastAPI
from fastapi.responses import FileResponse, JSONResponse
from PIL import Image, ImageDraw, PngImagePlugin

from modules.faults import Fault, RequestFault, UnknownJob, UnknownName
from modules.folders import Folders
from modules.inputs import Inputs
from modules.jobs.records import FINISHED
from modules.library.pictures import Pictures
from modules.prompts.styles import Style, Styles
from modules.request import Checkpoint, GenerationRequest, Picture, Result
from modules.samplers import SAMPLERS, SCHEDULES, resolve_names
from modules.server import control_page, errors, form, inputs, keep, localization, pictures, prompt_words
from modules.server.generate import Closing
from modules.settings import SettingsStore
from modules.users import Allowance


def _checkpoint(name: str, digest: str, native_px: int) -> Checkpoint:
    return Checkpoint(
        title=f"{name} [{digest}]", model_name=name, path=f"models/{name}", family="sd15", sha256=digest + "0" * 54, native_px=native_px
    )


def _control(name: str, architecture: str, digest: str | None = None) -> Any:
    extra = {"control": "union"} if "union" in name else {}
    return SimpleNamespace(name=name, title=f"{name}.safetensors", kind="controlnet", architecture=architecture, sha256=digest, extra=extra)


STARTER = _checkpoint("darkroom-starter", "0a1b2c3d4e", 128)
LARGE = _checkpoint("large", "5f6e7d8c9b", 1024)


class FakeLibrary:
    """Two checkpoints of different native size; ControlNets of two families."""

    def __init__(self) -> None:
        self.known = [STARTER, LARGE]
        self.controls = [
            _control("control_canny", "sd1", "aa11bb22cc"),
            _control("control_depth_xl", "sdxl"),
            _control("union_sd15", "sd1"),
        ]
        self.reasons: dict[str, str] = {}

    def checkpoints(self) -> list[Checkpoint]:
        return list(self.known)

    def rows(self, kind: str = "", search: str = "", offset: int = 0, limit: int = -1) -> list[Any]:
        return []

    def sure_rows(self, kind: str) -> list[Any]:
        return list(self.controls) if kind == "controlnet" else []

    def refused(self) -> dict[str, str]:
        return dict(self.reasons)

    def refresh(self, kind: str = "") -> None:
        return None

    def find_checkpoint(self, text: str) -> Checkpoint:
        for row in self.known:
            if text in (row.title, row.model_name, row.sha256, row.short_hash):
                return row
        raise UnknownName("sd_model_checkpoint", text, [row.title for row in self.known])

    def default_checkpoint(self, chosen: str) -> Checkpoint:
        return self.find_checkpoint(chosen) if chosen else self.find_checkpoint("darkroom-starter")


@dataclasses.dataclass
class FakeJob:
    """The fields of modules.jobs.Job that the page reads, changing in place."""

    id: str
    number: int
    request: dict[str, Any]
    owner: str
    key: str | None
    state: str = "queued"
    kind: str = "txt2img"
    created_s: float = dataclasses.field(default_factory=time.time)
    result: dict[str, Any] | None = None
    fault: dict[str, Any] | None = None
    step: int = 0
    preview: bytes | None = None
    stop: bool = False

    @property
    def finished(self) -> bool:
        return self.state in FINISHED


class FakeJobs:
    """Runs jobs one after another. step_s: seconds a step; loading_s: seconds before the first step of all."""

    def __init__(self, folders: Folders, *, step_s: float = 0.05, loading_s: float = 0.0) -> None:
        self.folders, self.step_s, self.loading_s = folders, step_s, loading_s
        self.rows: dict[str, FakeJob] = {}
        self.paused = False
        self.submits = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def submit(self, request: GenerationRequest, owner: str, key: str | None) -> FakeJob:
        with self._changed:
            self.submits += 1
            found = next((job for job in self.rows.values() if key and job.key == key), None)
            if found:
                return found
            job = FakeJob(id=secrets.token_hex(8), number=len(self.rows) + 1, request=request.to_data(), owner=owner, key=key)
            self.rows[job.id] = job
            self._changed.notify_all()
            return job

    def get(self, id_or_key: str) -> FakeJob:
        for job in self.rows.values():
            if id_or_key in (job.id, job.key):
                return job
        raise UnknownJob("No job of that id was ever accepted here.")

    def list(self, *, states: Any = None, owner: str | None = None, lane: str | None = None, limit: int = 100) -> list[FakeJob]:
        live = [job for job in self.rows.values() if not job.finished]
        ended = [job for job in reversed(self.rows.values()) if job.finished]
        return [job for job in [*live, *ended] if states is None or job.state in states][:limit]

    def cancel(self, id_or_key: str) -> bool:
        job = self.get(id_or_key)
        job.stop = True
        if job.state == "queued":
            job.state = "canceled"
        return True

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(0.05)
                job = next((j for j in self.rows.values() if j.state == "queued"), None)
                if job is None or self.paused:
                    continue
                job.state = "running"
            try:
                self._make(job)
            except Fault as fault:
                job.fault, job.state = fault.data(), "failed"

    def _make(self, job: FakeJob) -> None:
        time.sleep(self.loading_s)
        self.loading_s = 0.0
        steps = job.request["steps"]
        for step in range(1, steps + 1):
            if job.stop:
                break
            time.sleep(self.step_s)
            job.step, job.preview = step, _jpeg(step, steps)
        if "please fail" in job.request["prompt"]:
            raise RequestFault("prompt", "asks <b>for</b> a failure; ask for something else")
        warnings = ("A <warning> in plain words.",) if "please warn" in job.request["prompt"] else ()
        seconds = {"total": steps * self.step_s}
        job.result = Result(pictures=tuple(self._pictures(job)), warnings=warnings, seconds=seconds, interrupted=job.stop).to_data()
        job.state = "canceled" if job.stop else "done"

    def _pictures(self, job: FakeJob) -> list[Picture]:
        asked = job.request
        base = asked["seed"] if asked["seed"] >= 0 else secrets.randbelow(2**32)
        width, height = asked["width"] or 128, asked["height"] or 128
        made: list[Picture] = []
        for index in range(asked["batch_size"] * asked["n_iter"]):
            sampler, schedule = resolve_names(asked["sampler_name"], asked["scheduler"])
            text = (
                f"{asked['prompt']}\nSteps: {asked['steps']}, Sampler: {sampler}, Schedule type: {schedule}, "
                f"CFG scale: {asked['cfg_scale']}, Seed: {base + index}, Size: {width}x{height}, "
                f"Model hash: {STARTER.short_hash}, Model: {STARTER.model_name}, Version: test"
            )
            path = self.folders.outputs / "txt2img-images" / f"{job.number:05}-{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            chunk = PngImagePlugin.PngInfo()
            chunk.add_itxt("parameters", text)
            _drawing(width, height, base + index).save(path, pnginfo=chunk)
            made.append(Picture(index=index, path=str(path), seed=base + index, width=width, height=height, infotext=text))
        return made


def _drawing(width: int, height: int, seed: int) -> Image.Image:
    image = Image.new("RGB", (width, height), (seed * 37 % 200, seed * 91 % 200, seed * 53 % 200))
    ImageDraw.Draw(image).ellipse((width // 4, height // 4, width * 3 // 4, height * 3 // 4), fill="white")
    return image


def _jpeg(step: int, steps: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (255 * step // steps, 90, 90)).save(buffer, "jpeg")
    return buffer.getvalue()


def fake_app(data: Path, **jobs: Any) -> Any:
    """The parts of modules.app.App that the page uses."""
    folders = Folders.at(data=data)
    fake_jobs = FakeJobs(folders, **jobs)
    library = FakeLibrary()

    def submit(request: GenerationRequest, *, owner: str = "local", key: str | None = None) -> FakeJob:
        resolve_names(request.sampler_name, request.scheduler)
        library.default_checkpoint(request.override_settings.get("sd_model_checkpoint", ""))
        return fake_jobs.submit(request, owner, key)

    def forecast(request: GenerationRequest, *, owner: str = "local") -> SimpleNamespace:
        seconds = request.steps * fake_jobs.step_s
        return SimpleNamespace(
            pictures=request.batch_size * request.n_iter,
            seconds=seconds,
            sure=True,
            loads=0,
            memory_bytes=0,
            peak_bytes=0,
            policy="resident",
            forecast_bytes=0,
            main_bytes=0,
        )

    styles = Styles(folders.styles_file)
    styles.save(Style("Night", "{prompt} at night", "daylight"))
    settings = SettingsStore(folders.config_file)
    return SimpleNamespace(
        folders=folders, flags=SimpleNamespace(theme=None, subpath=None), settings=settings, library=library,
        pictures=Pictures(folders, settings), inputs=Inputs(folders),
        styles=styles, samplers=SAMPLERS, schedules=SCHEDULES, jobs=fake_jobs, submit=submit, forecast=forecast, allowance=Allowance(),
        scripts=None, roster=None,
    )  # fmt: skip


def fake_server(app: Any) -> FastAPI:
    """The /internal routes of the page, over the fake queue."""
    api = FastAPI()
    jobs: FakeJobs = app.jobs
    errors.install(api)
    for router in (
        pictures.routes(app),
        inputs.routes(app),
        keep.routes(app),
        form.routes(app),
        prompt_words.routes(app),
        control_page.routes(app, Closing()),
        localization.routes(app),
    ):
        api.router.routes.extend(router.routes)

    @api.exception_handler(UnknownJob)
    def unknown(_request: Any, fault: UnknownJob) -> JSONResponse:
        return JSONResponse(fault.data(), 404)

    @api.post("/internal/progress")
    def progress(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        try:
            job = jobs.get(body["id_task"])
        except UnknownJob:
            return {"active": False, "queued": False, "completed": False, "state": "unknown"}
        steps = job.request["steps"]
        waiting = [j.id for j in jobs.list(states=("queued",))]
        state = job.state  # once: the job goes on meanwhile
        running = state == "running"
        return {
            "active": running, "queued": state == "queued", "completed": state in FINISHED, "state": state,
            "progress": job.step / steps, "eta": (steps - job.step) * jobs.step_s, "step": job.step, "steps": steps,
            "id_live_preview": job.step,
            "live_preview": f"data:image/jpeg;base64,{base64.b64encode(job.preview).decode()}" if running and job.preview else None,
            "textinfo": "Loading the model…" if running and not job.step else "", "warnings": [],
            "position": waiting.index(job.id) + 1 if job.id in waiting else None, "position_of": len(waiting), "id": job.id,
        }  # fmt: skip

    @api.get("/internal/jobs")
    def listed(limit: int = 50) -> dict[str, Any]:
        rows = [
            {"id": j.id, "number": j.number, "kind": j.kind, "state": j.state, "prompt": j.request["prompt"], "owner": j.owner,
             "created_s": j.created_s, "progress": j.step / j.request["steps"]}
            for j in jobs.list(limit=limit)
        ]  # fmt: skip
        worker = {"state": "idle", "device": {"name": "cpu"}, "model": STARTER.title, "message": ""}
        return {"jobs": rows, "paused": jobs.paused, "worker": worker}

    @api.get("/internal/jobs/{job_id}")
    def one(job_id: str) -> dict[str, Any]:
        return dataclasses.asdict(jobs.get(job_id)) | {"preview": None}

    @api.post("/internal/jobs/{job_id}/{what}")
    def act(job_id: str, what: str) -> dict[str, bool]:
        return {"ok": jobs.cancel(job_id)}

    @api.post("/internal/queue/{what}")
    def queue(what: str) -> dict[str, bool]:
        jobs.paused = what == "pause"
        return {"paused": jobs.paused}

    @api.get("/internal/pictures/{job_id}/{n}")
    def picture(job_id: str, n: int) -> FileResponse:
        return FileResponse(jobs.get(job_id).result["pictures"][n]["path"])

    return api


if __name__ == "__main__":  # look at the page without a model: python -m tests.web.fake_app PORT
    import sys
    import tempfile

    import uvicorn

    from modules.web import mount

    a = fake_app(Path(tempfile.mkdtemp()), step_s=0.1)
    server = fake_server(a)
    mount(server, a)
    uvicorn.run(server, port=int(sys.argv[1]), log_level="warning")
