"""The only writer of pictures: where they go, what they are called, in which format, with which text. Every write is atomic.

Names and folders follow A1111 (patterns such as [seed] and [date]). Knows nothing about how pictures are made.
Start reading at `Saver.save`.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from modules import infotext
from modules.folders import Folders, write_atomic
from modules.pixels.metadata import encode, fitting_format
from modules.request import Picture, ResolvedRequest

PART_CHARS = 128
PART_BYTES = 200
STRAY_AGE_S = 3600
JOB_FILES_AGE_S = 86400
_BAD = re.compile(r'[#<>:"/\\|?*\n\r\t\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_TOKEN = re.compile(r"\[([a-z_]+)((?:<[^<>]*>)*)\]")
_NUMBERED = re.compile(r"(\d{1,9})-|(\d{1,9})$")


@dataclass(frozen=True)
class _Scene:
    """What the patterns may speak of."""

    resolved: ResolvedRequest
    index: int
    now: datetime
    image: Image.Image

    @property
    def at(self) -> int:
        return max(self.index, 0)


def _words(text: str, count: int) -> str:
    return " ".join([w for w in re.split(r"[\W_]+", text) if w][:count])


def _digest(text: str, args: list[str]) -> str:
    length = int(args[0]) if args and args[0].isdigit() else 8
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _prompt_without_styles(scene: _Scene) -> str:
    return scene.resolved.all_prompts[scene.at]


def _pixels_digest(scene: _Scene, args: list[str]) -> str:
    length = int(args[0]) if args and args[0].isdigit() else 64
    return hashlib.sha256(scene.image.tobytes()).hexdigest()[:length]


def _date_time(scene: _Scene, args: list[str]) -> str:
    return scene.now.strftime(args[0] if args and args[0] else "%Y%m%d%H%M%S")


def _has_prompt(scene: _Scene, args: list[str]) -> str:
    prompt = scene.resolved.all_prompts[scene.at].lower()
    found = [word if word.lower() in prompt else default for word, _, default in (a.partition("|") for a in args)]
    return "".join(found)


# Each row: token -> (scene, arguments in <...>) -> text, or None to drop the token with the text before it.
PATTERNS: dict[str, Callable[[_Scene, list[str]], object]] = {
    "seed": lambda s, _: s.resolved.all_seeds[s.at],
    "seed_first": lambda s, _: s.resolved.all_seeds[0],
    "seed_last": lambda s, _: s.resolved.all_seeds[-1] if len(s.resolved.all_seeds) > 1 else None,
    "steps": lambda s, _: s.resolved.steps,
    "cfg": lambda s, _: s.resolved.cfg_scale,
    "width": lambda s, _: s.image.width,
    "height": lambda s, _: s.image.height,
    "styles": lambda s, _: ", ".join(s.resolved.styles) or "None",
    "sampler": lambda s, _: s.resolved.sampler_name,
    "scheduler": lambda s, _: s.resolved.scheduler,
    "sampler_scheduler": lambda s, _: f"{s.resolved.sampler_name} {s.resolved.scheduler}",
    "model_hash": lambda s, _: s.resolved.checkpoint.short_hash or "",
    "model_name": lambda s, _: s.resolved.checkpoint.model_name,
    "date": lambda s, _: s.now.strftime("%Y-%m-%d"),
    "datetime": _date_time,
    "job_timestamp": lambda s, _: s.now.strftime("%Y%m%d%H%M%S"),
    "prompt": lambda s, _: s.resolved.all_prompts[s.at],
    "prompt_no_styles": lambda s, _: _prompt_without_styles(s),
    "prompt_spaces": lambda s, _: s.resolved.all_prompts[s.at],
    "prompt_words": lambda s, _: _words(s.resolved.all_prompts[s.at], s.resolved.settings["directories_max_prompt_words"]) or "empty",
    "prompt_hash": lambda s, a: _digest(s.resolved.all_prompts[s.at], a),
    "negative_prompt_hash": lambda s, a: _digest(s.resolved.all_negative_prompts[s.at], a),
    "full_prompt_hash": lambda s, a: _digest(f"{s.resolved.all_prompts[s.at]} {s.resolved.all_negative_prompts[s.at]}", a),
    "batch_number": lambda s, _: s.at % s.resolved.batch_size + 1 if s.resolved.batch_size > 1 else None,
    "batch_size": lambda s, _: s.resolved.batch_size,
    "generation_number": lambda s, _: s.at + 1 if len(s.resolved.all_seeds) > 1 else None,
    "hasprompt": _has_prompt,
    "none": lambda s, _: "",
    "image_hash": _pixels_digest,
}


def fill_pattern(pattern: str, scene: _Scene, *, folder: bool = False) -> str:
    """The pattern with its tokens replaced; unknown tokens stay as they are. folder: "/" parts folders.

    A token that does not apply drops itself and the text before it, as A1111's does.
    """
    out, at = "", 0
    for token in _TOKEN.finditer(pattern):
        before, at = pattern[at : token.start()], token.end()
        row = PATTERNS.get(token.group(1))
        if row is None:
            out += before + token.group()
            continue
        value = row(scene, re.findall(r"<([^<>]*)>", token.group(2)))
        if value is not None:
            text = str(value)
            out += before + (_BAD.sub("_", text) if folder else text)
    out += pattern[at:]
    return out


def safe_part(text: str) -> str:
    """One part of a path that every file system takes: no reserved characters or names, at most PART_BYTES bytes."""
    cleaned = _BAD.sub("_", text)[:PART_CHARS].strip().rstrip(". ").lstrip(".")
    while len(cleaned.encode("utf-8", "replace")) > PART_BYTES:
        cleaned = cleaned[:-1]
    cleaned = cleaned.encode("utf-8", "replace").decode().rstrip(". ")
    return f"_{cleaned}" if _RESERVED.fullmatch(cleaned) else cleaned


class Saver:
    """Saves the pictures of jobs. One a process; several processes may save into the same folder."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._next: dict[Path, int] = {}

    def save(
        self, image: Image.Image, *, resolved: ResolvedRequest, index: int, job: str, kind: str = "sample", saved: bool = True
    ) -> Picture:
        """Write a picture and say where it is. saved=False keeps it in the job's own folder of the cache.

        index: 0 .. n-1, -1 for a grid. Raises DiskFault; nothing half-written is left.
        """
        settings = resolved.settings
        scene = _Scene(resolved, index, datetime.now(), image)
        text = infotext.write(resolved, index)
        wanted = fitting_format(image, settings["grid_format"] if kind == "grid" else settings["samples_format"])
        data = encode(
            image, wanted, infotext=text if settings["enable_pnginfo"] else "", quality=settings["jpeg_quality"],
            lossless=settings["webp_lossless"],
        )
        if saved:
            path = self._place(data, scene, grid=kind == "grid", extension=wanted)
            if settings["save_txt"] and kind != "grid":
                write_atomic(path.with_suffix(".txt"), f"{text}\n".encode("utf-8", "replace"))
            write_atomic(self._folders.data / "params.txt", text.encode("utf-8", "replace"))
        else:
            path = self._folders.job_files / safe_part(job) / f"{'grid' if index < 0 else index}.{wanted}"
            write_atomic(path, data)
        return Picture(
            index=index, path=str(path), seed=resolved.all_seeds[scene.at], width=image.width, height=image.height, infotext=text, kind=kind,
            saved=saved,
        )

    def _place(self, data: bytes, scene: _Scene, *, grid: bool, extension: str) -> Path:
        settings = scene.resolved.settings
        folder = self._folders.data / settings["outdir_txt2img_grids" if grid else "outdir_txt2img_samples"]
        dated = settings["grid_save_to_dirs" if grid else "save_to_dirs"]
        if dated:
            parts = fill_pattern(settings["directories_filename_pattern"] or "[date]", scene, folder=True).split("/")
            folder = folder.joinpath(*(part for part in map(safe_part, parts) if part))
        if grid:
            return self._write_numbered(data, folder, lambda n: f"grid-{n:04}", extension)
        pattern = settings["samples_filename_pattern"] or ("[seed]" if dated else "[seed]-[prompt_spaces]")
        stem = safe_part(fill_pattern(pattern, scene)) or "picture"
        if settings["save_images_add_number"]:
            return self._write_numbered(data, folder, lambda n: f"{n:05}-{stem}", extension)
        path = folder / f"{stem}.{extension}"
        write_atomic(path, data)
        return path

    def _write_numbered(self, data: bytes, folder: Path, name: Callable[[int], str], extension: str) -> Path:
        """The file under the next free number of its folder; another process may take numbers at the same time."""
        with self._lock:
            number = self._next.get(folder) or _highest_number(folder) + 1
            while True:
                path = folder / f"{name(number)}.{extension}"
                try:
                    write_atomic(path, data, overwrite=False)
                except FileExistsError:
                    number = max(number, _highest_number(folder)) + 1
                    continue
                self._next[folder] = number + 1
                return path


def _highest_number(folder: Path) -> int:
    """The highest number that a file name of the folder begins or (grids) ends with; -1 for none."""
    highest = -1
    if folder.is_dir():
        for path in folder.iterdir():
            stem = path.stem.removeprefix("grid-")
            if found := _NUMBERED.match(stem):
                highest = max(highest, int(found.group(1) or found.group(2)))
    return highest


def sweep(folders: Folders, now_s: float | None = None) -> int:
    """Remove what a crash left behind: temporary files older than an hour, unsaved pictures older than a day. Returns how many."""
    now = time.time() if now_s is None else now_s
    gone = 0
    stale: list[tuple[Any, float]] = [(folders.outputs.rglob(".*.tmp"), STRAY_AGE_S), (folders.job_files.rglob("*.*"), JOB_FILES_AGE_S)]
    for paths, age_s in stale:
        for path in list(paths):
            if path.is_file() and now - path.stat().st_mtime > age_s:
                path.unlink(missing_ok=True)
                gone += 1
    for folder in list(folders.job_files.glob("*")):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return gone
