"""The rows of the Extensions tab as JSON: where each is from, how well it fits, its faults, what it did in the latest jobs, its options.

Start reading at `rows_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.plugins import FaultLedger, git
from modules.plugins.origin import origin_of
from modules.plugins.places import Extension
from modules.plugins.setting_up import wants
from modules.plugins.steward import Steward

if TYPE_CHECKING:
    from modules.app import App

JOBS = 20  # the latest ones that are looked at for times and changes


def rows_of(app: App, steward: Steward, updates: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """{"extensions": rows, "scripts": rows of files in scripts/, "jobs": how many were looked at, "notices"}."""
    scripts = app.scripts
    grades = scripts.grades() if scripts is not None else []
    homes = scripts.homes() if scripts is not None else {}
    options = scripts.options() if scripts is not None else []
    did, count = _traces(app)
    ledger = FaultLedger(app.folders)
    guests: dict[str, list[dict[str, Any]]] = {}
    for name, path in homes.items():
        guests.setdefault(path, []).append(_guest(name, did.get(name, []), ledger.row(name, Path(path)), ledger.too_often))
    files: list[dict[str, Any]] = [{**grade, "guests": guests.get(grade["path"], [])} for grade in grades]
    loose = [file for file in files if not file["extension"]]
    return {
        "extensions": [_row(one, files, options, updates.get(one.folder.name, {})) for one in steward.all()],
        "scripts": [_summed({"name": f["file"], "files": [f], "options": _options(options, f["path"])}) for f in loose],
        "jobs": count,
        "all": app.settings.current.disable_all_extensions,
        "notices": scripts.notices if scripts is not None else [],
    }


def _row(one: Extension, files: list[dict[str, Any]], options: list[dict[str, Any]], news: Mapping[str, Any]) -> dict[str, Any]:
    own = [file for file in files if file["extension"] == one.name and Path(file["path"]).is_relative_to(one.folder)]
    origin = origin_of(one.folder)
    came = None
    if origin is not None:
        date_s = origin.date_s if origin.date_s is not None else git.date_of(one.folder)
        came = {"remote": origin.remote, "branch": origin.branch, "commit": origin.commit, "date_s": date_s}
    row = {
        "name": one.name, "folder": one.folder.name, "builtin": one.builtin, "enabled": one.enabled, "off": one.off, "origin": came,
        "wants": wants(one.folder) if not one.builtin else {"file": False, "missing": []}, "files": own,
        "page": sorted(name for name in ("javascript", "style.css", "localizations", "preload.py") if (one.folder / name).exists()),
        "update": dict(news), "problem": one.metadata.problem,
        "options": [option for file in own for option in _options(options, file["path"])],
    }  # fmt: skip
    return _summed(row)


def _options(options: list[dict[str, Any]], path: str) -> list[dict[str, Any]]:
    return [option for option in options if option["path"] == path]


def _summed(row: dict[str, Any]) -> dict[str, Any]:
    """With what its files say together."""
    guests = [guest for file in row["files"] for guest in file["guests"]]
    return {
        **row,
        "grade": max((file["grade"] for file in row["files"]), default=""),
        "reasons": [f"{file['file']}: {reason}" for file in row["files"] for reason in file["reasons"]],
        "faults": [guest for guest in guests if guest["faults"]],
        "seconds": round(sum(guest["seconds"] for guest in guests), 3),
        "jobs": max((guest["jobs"] for guest in guests), default=0),
        "hooks": list(dict.fromkeys(hook for guest in guests for hook in guest["hooks"])),
        "changed": list(dict.fromkeys(name for guest in guests for name in guest["changed"])),
    }


def _traces(app: App) -> tuple[dict[str, list[dict[str, Any]]], int]:
    """(guest -> its rows in the traces of the latest jobs; how many jobs had any)."""
    found: dict[str, list[dict[str, Any]]] = {}
    count = 0
    for job in app.jobs.list(states=("done", "canceled"), lane="device", limit=JOBS):
        rows = (job.result or {}).get("trace") or ()
        count += bool(rows)
        for row in rows:
            found.setdefault(str(row["guest"]), []).append({**row, "job": job.id})
    return found, count


def _guest(name: str, rows: list[dict[str, Any]], fault: Mapping[str, Any], too_often: int) -> dict[str, Any]:
    """seconds: on average in a job that it took part in; faults: jobs in a row in which it failed."""
    jobs = len({row["job"] for row in rows})
    return {
        "name": name, "jobs": jobs, "seconds": sum(row["seconds"] for row in rows) / max(1, jobs),
        "hooks": list(dict.fromkeys(str(row["hook"]) for row in rows)),
        "changed": list(dict.fromkeys(str(one) for row in rows for one in row["changed"])),
        "faults": int(fault["count"]), "hook": str(fault["hook"]), "text": str(fault["text"]), "off": fault["count"] >= too_often,
    }  # fmt: skip
