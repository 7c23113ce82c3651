"""The job that gathers a grid's cells: it runs behind them in the worker, draws the grid from their files, and writes the report.

Drawn anew from the same files whenever the job is run again. Start reading at `run_grid`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from modules import infotext
from modules.faults import Cancelled, Fault
from modules.folders import write_atomic
from modules.grids.canvas import Frame, Sheet, sheets_of
from modules.grids.draw import draw_sheet, framed
from modules.grids.records import CellRow, Ending, GridRow
from modules.grids.report import csv_text, html_text
from modules.pixels.grid import image_grid
from modules.request import Picture, ResolvedRequest, Result
from modules.saver import Saver

FILE = "xyz_grid"
PLACE = dict[tuple[int, int, int], Ending]


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One grid. first: what its first cell was asked with, which says how files are written; endings: of every cell, in order."""

    id: str
    row: GridRow
    first: ResolvedRequest
    endings: tuple[Ending, ...]
    control: Any
    saver: Saver

    @property
    def at(self) -> PLACE:
        return {cell.place: ending for cell, ending in zip(self.row.cells, self.endings, strict=True)}


def run_grid(job: dict[str, Any], control: Any, saver: Saver) -> tuple[str, dict[str, Any]]:
    """Draw a grid. job: its row, with "gathered": what became of the cells. Returns ("done" or "canceled", Result as data).

    Raises Fault when no cell has a picture because all failed, Cancelled when all were stopped.
    """
    began = time.perf_counter()
    resolved = job["resolved"]
    row, gathered = GridRow.from_data(resolved["grid"]), job.get("gathered") or {}
    endings = tuple(_ending(cell, gathered, resolved["there"]) for cell in row.cells)
    work = _Work(id=job["id"], row=row, first=ResolvedRequest.from_data(resolved["first"]), endings=endings, control=control, saver=saver)
    stopped = any(ending.state == "canceled" for ending in endings)
    _some(endings, stopped)
    warnings = [*_told(endings), *resolved.get("warnings", ())]
    for text in warnings:
        control.event("warning", {"text": text})
    pictures = _draw(work)
    files = _report(work, pictures, str(resolved.get("title", "")))
    if row.options.include_lone_images:
        pictures += [replace(Picture(**ending.picture), index=n) for n, ending in enumerate(endings) if ending.picture]
    cells_s = sum(ending.seconds or 0.0 for ending in endings)
    seconds = {"cells": cells_s, "draw": time.perf_counter() - began, "total": cells_s + time.perf_counter() - began}
    result = Result(pictures=tuple(pictures), warnings=tuple(warnings), seconds=seconds, interrupted=stopped).to_data()
    return ("canceled" if stopped else "done"), {**result, "files": [str(path) for path in files]}


def _ending(cell: CellRow, gathered: dict[str, Any], there: dict[str, Any]) -> Ending:
    """there: pictures of cells that were made before, as they were then; their jobs may be forgotten since."""
    if cell.job in gathered:
        return Ending.of(gathered[cell.job])
    if cell.job in there:
        return Ending(state="done", pictures=tuple(there[cell.job]))
    return Ending()


def _some(endings: Sequence[Ending], stopped: bool) -> None:
    """Raises Cancelled or Fault when there is nothing to draw."""
    if any(ending.picture for ending in endings):
        return
    if stopped:
        raise Cancelled
    why = next((ending.fault for ending in endings if ending.fault), "see the log for why")
    raise Fault(f"No cell of the grid could be made: {why}")


def _told(endings: Sequence[Ending]) -> list[str]:
    """What is missing, in words."""
    failed = [ending for ending in endings if ending.state in ("failed", "parked")]
    gone = sum(1 for e in endings if e.picture and not Path(e.picture["path"]).is_file())
    left = sum(1 for ending in endings if ending.state in ("canceled", "queued", "running", "unknown"))
    found = [f"{len(failed)} of {len(endings)} cells could not be made: {failed[0].fault}"] if failed else []
    found += [f"{left} of {len(endings)} cells were not made; run the grid again to make them."] if left else []
    return found + ([f"The files of {gone} cells are not there any more."] if gone else [])


def _draw(work: _Work) -> list[Picture]:
    """The grid, in as many files as it takes, then one for each Z value where that is asked for."""
    row, options = work.row, work.row.options
    words = [axis.words if axis.used else [""] * len(axis.words) for axis in row.axes]
    size = _cell_size(work)
    whole = framed(Frame(shape=row.shape, cell=size, margin=options.margin_size), words, legend=options.draw_legend)
    limit = float(work.first.settings.get("img_max_size_mp", 200))
    sheets = sheets_of(whole, limit)
    text = infotext.write(work.first, -1, extra=row.infotext)
    found: list[Picture] = []
    for sheet in sheets:
        found.append(_save(work, whole, sheet, words, text))
        done = len(found) / (len(sheets) + (row.shape[2] if options.include_sub_grids else 0))
        work.control.progress(fraction=min(0.99, done), step=len(found), steps=len(sheets) + 1, batch_no=0, batch_count=1, text="Drawing…")
    if options.include_sub_grids:
        for z in range(row.shape[2]):
            found += _sub_grid(work, whole, words, z, limit)
    return found


def _sub_grid(work: _Work, whole: Frame, words: Sequence[Sequence[str]], z: int, limit: float) -> list[Picture]:
    """The grid of one Z value by itself, under the text of its own first cell."""
    alone = replace(whole, shape=(whole.shape[0], whole.shape[1], 1), over=0)
    first = work.at[0, 0, z].picture
    keys = ", ".join(f"{key}: {infotext.quote(value)}" for key, value in work.row.infotext.items() if "Z " not in key)
    text = f"{first['infotext']}, {keys}" if first else infotext.write(work.first, -1, extra=work.row.infotext)
    sheets = [replace(sheet, grids=range(z, z + 1)) for sheet in sheets_of(alone, limit)]
    return [_save(work, alone, sheet, words, text) for sheet in sheets]


def _save(work: _Work, frame: Frame, sheet: Sheet, words: Sequence[Sequence[str]], text: str) -> Picture:
    endings = work.at
    image = draw_sheet(frame, sheet, words, lambda x, y, z: _picture(endings[x, y, z]))
    saved = bool(work.first.save_images and work.first.settings["grid_save"])
    picture = work.saver.save(
        image, resolved=work.first, index=-1, job=work.id, kind="grid", saved=saved, text=text, grid_name=FILE, unique=True
    )  # fmt: skip
    work.control.event("picture", picture.to_data())
    return picture


def _picture(ending: Ending) -> Image.Image | None:
    """What stands in a cell: its picture, or several of them as a grid of their own; None when the file is not there or damaged."""
    alone = [one for one in ending.pictures if one.get("kind") in ("sample", "partial")]
    front = ending.picture
    chosen = alone if len(alone) > 1 and (front is None or front.get("kind") != "grid") else [front] if front else []
    images: list[Image.Image] = []
    for one in chosen:
        try:
            with Image.open(one["path"]) as image:
                images.append(image.convert("RGB"))
        except (OSError, ValueError):
            continue
    if not images:
        return None
    return images[0] if len(images) == 1 else image_grid(images)


def _cell_size(work: _Work) -> tuple[int, int]:
    """The largest width and height of all cells, read from the heads of their files."""
    sizes: list[tuple[int, int]] = []
    for ending in work.endings:
        if len([one for one in ending.pictures if one.get("kind") in ("sample", "partial")]) > 1:
            image = _picture(ending)
            sizes += [image.size] if image is not None else []
        elif (front := ending.picture) is not None:
            sizes.append((int(front["width"]), int(front["height"])))
    return max(width for width, _ in sizes), max(height for _, height in sizes)


def _report(work: _Work, pictures: Sequence[Picture], title: str) -> list[Path]:
    """The table and the page beside the saved grid, with links that hold when the folders are moved together."""
    if not work.row.options.report or not pictures or not pictures[0].saved:
        return []
    path = Path(pictures[0].path)
    link = link_from(path.parent)
    about = f"{len(work.endings)} cells, {work.first.checkpoint.model_name}"
    texts: dict[str, Callable[[], str]] = {
        ".csv": lambda: csv_text(work.row, work.endings, link),
        ".html": lambda: html_text(work.row, work.endings, link, title, about),
    }
    found: list[Path] = []
    for ending, text in texts.items():
        found.append(path.with_suffix(ending))
        write_atomic(found[-1], text().encode("utf-8", "replace"))
    return found


def link_from(folder: Path) -> Callable[[CellRow, Ending], str]:
    """Addresses of cells' pictures as seen from a folder."""

    def link(cell: CellRow, ending: Ending) -> str:
        picture = ending.picture
        return quote(os.path.relpath(picture["path"], folder).replace(os.sep, "/")) if picture else ""

    return link
