"""The one composition root: builds `App`, the object that doors receive. There is no global App.

Start reading at `build`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from modules.compat.shelf import Scripts
from modules.faults import RequestFault, UnknownJob, UnknownScript
from modules.flags import Flags
from modules.folders import Folders, elsewhere
from modules.grids.asked import GridAsked, GridOptions, names_grid
from modules.grids.axis import Axis, Lists
from modules.grids.estimate import Estimate
from modules.grids.lists import lists_of
from modules.grids.plan import lay_out
from modules.grids.queueing import Prepared, prepare
from modules.grids.queueing import submit as submit_cells
from modules.inputs import Inputs
from modules.jobs import DEVICE, FILES, LANES, TRAIN, Job, Jobs, Turn
from modules.library import Library
from modules.library.pictures import Pictures
from modules.processing.caption_folder_plan import resolve_folder
from modules.processing.caption_plan import resolve_caption
from modules.processing.careful_choice import choice_for
from modules.processing.extras_plan import resolve_extras
from modules.processing.joining import joining_of
from modules.processing.map_plan import resolve_maps
from modules.processing.memory_book import MemoryBook
from modules.processing.memory_main import main_need
from modules.processing.model_work_plan import plan_model_work
from modules.processing.resolve import resolve
from modules.processing.train_plan import ResolvedTrain, resolve_train
from modules.prompts.styles import Styles
from modules.registry import Registry
from modules.request import GenerationRequest, ResolvedRequest
from modules.request.caption import CAPTIONS, CaptionRequest
from modules.request.caption_folder import CAPTION_FOLDER, FolderRequest
from modules.request.control_map import MAPS_JOB, MapRequest
from modules.request.extras import EXTRAS, ExtrasRequest
from modules.request.train import TRAIN as TRAIN_JOB
from modules.samplers import SAMPLERS, SCHEDULES, Sampler, Schedule
from modules.saver import sweep
from modules.settings import SettingsStore
from modules.train.sessions import Session
from modules.upkeep import imports
from modules.upkeep.imports import ImportAsked, Record, Survey
from modules.upkeep.plan import plan
from modules.users import ADMIN, USER, Allowance, Users
from modules.users.rates import Rate

if TYPE_CHECKING:
    from modules.cluster.roster import Roster

RUNNER = "modules.compat.house:build"  # what the worker process builds: the picture runner with a house for scripts
MAPS_FIRST = 1  # priority of control maps
TASKS = frozenset({"txt2img", "img2img"})  # kinds of jobs that a GenerationRequest asks for
UNFINISHED = 1000  # as far as a guest's jobs are counted


class _Data(Protocol):
    """A request or what it was resolved to."""

    def to_data(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class App:
    """Everything a door may use. Frozen: what changes lives inside the parts, each with one owner."""

    folders: Folders
    flags: Flags
    settings: SettingsStore
    library: Library
    pictures: Pictures
    inputs: Inputs
    styles: Styles
    samplers: Registry[Sampler]
    schedules: Registry[Schedule]
    jobs: Jobs
    allowance: Allowance = field(default_factory=Allowance)
    scripts: Scripts | None = None
    roster: Roster | None = None  # of workers on other machines, with --cluster
    memory: MemoryBook | None = None

    def submit(self, request: GenerationRequest, *, owner: str = "local", key: str | None = None, turn: Turn | None = None) -> Job:
        """Check a request and queue it. The same key gives the same job again. turn: when it may have its turn.

        Raises RequestFault, UnknownName or ModelFault at once when it cannot be carried out, TooMany when it must wait.
        """
        if key is not None:
            with contextlib.suppress(UnknownJob):
                return self._of_key(key, owner)
        self.allowance.take(owner)
        resolved = self._with_scripts(request, owner)
        self.allowance.check(owner, resolved, self.settings.current, lambda: self._unfinished(owner))
        return self._queue(request.task, request, resolved, owner, key, turn)

    def plan_grid(self, request: GenerationRequest, asked: GridAsked, *, owner: str = "local") -> Prepared:
        """An X/Y/Z grid with every cell checked, and what it will take; nothing is queued. Raises as `submit` does."""
        self.allowance.require(owner, USER, "make X/Y/Z grids")
        layout = lay_out(request, asked, self.grid_lists(), self.grid_axes(request.task))
        return prepare(layout, lambda cell: self._with_scripts(cell, owner), self.jobs)

    def forecast(self, request: GenerationRequest, *, owner: str = "local") -> Estimate:
        """What a request will take, from how long earlier jobs took; nothing is queued. Raises as `submit` does."""
        layout = lay_out(request, GridAsked(options=GridOptions(reuse=False)), self.grid_lists())
        about = prepare(layout, lambda cell: self._with_scripts(cell, owner), self.jobs).estimate
        return about if self.memory is None else self._with_memory(about, self._with_scripts(request, owner), self.memory)

    def _with_memory(self, about: Estimate, resolved: ResolvedRequest, book: MemoryBook) -> Estimate:
        """The estimate with the memory that the worker's device will need, where that can be told."""
        device = self.jobs.worker()["device"]
        if "first_policy" not in device:
            return about
        need = book.counting.need(resolved, device["dtype"], device["vae_dtype"])
        choice = choice_for(resolved, need, book, device)
        main = main_need(book.counting, resolved, choice.policy, choice.on_cpu, device["dtype"], device["vae_dtype"])
        return dataclasses.replace(about, policy=choice.policy, forecast_bytes=choice.peak_bytes, main_bytes=main.peak_bytes if main else 0)

    def submit_grid(
        self, request: GenerationRequest, asked: GridAsked, *, owner: str = "local", key: str | None = None, turn: Turn | None = None
    ) -> Job:
        """Check an X/Y/Z grid and queue a job for each cell that is missing, and behind them the one that gathers them, which comes back.

        Its result has the grid's pictures and files. The same key gives the same job again. Raises as `submit` does.
        """
        if key is not None:
            with contextlib.suppress(UnknownJob):
                return self._of_key(key, owner)
        self.allowance.take(owner)
        return submit_cells(asked, self.plan_grid(request, asked, owner=owner), self.jobs, owner=owner, key=key, turn=turn)

    def grid_lists(self) -> Lists:
        """The lists that axes of a grid are chosen from."""
        return lists_of(self.folders, self.library, self.styles)

    def grid_axes(self, tab: str) -> list[Axis]:
        """The axes that scripts brought."""
        return [] if self.scripts is None else self.scripts.axes(tab)

    def _with_scripts(self, request: GenerationRequest, owner: str) -> ResolvedRequest:
        """Resolved, with the scripts that take part. Raises as `submit` does, UnknownScript among them."""
        if names_grid(request.script_name):
            raise RequestFault("script_name", "makes a job for each cell; send it to /api/v2/grids, or to /sdapi/v1 with its arguments")
        named = [name for name in (request.script_name, *request.alwayson_scripts) if name not in (None, "", "None")]
        if self.scripts is None:
            if named:
                raise UnknownScript("script_name", str(named[0]), [])
            return resolve(request, self.settings.current, self.library, self.styles, self.inputs)
        if request.script_name not in (None, "", "None"):
            self.allowance.require(owner, USER, "run scripts that decide themselves how many pictures they make")
        changed, said = self.scripts.before_resolve(request)
        changed, options = self.scripts.own_options(changed)
        visit = self.scripts.visit(changed, options)
        resolved = resolve(changed, self.settings.current, self.library, self.styles, self.inputs)
        return dataclasses.replace(resolved, visit=visit, warnings=(*self.scripts.without_own_tags(resolved.warnings), *said))

    def submit_work(self, kind: str, data: Mapping[str, Any], *, owner: str = "local", key: str | None = None) -> Job:
        """Check work on model files and queue it beside the pictures. kind, data: see `modules.upkeep.work.KINDS`.

        Raises UnknownName, RequestFault or ModelFault at once when it cannot be carried out. The job's `resolved` has a "title" for
        people; its result has "files" (paths that were made), "warnings", "notes" and "seconds".
        """
        if key is not None:
            with contextlib.suppress(UnknownJob):
                return self.jobs.get(key)
        self.allowance.require(owner, ADMIN, "work on model files")
        self.allowance.take(owner)
        request, resolved = plan(kind, data, self.folders, self.library)
        return self.jobs.submit(kind, request, resolved, owner=owner, key=key, lane=FILES)

    def plan_import(self, data: Mapping[str, Any]) -> tuple[ImportAsked, Survey]:
        """What taking over another program's folder would do; nothing is changed anywhere. Raises UnknownName, RequestFault, DiskFault."""
        asked = imports.read_asked(data)
        return asked, imports.survey(asked.folder, self.folders, self.settings, self.styles)

    def submit_import(self, data: Mapping[str, Any], *, owner: str = "local") -> tuple[Record, Job | None]:
        """Take over another program's folder: what is quick at once, models and pictures as a job, None where there are none.

        Raises as `plan_import` does, and RequestFault when everything is here already. The record undoes it, see `imports.undo`.
        """
        self.allowance.require(owner, ADMIN, "import another program's folder")
        asked, found = self.plan_import(data)
        record, work = imports.take_over(asked, found, self.folders, self.settings, self.styles)
        imports.settle(self.settings, self.library)
        if not work["links"] and not work["pictures"]:
            return record, None
        resolved = {"title": f"Import {found.layout.root.name}", "warnings": [], **work}
        job = self.jobs.submit(imports.IMPORT, dataclasses.asdict(asked), resolved, owner=owner, lane=FILES)
        return imports.with_job(self.folders, record, job.id), job

    def submit_extras(
        self, request: ExtrasRequest, *, owner: str = "local", key: str | None = None, turn: Turn | None = None, anywhere: bool = False
    ) -> Job:
        """Check work on pictures that are there already and queue it. The same key gives the same job again.

        anywhere: its folders may lie outside the data folder; only for people at this machine. Raises RequestFault, UnknownName.
        """
        if key is not None:
            with contextlib.suppress(UnknownJob):
                return self.jobs.get(key)
        self.allowance.require(owner, USER, "enlarge and finish pictures")
        self.allowance.take(owner)
        resolved = resolve_extras(request, self.settings.current, self.folders, self.inputs, anywhere=anywhere)
        return self._queue(EXTRAS, request, resolved, owner, key, turn)

    def duplicate(self, job_id: str, *, owner: str = "local", turn: Turn | None = None) -> Job:
        """Queue a job's request once more, with the same seeds: it gives the same pictures. Raises UnknownJob, TooMany."""
        job = self.jobs.get(job_id)
        self.allowance.take(owner)
        if job.kind in TASKS:
            resolved = ResolvedRequest.from_data(job.resolved)
            self.allowance.check(owner, resolved, self.settings.current, lambda: self._unfinished(owner))
        return self.jobs.duplicate(job.id, owner, turn)

    def _queue(self, kind: str, request: _Data, resolved: _Data, owner: str, key: str | None, turn: Turn | None) -> Job:
        when = dataclasses.asdict(turn or Turn())
        return self.jobs.submit(kind, request.to_data(), resolved.to_data(), owner=owner, key=key, **when)

    def _of_key(self, key: str, owner: str) -> Job:
        """Raises UnknownJob, or RequestFault when it is not a guest's own."""
        job = self.jobs.get(key)
        if job.owner != owner and self.allowance.is_guest(owner):
            raise RequestFault("force_task_id", "was used by somebody else; take a new one", got=key)
        return job

    def submit_caption(self, request: CaptionRequest, *, owner: str = "local", key: str | None = None, turn: Turn | None = None) -> Job:
        """Check what a captioner is asked and queue it. The same key gives the same job again.

        Its result has "captions": one {"index", "name", "caption", ...} a picture. Raises RequestFault, UnknownName, ModelFault.
        """
        if key is not None:
            with contextlib.suppress(UnknownJob):
                return self.jobs.get(key)
        self.allowance.require(owner, USER, "caption pictures")
        self.allowance.take(owner)
        resolved = resolve_caption(request, self.settings.current, self.folders, self.inputs)
        return self._queue(CAPTIONS, request, resolved, owner, key, turn)

    def submit_caption_folder(
        self, request: FolderRequest, *, owner: str = "local", key: str | None = None, turn: Turn | None = None, anywhere: bool = False
    ) -> Job:
        """Check captions for a folder of pictures and queue them. The same key gives the same job again.

        anywhere: the folder may lie outside the data folder; only for people at this machine. Its result counts what was done and names
        what could not be used; the ledger of the job (`modules.caption.ledger`) has the captions. Raises as `submit_caption` does.
        """
        if key is not None:
            with contextlib.suppress(UnknownJob):
                return self.jobs.get(key)
        self.allowance.require(owner, USER, "caption folders")
        self.allowance.take(owner)
        resolved = resolve_folder(request, self.settings.current, self.folders, anywhere=anywhere)
        return self._queue(CAPTION_FOLDER, request, resolved, owner, key, turn)

    def submit_train(
        self, session: Session, *, owner: str = "local", key: str | None = None, again: bool = False, turn: Turn | None = None
    ) -> Job:
        """Check a training session and queue its training, which goes on from the last state. again: what was trained is forgotten.

        Its result has "files" (what was made) and "step". Raises RequestFault, UnknownName, ModelFault, DiskFault; those about a value
        name its line in config.toml.
        """
        if key is not None:
            with contextlib.suppress(UnknownJob):
                return self.jobs.get(key)
        self.allowance.require(owner, USER, "train")
        self.allowance.take(owner)
        resolved = self.plan_train(session, again=again)
        when = dataclasses.asdict(turn or Turn())
        return self.jobs.submit(TRAIN_JOB, resolved.config, resolved.to_data(), owner=owner, key=key, lane=TRAIN, **when)

    def plan_train(self, session: Session, *, again: bool = False) -> ResolvedTrain:
        """What a training would do, with everything checked; nothing is queued. Raises as `submit_train` does."""
        return resolve_train(session, self.settings.current, self.folders, self.library, again=again)

    def submit_maps(self, request: MapRequest, *, owner: str = "local", key: str | None = None, turn: Turn | None = None) -> Job:
        """Check what a preprocessor is asked and queue it, before the pictures that wait: somebody looks at the unit meanwhile.

        Its result has "maps": one {"reference", "width", "height", "seconds", "cached", "text", "pose"} a picture. Raises RequestFault,
        UnknownName("module"), ModelFault naming the file that is missing, its size and its place.
        """
        if key is not None:
            with contextlib.suppress(UnknownJob):
                return self._of_key(key, owner)
        self.allowance.take(owner)
        resolved = resolve_maps(request, self.folders, self.inputs)
        return self._queue(MAPS_JOB, request, resolved, owner, key, turn or Turn(priority=MAPS_FIRST))

    def _unfinished(self, owner: str) -> int:
        return len(self.jobs.list(states=("queued", "running"), owner=owner, limit=UNFINISHED))

    def submit_model_work(self, kind: str, data: Mapping[str, Any] | None = None, *, owner: str = "local", key: str | None = None) -> Job:
        """Queue work with the model on the device that makes no picture: one of `model_work_plan.MODEL_WORK`.

        Raises RequestFault, UnknownName, ModelFault at once when it cannot be carried out. The result has "files".
        """
        if key is not None:
            with contextlib.suppress(UnknownJob):
                return self.jobs.get(key)
        request, resolved = plan_model_work(kind, data or {}, self.settings.current, self.folders, self.library)
        return self.jobs.submit(kind, request, resolved, owner=owner, key=key)

    def start(self, *, url: str = "", required: bool = False, lanes: Iterable[str] = LANES) -> bool:
        """Begin to run the queue, or some lanes of it; False when another process does. required=True raises SetupFault then.

        Raises UnknownName when --ckpt names no model.
        """
        if self.flags.ckpt:
            self.settings.set({"sd_model_checkpoint": self.library.find_checkpoint(self.flags.ckpt).title})
        imports.settle(self.settings, self.library)
        owns = self.jobs.start(url=url, required=required, lanes=lanes)
        if owns:
            sweep(self.folders)
            named = self.pictures.named_inputs()  # None: who knows what the files still need
            if named is not None:
                self.inputs.sweep(named | self.jobs.named_inputs())
            if self.roster is not None and DEVICE in lanes:
                self.roster.start()
        return owns

    def stop(self) -> None:
        """End the workers and close the files. Queued jobs stay for the next start."""
        if self.roster is not None:
            self.roster.stop()
        self.jobs.stop()
        self.pictures.close()
        self.library.close()


def build(flags: Flags) -> App:
    """The App of a command line. Cheap, imports no torch, starts nothing. Raises SetupFault when the data folder cannot be used."""
    folders = Folders.at(
        _path(flags.data_dir),
        _path(flags.models_dir),
        ckpt_dir=_path(flags.ckpt_dir),
        vae_dir=_path(flags.vae_dir),
        lora_dir=_path(flags.lora_dir),
        embeddings_dir=_path(flags.embeddings_dir),
        controlnet_dir=_path(flags.controlnet_dir),
        controlnet_annotator_models_path=_path(flags.controlnet_annotator_models_path),
    )
    settings = SettingsStore(folders.config_file)
    if more := settings.current.control_net_models_path:
        folders = dataclasses.replace(folders, model_dirs=(*folders.model_dirs, ("ControlNet", Path(more).resolve())))
    own = [str(folders.models)] if flags.models_dir and folders.models.is_dir() else []  # its names may be those of another program
    more_dirs, lost = elsewhere([*own, *flags.extra_models_dir, *map(str, settings.current.extra_models_dirs)])
    settings.notices.extend(lost)
    folders = dataclasses.replace(folders, more_dirs=more_dirs)
    library = Library(folders)
    jobs, roster = _queue_of(flags, folders)
    return App(
        folders=folders,
        flags=flags,
        settings=settings,
        library=library,
        scripts=Scripts(folders, flags.to_data(), settings, library),
        pictures=Pictures(folders, settings),
        inputs=Inputs(folders),
        styles=Styles(folders.styles_file),
        samplers=SAMPLERS,
        schedules=SCHEDULES,
        jobs=jobs,
        roster=roster,
        memory=MemoryBook.of(folders),
        allowance=Allowance(users_of(flags, folders), Rate(pace, "--rate-limit-generate") if (pace := flags.rate_limit_generate) else None),
    )


def _queue_of(flags: Flags, folders: Folders) -> tuple[Jobs, Roster | None]:
    """The queue, and with --cluster whoever adds workers on other machines to it."""
    if not flags.cluster:
        return Jobs(folders, flags.to_data(), runner=RUNNER, joining=joining_of), None
    from modules.cluster.fitting import fits
    from modules.cluster.hosts import Place
    from modules.cluster.roster import Roster

    here = (lambda kind, data: not fits(kind, data)) if flags.cluster_only else None
    jobs = Jobs(folders, flags.to_data(), runner=RUNNER, joining=joining_of, fits=here)
    pattern = Place(
        address=flags.cluster, home=flags.cluster_home, budget_bytes=flags.cluster_disk_gb * 2**30, shared=flags.cluster_shared
    )  # fmt: skip
    return jobs, Roster(jobs.plan, pattern, jobs.elsewhere)


def users_of(flags: Flags, folders: Folders) -> Users:
    """The users file of a command line, which need not exist."""
    return Users(_path(flags.users_file) or folders.users_file)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
