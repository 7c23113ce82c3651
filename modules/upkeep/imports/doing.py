"""The job of an import: hard links for models, and reading the pictures so that they can be searched. Changes nothing in the other folder.

Cancelled, it leaves whole files only; begun again, it goes on where it was. Start reading at `carry_out`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from modules.faults import DiskFault
from modules.folders import Folders
from modules.library.pictures import Pictures
from modules.library.scan import FORMATS
from modules.settings import SettingsStore
from modules.upkeep.imports.layout import files_below
from modules.upkeep.imports.records import LINKS, place
from modules.upkeep.imports.survey import TEXTS, WILDCARDS
from modules.upkeep.report import Report
from modules.weights.model_folder import INDEX

LOOK_S = 0.1


def carry_out(work: dict[str, Any], report: Report) -> None:
    """Do what an import left for its job. work: see `taking.take_over`. Raises Cancelled, DiskFault."""
    folders = Folders.from_data(work["folders"])
    if work["links"]:
        _link(folders, work, report)
    if work["pictures"]:
        _read_pictures(folders, work["pictures"], report)


# ---- Models --------------------------------------------------------------------------------------------------------------------------


def _link(folders: Folders, work: dict[str, Any], report: Report) -> None:
    report.say("Looking at the models…")
    problems: list[str] = []
    wanted = [row for kind, folder in work["links"] for row in to_link(kind, Path(folder), folders.models, problems)]
    taken: list[str] = []
    made = same = 0
    log = place(folders, work["record"]) / LINKS
    with log.open("a", encoding="utf-8") as kept:
        for n, (source, target) in enumerate(wanted):
            report.part(n, len(wanted), f"Linking {len(wanted)} files" if not n else None)
            if target.exists():
                same += os.path.samefile(source, target)
                taken += [] if os.path.samefile(source, target) else [target.relative_to(folders.models).as_posix()]
                continue
            made += _link_one(source, target, kept, problems)
    if taken:
        report.warn(f"{len(taken)} names were taken by other files of yours, which stay: {', '.join(taken[:10])}")
    for problem in problems[:20]:
        report.warn(problem)
    report.notes |= {"linked": made, "linked_before": same, "taken": len(taken)}


def _link_one(source: Path, target: Path, kept: TextIO, problems: list[str]) -> bool:
    """The record comes first: a link that nobody knows of could not be undone. Raises DiskFault when nothing can be written."""
    real = Path(os.path.realpath(source))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        kept.write(json.dumps([str(real), str(target)]) + "\n")
        kept.flush()
    except OSError as error:
        raise DiskFault(f"{target.parent} cannot be written to: {error.strerror}. Free some space or choose another folder.") from error
    try:
        os.link(real, target)
    except OSError as error:
        problems.append(f"{source.name} could not be linked: {error.strerror}. It is left out; refer to its folder instead.")
        return False
    return True


def to_link(kind: str, folder: Path, models: Path, problems: list[str]) -> Iterator[tuple[Path, Path]]:
    """(file, place of its link) of every model of a folder, with what belongs to it: pictures, notes and configurations of its name."""
    entries = list(files_below(folder, problems))
    inside = {os.path.dirname(e.path) for e in entries if e.name == INDEX}
    stems = {os.path.splitext(e.path)[0] for e in entries if os.path.splitext(e.name)[1].lower() in FORMATS}
    for entry in entries:
        path = Path(entry.path)
        whole = any(str(parent) in inside for parent in path.parents)
        words = kind == WILDCARDS and path.suffix.lower() in TEXTS
        if whole or words or any(stem in stems for stem in _stems(entry.path)):
            yield path, models / kind / path.relative_to(folder)


def _stems(path: str) -> Iterator[str]:
    """name.preview.png -> name.preview, name."""
    folder, name = os.path.split(path)
    while "." in name:
        name = name.rpartition(".")[0]
        yield os.path.join(folder, name)


# ---- Pictures ------------------------------------------------------------------------------------------------------------------------


def _read_pictures(folders: Folders, count: int, report: Report) -> None:
    report.say("Looking at the pictures…")
    pictures = Pictures(folders, SettingsStore(folders.config_file))
    try:
        pictures.refresh(force=True)
        total = max(1, pictures.unread())
        while left := pictures.unread():
            report.part(total - left, max(total, left), f"Reading {count} pictures")
            time.sleep(LOOK_S)
            pictures.refresh(force=False)
        report.notes["pictures"] = count
    finally:
        pictures.close()
