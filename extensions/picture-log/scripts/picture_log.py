"""Picture log: a line of a CSV file for every picture that is saved, and one for every job.

A native guest at `picture_saved` and `job_done`. The files are outputs/pictures.csv and outputs/jobs.csv of the data folder.
"""

from __future__ import annotations

import csv
import datetime
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from modules import paths
from modules.hooks import Guest, Run
from modules.knobs import Knob
from modules.request import Picture, Result

PICTURES = ("time", "job", "file", "width", "height", "seed", "model", "prompt", "negative prompt", "parameters")
JOBS = ("time", "job", "pictures", "seconds", "stopped", "warnings")
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # a table program would take cells that begin so for formulas


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """One switch."""

    enabled: Annotated[bool, Knob("Enable", help="Writes outputs/pictures.csv and outputs/jobs.csv.")] = False


class PictureLog(Guest):
    """Off by default."""

    name = "picture log"
    title = "Picture log"
    knobs = Knobs

    def takes_part(self, args: tuple[Any, ...]) -> bool:
        return bool(args[0])

    def picture_saved(self, run: Run, picture: Picture) -> None:
        if not picture.saved:
            return
        text, _, rest = picture.infotext.partition("\nNegative prompt: ")
        prompt, parameters = (text, rest) if rest else picture.infotext.rpartition("\n")[::2]
        negative, _, parameters = parameters.rpartition("\n") if rest else ("", "", parameters)
        row = (picture.path, picture.width, picture.height, picture.seed, run.resolved.checkpoint.model_name, prompt, negative, parameters)
        append("pictures.csv", PICTURES, (now(), run.job, *row))

    def job_done(self, run: Run, result: Result) -> None:
        seconds = round(result.seconds.get("total", 0.0), 2)
        said = " ".join(result.warnings)
        append("jobs.csv", JOBS, (now(), run.job, len(result.pictures), seconds, result.interrupted, said))


def now() -> str:
    """Local time with its distance from UTC, to the second."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def append(name: str, head: tuple[str, ...], row: tuple[Any, ...]) -> None:
    """A line at the end of a file in outputs, in one write; the head first where there is no file. Raises OSError."""
    path = Path(paths.data_path) / "outputs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    if not path.exists():
        writer.writerow(head)
    writer.writerow([f"'{cell}" if str(cell).startswith(FORMULAS) and not isinstance(cell, int | float) else cell for cell in row])
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(lines.getvalue())
