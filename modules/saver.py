"""The only writer of pictures: where they go, what they are called, in which format, with which text. Every write is atomic.

Names and folders follow A1111 (`pixels.names` has the patterns). Knows nothing about how pictures are made.
Start reading at `Saver.save`.
"""

from __future__ import annotations

import io
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from modules import infotext
from modules.faults import DiskFault
from modules.folders import Folders, is_temporary, write_atomic
from modules.library.pictures.noting import Noting
from modules.pixels.incoming import picture_hash
from modules.pixels.metadata import encode, fitting_format
from modules.pixels.names import Scene, fill_pattern, safe_part
from modules.prompts.styles import Styles
from modules.receipts import Receipts
from modules.request import Picture, ResolvedRequest

# (task, is it a grid?) -> the setting that says where.
FOLDERS = {
    ("txt2img", False): "outdir_txt2img_samples",
    ("txt2img", True): "outdir_txt2img_grids",
    ("img2img", False): "outdir_img2img_samples",
    ("img2img", True): "outdir_img2img_grids",
}
STRAY_AGE_S = 3600
JOB_FILES_AGE_S = 86400
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Folder:
    """The folder written to last: its next free number, and its state when that was so."""

    path: Path
    next: int
    stamp_ns: int


@dataclass(frozen=True, kw_only=True)
class Processed:
    """A picture that was made from another one. parameters, items: the text that one's file carried; done: what was done, as pairs.

    name: what the file shall be called, "" for a number; suffix: what stands behind either.
    """

    image: Image.Image
    parameters: str = ""
    items: Mapping[str, str] = field(default_factory=dict[str, str])
    done: str = ""
    name: str = ""
    suffix: str = ""


class Saver:
    """Saves the pictures of jobs. One a process; several processes may save into the same folder."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._styles = Styles(folders.styles_file)
        self._lock = threading.Lock()
        self._known: dict[str, _Folder] = {}  # by the prefix of the numbered names
        self._job = ""
        self._began = datetime.now()
        self._noting = Noting(folders)
        self._receipts = Receipts(folders.receipts)

    def save(
        self,
        image: Image.Image,
        *,
        resolved: ResolvedRequest,
        index: int,
        job: str,
        kind: str = "sample",
        saved: bool = True,
        extra: Mapping[str, object] | None = None,
        suffix: str = "",
        text: str | None = None,
        place: int | None = None,
        unique: bool = False,
        grid_name: str = "grid",
    ) -> Picture:
        """Write a picture and say where it is. saved=False keeps it in the job's own folder of the cache.

        index: 0 .. n-1, -1 for a grid; extra: more keys for the parameters text; suffix: stands behind the name of the file.
        text: the parameters text itself. place: its number in the job's folder where that is another than in the request; unique: there
        may be others of this kind and number. grid_name: what stands before the number of a grid's file.
        Raises DiskFault; no half-written file is left then.
        """
        settings, grid = resolved.settings, kind == "grid"
        size = {"width": image.width, "height": image.height}
        text = infotext.write(resolved, index, extra=extra) if text is None else text
        carried = text if settings["enable_pnginfo"] else ""
        extension = fitting_format(image, settings["grid_format" if grid else "samples_format"], carried)
        data = encode(image, extension, infotext=carried, quality=settings["jpeg_quality"], lossless=settings["webp_lossless"])
        with self._lock:
            scene = self._scene(image, resolved, index, job, text)
            if saved:
                root = self._folders.data / settings[FOLDERS[resolved.task, grid]]
                what = f"{kind} {index if place is None else place} {suffix} {text}"
                name = grid_name if grid else ""
                path = self._receipts.once(
                    job, what, data, root, lambda: self._place(data, scene, grid=name, extension=extension, suffix=suffix)
                )
            else:
                at = "grid" if grid else scene.at if place is None else place
                folder = self._folders.job_files / (safe_part(job) or "job")
                path = folder / f"{at}{suffix}.{extension}"
                if unique or grid:
                    path = _write_named(data, folder, f"{at}{suffix or ('-own' if unique else '')}", extension)
                else:
                    _write(path, data)
        if saved and settings["save_txt"] and not grid:
            _write(path.with_name(f"{path.stem}.txt"), f"{text}\n".encode("utf-8", "replace"))
        if saved:
            self._noting.saved(path, text, image.size, kind="grid" if grid else resolved.task, job=job)
        return Picture(index=index, path=str(path), seed=resolved.all_seeds[scene.at], **size, infotext=text, kind=kind, saved=saved)

    def save_processed(self, work: Processed, *, settings: Mapping[str, Any], folder: Path, place: str, saved: bool = True) -> Path:
        """Write a picture that was not made from a prompt. saved=False keeps it in the cache, as place ("job/index").

        Numbered in its folder, or called work.name; a name that is taken gets a number behind it, nothing is written over.
        Raises DiskFault.
        """
        both = joined(work.parameters, work.done)
        carried, image = both if settings["enable_pnginfo"] else "", work.image
        see_through = image.mode == "RGBA" and image.getchannel("A").getextrema()[0] < 255  # pyright: ignore[reportOperatorIssue]
        wanted = "png" if see_through and settings["samples_format"] in ("jpg", "jpeg") else settings["samples_format"]
        extension = fitting_format(image, wanted, carried)
        items: dict[str, str] = {}
        if extension == "png" and carried:
            carried, items = work.parameters, {**work.items, **({"postprocessing": work.done} if work.done else {})}
        data = encode(image, extension, infotext=carried, quality=settings["jpeg_quality"], lossless=settings["webp_lossless"], items=items)
        stem, suffix = safe_part(work.name), safe_part(work.suffix)
        with self._lock:
            job, _, index = place.partition("/")
            if not saved:
                path = self._folders.job_files / (safe_part(job) or "job") / f"{index}.{extension}"
                _write(path, data)
            else:
                path = self._receipts.once(
                    job, f"{place} {stem} {suffix} {both}", data, folder,
                    lambda: _write_named(data, folder, f"{stem}{suffix}", extension)
                    if stem
                    else self._write_numbered(data, folder, "", lambda n: f"{n:05}{suffix}.{extension}"),
                )  # fmt: skip
        if saved and settings["save_txt"] and both:
            _write(path.with_name(f"{path.stem}.txt"), f"{both}\n".encode("utf-8", "replace"))
        return path

    def save_input(self, image: Image.Image, settings: Mapping[str, Any]) -> str:
        """Keep a copy of a picture that a run begins with, under the digest of its pixels, which comes back. Raises DiskFault."""
        digest = picture_hash(image)
        path = self._folders.data / settings.get("outdir_init_images", "outputs/init-images") / f"{digest}.png"
        if not path.exists():
            _write(path, encode(image, "png"))
        return digest

    def keep(self, image: Image.Image, *, job: str, name: str) -> str:
        """Keep a picture of a job without loss in the cache, for another worker; its path. Raises DiskFault."""
        path = self._folders.job_files / (safe_part(job) or "job") / f"{name}.png"
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        write_atomic(path, buffer.getvalue(), sync=False)
        return str(path)

    def _scene(self, image: Image.Image, resolved: ResolvedRequest, index: int, job: str, text: str) -> Scene:
        now = datetime.now()
        if job != self._job:
            self._job, self._began = job, now
            self._note_last_job(text)
        known = {style.name: style for style in self._styles.list()} if resolved.styles else {}
        styles = tuple(known[name] for name in resolved.styles if name in known)
        return Scene(resolved, index, image, now, self._began, styles)

    def _note_last_job(self, text: str) -> None:
        """params.txt, from which A1111's paste button reads. A convenience: no picture is lost for want of it."""
        try:
            write_atomic(self._folders.data / "params.txt", text.encode("utf-8", "replace"))
        except DiskFault as fault:
            _log.warning("%s", fault)

    def _place(self, data: bytes, scene: Scene, *, grid: str, extension: str, suffix: str) -> Path:
        """Write under outputs/ by the patterns of the settings. grid: what a grid's file is called, "" for a single picture."""
        settings = scene.resolved.settings
        folder = self._folders.data / settings[FOLDERS[scene.resolved.task, bool(grid)]]
        by_pattern = settings["grid_save_to_dirs" if grid else "save_to_dirs"]
        if by_pattern:
            parts = fill_pattern(settings["directories_filename_pattern"] or "[date]", scene).split("/")
            folder = folder.joinpath(*filter(None, map(safe_part, parts)))
        if grid:
            return self._write_numbered(data, folder, f"{grid}-", lambda n: f"{grid}-{n:04}.{extension}")
        pattern = settings["samples_filename_pattern"] or ("[seed]" if by_pattern else "[seed]-[prompt_spaces]")
        stem = safe_part(fill_pattern(pattern, scene))
        if stem and not settings["save_images_add_number"]:
            _write(folder / f"{stem}{suffix}.{extension}", data)
            return folder / f"{stem}{suffix}.{extension}"
        return self._write_numbered(data, folder, "", lambda n: f"{n:05}{'-' if stem else ''}{stem}{suffix}.{extension}")

    def _write_numbered(self, data: bytes, folder: Path, prefix: str, name: Callable[[int], str]) -> Path:
        """The file under the next free number of its folder; another process may take numbers at the same time."""
        number = self._next_number(folder, prefix)
        while True:
            path = folder / name(number)
            try:
                write_atomic(path, data, overwrite=False)
            except FileExistsError:
                number = max(number, _highest_number(folder, prefix)) + 1
                continue
            self._known[prefix] = _Folder(folder, number + 1, _stamp_ns(folder))
            return path

    def _next_number(self, folder: Path, prefix: str) -> int:
        """1 + the highest number there. The folder is listed again only when somebody else changed it."""
        known = self._known.get(prefix)
        if known is not None and known.path == folder and known.stamp_ns == _stamp_ns(folder) != 0:
            return known.next
        return _highest_number(folder, prefix) + 1


def joined(parameters: str, done: str) -> str:
    """Parameters with the pairs of what was done afterwards at the end of their last line, as A1111 writes them."""
    return f"{parameters}, {done}" if parameters and done else parameters or done


def _write_named(data: bytes, folder: Path, stem: str, extension: str) -> Path:
    """A file of this name; "name-1", "name-2", ... when it is taken."""
    number = 0
    while True:
        path = folder / f"{stem}{f'-{number}' if number else ''}.{extension}"
        try:
            write_atomic(path, data, overwrite=False)
        except FileExistsError:
            number += 1
            continue
        return path


def _stamp_ns(folder: Path) -> int:
    """When the folder was changed last; 0 when it is not there."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _write(path: Path, data: bytes) -> None:
    """Write a file, in place of an older one. Raises DiskFault."""
    try:
        write_atomic(path, data)
    except FileExistsError as error:
        raise DiskFault(f"cannot save into {path.parent}: there is a file of that name. Choose another folder in the settings.") from error


def _highest_number(folder: Path, prefix: str) -> int:
    """The highest number behind the prefix in the file names of a folder; -1 for none. Raises DiskFault when it cannot be listed."""
    numbered = re.compile(re.escape(prefix) + r"([0-9]{1,9})(?:[-.]|$)")
    try:
        with os.scandir(folder) as entries:
            return max((int(found.group(1)) for entry in entries if (found := numbered.match(entry.name))), default=-1)
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise DiskFault(f"cannot save into {folder}: {error.strerror}. Choose another folder in the settings.") from error


def sweep(folders: Folders, now_s: float | None = None) -> int:
    """Remove what a crash left behind: temporary files older than an hour, unsaved pictures older than a day; and old receipts.

    Returns how many.
    """
    now = time.time() if now_s is None else now_s
    gone = Receipts(folders.receipts).sweep(now)
    for path in (*_files(folders.data, deep=False), *_files(folders.outputs), *_files(folders.cache)):
        gone += is_temporary(path) and _remove_old(path, now - STRAY_AGE_S)
    for path in [*_files(folders.job_files)]:
        gone += _remove_old(path, now - JOB_FILES_AGE_S)
    for folder in folders.job_files.glob("*/"):
        try:
            folder.rmdir()
        except OSError:  # not empty, or a picture has just arrived in it
            continue
    return gone


def _files(folder: Path, *, deep: bool = True) -> Iterator[Path]:
    for base, inner, names in os.walk(folder):
        yield from (Path(base, name) for name in names)
        if not deep:
            inner.clear()


def _remove_old(path: Path, before_s: float) -> bool:
    try:
        if path.stat(follow_symlinks=False).st_mtime < before_s:
            path.unlink()
            return True
    except OSError:  # gone meanwhile, or not ours to remove
        pass
    return False
