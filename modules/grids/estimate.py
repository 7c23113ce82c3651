"""What a grid will take: pictures, pixels, time, memory and loads of models, from how long earlier jobs took on this machine.

Knows plans and finished jobs; measures nothing itself. Start reading at `estimate`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.grids.canvas import Frame, sheets_of
from modules.grids.plan import Layout, parts_of
from modules.jobs import Job
from modules.request import ResolvedRequest

MEGA = 1_000_000
BESIDE_S = 0.06  # of a cell: reading the job, writing and noting the picture
LOAD_S = 1.0  # what a job takes beside sampling and decoding is loading, from here on
BYTES_PX = 3


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """cells: of the grid; made: those that are there already; pictures: that will be made.

    megapixels: of all pictures of cells; grid_px: (width, height) of the grid without words; sheets: files that it takes.
    seconds: None while nothing was measured; sure: it was measured with these models at these sizes.
    models: that are needed, by name; loads: how often one is loaded; memory_bytes: for the largest model and the drawing of the grid.
    peak_bytes: the most that earlier jobs with these models at these sizes held; 0 while one of them was not measured.
    policy: the memory policy that will be taken, "" while not known; forecast_bytes: what is needed under it, 0 while not known;
    main_bytes: what parts that work on the CPU beside the device take of main memory, 0 also where none does.
    """

    cells: int
    made: int
    pictures: int
    megapixels: float
    grid_px: tuple[int, int]
    sheets: int
    seconds: float | None
    sure: bool
    models: tuple[str, ...]
    loads: int
    memory_bytes: int
    peak_bytes: int = 0
    policy: str = ""
    forecast_bytes: int = 0
    main_bytes: int = 0

    @property
    def words(self) -> str:
        """For people, in a line."""
        parts = ["1 picture" if self.pictures == 1 else f"{self.pictures} pictures"]
        if self.made:
            parts.append(f"{self.made} of {self.cells} are there already")
        if self.pictures:
            parts.append("time not known yet" if self.seconds is None else f"about {_time(self.seconds)}{'' if self.sure else ', roughly'}")
            parts.append(_loads(len(self.models), self.loads))
        parts.append(f"grid {self.grid_px[0]} × {self.grid_px[1]}{f' in {self.sheets} files' if self.sheets > 1 else ''}")
        if self.pictures:
            parts.append(f"{_size(max(self.peak_bytes, self.memory_bytes))} of memory")
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class _Rate:
    """Of one earlier job. work: pixels times steps; area: pixels that were decoded; made: what its memory depends on most."""

    model: str
    size: tuple[int, int]
    made: tuple[int, int, int]
    sample_s: float
    decode_s: float
    beside_s: float
    peak_bytes: int


def estimate(
    layout: Layout, cells: Sequence[ResolvedRequest], order: Sequence[int], made: int, past: Iterable[Job], loaded: str | None
) -> Estimate:
    """cells: all of the layout, resolved; order: those that will be made, in order; past: finished jobs, newest first.

    loaded: title of the model in memory.
    """
    todo, rates = [cells[n] for n in order], list(filter(None, map(_rate, past)))
    seconds, sure = 0.0, True
    known = True
    for cell in todo:
        took, own = _seconds(cell, rates)
        if took is None:
            known = False
            break
        seconds, sure = seconds + took, sure and own
    loads = _changes(todo, loaded)
    load_s = [rate.beside_s for rate in rates if rate.beside_s > LOAD_S]
    seconds += loads * (statistics.median(load_s) if load_s else 0.0)
    width, height = _largest(cells)
    frame = Frame(shape=layout.shape, cell=(width, height), margin=layout.options.margin_size)
    sheets = sheets_of(frame, float(cells[0].settings.get("img_max_size_mp", 200)))
    grid = max(w * h for w, h in (sheet.size for sheet in sheets)) * BYTES_PX
    return Estimate(
        cells=len(cells), made=made, pictures=sum(c.batch_size * c.n_iter for c in todo),
        megapixels=round(sum(_area(c) * c.batch_size * c.n_iter for c in todo) / MEGA, 3), grid_px=frame.size, sheets=len(sheets),
        seconds=round(seconds, 1) if known else None, sure=sure, models=_models(todo), loads=loads,
        memory_bytes=max(_model_bytes(todo), grid), peak_bytes=_peak(todo, rates),
    )  # fmt: skip


def _peak(todo: Sequence[ResolvedRequest], rates: Sequence[_Rate]) -> int:
    """The largest of the cells' measured peaks; 0 while one is not known. Newest first, so that a change of the program shows."""
    measured: dict[tuple[str, tuple[int, int, int]], int] = {}
    for rate in rates:
        if rate.peak_bytes:
            measured.setdefault((rate.model, rate.made), rate.peak_bytes)
    peaks = [measured.get((cell.checkpoint.title, (*_size_of(cell), cell.batch_size)), 0) for cell in todo]
    return max(peaks) if peaks and all(peaks) else 0


def _seconds(cell: ResolvedRequest, rates: Sequence[_Rate]) -> tuple[float | None, bool]:
    """(seconds, measured with this model at this size). The same model at another size goes by pixels."""
    work, area, count = _work(cell), _area(cell), cell.batch_size * cell.n_iter
    own = [rate for rate in rates if rate.model == cell.checkpoint.title]
    same = [rate for rate in own if rate.size == (cell.width, cell.height)]
    chosen = same or own
    if not chosen:
        return None, False
    sample, decode = (statistics.median(getattr(rate, name) for rate in chosen) for name in ("sample_s", "decode_s"))
    return count * (work * sample + area * decode) + BESIDE_S, bool(same)


def _rate(job: Job) -> _Rate | None:
    """What a finished job says about speed; None when it says nothing."""
    seconds: dict[str, Any] = (job.result or {}).get("seconds") or {}
    resolved = job.resolved
    if job.state != "done" or not isinstance(seconds, dict) or not seconds.get("sample") or not resolved.get("checkpoint"):
        return None
    count = len(resolved["all_seeds"])
    hires = resolved.get("hires") or {}
    work = _sum_work(resolved["width"], resolved["height"], resolved["steps"], hires)
    width, height = hires.get("width") or resolved["width"], hires.get("height") or resolved["height"]
    area = width * height
    beside = seconds.get("total", 0.0) - seconds["sample"] - seconds.get("decode", 0.0)
    return _Rate(
        model=resolved["checkpoint"]["title"], size=(resolved["width"], resolved["height"]), made=(width, height, resolved["batch_size"]),
        sample_s=seconds["sample"] / max(1, work * count), decode_s=seconds.get("decode", 0.0) / max(1, area * count), beside_s=beside,
        peak_bytes=int((job.result or {}).get("peak_bytes") or 0),
    )  # fmt: skip


def _work(cell: ResolvedRequest) -> float:
    hires = {} if cell.hires is None else {n: getattr(cell.hires, n) for n in ("width", "height", "steps")}
    share = cell.denoising_strength if cell.task == "img2img" and not cell.settings.get("img2img_fix_steps") else None
    return _sum_work(cell.width, cell.height, cell.steps, hires) * (share if share else 1.0)


def _sum_work(width: int, height: int, steps: int, hires: dict[str, Any]) -> float:
    """Pixels times steps, of both passes."""
    return width * height * steps + hires.get("width", 0) * hires.get("height", 0) * hires.get("steps", 0)


def _area(cell: ResolvedRequest) -> int:
    width, height = _size_of(cell)
    return width * height


def _size_of(cell: ResolvedRequest) -> tuple[int, int]:
    return (cell.hires.width, cell.hires.height) if cell.hires is not None else (cell.width, cell.height)


def _largest(cells: Sequence[ResolvedRequest]) -> tuple[int, int]:
    sizes = [_size_of(cell) for cell in cells]
    return max(width for width, _ in sizes), max(height for _, height in sizes)


def _changes(todo: Sequence[ResolvedRequest], loaded: str | None) -> int:
    """How often a model is loaded on the way."""
    count, there = 0, {loaded}
    for cell in todo:
        needed = {cell.checkpoint.title, *(str(path) for path in parts_of(cell)[1])}  # pyright: ignore[reportGeneralTypeIssues]
        count += len(needed - there)
        there = needed
    return count


def _models(todo: Sequence[ResolvedRequest]) -> tuple[str, ...]:
    names = [cell.checkpoint.model_name for cell in todo]
    for cell in todo:
        names += [one.checkpoint.model_name for one in (cell.refiner, cell.hires) if one is not None and one.checkpoint is not None]
    return tuple(dict.fromkeys(names))


def _model_bytes(todo: Sequence[ResolvedRequest]) -> int:
    return max((_bytes(Path(path)) for path in {cell.checkpoint.path for cell in todo}), default=0)


def _bytes(path: Path) -> int:
    """Of a file, or of the weights in a folder; 0 for what is not there."""
    try:
        files = [path] if path.is_file() else list(path.rglob("*.safetensors"))
        return sum(one.stat().st_size for one in files)
    except OSError:
        return 0


def _loads(models: int, loads: int) -> str:
    if not loads:
        return "the model is loaded already" if models == 1 else ""
    if loads == models:
        return "loads 1 model once" if models == 1 else f"loads {models} models once each"
    return f"loads models {loads} times" if loads > 1 else f"uses {models} models and loads one once"


def _time(seconds: float) -> str:
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"
