"""Carrying out the quick part of an import, and undoing all of it: settings, defaults, styles, lists of folders.

Every change is written into a record first; undoing changes back only what is still as the import left it. Start reading at `take_over`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from modules.faults import Fault, RequestFault
from modules.folders import Folders
from modules.library import Library
from modules.prompts.styles import Style, Styles
from modules.settings import SettingsStore, form_defaults
from modules.upkeep.imports import records
from modules.upkeep.imports.asked import LEAVE, LINK, REFERENCE, ImportAsked
from modules.upkeep.imports.records import Record
from modules.upkeep.imports.survey import Survey

LATER = "darkroom_settings_of_import"  # kept in config.json until the files that they name are here


def take_over(asked: ImportAsked, found: Survey, folders: Folders, store: SettingsStore, styles: Styles) -> tuple[Record, dict[str, Any]]:
    """Do what is quick. Returns the record and the work left for a job, with "links" [[kind, folder], ...] and "pictures", how many.

    Raises RequestFault when nothing would be taken over, DiskFault; what was done until then can be undone.
    """
    links = [row for row in found.models if asked.models == LINK and row.linkable]
    entries = _entries(asked, found)
    pictures = [str(row.folder) for row in found.pictures] if asked.pictures else []
    translated = found.settings
    changes = dict(translated.taken) if asked.settings else {}
    others = dict(translated.others) if asked.settings else {}
    now, waiting = store.current, _waiting(store)
    later = {k: v for k, v in translated.later.items() if waiting.get(k) != v} if asked.settings and asked.models != LEAVE else {}
    new_entries = [entry for entry in entries if entry not in now.extra_models_dirs]
    new_pictures = [folder for folder in pictures if folder not in now.extra_picture_dirs]
    before = form_defaults.read(folders)
    defaults = found.defaults if asked.defaults else {}
    added = found.styles if asked.styles else []
    if not (changes or others or later or new_entries or new_pictures or defaults or added or links):
        raise RequestFault("folder", "has nothing that is not here already, of what was chosen", got=asked.folder)
    record = Record(
        id=records.new_id(folders), folder=str(found.layout.root), made_s=time.time(),
        settings={key: [getattr(now, key), value] for key, value in changes.items()},
        others={key: [store.others.get(key), value] for key, value in others.items()},
        defaults={key: [before.get(key), value] for key, value in defaults.items()},
        styles=[asdict(style) for style in added], models=new_entries, pictures=new_pictures, later=later,
    )  # fmt: skip
    records.write(folders, record)
    form_defaults.change(folders, defaults)
    styles.add(added)
    lists = {
        "extra_models_dirs": [*now.extra_models_dirs, *new_entries],
        "extra_picture_dirs": [*now.extra_picture_dirs, *new_pictures],
    }
    store.set({**changes, **lists}, anywhere=True, others={**others, **({LATER: {**waiting, **later}} if later else {})})
    work = {
        "record": record.id, "folders": folders.to_data(), "links": [[row.kind, str(row.folder)] for row in links],
        "pictures": sum(row.files for row in found.pictures) if pictures else 0,
    }  # fmt: skip
    return record, work


def _entries(asked: ImportAsked, found: Survey) -> list[str]:
    """What is added to extra_models_dirs: all where models are referenced; where they are linked, what cannot be."""
    if asked.models == REFERENCE:
        return list(found.layout.entries)
    if asked.models == LINK:
        return [f"{row.kind}={row.folder}" for row in found.models if not row.linkable]
    return []


def settle(store: SettingsStore, library: Library) -> None:
    """Set what waits for files of an import that are here now, such as the checkpoint that was chosen there."""
    if not (waiting := _waiting(store)):
        return
    good = {key: value for key, value in waiting.items() if _is_here(key, value, library)}
    rest = {key: value for key, value in waiting.items() if key not in good}
    if good:
        with contextlib.suppress(Fault):  # another version's value; it is left out
            store.set(good, others={LATER: rest or None})


def _waiting(store: SettingsStore) -> dict[str, Any]:
    found = store.others.get(LATER)
    return found if isinstance(found, dict) else {}


def _is_here(key: str, value: Any, library: Library) -> bool:
    if key == "sd_model_checkpoint":
        try:
            return bool(library.find_checkpoint(str(value)))
        except Fault:
            return False
    names = {Path(row.path).name for kind in ("vae", "text_encoder") for row in library.rows(kind)}
    wanted = value if isinstance(value, list) else [value]
    return bool(wanted) and all(name in names for name in wanted)


# ---- Undoing -------------------------------------------------------------------------------------------------------------------------


def undo(key: str, folders: Folders, store: SettingsStore, styles: Styles) -> list[str]:
    """Go back to what was so before an import; returns what stays as it was changed since, in words.

    Raises RequestFault, DiskFault.
    """
    record = records.read(folders, key)
    if record.undone_s:
        raise RequestFault("id", "means an import that is undone already", got=key)
    said: list[str] = []
    now = store.current
    back = _unchanged(record.settings, now.to_data(), "setting", said)
    back |= {
        "extra_models_dirs": [entry for entry in now.extra_models_dirs if entry not in record.models],
        "extra_picture_dirs": [entry for entry in now.extra_picture_dirs if entry not in record.pictures],
    }
    back |= {key: _start(key) for key, value in record.later.items() if getattr(now, key) == value and key not in back}
    others = _unchanged(record.others, store.others, "key", said)
    waiting = {name: value for name, value in _waiting(store).items() if record.later.get(name) != value}
    store.set(back, anywhere=True, others={**others, LATER: waiting or None})
    form_defaults.change(folders, _unchanged(record.defaults, form_defaults.read(folders), "default", said))
    wanted = [Style(**style) for style in record.styles]
    gone = styles.drop(wanted)
    said += [f"the style {style.name} was changed since and stays" for style in wanted if style not in gone and _there(styles, style.name)]
    said += _unlink(folders, key)
    records.write(folders, dataclasses.replace(record, undone_s=time.time()))
    return said


def _start(key: str) -> Any:
    return {"sd_vae": "Automatic", "forge_additional_modules": []}.get(key, "")


def _there(styles: Styles, name: str) -> bool:
    return any(style.name == name for style in styles.list())


def _unchanged(pairs: Mapping[str, list[Any]], now: Mapping[str, Any], what: str, said: list[str]) -> dict[str, Any]:
    """Name -> value before, of those that are still as they were left."""
    back: dict[str, Any] = {}
    for name, (before, after) in pairs.items():
        if now.get(name) == after:
            back[name] = before
        elif now.get(name) != before:
            said.append(f"the {what} {name} was changed since and stays")
    return back


def _unlink(folders: Folders, key: str) -> list[str]:
    """Take away the hard links of an import; the files themselves stay where they are."""
    said: list[str] = []
    parents: set[Path] = set()
    for source, target in records.links(folders, key):
        if not target.is_file():
            continue
        if source.exists() and os.path.samefile(source, target):
            target.unlink()
            parents.add(target.parent)
        else:
            said.append(f"{target.name} stays: its file is no longer in the other program's folder, so this is the only one")
    for folder in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        while folder != folders.models and folder.parent != folders.models and folder.is_relative_to(folders.models):
            try:
                folder.rmdir()  # only where it is empty
            except OSError:
                break
            folder = folder.parent
    return said
