"""`python launch.py reproduce FILE`: makes a picture again from its file alone and says whether it is the same.

The job goes the way of `txt2img`; its picture goes into the cache, not under outputs/. Start reading at `main`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from modules.app import App, build
from modules.cli.arguments import flag_lines, read
from modules.cli.following import INTERRUPTED, OK, Stopped, fail, follow
from modules.faults import Fault, RequestFault
from modules.flags import Flags
from modules.jobs import Job
from modules.knobs import Knob
from modules.processing import reproduce
from modules.processing.reproduce import Original, Plan
from modules.processing.verdict import Verdict, judge
from modules.request import Picture, Result

EQUAL, DIFFERENT, IMPOSSIBLE = OK, 1, 2
USAGE = "python launch.py reproduce [flags] FILE ..."


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The words of the command."""

    file: Annotated[list[str], Knob("Picture file", help="May be repeated.")] = field(default_factory=list[str])
    tolerance: Annotated[float | None, Knob("Largest pixel difference that counts as equal", 0, 255, help="Lossless files: 0.")] = None
    input: Annotated[list[str], Knob("A picture that it began from", help="When it is not kept any more. May be repeated.")] = field(
        default_factory=list[str]
    )


def main(flags: Flags, rest: Sequence[str]) -> int:
    """Make each file again. Returns 0 when all are equal, 1 when one differs, 2 when one cannot be made, 130 after Ctrl+C."""
    if not rest or "--help" in rest or "-h" in rest:
        sys.stdout.write(help_text())
        return OK if rest else IMPOSSIBLE
    try:
        wish = Wish(**read(rest, Wish, bare=("file",), command="reproduce"))
        if not wish.file:
            raise RequestFault("file", "is missing; say which picture is to be made again")
        app = build(dataclasses.replace(flags, ckpt=None))
    except Fault as fault:
        return fail(fault.message, IMPOSSIBLE)
    try:
        given = [app.inputs.put(_bytes(Path(name)), "input") for name in wish.input]
        return max(_one(app, Path(name), wish, given) for name in wish.file)
    except Stopped:
        return fail("canceled", INTERRUPTED)
    except Fault as fault:
        return fail(fault.message, IMPOSSIBLE)
    finally:
        app.stop()


def _one(app: App, path: Path, wish: Wish, given: list[str]) -> int:
    """Make one file again and print what came of it. Raises Stopped after Ctrl+C."""
    try:
        original = reproduce.read(path)
        plan = reproduce.plan(original, app.library, app.inputs, app.settings.current, given)
        verdict, picture = _first_equal(app, original, plan, wish.tolerance)
    except Fault as fault:
        sys.stdout.write(f"{path}: cannot be made again: {fault.message}\n")
        sys.stdout.flush()
        return IMPOSSIBLE
    _tell(path, verdict, picture.path)
    return EQUAL if verdict.equal else DIFFERENT


def _first_equal(app: App, original: Original, plan: Plan, tolerance: float | None) -> tuple[Verdict, Picture]:
    """Try the ways of a plan until one gives the same picture; else what the last one gave. Raises Fault, Stopped."""
    (request, place), *others = plan.ways
    picture, warnings = _made(follow(app, app.submit(request, owner="cli")), place)
    verdict = judge(
        original, Path(picture.path), picture.infotext, notes=plan.notes, warnings=warnings, device=app.jobs.worker()["device"],
        tolerance=tolerance, quality=app.settings.current.jpeg_quality, way=request,
    )  # fmt: skip
    if verdict.equal or not others:
        return verdict, picture
    return _first_equal(app, original, dataclasses.replace(plan, ways=tuple(others)), tolerance)


def _made(job: Job, place: int) -> tuple[Picture, Sequence[str]]:
    """(the picture at a place, the warnings of its job). Raises Fault when the job left none."""
    result = Result.from_data(job.result) if job.result else Result(pictures=())
    picture = next((p for p in result.pictures if p.index == place), None)
    if job.state != "done" or picture is None:
        raise Fault(str((job.fault or {}).get("message") or "The job was canceled."))
    return picture, result.warnings


def _tell(path: Path, verdict: Verdict, remade: str) -> None:
    lines = [f"{path}: {verdict.line}"]
    lines += [f"  {verdict.compared}."] if verdict.compared else []
    lines += [f"  {change}" for change in verdict.changes]
    lines += [] if verdict.largest == 0 else [f"  made again: {remade}"]
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RequestFault("input", f"cannot be read: {error.strerror}", got=str(path)) from error


def help_text() -> str:
    """What `reproduce --help` prints."""
    lines = [
        f"usage: {USAGE}",
        "",
        "Makes pictures again from the parameters in their files and compares the pixels.",
        "Ends with 0 when they are equal, 1 when they differ, 2 when one cannot be made. Nothing is saved under outputs/.",
        "",
    ]
    return "\n".join([*lines, *flag_lines(Wish), ""])
