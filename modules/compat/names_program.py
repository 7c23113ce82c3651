"""A1111's modules about the program itself: timer, cache, files, progress, memory, languages. Start reading at `TABLE`."""

from __future__ import annotations

import io
import json
import os
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modules.folders import write_atomic
from modules.pixels.metadata import read_parameters

Views = Any  # modules.compat.views.Views; it imports this file


class Timer:
    """Seconds of named parts."""

    def __init__(self, print_log: bool = False) -> None:
        self.start = self._last = time.time()
        self.records: dict[str, float] = {}
        self.total = 0.0
        self.base_category = ""
        self.print_log = print_log

    def elapsed(self) -> float:
        """Since the call before."""
        now = time.time()
        spent, self._last = now - self._last, now
        return spent

    def add_time_to_record(self, category: str, amount: float) -> None:
        self.records[category] = self.records.get(category, 0.0) + amount

    def record(self, category: str, extra_time: float = 0, disable_log: bool = False) -> None:
        spent = self.elapsed()
        self.add_time_to_record(self.base_category + category, spent + extra_time)
        self.total += spent + extra_time

    def subcategory(self, name: str) -> Any:
        return _Part(self, name)

    def summary(self) -> str:
        parts = [f"{name}: {spent:.1f}s" for name, spent in self.records.items() if spent >= 0.1]
        return f"{self.total:.1f}s" + (f" ({', '.join(parts)})" if parts else "")

    def dump(self) -> dict[str, Any]:
        return {"total": self.total, "records": self.records}

    def reset(self) -> None:
        self.__init__(self.print_log)  # type: ignore[misc]


class _Part:
    def __init__(self, timer: Timer, name: str) -> None:
        self._timer, self._name, self._outer = timer, name, timer.base_category

    def __enter__(self) -> None:
        self._timer.base_category = f"{self._outer}{self._name}/"
        self._began = time.time()

    def __exit__(self, *_: object) -> None:
        self._timer.base_category = self._outer
        self._timer.add_time_to_record(f"{self._outer}{self._name}", time.time() - self._began)


class Kept:
    """Small values that scripts keep between starts: cache/scripts.json, by section."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sections: dict[str, dict[str, Any]] | None = None

    def section(self, name: str) -> dict[str, Any]:
        """A dict of that name; `save` writes it."""
        if self._sections is None:
            try:
                found = json.loads(self._path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                found = {}
            self._sections = {str(key): dict(rows) for key, rows in found.items()} if isinstance(found, dict) else {}
        return self._sections.setdefault(name, {})

    def save(self) -> None:
        """Raises DiskFault."""
        plain = json.dumps(self._sections or {}, default=str)
        write_atomic(self._path, plain.encode())

    def for_file(self, subsection: str, title: str, filename: str, func: Callable[[], Any]) -> Any:
        """What func gives for a file, computed anew when the file changed. None is not kept."""
        rows, changed = self.section(subsection), os.path.getmtime(filename)
        known = rows.get(title)
        if known is None or known.get("mtime") != changed:
            value = func()
            if value is None:
                return None
            rows[title] = known = {"mtime": changed, "value": value}
            self.save()
        return known["value"]


def cache(views: Views) -> dict[str, Any]:
    """Values that are kept between starts."""
    return {"cache": views.kept.section, "dump_cache": views.kept.save, "cached_data_for_file": views.kept.for_file,
            "cache_filename": str(views.folders.cache / "scripts.json")}  # fmt: skip


def natural_sort_key(text: Any, regex: Any = re.compile(r"(\d+)")) -> list[Any]:
    """Numbers by their value, words in lower case."""
    return [int(part) if part.isdigit() else part.lower() for part in regex.split(str(text))]


def listfiles(dirname: str) -> list[str]:
    """Files of a folder in natural order, hidden ones left out."""
    names = sorted(os.listdir(dirname), key=natural_sort_key) if os.path.isdir(dirname) else []
    return [path for name in names if not name.startswith(".") and os.path.isfile(path := os.path.join(dirname, name))]


def walk_files(path: str, allowed_extensions: Any = None) -> Any:
    """Files below a folder in natural order."""
    wanted = {str(end).lower() for end in allowed_extensions} if allowed_extensions is not None else None
    for root, _, names in sorted(os.walk(path, followlinks=True), key=lambda row: natural_sort_key(row[0])):
        for name in sorted(names, key=natural_sort_key):
            if wanted is None or os.path.splitext(name)[1].lower() in wanted:
                yield os.path.join(root, name)


def util(views: Views) -> dict[str, Any]:
    """Small functions on files and lists."""

    def html(name: str) -> str:
        path = views.folders.program / "html" / name
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def truncated(target_path: str, base_path: str = str(views.folders.program)) -> str:
        target, base = os.path.abspath(target_path), os.path.abspath(base_path)
        return os.path.relpath(target, base) if os.path.commonpath([target, base]) == base else target

    return {"natural_sort_key": natural_sort_key, "listfiles": listfiles, "walk_files": walk_files, "html": html,
            "truncate_path": truncated,
            "html_path": lambda name: str(views.folders.program / "html" / name), "ldm_print": lambda *a, **k: None}  # fmt: skip


def progress(views: Views) -> dict[str, Any]:
    """Names of tasks; how far the present one is stands in `shared.state`."""
    pending: dict[str, float] = {}
    return {"create_task_id": lambda task_type: f"task({task_type}-{uuid.uuid4().hex[:16]})", "pending_tasks": pending,
            "current_task": None,
            "add_task_to_queue": lambda id_task: pending.setdefault(id_task, time.time()) and None, "finished_tasks": [],
            "start_task": lambda id_task: pending.pop(id_task, None) and None, "finish_task": lambda id_task: None,
            "record_results": lambda id_task, res: None, "recorded_results": []}  # fmt: skip


def extras(views: Views) -> dict[str, Any]:
    """What stands in a picture."""

    def pnginfo(image: Any) -> tuple[str, str, str]:
        """("", parameters text, "")."""
        if image is None:
            return "", "", ""
        data = io.BytesIO()
        texts = {key: value for key, value in image.info.items() if isinstance(value, str)}
        if "parameters" in texts:
            return "", texts["parameters"], ""
        image.save(data, format="PNG")
        return "", read_parameters(data.getvalue())[0], ""

    merger = views.refusal("extras.run_modelmerger", "models are merged on the Models tab, as jobs")
    return {"run_pnginfo": pnginfo, "run_modelmerger": merger, "run_extras": merger}


def lowvram(views: Views) -> dict[str, Any]:
    """The worker's memory policy moves models; scripts are answered as if all fits."""
    nothing: Callable[..., None] = lambda *_: None  # noqa: E731
    return {"is_enabled": lambda sd_model=None: False, "is_needed": lambda sd_model=None: False, "send_everything_to_cpu": nothing,
            "setup_for_low_vram": nothing, "apply": nothing, "module_in_gpu": None, "cpu": "cpu"}  # fmt: skip


def localization(views: Views) -> dict[str, Any]:
    """The page's words in another language."""
    found = {path.stem: [str(path)] for one in views.ways.extensions() for path in sorted((one.folder / "localizations").glob("*.json"))}

    def script(name: str) -> str:
        words: dict[str, Any] = {}
        for path in found.get(name, ()):
            words |= json.loads(Path(path).read_text(encoding="utf-8"))
        return f"window.localization = {json.dumps(words)}"

    return {"localizations": found, "list_localizations": lambda dirname=None: None, "localization_js": script}


TABLE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "modules.timer": lambda views: {"Timer": Timer, "startup_timer": Timer(), "startup_record": None},
    "modules.cache": cache,
    "modules.util": util,
    "modules.progress": progress,
    "modules.extras": extras,
    "modules.lowvram": lowvram,
    "modules.localization": localization,
}
"""Name of a module -> what makes its names."""
