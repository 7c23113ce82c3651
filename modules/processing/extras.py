"""A job of Extras: pictures that are there already, one after another: enlarged, faces restored, background removed, saved.

Other workers may make some of several pictures; what they hand over is finished and saved here, in order. Knows the order of the steps
and what happens to a picture that cannot be used; `modules.upscale` does the work. Start reading at `run_extras`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from modules.faults import BlankPicture, Cancelled, OutOfMemory, RequestFault
from modules.folders import Folders
from modules.infotext import quote
from modules.inputs import Inputs
from modules.pixels.incoming import read_picture
from modules.pixels.metadata import read_parameters
from modules.processing.extras_plan import how, tool, tools_of
from modules.processing.extras_tiles import SharedTiles
from modules.processing.pieces import Others, opened
from modules.processing.upscaling import upscaling_for
from modules.request import Picture, Result
from modules.request.extras import EXTRAS, NONE, ResolvedExtras, Source
from modules.saver import Processed, Saver, joined
from modules.upscale import background, faces
from modules.upscale.enlarge import Upscaling, upscale
from modules.upscale.finishing import files_of
from modules.upscale.network import Watch
from modules.upscale.shelf import Shelf

NAMED_FAULTS = 50
NO_SEED = -1
NO_FACE = "No face was found, so none was restored."


Finish = Callable[[Image.Image, dict[str, Any], Callable[[str], None]], tuple[Image.Image, dict[str, str], list[Image.Image]]]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What a worker works on Extras with. shelf: its loaded upscalers; loaded: its other networks, by file and time of change.

    make_room(): gives memory back; True when there was something to give. finish(image, asked, warn): what post-processing scripts make of
    a picture, as (it, pairs for its text, more pictures); asked: name of a script -> its values; None where there are no scripts.
    """

    folders: Folders
    saver: Saver
    inputs: Inputs
    shelf: Shelf
    make_room: Callable[[], bool] = lambda: False
    finish: Finish | None = None
    loaded: dict[tuple[Path, int], Any] = field(default_factory=dict[tuple[Path, int], Any])

    def network(self, path: Path, load: Callable[[Path], Any]) -> Any:
        """The network of a file, loaded once; two are kept. Raises what load raises."""
        key = (path, path.stat().st_mtime_ns)
        if key not in self.loaded:
            while len(self.loaded) > 1:
                self.loaded.pop(next(iter(self.loaded)))
            self.loaded[key] = load(path)
        return self.loaded[key]

    def release(self) -> None:
        """Forget every network."""
        self.loaded.clear()
        self.shelf.release()


@dataclass(kw_only=True)
class _Run:
    """One job. lends: other workers may help; done: what was done to the present picture, for its text; within: how far it is, 0 to 1."""

    job: str
    resolved: ResolvedExtras
    control: Any
    desk: Desk
    lends: bool = False
    upscaling: Upscaling = field(init=False)
    pictures: list[Picture] = field(default_factory=list[Picture])
    warnings: list[str] = field(default_factory=list[str])
    failed: list[RequestFault | BlankPicture] = field(default_factory=list[RequestFault | BlankPicture])
    index: int = 0
    within: float = 0.0
    passes: int = 0
    last_tile: int = 0
    skipped: bool = False

    def __post_init__(self) -> None:
        watch = Watch(step=self.tile, stopped=self.stopped)
        if self.lends and len(self.resolved.sources) == 1:  # of several, whole pictures are lent
            watch = dataclasses.replace(watch, others=SharedTiles(self.job, self.control, self.desk.saver))
        self.upscaling = upscaling_for(self.desk.folders, self.desk.shelf, self.resolved.settings, watch)

    def begin(self, index: int) -> None:
        self.index, self.within, self.passes, self.last_tile, self.skipped = index, 0.0, 0, 0, False
        self.tell(0, 1)

    def stopped(self) -> bool:
        self.skipped = self.skipped or self.control.take_skip()
        return self.control.interrupted or self.skipped

    def tile(self, done: int, total: int) -> None:
        """A tile of a network is done. How many passes there will be is not known before: two upscalers at most count."""
        self.passes += done <= self.last_tile
        self.last_tile = done
        expected = max(1 + self.passes, 2 if self.resolved.request.upscaler_2 != NONE else 1)
        self.within = max(self.within, 0.95 * (self.passes + done / total) / expected)
        self.tell(done, total)

    def tell(self, step: int, steps: int) -> None:
        count = len(self.resolved.sources)
        name = self.resolved.sources[self.index].name or "the picture"
        text = f"{name}, {self.index + 1} of {count}" if count > 1 else f"At work on {name}"
        fraction = (self.index + self.within) / count
        self.control.progress(fraction=fraction, step=step, steps=steps, batch_no=self.index, batch_count=count, text=text)

    def warn(self, text: str) -> None:
        """Say it now and beside the result, once."""
        if text in self.warnings:
            return
        self.warnings.append(text)
        self.control.event("warning", {"text": text})


def run_extras(job: dict[str, Any], control: Any, desk: Desk) -> tuple[str, dict[str, Any]]:
    """Work on every picture that is not done yet. Returns ("done" or "canceled", Result as data).

    A picture that cannot be read or would be too large is named in the warnings, and the others are done; when it is the only one, or
    none could be done, the fault is raised. Raises also ModelFault, OutOfMemory, DiskFault. A job with a "piece" in it is one picture of
    another worker's job, see `_piece`.
    """
    resolved = ResolvedExtras.from_data(job["resolved"])
    if "piece" in job:
        return _piece(_Run(job=job["id"], resolved=resolved, control=control, desk=desk))
    made = {p.index: p for p in (Picture(**data) for data in job["made"]) if Path(p.path).exists()}
    run = _Run(job=job["id"], resolved=resolved, control=control, desk=desk, lends=job.get("lends", False))
    for text in resolved.warnings:
        run.warn(text)
    began = time.perf_counter()
    others = _shared(run)
    for index, source in enumerate(resolved.sources):
        if control.interrupted and not others.there(index):
            continue  # what others have made is kept
        if index in made:
            run.pictures.append(made[index])
        else:
            _one(run, index, source, others.piece(index))
    others.close()
    if run.failed and not run.pictures and not control.interrupted:
        raise _nothing_done(run)
    if more := len(run.failed) - NAMED_FAULTS:
        run.warn(f"{more} more pictures could not be used.") if more > 0 else None
    result = Result(
        pictures=tuple(run.pictures),
        warnings=tuple(run.warnings),
        notes=tuple(tools_of(resolved.request)),
        seconds={"total": time.perf_counter() - began},
        interrupted=control.interrupted,
    )
    return ("canceled" if control.interrupted else "done"), result.to_data()


def _shared(run: _Run) -> Others:
    """Other workers may make pictures, where a network does: a filter is sooner done than a picture handed over."""
    resolved, request = run.resolved, run.resolved.request
    names, rows = [*tools_of(request), *([request.upscaler_2] if request.extras_upscaler_2_visibility > 0 else [])], run.upscaling.rows
    networks = [name for name in names if name not in rows or rows.get(name).path is not None]
    if not run.lends or len(resolved.sources) < 2 or not networks:
        return Others(run.control, on=False)
    each = {str(n): {"sources": [dataclasses.asdict(source)]} for n, source in enumerate(resolved.sources)}
    alone = dataclasses.replace(request, images=[], image_names=[], input_dir="", output_dir="", postprocessing={})
    common = dataclasses.replace(resolved, request=alone, sources=(), n_iter=1, warnings=())
    return Others(run.control, on=True, first=run.control.lend(len(each), kind=EXTRAS, resolved=common.to_data(), each=each))


def _piece(run: _Run) -> tuple[str, dict[str, Any]]:
    """One picture of a job that another worker leads: ("done", {"image", "done", "warnings"}) for `_taken`, or ("canceled", {}).

    ("done", {}) for one that cannot be used: the leading worker says so. Raises ModelFault, OutOfMemory, DiskFault.
    """
    run.begin(0)
    try:
        result, done = _worked_with_room(run, read_picture(_place(run, run.resolved.sources[0]), "images"))
    except Cancelled:
        return "canceled", {}
    except (RequestFault, BlankPicture):
        return "done", {}
    image = {"path": run.desk.saver.keep(result, job=run.job, name="1")}
    return "done", {"image": image, "done": done, "warnings": run.warnings}


def _taken(run: _Run, found: dict[str, Any]) -> tuple[Image.Image, dict[str, str]]:
    """As `_worked`, of what another worker handed over. Raises OSError."""
    for text in found["warnings"]:
        run.warn(text)
    return opened(found["image"]), dict(found["done"])


def _one(run: _Run, index: int, source: Source, found: dict[str, Any] | None) -> None:
    run.begin(index)
    name = source.name or f"picture {index + 1}"
    try:
        picture = _made(run, index, source, found)
    except Cancelled:
        if not run.control.interrupted:
            run.warn(f"{name} was skipped.")
        return
    except (RequestFault, BlankPicture) as fault:
        run.failed.append(fault)
        if len(run.failed) <= NAMED_FAULTS and len(run.resolved.sources) > 1:
            run.warn(f"{name}: {getattr(fault, 'why', fault.message)}")
        return
    run.pictures.append(picture)
    run.control.event("picture", picture.to_data())


def _nothing_done(run: _Run) -> RequestFault | BlankPicture:
    first = run.failed[0]
    if len(run.resolved.sources) == 1 or isinstance(first, BlankPicture):
        return first
    return RequestFault(first.field, f"none of the {len(run.resolved.sources)} pictures could be used; of the first: {first.why}")


def _place(run: _Run, source: Source) -> Path:
    return run.desk.inputs.path(source.reference, "images") if source.reference else Path(source.path)


def _made(run: _Run, index: int, source: Source, found: dict[str, Any] | None) -> Picture:
    """One picture from its file to the saved result. found: what another worker made of it, if one did.

    Raises Cancelled, RequestFault, BlankPicture, ModelFault, OutOfMemory, DiskFault.
    """
    path = _place(run, source)
    image = read_picture(path, "images")
    parameters, items = read_parameters(path)
    profile = image.info.get("icc_profile")
    result, done = _taken(run, found) if found else _worked_with_room(run, image)
    more: list[Image.Image] = []
    if (asked := run.resolved.request.postprocessing) and run.desk.finish is not None:
        result, told, more = run.desk.finish(result, asked, run.warn)
        done |= told
    info: dict[Any, Any] = {"icc_profile": profile} if isinstance(profile, bytes) and profile[16:20] == b"RGB " else {}
    for each in (result, *more):
        each.info = info
    for number, each in enumerate(more, 1):
        beside = _saved(run, index, source, each, parameters, items, done, number)
        run.pictures.append(beside)
        run.control.event("picture", beside.to_data())
    return _saved(run, index, source, result, parameters, items, done)


def _worked_with_room(run: _Run, image: Image.Image) -> tuple[Image.Image, dict[str, str]]:
    """`_worked`; when memory runs out, once more without the model."""
    try:
        return _worked(run, image)
    except OutOfMemory:
        if not run.desk.make_room():
            raise
        run.warn("Memory ran out; the model was put away to make room.")
        return _worked(run, image)


def _worked(run: _Run, image: Image.Image) -> tuple[Image.Image, dict[str, str]]:
    """(the finished picture, what was done as pairs of the parameters text)."""
    request = run.resolved.request
    enlarged = upscale(
        image, run.upscaling, name=request.upscaler_1, name_2=request.upscaler_2, visibility_2=request.extras_upscaler_2_visibility,
        **how(request),
    )  # fmt: skip
    for note in enlarged.notes:
        run.warn(note)
    result, done = enlarged.image, dict(enlarged.info)
    for name, visibility in (("GFPGAN", request.gfpgan_visibility), ("CodeFormer", request.codeformer_visibility)):
        if visibility > 0:
            weight = request.codeformer_weight if request.codeformer_weight is not None else 0.5
            result, count = restored(result, name, visibility, weight, run.desk, run.stopped)
            if not count:
                run.warn(NO_FACE)
            done[f"{name} visibility"] = f"{visibility:.3g}"
            if name == "CodeFormer":
                done["CodeFormer weight"] = f"{weight:.3g}"
    if request.background_removal != NONE:
        if run.stopped():
            raise Cancelled
        cutter = tool(request.background_removal)
        (path,) = files_of(cutter, run.desk.folders)
        result = background.cut_out(result, cutter, run.desk.network(path, background.opened), path.name)
        done["Background removal"] = cutter.name
    return result, done


def restored(
    image: Image.Image, name: str, visibility: float, weight: float, desk: Desk, stopped: Callable[[], bool] = lambda: False
) -> tuple[Image.Image, int]:
    """(the picture with its faces restored, how many there were). name: GFPGAN or CodeFormer; visibility: 0 to 1; weight: CodeFormer's.

    Transparency stays. Raises RequestFault when a file is missing, ModelFault, BlankPicture, Cancelled.
    """
    network_file, detector_file = files_of(tool(name), desk.folders)
    points = faces.Detector(detector_file)(image)
    if not points:
        return image, 0
    network = desk.network(network_file, lambda path: faces.load(path, device=desk.shelf.device))
    plain = image.convert("RGB")
    result = Image.blend(plain, faces.restore(plain, network, points, weight=weight, stopped=stopped), visibility)
    if stopped():
        raise Cancelled
    if image.mode == "RGBA":
        result.putalpha(image.getchannel("A"))
    return result, len(points)


def _saved(
    run: _Run, index: int, source: Source, image: Image.Image, parameters: str, items: dict[str, str], done: dict[str, str], number: int = 0
) -> Picture:
    """number: of a further picture that a script made of the same one, from 1."""
    resolved, settings = run.resolved, run.resolved.settings
    text = ", ".join(f"{key}: {quote(value)}" for key, value in done.items())
    by_name = resolved.batch and settings["use_original_name_batch"]
    by_upscaler = settings["use_upscaler_name_as_suffix"] and resolved.request.upscaler_1 != NONE
    work = Processed(
        image=image,
        parameters=parameters,
        items=items,
        done=text,
        name=Path(source.name).stem if by_name else "",
        suffix=f"-{resolved.request.upscaler_1}" if by_upscaler else "",
    )
    folder = Path(resolved.output_dir) if resolved.output_dir else run.desk.folders.data / settings["outdir_extras_samples"]
    saved = resolved.request.save_images
    place = f"{run.job}/{index}-{number}" if number else f"{run.job}/{index}"
    path = run.desk.saver.save_processed(work, settings=settings, folder=folder, place=place, saved=saved)
    return Picture(
        index=index, path=str(path), seed=NO_SEED, width=image.width, height=image.height, infotext=joined(parameters, text), saved=saved
    )
