"""`python launch.py upscale`: enlarges or finishes picture files and folders of them, prints the paths of the results.

The job goes through the same queue as the page's. The flags are the Knobs of `ExtrasRequest`. Start reading at `main`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from modules.app import App, build
from modules.cli.arguments import flag_lines, read
from modules.cli.carrying import carried_out
from modules.cli.following import INTERRUPTED, OK, WRONG, Stopped, fail, follow, warn
from modules.faults import DiskFault, RequestFault
from modules.flags import Flags
from modules.folders import write_atomic
from modules.jobs import Job
from modules.knobs import Knob
from modules.request.extras import ExtrasRequest
from modules.settings import FORMATS

USAGE = "python launch.py upscale [flags] FILE …"
OWN = ("files", "out")


@dataclass(frozen=True, kw_only=True)
class Words(ExtrasRequest):
    """The fields of a request and what only the command line has. upscaler_1 begins with Lanczos here: the command is called upscale."""

    files: Annotated[list[str], Knob("Picture files, or one folder of them", help="May stand without the flag.")] = field(
        default_factory=list[str]
    )
    out: Annotated[
        str, Knob("Where to", max_chars=4000, help="A folder; or for a single picture the file to write, in the format of its ending.")
    ] = ""


def main(flags: Flags, rest: Sequence[str]) -> int:
    """Carry out `upscale …`. Returns 0, 1 when it failed, 2 for wrong arguments, 130 after Ctrl+C."""
    if "--help" in rest or "-h" in rest or not rest:
        sys.stdout.write(help_text())
        return OK if rest else WRONG
    return carried_out(lambda: read(rest, Words, bare=("files",), command="upscale"), lambda: build(flags), _carry_out)


def _carry_out(app: App, values: dict[str, Any]) -> int:
    target = _target(values)
    job = app.submit_extras(_request(app, values, target), owner="cli", anywhere=True)
    try:
        job = follow(app, job)
    except Stopped as stopped:
        _say(_paths(stopped.job))
        sys.stderr.write("canceled\n")
        return INTERRUPTED
    warn(job)
    paths = _paths(job)
    if target is not None and job.state == "done":
        paths = [_placed(Path(path), target) for path in paths]
    _say(paths)
    return OK if job.state == "done" else fail((job.fault or {}).get("message", "The job was canceled."))


def _target(values: dict[str, Any]) -> Path | None:
    """The file that --out names, None when it names a folder or nothing."""
    out = values.get("out", "")
    path = Path(out).expanduser()
    if not out or path.is_dir() or out.endswith(("/", "\\")):
        return None
    return path if path.suffix.lower().lstrip(".") in FORMATS else None


def _request(app: App, values: dict[str, Any], target: Path | None) -> ExtrasRequest:
    """The request; files are kept in the input store first. Raises RequestFault naming the file that cannot be used."""
    data = {name: value for name, value in values.items() if name not in OWN}
    files = [Path(text).expanduser() for text in values.get("files", [])]
    if len(files) == 1 and files[0].is_dir():
        data["input_dir"] = str(files[0])
    elif files:
        data["images"] = [_kept(app, path) for path in files]
        data["image_names"] = [path.name for path in files]
    if target is not None:
        if len(files) != 1 or files[0].is_dir():
            raise RequestFault("out", "names a file, which holds one picture; name a folder for several", got=str(target))
        data["save_images"] = False
        data["override_settings"] = {**data.get("override_settings", {}), "samples_format": target.suffix.lower().lstrip(".")}
    elif values.get("out"):
        data["output_dir"] = values["out"]
    touched = ("upscaler_1", "gfpgan_visibility", "codeformer_visibility", "background_removal")
    return ExtrasRequest.from_data(data if any(name in data for name in touched) else {**data, "upscaler_1": "Lanczos"})


def _kept(app: App, path: Path) -> str:
    try:
        return app.inputs.put(path.read_bytes(), "files")
    except OSError as error:
        raise RequestFault("files", f"cannot read {path}: {error.strerror}") from error
    except RequestFault as fault:
        raise RequestFault("files", f"{path} {fault.why}") from fault


def _placed(made: Path, target: Path) -> str:
    """The result where it was asked for; with another ending when the format asked for cannot hold it."""
    path = target if made.suffix == target.suffix.lower() else target.with_suffix(made.suffix)
    if path != target:
        sys.stderr.write(f"warning: {target.suffix} cannot hold this picture, so it is {path.name}\n")
    try:
        write_atomic(path, made.read_bytes())
    except OSError as error:
        raise DiskFault(f"cannot read {made}: {error.strerror}.") from error
    return str(path)


def _paths(job: Job) -> list[str]:
    return [picture["path"] for picture in (job.result or {}).get("pictures", ())]


def _say(paths: Sequence[str]) -> None:
    """One path a line."""
    for path in paths:
        sys.stdout.write(f"{path}\n")
    sys.stdout.flush()


def help_text() -> str:
    """What `upscale --help` prints."""
    lines = [
        f"usage: {USAGE}",
        "",
        "Enlarges pictures with Lanczos unless --upscaler-1 names another, restores faces, removes the background.",
        "Prints one path a line; progress goes to the error output.",
        "",
    ]
    return "\n".join([*lines, *flag_lines(Words), ""])
