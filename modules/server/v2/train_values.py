"""Sessions of training as /api/v2/train shows them: from folders, configurations and jobs to shapes.

Knows sessions and jobs; knows nothing about routes. Start reading at `item_of`, then `detail_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from modules.caption.installed import captioners
from modules.faults import DiskFault, RequestFault, UnknownName
from modules.folders import safe_join
from modules.jobs import TRAIN, Job, Live, filter_of
from modules.knobs import KnobField, knobs_of
from modules.processing.train_plan import line_of
from modules.request.train import TRAIN as TRAIN_JOB
from modules.request.train import TrainConfig
from modules.request.train_learning import CAPTIONER_LORA, Learning, Loss, Network, Subject
from modules.request.train_pictures import Captions, Pictures, Prior, Watching
from modules.request.train_presets import PRESETS
from modules.server.errors import Refused
from modules.server.v2.job_shapes import fault_of, progress_of
from modules.server.v2.train_shapes import (
    SessionState,
    TrainFields,
    TrainFile,
    TrainOption,
    TrainOptions,
    TrainPreset,
    TrainSession,
    TrainSessionDetail,
)
from modules.train.results import is_installed, outputs
from modules.train.sessions import Session, Summary

if TYPE_CHECKING:
    from modules.app import App

JOBS = 500  # of training, as far back as the latest one of each session is looked for
GROUPS: Mapping[str, type] = {
    "subject": Subject, "network": Network, "learning": Learning, "loss": Loss, "pictures": Pictures, "captions": Captions,
    "prior": Prior, "watching": Watching,
}  # fmt: skip


def session_of(app: App, name: str) -> Session:
    """Raises Refused(404)."""
    try:
        return Session.open(app.folders, name)
    except (UnknownName, RequestFault) as fault:
        raise Refused(404, "Not Found", errors=fault.message) from fault


def in_data(app: App, text: str, field: str) -> Path:
    """A place inside the data folder. Raises RequestFault of that field."""
    try:
        return safe_join(app.folders.data, text.strip())
    except RequestFault as fault:
        raise RequestFault(field, f"must lie inside the data folder, {app.folders.data}", got=text) from fault


def jobs_by_session(app: App) -> dict[str, Job]:
    """Session -> its latest job."""
    found, _ = app.jobs.page(filter_of(None, kind=TRAIN_JOB, lane=TRAIN), limit=JOBS)
    latest: dict[str, Job] = {}
    for job in found:
        latest.setdefault(str(job.request.get("session")), job)
    return latest


def active_job(app: App, name: str) -> Job | None:
    """The job of a session that waits or runs."""
    job = jobs_by_session(app).get(name)
    return job if job is not None and not job.finished else None


def resting(app: App, session: Session) -> Session:
    """The session, when nothing is under way with it. Raises Refused(409)."""
    if active_job(app, session.name) is not None or session.running:
        raise Refused(409, "Conflict", errors="This session waits or is being trained; stop it first.")
    return session


def state_of(summary: Summary, job: Job | None) -> SessionState:
    """How a session stands, by its folder and its latest job."""
    if job is not None and not job.finished:
        return "running" if job.state == "running" else "paused" if job.held else "queued"
    if summary.steps and summary.step >= summary.steps:
        return "done"
    if job is not None and job.state in ("failed", "parked") and (job.finished_s or 0.0) >= summary.modified:
        return "failed"
    return "stopped" if summary.step else "new"


def item_of(app: App, base: str, summary: Summary, job: Job | None) -> TrainSession:
    """A session in the list."""
    return TrainSession(**_values(app, base, summary, job))


def detail_of(app: App, base: str, session: Session) -> TrainSessionDetail:
    """A session as a whole. Where its configuration cannot be read, that of a new one stands in its place and `broken` says why."""
    summary, job = session.summary(), jobs_by_session(app).get(session.name)
    live = app.jobs.live_of(job.id) if job is not None and job.state == "running" else None
    fault = job.fault if job is not None and job.finished else None
    return TrainSessionDetail(
        **_values(app, base, summary, job),
        folder=str(session.folder),
        config=TrainFields(**_config(session)),
        config_line=line_of(session, str(fault["field"])) if fault and fault.get("field") else None,
        fault=fault_of(fault),
        progress=_progress(live, base),
        outputs=outputs_of(app, session, summary.method),
    )


def _values(app: App, base: str, summary: Summary, job: Job | None) -> dict[str, Any]:
    url = url_of(base, summary.name)
    first = next(Session(summary.name, _folder(app, summary.name)).pictures(), None) if summary.pictures else None
    picture = picture_url(url, first.relative_to(_folder(app, summary.name) / "pictures").as_posix()) if first is not None else None
    return {
        "name": summary.name, "state": state_of(summary, job), "method": summary.method, "pictures": summary.pictures,
        "checkpoint": "" if summary.method == CAPTIONER_LORA else summary.checkpoint,
        "captioner": summary.checkpoint if summary.method == CAPTIONER_LORA else "",
        "step": summary.step, "of": summary.steps, "changed_s": summary.modified, "job": job.id if job else None,
        "thumbnail": f"{picture}/thumbnail" if picture else None, "broken": summary.fault, "total_bytes": summary.total_bytes,
        "url": url,
    }  # fmt: skip


def url_of(base: str, name: str) -> str:
    """Where a session is."""
    return f"{base}/train/sessions/{quote(name, safe='')}"


def picture_url(url: str, file: str) -> str:
    """Where a picture of a session is. url: of the session; file: with its folder."""
    return f"{url}/pictures/{quote(file)}"


def _folder(app: App, name: str) -> Path:
    return Session.open(app.folders, name).folder


def _config(session: Session) -> dict[str, Any]:
    try:
        config = session.config()
    except (RequestFault, DiskFault):
        config = TrainConfig()
    return {name: value for name, value in config.to_data().items() if name != "session"}


def _progress(live: Live | None, base: str) -> Any:
    return progress_of(live, f"{base}/jobs/{live.job}") if live is not None else None


def outputs_of(app: App, session: Session, method: str) -> list[TrainFile]:
    """What lies in a session's output folder, the last result first."""
    return [
        TrainFile(
            name=one.path.name,
            kind=one.kind,
            step=one.step,
            size_bytes=one.size_bytes,
            changed_s=one.path.stat().st_mtime,
            insert=one.insert(),
            installed=is_installed(app.folders, one, method),
        )
        for one in outputs(session)
    ]


def changed_config(config: TrainConfig, preset: str | None, given: Mapping[str, Any]) -> TrainConfig:
    """The configuration with a preset's values and then the given ones. Raises UnknownName("preset"), RequestFault."""
    values: dict[str, Any] = {}
    if preset:
        if preset not in PRESETS:
            raise UnknownName("preset", preset, PRESETS)
        values = dict(PRESETS[preset].values)
    return config.changed(**{**values, **given})


def options_of(app: App) -> TrainOptions:
    """What can be asked of a training."""
    fields = [_option(field, group) for group, cls in GROUPS.items() for field in knobs_of(cls).values() if field.name != "session"]
    presets = [
        TrainPreset(
            name=name, title=one.title, method=one.method, families=list(one.families), memory_gb=one.memory_gb,
            native_px=one.native_px, note=one.note, values=dict(one.values),
        )
        for name, one in PRESETS.items()
    ]  # fmt: skip
    devices = max((int(worker["device"].get("count", 1)) for worker in app.jobs.workers()), default=1)
    return TrainOptions(
        fields=fields,
        presets=presets,
        devices=devices,
        cluster=app.roster is not None,
        captioners=[row.name for row in captioners(app.folders)[0]],
    )


def _option(field: KnobField, group: str) -> TrainOption:
    knob = field.knob
    kinds: dict[type, Literal["bool", "int", "float", "str", "list"]] = {bool: "bool", int: "int", float: "float", str: "str", list: "list"}
    return TrainOption(
        name=field.name,
        label=knob.label,
        help=knob.help,
        group=group,
        kind=kinds[field.kind],
        default=field.default,
        choices=list(knob.choices) if isinstance(knob.choices, tuple) else None,
        list=knob.choices if isinstance(knob.choices, str) else None,
        low=knob.low,
        high=knob.high,
        ui_low=knob.range[0],
        ui_high=knob.range[1],
        step=knob.step,
        multiline=knob.multiline,
    )
