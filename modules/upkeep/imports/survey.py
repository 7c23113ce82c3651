"""The dry run of an import: what there is, what would be taken over, and what would be left. Changes nothing anywhere.

Start reading at `survey`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modules.folders import Folders
from modules.knobs import knobs_of
from modules.library.pictures.rows import ENDINGS
from modules.library.scan import FORMATS
from modules.prompts.style_files import read_folder
from modules.prompts.styles import Style, Styles, read_styles
from modules.settings import Settings, SettingsStore, form_defaults
from modules.upkeep.imports.layout import Layout, files_below, read_layout
from modules.upkeep.imports.translate import Translated, defaults_of, settings_of

COUNT_S = 20.0  # so long files are counted; then it is "at least"
TEXTS = (".txt", ".yaml", ".yml", ".json")
WILDCARDS = "wildcards"
SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Files of a kind in a folder. old: pickles among the models; linkable: hard links into our models folder are possible."""

    kind: str
    folder: Path
    files: int
    size_bytes: int
    old: int = 0
    linkable: bool = False


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What an import would do. sure: False when the counting was ended early. styles: those whose names are free, or made free."""

    layout: Layout
    settings: Translated
    defaults: dict[str, Any]
    defaults_left: list[tuple[str, str]]
    styles: list[Style]
    styles_same: int
    models: list[Counted]
    pictures: list[Counted]
    problems: list[str]
    sure: bool = True

    def to_data(self, current: Settings) -> dict[str, Any]:
        """For people: JSON-ready, long lists cut."""
        knobs = knobs_of(Settings)
        taken, later = (
            [{"key": key, "label": knobs[key].knob.label, "now": getattr(current, key), "then": v} for key, v in values.items()]
            for values in (self.settings.taken, self.settings.later)
        )
        return {
            "folder": str(self.layout.root),
            "program": self.layout.program,
            "settings": {
                "taken": taken, "later": later, "same": self.settings.same, "left": [list(row) for row in self.settings.left],
                "unknown": sorted(self.settings.others),
            },
            "defaults": {"taken": [{"key": k, "then": v} for k, v in self.defaults.items()], "left": [list(r) for r in self.defaults_left]},
            "styles": {"new": [style.name for style in self.styles][:SHOWN], "count": len(self.styles), "same": self.styles_same},
            "models": [_row(row) for row in self.models],
            "pictures": [_row(row) for row in self.pictures],
            "problems": self.problems[:SHOWN],
            "sure": self.sure,
        }  # fmt: skip


def survey(text: str, folders: Folders, store: SettingsStore, styles: Styles) -> Survey:
    """Look at a folder. Raises RequestFault("folder") when there is nothing to take over, DiskFault for a broken ui-config.json of ours."""
    layout = read_layout(text, folders)
    problems = list(layout.problems)
    until = time.monotonic() + COUNT_S
    seen: set[str] = set()
    models = [row for kind, folder in layout.models if (row := _models(kind, folder, folders, problems, seen, until)).files]
    pictures = [row for folder in layout.pictures if (row := _pictures(folder, problems, until)).files]
    wanted, damage = [], []
    for path in layout.styles:
        if path.is_dir():
            found, wrong = read_folder(path)
            damage += wrong
        else:
            found, why = read_styles(path)
            damage += [f"{path.name}: {why}"] if why else []
        wanted += found
    new, same = _free(wanted, styles.list())
    defaults, left = defaults_of(layout.ui_config, form_defaults.read(folders))
    return Survey(
        layout=layout, settings=settings_of(layout.config, store.current, store.others), defaults=defaults, defaults_left=left, styles=new,
        styles_same=same, models=models, pictures=pictures, problems=[*problems, *damage], sure=time.monotonic() < until,
    )  # fmt: skip


def _models(kind: str, folder: Path, own: Folders, problems: list[str], seen: set[str], until: float) -> Counted:
    endings = TEXTS if kind == WILDCARDS else tuple(FORMATS)
    files, size, old = 0, 0, 0
    for entry in files_below(folder, problems, seen):
        ending = os.path.splitext(entry.name)[1].lower()
        if ending in endings:
            files, size, old = files + 1, size + _size(entry), old + (FORMATS.get(ending) == "pickle")
        if time.monotonic() > until:
            break
    return Counted(kind=kind, folder=folder, files=files, size_bytes=size, old=old, linkable=bool(files) and linkable(folder, own.models))


def _pictures(folder: Path, problems: list[str], until: float) -> Counted:
    files, size = 0, 0
    for entry in files_below(folder, problems):
        if os.path.splitext(entry.name)[1].lower() in ENDINGS:
            files, size = files + 1, size + _size(entry)
        if time.monotonic() > until:
            break
    return Counted(kind="pictures", folder=folder, files=files, size_bytes=size)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # taken away just now
        return 0


def linkable(folder: Path, models: Path) -> bool:
    """Hard links are possible between two folders, the second of which need not be there yet: they lie on one file system."""
    nearest = next((path for path in (models, *models.parents) if path.exists()), models)
    try:
        return folder.stat().st_dev == nearest.stat().st_dev
    except OSError:
        return False


def _free(wanted: Iterable[Style], here: Iterable[Style]) -> tuple[list[Style], int]:
    """(those to add, under a name of their own where another style has it; how many are here already)."""
    names = {style.name: style for style in here}
    new: list[Style] = []
    same = 0
    for style in wanted:
        name, n = style.name, 1
        while name in names and _words(names[name]) != _words(style):
            n += 1
            name = f"{style.name} ({n})"
        if name in names:
            same += 1
            continue
        names[name] = Style(name, style.prompt, style.negative_prompt)
        new.append(names[name])
    return new, same


def _words(style: Style) -> tuple[str, str]:
    return style.prompt, style.negative_prompt


def _row(row: Counted) -> dict[str, Any]:
    return {**asdict(row), "folder": str(row.folder)}
