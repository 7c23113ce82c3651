"""The worker's runner: takes a job, makes its pictures batch by batch, saves and reports each as it is done.

Start reading at `PictureRunner.run`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from modules.faults import OutOfMemory
from modules.folders import Folders
from modules.hardware.bench import Bench
from modules.library import Library
from modules.pixels.grid import image_grid
from modules.processing.slot import LoadedModel, Slot
from modules.processing.text2image import Batch, StepHooks, make_batch
from modules.request import Picture, ResolvedRequest, Result
from modules.saver import Saver
from modules.settings import SettingsStore


@dataclass(kw_only=True)
class _Job:
    """One run. made: pictures that an earlier attempt finished, by index; learnt: embeddings that took part, with their sha256."""

    id: str
    resolved: ResolvedRequest
    control: Any
    made: dict[int, Picture]
    pictures: list[Picture] = field(default_factory=list[Picture])
    images: list[Image.Image] = field(default_factory=list[Image.Image])
    warnings: list[str] = field(default_factory=list[str])
    learnt: dict[str, str] = field(default_factory=dict[str, str])
    notes: dict[str, str] = field(default_factory=dict[str, str])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    last_preview: float = 0.0


class PictureRunner:
    """Runs generation jobs on one device. See `modules.jobs.worker.Runner` for the contract."""

    def __init__(self, folders: Folders, flags: dict[str, Any], device_index: int) -> None:
        self._folders = folders
        self._flags = flags
        self._saver = Saver(folders)
        self._bench = Bench.choose(flags, device_index, folders.cache / "hardware.json")
        self._slot = Slot(self._bench.place, self._bench.lift, self._bench.dtype, lambda: self._bench.memory()["ram"]["free"])

    def device(self) -> dict[str, Any]:
        return self._bench.to_data()

    def memory(self) -> dict[str, Any]:
        return self._bench.memory()

    def warm(self, status: Any) -> None:
        """Load the model that the next job will most likely want."""
        status("Loading the program's libraries…", model=None)
        library = Library(self._folders)
        try:
            chosen = SettingsStore(self._folders.config_file).current.sd_model_checkpoint
            self._slot.take(library.with_hash(library.default_checkpoint(chosen)), status)
        finally:
            library.close()

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        """Make every picture that is not made yet. Returns ("done" or "canceled", Result as data)."""
        resolved = ResolvedRequest.from_data(job["resolved"])
        made = {p.index: p for p in (Picture(**data) for data in job["made"]) if p.kind == "sample" and Path(p.path).exists()}
        run = _Job(id=job["id"], resolved=resolved, control=control, made=made)
        for warning in resolved.warnings:
            self._warn(run, warning)
        began = time.perf_counter()
        for batch_no in range(resolved.n_iter):
            if control.interrupted:
                break
            self._one_batch(run, batch_no)
        self._save_grid(run)
        run.seconds["total"] = time.perf_counter() - began
        result = Result(
            pictures=tuple(run.pictures),
            warnings=tuple(run.warnings),
            notes=tuple(run.notes.values()),
            seconds=run.seconds,
            interrupted=control.interrupted,
        )
        return ("canceled" if control.interrupted else "done"), result.to_data()

    @staticmethod
    def _warn(run: _Job, text: str) -> None:
        """Say it now, and beside the result."""
        run.warnings.append(text)
        run.control.event("warning", {"text": text})

    def _one_batch(self, run: _Job, batch_no: int) -> None:
        size = run.resolved.batch_size
        indices = range(batch_no * size, (batch_no + 1) * size)
        if all(i in run.made for i in indices):
            for i in indices:
                self._keep_made(run, run.made[i])
            return
        batch = self._make(run, batch_no)
        for warning in batch.warnings:
            if warning not in run.warnings:
                self._warn(run, warning)
        run.learnt |= batch.learnt
        for name, spent in batch.seconds.items():
            run.seconds[name] = run.seconds.get(name, 0.0) + spent
        for index, image in zip(indices, batch.images, strict=True):
            if index in run.made:
                self._keep_made(run, run.made[index])
            else:
                self._save(run, image, index, partial=batch.partial)

    def _make(self, run: _Job, batch_no: int) -> Batch:
        """The batch, under the next, more careful memory policy when memory runs out."""
        while True:
            try:
                model = self._slot.take(
                    run.resolved.checkpoint,
                    run.control.status,
                    parts=_paths(run.resolved),
                    keep=run.resolved.settings.get("sd_checkpoints_limit", 1),
                )
                self._dress(run, model)
                return make_batch(model, run.resolved, batch_no, self._hooks(run, model, batch_no))
            except (torch.OutOfMemoryError, MemoryError) as error:
                reason = str(error).splitlines()[0] if str(error) else "out of memory"
            except RuntimeError as error:
                if "can't allocate memory" not in str(error) and "DefaultCPUAllocator" not in str(error):
                    raise
                reason = "not enough main memory"
            self._slot.release()
            if not self._bench.step_down():
                size = f"{run.resolved.batch_size} x {run.resolved.width}x{run.resolved.height}"
                raise OutOfMemory(
                    f"There is not enough memory for {size} ({reason}), even with {self._bench.policy}. Make it smaller or fewer at once."
                )
            self._warn(run, f"Memory ran out; the picture was made with the memory policy {self._bench.policy}.")

    def _dress(self, run: _Job, model: LoadedModel) -> None:
        """Put on the LoRAs of this run and take off all others; let the encoder know the embeddings."""
        applied = model.networks.set(run.resolved.networks)
        if applied.text_changed:
            model.encoder.forget()
        for report in applied.reports:
            run.notes[report.name] = f"LoRA {report.name}: {report.coverage}"
            if report.warning and report.warning not in run.warnings:
                self._warn(run, report.warning)
        files = [p for base in self._folders.model_folders("embeddings") if base.is_dir() for p in sorted(base.rglob("*.safetensors"))]
        model.words.offer(model.encoder, files, applied.words)

    def _hooks(self, run: _Job, model: LoadedModel, batch_no: int) -> StepHooks:
        control, total = run.control, run.resolved.n_iter
        settings = run.resolved.settings

        def step(done: int, of: int) -> None:
            fraction = (batch_no + 0.97 * done / of) / total
            control.progress(fraction=fraction, step=done, steps=of, batch_no=batch_no, batch_count=total)

        def preview(clean: torch.Tensor) -> None:
            if not control.watched or time.monotonic() - run.last_preview < settings["live_preview_refresh_period"] / 1000:
                return
            run.last_preview = time.monotonic()
            control.preview(model.previewer.jpeg(clean, full=settings["show_progress_type"] == "Full"))

        wanted = settings["live_previews_enable"] and settings["show_progress_every_n_steps"] > 0
        step(0, max(1, run.resolved.steps))
        return StepHooks(stop=lambda: control.interrupted or control.take_skip(), step=step, preview=preview if wanted else None)

    def _save(self, run: _Job, image: Image.Image, index: int, *, partial: bool) -> None:
        settings = run.resolved.settings
        saved = run.resolved.save_images and settings["samples_save"] and (not partial or settings["save_incomplete_images"])
        picture = self._saver.save(
            image,
            resolved=run.resolved,
            index=index,
            job=run.id,
            kind="partial" if partial else "sample",
            saved=saved,
            extra=self._extra(run),
        )
        run.pictures.append(picture)
        run.images.append(image)
        run.control.event("picture", picture.to_data())

    @staticmethod
    def _extra(run: _Job) -> dict[str, object]:
        """What only the run itself knows, for the parameters text."""
        if not run.learnt or not run.resolved.settings.get("textual_inversion_add_hashes_to_infotext", True):
            return {}
        return {"TI hashes": ", ".join(f"{name}: {digest[:12]}" for name, digest in run.learnt.items())}

    def _keep_made(self, run: _Job, picture: Picture) -> None:
        run.pictures.append(picture)
        with Image.open(picture.path) as image:
            run.images.append(image.convert("RGB"))

    def _save_grid(self, run: _Job) -> None:
        """A1111's rule: a grid of several pictures stands first."""
        settings = run.resolved.settings
        if not run.resolved.save_images or not (settings["return_grid"] or settings["grid_save"]):
            return
        if not run.images or (len(run.images) == 1 and settings["grid_only_if_multiple"]):
            return
        grid = image_grid(run.images, rows=settings["n_rows"], batch_size=run.resolved.batch_size)
        picture = self._saver.save(
            grid, resolved=run.resolved, index=-1, job=run.id, kind="grid", saved=settings["grid_save"], extra=self._extra(run)
        )
        if settings["return_grid"]:
            run.pictures.insert(0, picture)
        run.control.event("picture", picture.to_data())


def _paths(resolved: ResolvedRequest) -> dict[str, Path]:
    """component -> file, for what does not come from the checkpoint itself."""
    parts = {part: Path(file.path) for part, file in resolved.parts.items()}
    return parts | ({"vae": Path(resolved.vae.path)} if resolved.vae else {})


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> PictureRunner:
    """For the worker process. Raises Fault when no device works."""
    return PictureRunner(folders, flags, device_index)
