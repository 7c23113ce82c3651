"""`python launch.py caption`: says what picture files show, answers a question about them, or compares texts with them; captions folders.

The job goes through the same queue as the page's. The flags are the Knobs of `FolderRequest`. Start reading at `main`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from modules.app import App, build
from modules.caption.adapters import adapters
from modules.caption.installed import captioners
from modules.caption.ledger import Ledger, undo
from modules.caption.overlay import drawn, heat_file, png
from modules.caption.overlay import read as read_maps
from modules.caption.sidecars import shelf_of
from modules.cli.arguments import flag_lines, read
from modules.cli.carrying import carried_out
from modules.cli.following import INTERRUPTED, OK, WRONG, Stopped, fail, follow, warn
from modules.faults import RequestFault
from modules.flags import Flags
from modules.folders import write_atomic
from modules.jobs import Job
from modules.knobs import Knob
from modules.pixels.incoming import flatten
from modules.request.caption import CaptionRequest
from modules.request.caption_folder import NOT_FOR_FOLDERS, FolderRequest

USAGE = "python launch.py caption [flags] FILE …, or FOLDER"
OWN = ("files", "installed", "images", "image_names", "heat_maps", "undo")
GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Words(FolderRequest):
    """The fields of a request and what only the command line has."""

    files: Annotated[list[str], Knob("Picture files", help="May stand without the flag.")] = field(default_factory=list[str])
    heat_maps: Annotated[str, Knob("Heat maps into", help="A folder for PNG files of where the model looked, one a word.")] = ""
    undo: Annotated[str, Knob("Undo", help="Id of a job on a folder: put back what stood in its files before; nothing else is done.")] = ""
    installed: Annotated[bool, Knob("List the captioners that are here", help="And what each can do; nothing else is done.")] = False


def main(flags: Flags, rest: Sequence[str]) -> int:
    """Carry out `caption …`. Returns 0, 1 when it failed, 2 for wrong arguments, 130 after Ctrl+C."""
    if "--help" in rest or "-h" in rest or not rest:
        sys.stdout.write(help_text())
        return OK if rest else WRONG
    return carried_out(lambda: read(rest, Words, bare=("files",), command="caption"), lambda: build(flags), _carry_out)


def _listed(app: App) -> int:
    rows, refused = captioners(app.folders)
    for row in rows:
        sys.stdout.write(f"{row.name}: {', '.join(row.does)}; {row.size_bytes / GB:.2f} GB; {row.licence or 'licence not known'}\n")
    worn, broken = adapters(app.folders)
    for one in worn:
        words = f", {one.new_words} words of its own" if one.new_words else ""
        sys.stdout.write(f"{one.name}: an adapter for {one.base or 'captioners'}, rank {one.rank}{words}\n")
    for why in (*refused.values(), *broken.values()):
        sys.stderr.write(f"warning: {why}\n")
    return OK


def _carry_out(app: App, values: dict[str, Any]) -> int:
    if values.get("installed"):
        return _listed(app)
    if values.get("undo"):
        return _taken_back(app, values["undo"])
    files = [Path(text).expanduser() for text in values.get("files", [])]
    folders = [*(path for path in files if path.is_dir()), *([Path(values["folder"])] if values.get("folder") else [])]
    if folders:
        if len(folders) > 1 or len(files) > 1:
            raise RequestFault("files", "name one folder, or picture files")
        return _folder(app, folders[0], values)
    if values.get("heat_maps"):
        values = {**values, "attention": True}
    data = {name: value for name, value in values.items() if name not in OWN}
    data |= {"images": [_kept(app, path) for path in files], "image_names": [path.name for path in files]}
    job = app.submit_caption(CaptionRequest.from_data(data), owner="cli")
    try:
        job = follow(app, job)
    except Stopped as stopped:
        _say(stopped.job, files)
        sys.stderr.write("canceled\n")
        return INTERRUPTED
    warn(job)
    _say(job, files)
    if values.get("heat_maps"):
        _draw(app, job, files, Path(values["heat_maps"]).expanduser())
    return OK if job.state == "done" else fail((job.fault or {}).get("message", "The job was canceled."))


def _folder(app: App, folder: Path, values: dict[str, Any]) -> int:
    """Caption a folder's pictures into files beside them. Any folder of this machine."""
    data = {name: value for name, value in values.items() if name not in (*OWN, *NOT_FOR_FOLDERS)} | {"folder": str(folder)}
    job = app.submit_caption_folder(FolderRequest.from_data(data), owner="cli", anywhere=True)
    try:
        job = follow(app, job)
    except Stopped as stopped:
        sys.stderr.write(f"canceled; go on with: --resume {stopped.job.id}\n")
        return INTERRUPTED
    if job.state != "done":
        return fail((job.fault or {}).get("message", "The job was canceled."))
    result = job.result or {}
    for fault in result["faults"]:
        sys.stderr.write(f"fault: {fault['name']}: {fault['why']}\n")
    rest = f", {result['skipped']} were there already" if result["skipped"] else ""
    sys.stdout.write(f"{result['captioned']} captions{rest}, {result['failed']} faults; undo with: caption --undo {job.id}\n")
    return OK


def _taken_back(app: App, job: str) -> int:
    """Undo a run over a folder. Raises RequestFault when there is no such run, or it was undone."""
    ledger = Ledger.open(app.folders, job)
    if ledger is None or ledger.undone:
        raise RequestFault("undo", "that job was undone already" if ledger else "there is no list of what that job did", got=job)
    count, changed = undo(ledger, shelf_of(Path(ledger.head["folder"]), ledger.head["output"]))
    for name in changed:
        sys.stderr.write(f"warning: {name} was changed since, so it stays\n")
    sys.stdout.write(f"{count} captions taken back\n")
    return OK


def _draw(app: App, job: Job, files: Sequence[Path], folder: Path) -> None:
    """The heat maps of a job as PNG files: picture, number and letters of the word."""
    for entry in (job.result or {}).get("captions", ()):
        about = entry.get("attention", {})
        kept = read_maps(heat_file(app.folders, about["id"])) if "id" in about else None
        if kept is None:
            sys.stderr.write(f"warning: no heat maps of {files[entry['index']]}{': ' + about['fault'] if 'fault' in about else ''}\n")
            continue
        picture = flatten(app.inputs.open(job.resolved["sources"][entry["index"]]["reference"], "files"), job.resolved["background"])
        for n, word in enumerate(kept.words):
            letters = "".join(c for c in word if c.isalnum())[:40]
            name = f"{files[entry['index']].stem}-{n + 1:02}-{letters or 'sign'}.png"
            write_atomic(folder / name, png(drawn(picture, kept.map_of([n]), kept.region)))


def _kept(app: App, path: Path) -> str:
    try:
        return app.inputs.put(path.read_bytes(), "files")
    except OSError as error:
        raise RequestFault("files", f"cannot read {path}: {error.strerror}") from error
    except RequestFault as fault:
        raise RequestFault("files", f"{path} {fault.why}") from fault


def _say(job: Job, files: Sequence[Path]) -> None:
    """One line a caption, candidate or text; behind the file's name and a tab when there are several files."""
    for entry in (job.result or {}).get("captions", ()):
        before = f"{files[entry['index']]}\t" if len(files) > 1 else ""
        for line in lines_of(entry):
            sys.stdout.write(f"{before}{line}\n")
    sys.stdout.flush()


def lines_of(entry: dict[str, Any]) -> list[str]:
    """What is printed of an entry of a result: its caption, its candidates, or how well each text fits; nothing when it failed."""
    if entry.get("fault"):
        return []
    if "fits" in entry:
        chances = [("" if fit["chance"] is None else f"{fit['chance']:.3f}\t") for fit in entry["fits"]]
        return [f"{chance}{fit['cosine']:.3f}\t{fit['text']}" for chance, fit in zip(chances, entry["fits"], strict=True)]
    if len(entry.get("candidates", ())) > 1:
        return [candidate["text"] for candidate in entry["candidates"]]
    return [entry["caption"]]


def help_text() -> str:
    """What `caption --help` prints."""
    lines = [
        f"usage: {USAGE}",
        "",
        "Prints one caption a line, behind the file's name when there are several files; progress goes to the error output.",
        "With --texts it prints how well each text fits: the chance where the model gives one, the cosine, the text.",
        "With a folder each picture in it gets a caption in a file beside it, and only the sum is printed.",
        "",
    ]
    return "\n".join([*lines, *flag_lines(Words), ""])
