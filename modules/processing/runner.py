"""The worker's runner: takes a job, makes its pictures batch by batch, saves and reports each as it is done.

Start reading at `PictureRunner.run`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image

from modules.control.loading import Nets
from modules.control.maps.ground import KEPT_MAPS, Ground
from modules.families import LoadPlan
from modules.folders import Folders
from modules.hardware.bench import Bench
from modules.inputs import Inputs
from modules.library import Library
from modules.processing.ahead import ReadAhead, files_of
from modules.processing.batch import Batch, Drawn, draw_batch, make_batch
from modules.processing.behind import Behind
from modules.processing.caption_folder import run_folder
from modules.processing.caption_run import CaptionDesk
from modules.processing.captioner_slot import CaptionerSlot
from modules.processing.captions import run_captions
from modules.processing.careful import NOTE, Careful
from modules.processing.extras import Desk, run_extras
from modules.processing.extras_tiles import run_tile
from modules.processing.job import Computed, Job, Outcome, outcome_of, raising
from modules.processing.keeping import keep_batch, keep_made, save_grid
from modules.processing.kept import Kept
from modules.processing.leading import Hands, stage_of
from modules.processing.line import Line
from modules.processing.listening import hear_texts, was_made
from modules.processing.maps import MapDesk, run_maps
from modules.processing.memory_book import MemoryBook
from modules.processing.model_work import run_model_work
from modules.processing.model_work_plan import MODEL_WORK
from modules.processing.overlap import Overlap, overlap_of
from modules.processing.passes import StepHooks
from modules.processing.pieces import Others, others_of, packed, unpacked
from modules.processing.quantising import quantisers_of
from modules.processing.slot import LoadedModel, Slot
from modules.processing.stage import House, Stage
from modules.processing.together import Lent, Together, batch_of
from modules.processing.told_beside import extra_of, keep_inputs, show_maps
from modules.processing.tools import Tools, Wanted
from modules.processing.tracing import walked
from modules.processing.upscaling import upscaling_for
from modules.request import Checkpoint, Network, Picture, ResolvedRequest
from modules.request.caption import CAPTIONS
from modules.request.caption_folder import CAPTION_FOLDER
from modules.request.control_map import MAPS_JOB
from modules.request.extras import EXTRAS, TILES
from modules.saver import Saver
from modules.settings import SettingsStore
from modules.upscale.shelf import Shelf

Made = TypeVar("Made", Batch, Batch | Drawn)


class PictureRunner:
    """Runs generation jobs on one device. See `modules.jobs.worker.Runner` for the contract. house: where scripts live, None for none.

    others: kinds of jobs that need no model, with who does them: (the job, its control, the saver) -> (state, Result as data).
    saver: another one than that of these folders. overlap: what decides which stages overlap.
    """

    def __init__(
        self,
        folders: Folders,
        flags: dict[str, Any],
        device_index: int,
        house: House | None = None,
        others: Mapping[str, Callable[[dict[str, Any], Any, Saver], tuple[str, dict[str, Any]]]] | None = None,
        saver: Saver | None = None,
        overlap: Callable[..., Overlap] = overlap_of,
    ) -> None:
        self._folders = folders
        self._house = house
        self._others = others or {}
        self._flags = flags
        self._saver = saver or Saver(folders)
        self._bench = bench = Bench.choose(flags, device_index, folders.cache / "hardware.json")
        self._slot = Slot.of(bench, folders.backends)
        device, maps = bench.device.torch_name, int(flags.get("controlnet_preprocessor_cache_size", KEPT_MAPS))
        self._desk = Desk(
            folders=folders, saver=self._saver, inputs=Inputs(folders), shelf=Shelf(device=device, dtype=bench.dtype),
            make_room=self._make_room, finish=None if house is None else functools.partial(house.finish, device),
        )  # fmt: skip
        self._captions = CaptionDesk(folders=folders, inputs=self._desk.inputs, slot=CaptionerSlot.of(bench, self._make_room))
        self._nets = Nets()
        self._line = Line()
        self._together = Together()
        self._ahead = ReadAhead(lambda: self._bench.memory()["ram"]["free"])
        self._ground = Ground(folders=folders, device=device, kept_maps=maps)
        self._careful = Careful(bench=bench, slot=self._slot, book=MemoryBook.of(folders, walk=walked), release=self._let_go)
        self._behind = Behind(self._line, self._careful, overlap)

    def device(self) -> dict[str, Any]:
        return self._bench.to_data()

    def memory(self) -> dict[str, Any]:
        return self._bench.memory()

    def warm(self, status: Any) -> None:
        """Load the model that the next job will most likely want."""
        status("Loading the program's libraries…", model=None)
        library = Library(self._folders)
        try:
            settings = SettingsStore(self._folders.config_file).current
            checkpoint = library.with_hash(library.default_checkpoint(settings.sd_model_checkpoint))
            self._slot.take(checkpoint, status, quantise=quantisers_of(checkpoint, vars(settings)))
        finally:
            library.close()

    def run(self, job: dict[str, Any], control: Any) -> Outcome:
        """Make every picture that is not made yet. Returns ("done" or "canceled", Result as data)."""
        return self.begin(job, control)()

    def begin(self, job: dict[str, Any], control: Any) -> Callable[[], Outcome]:
        """`run`, but back when the device is free. What it returns waits for the pictures to be saved and gives the outcome."""
        work = self._other(job, control)
        if work is not None:
            self._behind.drain()
            self._line.wait()  # it saves for itself, and files are numbered in the order of the jobs
            outcome = work()
            return lambda: outcome
        self._captions.slot.give_way()
        if "piece" in job:
            outcome = self._piece(job, control)
            return lambda: outcome
        run = self._begun(job, control)
        return self._generate(run, others_of(run))

    def begin_joined(self, jobs: list[dict[str, Any]], controls: Sequence[Any]) -> Iterator[tuple[str, Callable[[], Outcome]]]:
        """Jobs that `joining_of` takes to be alike, as one batch where that is possible: (id, its outcome), each when it is computed."""
        self._behind.drain()
        self._captions.slot.give_way()
        runs = [self._begun(job, control) for job, control in zip(jobs, controls, strict=True)]
        for run in runs:
            run.line = self._line
        self._careful.begin(batch_of(runs))
        lent = Lent(take=self._take_for_all, alone=self._alone, desk=self._desk, saver=self._saver)
        yield from self._together.run(runs, lent)

    def _take_for_all(self, run: Job, wanted: Wanted) -> LoadedModel:
        """A job of these that was made by itself may be decoded still."""
        self._behind.drain()
        return self._take(run, wanted)

    def _alone(self, run: Job) -> Callable[[], Outcome]:
        """One of several jobs by itself; what it raises, the outcome does."""
        try:
            return self._generate(run)
        except Exception as error:  # noqa: BLE001 - it ends this job and no other
            return raising(error)

    def _other(self, job: dict[str, Any], control: Any) -> Callable[[], Outcome] | None:
        """Work that is no generation; None for one."""
        if (other := self._others.get(str(job.get("kind")))) is not None:
            return lambda: other(job, control, self._saver)
        if job.get("kind") == EXTRAS:
            return lambda: run_extras(job, control, self._desk)
        if job.get("kind") == TILES:
            return lambda: run_tile(job, control, self._desk.shelf, self._saver)
        if job.get("kind") == CAPTIONS:
            return lambda: run_captions(job, control, self._captions)
        if job.get("kind") == MAPS_JOB:
            desk = MapDesk(ground=self._ground, inputs=self._desk.inputs, make_room=self._make_room)
            return lambda: run_maps(job, control, desk)
        if job.get("kind") == CAPTION_FOLDER:
            return lambda: run_folder(job, control, self._captions)
        if job.get("kind") in MODEL_WORK:
            own_memory = self._bench.device.kind not in ("cpu", "mps")
            return lambda: run_model_work(job, control, self._slot, own_memory=own_memory)
        return None

    def look_ahead(self, job: dict[str, Any] | None) -> None:
        """The job that will be next as things are, None for none: the files of its model are read while this one runs."""
        present = self._slot.present
        self._behind.next_is(job)
        self._ahead.look(files_of(job["resolved"], [present.checkpoint.path] if present else []) if job else [])

    def give_room(self) -> None:
        """Let go of every model: another worker needs the memory. They are loaded again for the next job."""
        self._behind.drain()
        self._slot.release()
        self._desk.release()
        self._ground.release()
        self._nets.release()
        self._captions.slot.release()

    def _make_room(self) -> bool:
        """Put the models away; False when there are none."""
        held = self._slot.title is not None
        self._slot.release()
        return held

    def _begun(self, job: dict[str, Any], control: Any) -> Job:
        resolved = ResolvedRequest.from_data(job["resolved"])
        made = {p.index: p for p in (Picture(**data) for data in job["made"]) if p.kind == "sample" and Path(p.path).exists()}
        run = Job(id=job["id"], resolved=resolved, control=control, made=made, lends=job.get("lends", False))
        for warning in resolved.warnings:
            run.warn(warning)
        return run

    def _piece(self, job: dict[str, Any], control: Any) -> Outcome:
        """One batch of a job that another worker leads, which does all the rest. Returns ("done", see `packed`) or ("canceled", {})."""
        run = self._begun(job, control)
        peak = self._bench.peak()
        self._careful.begin(run.resolved)
        self._behind.drain()
        batch = self._make(run, job["piece"], self._whole)
        self._careful.ended(peak.bytes())
        if batch.partial:
            return "canceled", {}
        return "done", packed(batch, run, self._saver)

    def _generate(self, run: Job, others: Others | None = None) -> Callable[[], Outcome]:
        self._behind.come(run.resolved, lambda: self._at_hand(run.resolved))
        keep_inputs(run, self._saver, self._desk.inputs)
        if why := self._careful.begin(run.resolved):
            run.notes[NOTE] = why
        self._behind.begin(run.resolved, lends=others is not None and others.on)
        began = time.perf_counter()
        peak = self._bench.peak()
        end = None
        if self._house is not None and run.resolved.visit is not None:
            self._line.wait()  # scripts look at pictures as soon as they are saved, so they are saved at once
            stage = self._stage(run)
            end = self._house.receive(stage)
            run.pictures = stage.shown
        else:
            run.line = self._line
            try:
                self._batches(run, others)
                if others is not None:
                    others.close()
                run.after(lambda: save_grid(run, self._saver))
            except BaseException:
                self._line.wait()  # what was made before is told before the end
                raise
        peak_bytes = peak.bytes()
        self._careful.ended(peak_bytes)
        computed = Computed(interrupted=run.control.interrupted, peak_bytes=peak_bytes, end=end)

        def finished() -> Outcome:
            run.settle()
            run.seconds["total"] = time.perf_counter() - began
            return outcome_of(run, computed)

        return finished

    def _batches(self, run: Job, others: Others | None = None) -> None:
        for batch_no in range(run.resolved.n_iter):
            if run.control.interrupted and not (others is not None and others.there(batch_no)):
                continue  # what others have made is kept
            self._one_batch(run, batch_no, others)
        show_maps(run, self._saver)

    def _stage(self, run: Job) -> Stage:
        """What guests may ask of this worker while they lead the job."""
        hands = Hands(
            folders=self._folders, saver=self._saver, desk=self._desk, bench=self._bench, batches=self._batches,
            grid=lambda part: save_grid(part, self._saver), warn=Job.warn, model=lambda: self._slot.present,
        )  # fmt: skip
        return stage_of(run, hands)

    def _one_batch(self, run: Job, batch_no: int, others: Others | None) -> None:
        size = run.resolved.batch_size
        indices = range(batch_no * size, (batch_no + 1) * size)
        if all(was_made(run, i) for i in indices):
            run.after(lambda: [keep_made(run, run.made[run.first + i]) for i in indices])
            return
        hear_texts(run, batch_no, self._folders, Job.warn)
        found = None if others is None else others.piece(batch_no)
        run.notes |= {} if found is None else found["notes"]
        made = self._make(run, batch_no, self._draw) if found is None else unpacked(found)
        self._behind.follow(run, made, lambda batch: keep_batch(run, batch, indices, self._desk, self._saver))

    def _make(self, run: Job, batch_no: int, draw: Callable[[LoadedModel, Job, int, Kept], Made]) -> Made:
        """The batch. When memory runs out, what failed is made again under the next, more careful memory policy."""

        def again(checkpoint: Checkpoint, plan: LoadPlan) -> LoadedModel:
            return self._slot.take(checkpoint, run.control.status, parts=plan.parts, quantise=plan.quantise)

        kept = Kept(again=again)

        def make() -> Made:
            with self._behind.turn:
                model = self._take(run, Wanted.first(run.resolved))
                return draw(model, run, batch_no, kept)

        self._behind.read_up()
        return self._careful.carried_out(run.resolved, make, lambda: kept.stage, run.warn)

    def _whole(self, model: LoadedModel, run: Job, batch_no: int, kept: Kept) -> Batch:
        return make_batch(model, run.resolved, batch_no, self._hooks(run, batch_no), self._tools(run), kept)

    def _draw(self, model: LoadedModel, run: Job, batch_no: int, kept: Kept) -> Batch | Drawn:
        """Without the decoder where that works behind."""
        if self._behind.now.decode:
            return draw_batch(model, run.resolved, batch_no, self._hooks(run, batch_no), kept)
        return self._whole(model, run, batch_no, kept)

    def _let_go(self) -> bool:
        """Memory ran out: everything is let go of. True when a captioner was there, without which it may be enough."""
        self._slot.release()
        self._desk.release()
        self._ground.release()
        self._nets.release()
        return self._captions.slot.release()

    def _at_hand(self, resolved: ResolvedRequest) -> bool:
        """Nothing is moved for its model."""
        wanted = Wanted.first(resolved)
        return self._slot.holds(wanted.checkpoint, wanted.paths, quantisers_of(wanted.checkpoint, resolved.settings))

    def _take(self, run: Job, wanted: Wanted) -> LoadedModel:
        """A model on the device. As many stay in memory as the settings say, and at least those that this job takes turns with."""
        resolved = run.resolved
        others = [later.checkpoint for later in (resolved.hires, resolved.refiner) if later is not None and later.checkpoint is not None]
        turns = len({one.path for one in (resolved.checkpoint, *others)})
        model = self._slot.take(
            wanted.checkpoint,
            run.control.status,
            parts=wanted.paths,
            quantise=quantisers_of(wanted.checkpoint, resolved.settings),
            keep=max(resolved.settings.get("sd_checkpoints_limit", 1), turns),
            meanwhile=wanted.meanwhile,
        )
        self._dress(run, model, wanted.networks)
        return model

    def _tools(self, run: Job) -> Tools:
        def keep_first(image: Image.Image, index: int, suffix: str) -> None:
            resolved = run.resolved
            begun = resolved.settings.get("hires_fix_refiner_pass", "second pass") != "second pass"
            alone = replace(resolved, hires=None, denoising_strength=None, refiner=resolved.refiner if begun else None)
            kept = alone if resolved.hires else resolved
            save = functools.partial(self._saver.save, resolved=kept, index=index, job=run.id, suffix=suffix, extra=extra_of(run))
            run.later(lambda: save(image))

        return Tools(
            take=lambda wanted: self._take(run, wanted),
            upscaling=lambda: upscaling_for(self._folders, self._desk.shelf, run.resolved.settings),
            open=lambda reference: self._desk.inputs.open(reference, "init_images" if run.resolved.image else "firstpass_image"),
            keep=keep_first,
            nets=self._nets,
            ground=self._ground,
        )

    def _dress(self, run: Job, model: LoadedModel, networks: Sequence[Network]) -> None:
        """Put on these LoRAs and take off all others; let the encoder know the embeddings."""
        applied = model.networks.set(networks)
        if applied.text_changed:
            model.encoder.forget()
        for report in applied.reports:
            run.notes[report.name] = f"LoRA {report.name}: {report.coverage}"
            if report.warning and report.warning not in run.warnings:
                run.warn(report.warning)
        files = [p for base in self._folders.model_folders("embeddings") if base.is_dir() for p in sorted(base.rglob("*.safetensors"))]
        model.words.offer(model.encoder, files, applied.words)

    def _hooks(self, run: Job, batch_no: int) -> StepHooks:
        control, total = run.control, run.resolved.n_iter
        settings = run.resolved.settings

        def step(done: int, of: int) -> None:
            fraction = run.span[0] + run.span[1] * (batch_no + 0.97 * done / of) / total
            control.progress(fraction=fraction, step=done, steps=of, batch_no=batch_no, batch_count=total)
            if done:
                self._behind.look(run.resolved, batch_no)

        def preview(clean: torch.Tensor) -> None:
            if not control.watched or time.monotonic() - run.last_preview < settings["live_preview_refresh_period"] / 1000:
                return
            model = self._slot.present
            if model is not None and (model.previewer.fitted or not self._behind.busy):  # the VAE has one at a time
                run.last_preview = time.monotonic()
                control.preview(model.previewer.jpeg(clean, full=settings["show_progress_type"] == "Full"))

        wanted = settings["live_previews_enable"] and settings["show_progress_every_n_steps"] > 0
        step(0, max(1, run.resolved.steps))
        return StepHooks(
            stop=lambda: control.interrupted or run.failed is not None or control.take_skip(), step=step,
            preview=preview if wanted else None, guests=run.guests,
        )  # fmt: skip


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> PictureRunner:
    """For the worker process. Raises Fault when no device works."""
    return PictureRunner(folders, flags, device_index)
