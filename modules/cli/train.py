"""`python launch.py train SESSION`: trains a session by its config.toml, or makes, lists, packs and takes in sessions.

The training goes through the same queue as the page's and goes on from its last state; Ctrl+C saves it. Start reading at `main`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from modules.app import App, build
from modules.cli.arguments import flag_lines, read
from modules.cli.carrying import carried_out
from modules.cli.following import INTERRUPTED, OK, WRONG, Stopped, fail, follow, warn
from modules.faults import DiskFault, Fault, RequestFault
from modules.flags import Flags
from modules.knobs import Knob
from modules.request.train import TrainConfig, with_preset
from modules.request.train_presets import PRESETS
from modules.train.archive import export, take_in
from modules.train.sessions import Session
from modules.train.taking import take_folder

USAGE = "python launch.py train SESSION [flags]"


@dataclass(frozen=True, kw_only=True)
class Words:
    """What the command line of a training holds."""

    session: Annotated[str, Knob("Session", help="May stand without the flag. Its folder is models/train/SESSION.")] = ""
    list: Annotated[bool, Knob("List the sessions", help="Nothing else is done.")] = False
    new: Annotated[str, Knob("Make it from a folder of pictures", help="The folder; pictures and captions are copied. Then it trains.")] = (
        ""
    )
    preset: Annotated[str, Knob("Preset", help=f"For --new: {', '.join(PRESETS)}.")] = ""
    config: Annotated[str, Knob("Configuration", help="A TOML file that takes the place of the session's config.toml.")] = ""
    again: Annotated[bool, Knob("Begin again", help="Forget what was trained; else it goes on from its last state.")] = False
    check: Annotated[bool, Knob("Check only", help="Say what would be trained and what is wrong.")] = False
    export: Annotated[str, Knob("Pack", help="Write the session as a zip file of that name; nothing else is done.")] = ""
    take_in: Annotated[str, Knob("Take in", help="A zip file that --export wrote, as the session of that name; nothing else is done.")] = ""


def main(flags: Flags, rest: Sequence[str]) -> int:
    """Carry out `train …`. Returns 0, 1 when it failed, 2 for wrong arguments or values, 130 after Ctrl+C."""
    if "--help" in rest or "-h" in rest or not rest:
        sys.stdout.write(help_text())
        return OK if rest else WRONG
    return carried_out(lambda: read(rest, Words, bare=("session",), command="train"), lambda: build(flags), _carry_out)


def _carry_out(app: App, values: dict[str, Any]) -> int:
    if values.get("list"):
        return _listed(app)
    if not values.get("session"):
        raise RequestFault("session", "name the session to train; --list shows them")
    if values.get("take_in"):
        return _taken_in(app, values["session"], Path(values["take_in"]).expanduser())
    session = _made(app, values) if values.get("new") else Session.open(app.folders, values["session"])
    if values.get("config"):
        session.save_config(TrainConfig.load(Path(values["config"]).expanduser()))
    if values.get("export"):
        target = export(session, Path(values["export"]).expanduser().resolve())
        sys.stdout.write(f"{target}\n")
        return OK
    return _checked(app, session) if values.get("check") else _trained(app, session, again=bool(values.get("again")))


def _listed(app: App) -> int:
    for row in Session.list(app.folders):
        state = f"not readable: {row.fault}" if row.fault else f"{row.method}, {row.pictures} pictures, step {row.step} of {row.steps}"
        sys.stdout.write(f"{row.name}: {state}\n")
    return OK


def _made(app: App, values: dict[str, Any]) -> Session:
    """A new session from a folder of pictures. Raises RequestFault, DiskFault; a session without pictures is not left behind."""
    config = with_preset(TrainConfig(), values["preset"]) if values.get("preset") else TrainConfig()
    session = Session.create(app.folders, values["session"], config)
    try:
        taken = take_folder(session, Path(values["new"]).expanduser().resolve(), within=None)
    except Fault:
        session.delete()
        raise
    for name, why in taken.refused:
        sys.stderr.write(f"warning: {name} {why}\n")
    sys.stderr.write(f"{len(taken.pictures)} pictures, {taken.captions} captions; the configuration is {session.paths.config}\n")
    return session


def _taken_in(app: App, name: str, path: Path) -> int:
    try:
        with path.open("rb") as file:
            session = take_in(app.folders, file, name)
    except OSError as error:
        raise DiskFault(f"cannot read {path}: {error.strerror}.") from error
    sys.stdout.write(f"{session.folder}\n")
    return OK


def _checked(app: App, session: Session) -> int:
    """Say what would be trained, and everything that is worth a word."""
    resolved = app.plan_train(session)
    sys.stdout.write(f"{resolved.title}\n")
    for text in resolved.warnings:
        sys.stderr.write(f"warning: {text}\n")
    return OK


def _trained(app: App, session: Session, *, again: bool) -> int:
    job = app.submit_train(session, owner="cli", again=again)
    try:
        job = follow(app, job)
    except Stopped as stopped:
        step = (stopped.job.result or {}).get("step")
        saved = f"saved at step {step}; " if step else ""
        sys.stderr.write(f"stopped, {saved}go on with: python launch.py train {session.name}\n")
        return INTERRUPTED
    warn(job)
    for path in (job.result or {}).get("files", ()):
        sys.stdout.write(f"{path}\n")
    if job.state == "canceled":  # stopped from the page
        return fail(f"The training was stopped at step {(job.result or {}).get('step', 0)}; it goes on when it is started again.")
    return OK if job.state == "done" else fail((job.fault or {}).get("message", "The training ended without saying why."))


def help_text() -> str:
    """What `train --help` prints."""
    lines = [
        f"usage: {USAGE}",
        "",
        "Trains models/train/SESSION as its config.toml says, and prints the files that are then among the models.",
        "It goes on from its last state. Ctrl+C saves the state and ends; the same command goes on from there.",
        "",
    ]
    return "\n".join([*lines, *flag_lines(Words), ""])
