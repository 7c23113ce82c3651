"""`python launch.py grid`: an X/Y/Z grid through the same queue as the page's; prints the paths of the grid's pictures and files.

    python launch.py grid "a red apple" --x "Steps: 10-30 (+10)" --y "Sampler: Euler a, DPM++ 2M" --seed 5

The flags of `txt2img` hold too, and the grid's own options. Start reading at `main`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modules.app import App, build
from modules.cli.arguments import flag_lines, read
from modules.cli.carrying import carried_out
from modules.cli.following import INTERRUPTED, OK, Stopped, fail, follow, warn
from modules.cli.txt2img import with_inputs
from modules.flags import Flags
from modules.grids.asked import NAMES, GridAsked, GridOptions
from modules.jobs import Job
from modules.knobs import knobs_of
from modules.request import GenerationRequest

USAGE = 'python launch.py grid [flags] "a red apple" --x "Steps: 10-30 (+10)" [--y "TYPE: VALUES"] [--z "TYPE: VALUES"] [--plan]'
PLAN = "--plan"


@dataclass(frozen=True)
class _Words:
    """What stood on the command line. values: of the request; plan: only say what it would take."""

    values: dict[str, Any]
    asked: GridAsked
    plan: bool


def main(flags: Flags, rest: Sequence[str]) -> int:
    """Make the grid that `rest` asks for. Returns 0, 1 when it failed, 2 for wrong arguments, 130 after Ctrl+C."""
    if "--help" in rest or "-h" in rest:
        sys.stdout.write(help_text())
        return OK
    return carried_out(lambda: _understood(flags, rest), lambda: build(dataclasses.replace(flags, ckpt=None)), _carry_out)


def _understood(flags: Flags, rest: Sequence[str]) -> _Words:
    """Raises RequestFault."""
    asked, words = _take(rest)
    values = read(words, command="grid")
    if flags.ckpt:
        values["override_settings"] = {"sd_model_checkpoint": flags.ckpt, **values.get("override_settings", {})}
    return _Words(values, asked, plan=PLAN in rest)


def _take(rest: Sequence[str]) -> tuple[GridAsked, list[str]]:
    """(the grid, the words that are left for the request). Raises RequestFault."""
    left, words = list(rest), list[str]()
    axes: dict[str, dict[str, str]] = {}
    options: dict[str, Any] = {}
    knobs = knobs_of(GridOptions)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        plain = name.removeprefix("--").replace("-", "_")
        if name in [f"--{axis}" for axis in NAMES]:
            value = value if equals else left.pop(0) if left else ""
            kind, _, text = value.partition(":")
            axes[plain] = {"type": kind.strip(), "values": text.strip()}
        elif name.startswith("--") and plain in knobs:
            options[plain] = value if equals else left.pop(0) if knobs[plain].kind is int and left else True
        elif name.startswith("--no-") and plain.removeprefix("no_") in knobs and plain not in knobs:
            options[plain.removeprefix("no_")] = False
        elif name != PLAN:
            words.append(word)
    rows = [axes.get(axis, {}) for axis in NAMES]
    return GridAsked.from_data({"axes": rows, "options": options}), words


def _carry_out(app: App, words: _Words) -> int:
    request = GenerationRequest.from_data(with_inputs(app, words.values))
    if words.plan:
        sys.stdout.write(f"{app.plan_grid(request, words.asked).estimate.words}\n")
        return OK
    job = app.submit_grid(request, words.asked, owner="cli")
    try:
        job = follow(app, job)
    except Stopped as stopped:
        _print_paths(stopped.job)
        sys.stderr.write("canceled\n")
        return INTERRUPTED
    warn(job)
    _print_paths(job)
    return OK if job.state == "done" else fail((job.fault or {}).get("message", "The grid was canceled."))


def _print_paths(job: Job) -> None:
    """One path a line: the grid, single pictures where they were asked for, then the report."""
    result = job.result or {}
    for path in [*(picture["path"] for picture in result.get("pictures", ())), *result.get("files", ())]:
        sys.stdout.write(f"{path}\n")
    sys.stdout.flush()


def help_text() -> str:
    """What `grid --help` prints."""
    options = [f"  --{name.replace('_', '-')}  {field.knob.label}. {field.knob.help}" for name, field in knobs_of(GridOptions).items()]
    head = [
        f"usage: {USAGE}",
        "",
        "Prints one path a line; progress goes to the error output. Axes and the syntax of values: docs/xyz.md.",
        "  --plan  Say what the grid will take, and make nothing.",
        *options,
        "",
        "The flags of txt2img:",
    ]
    return "\n".join([*head, *flag_lines(GenerationRequest), ""])
