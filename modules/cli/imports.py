"""`python launch.py import FOLDER`: take over the folder of A1111, Forge or SD.Next: first what would happen, then doing it.

Start reading at `main`. The flags are the Knobs of `modules.upkeep.imports.ImportAsked`, and --yes, --dry-run and --undo.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from modules.app import App, build
from modules.cli.arguments import flag_lines, read
from modules.cli.following import INTERRUPTED, OK, WRONG, Stopped, fail, follow, warn
from modules.faults import Fault, RequestFault
from modules.flags import Flags
from modules.jobs.holder import Holder
from modules.upkeep import imports
from modules.upkeep.imports import ImportAsked, Record


def main(flags: Flags, rest: Sequence[str]) -> int:
    """Carry out `import …`. Returns 0, 1 when it failed, 2 for wrong arguments, 130 after Ctrl+C."""
    words = list(rest)
    if not words or {"--help", "-h"} & set(words):
        return _say(help_text())
    yes, dry = "--yes" in words, "--dry-run" in words
    words = [word for word in words if word not in ("--yes", "--dry-run")]
    try:
        app = build(flags)
        try:
            if words[:1] == ["--undo"]:
                return _undo(app, words[1:])
            return _import(app, words, yes=yes, dry=dry)
        finally:
            app.stop()
    except RequestFault as fault:
        return fail(fault.message, WRONG)
    except Fault as fault:
        return fail(fault.message)


def _import(app: App, words: Sequence[str], *, yes: bool, dry: bool) -> int:
    data = read(words, ImportAsked, bare=("folder",), command="import")
    asked, found = app.plan_import(data)
    _say(report(found.to_data(app.settings.current), asked))
    if dry:
        return OK
    if not yes and not _agreed():
        return fail("Nothing was changed.", OK) if sys.stdin.isatty() else fail("Nothing was changed. Add --yes to carry it out.", WRONG)
    with Holder(app.folders.cache).alone():
        record, job = app.submit_import(data, owner="cli")
    if job is not None:
        try:
            job = follow(app, job)
        except Stopped:
            return fail(f"Stopped. Import again to go on, or go back: {_undo_line(record)}", INTERRUPTED)
        warn(job)
        if job.state != "done":
            return fail(f"{(job.fault or {}).get('message', 'The job was canceled.')} Go back with: {_undo_line(record)}")
    notes = (job.result or {}).get("notes", {}) if job is not None else {}
    _say(_told(record, notes))
    return OK


def _told(record: Record, notes: Mapping[str, Any]) -> str:
    done = [
        f"{len(record.settings) + len(record.later)} settings", f"{len(record.defaults)} defaults of the forms",
        f"{len(record.styles)} styles", f"{len(record.models)} folders of models", f"{notes.get('linked', 0)} linked files",
        f"{notes.get('pictures', 0)} pictures read",
    ]  # fmt: skip
    return f"\nTaken over: {', '.join(done)}. The next start of the program uses them.\nTo go back: {_undo_line(record)}\n"


def _undo_line(record: Record) -> str:
    return f"python launch.py import --undo {record.id}"


def _undo(app: App, words: Sequence[str]) -> int:
    rows = imports.past(app.folders)
    if len(words) != 1:
        for row in rows:
            state = "undone" if row.undone_s else "done"
            _say(f"{row.id}  {time.strftime('%Y-%m-%d %H:%M', time.localtime(row.made_s))}  {state}  {row.folder}\n")
        return fail("Name the import to undo: import --undo ID." if rows else "There was no import.", WRONG)
    with Holder(app.folders.cache).alone():
        for line in imports.undo(words[0], app.folders, app.settings, app.styles):
            sys.stderr.write(f"left alone: {line}\n")
    return _say("Undone.\n")


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    sys.stdout.write("\nTake this over? Nothing in that folder is changed. [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def report(found: Mapping[str, Any], asked: ImportAsked) -> str:
    """What would be done, in lines for people. found: `Survey.to_data`."""
    lines = [f"{found['program']}: {found['folder']}", ""]
    if asked.settings:
        settings = found["settings"]
        lines.append(f"Settings: {len(settings['taken'])} change, {settings['same']} are so already, {len(settings['left'])} are left.")
        lines += [f"  {row['key']}: {row['now']!r} -> {row['then']!r}" for row in settings["taken"]]
        lines += [f"  {row['key']}: {row['then']!r}, once its file is here" for row in settings["later"] if asked.models != "leave"]
        lines += [f"  left: {name}: {why}" for name, why in settings["left"]]
        unknown = settings["unknown"]
        lines += [f"  kept for extensions, unknown here: {', '.join(unknown)}"] if unknown else []
    if asked.defaults:
        lines += [f"Default: {row['key']}: {row['then']!r}" for row in found["defaults"]["taken"]]
    if asked.styles:
        lines.append(f"Styles: {found['styles']['count']} are added, {found['styles']['same']} are here already.")
    for row in found["models"] if asked.models != "leave" else ():
        how = "linked" if asked.models == "link" and row["linkable"] else "used where they lie"
        old = f", {row['old']} of them pickles, to be converted" if row["old"] else ""
        lines.append(f"{row['kind']}: {row['files']} files, {row['size_bytes'] / 1e9:.1f} GB, {how}{old}: {row['folder']}")
    for row in found["pictures"] if asked.pictures else ():
        lines.append(f"Pictures: {row['files']} in {row['folder']}")
    lines += [f"warning: {line}" for line in found["problems"]]
    lines += [] if found["sure"] else ["There is more: the counting was ended early."]
    return "\n".join([*lines, ""])


def help_text() -> str:
    """What `import --help` prints."""
    lines = [
        "usage: python launch.py import FOLDER [flags]", "       python launch.py import --undo ID", "",
        "  Takes over the folder of A1111, Forge or SD.Next. Nothing in it is changed.", "",
        *flag_lines(ImportAsked),
        f"  {'--dry-run':<20} Say what would be done, and do nothing.",
        f"  {'--yes':<20} Do not ask.",
        f"  {'--undo':<20} Go back to what was so before an import; without ID it lists them.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _say(text: str) -> int:
    sys.stdout.write(text)
    sys.stdout.flush()
    return OK
