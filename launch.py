"""The roof: checks the machine, sets the program up, and opens the door that was asked for.

    python launch.py            the page, at http://127.0.0.1:7860
    python launch.py --help     every command and flag

Needs only the standard library until the environment is ready. An older Python must be able to read this file and say
that it is too old, so nothing else is imported before that. Start reading at `main`.
"""

import os
import runpy
import subprocess
import sys

HALF_UPDATED = os.path.join(os.path.dirname(os.path.abspath(__file__)), ".update", "recover.py")
if os.path.exists(HALF_UPDATED):  # an update was cut off between two files: back to the version before, without importing either
    runpy.run_path(HALF_UPDATED, run_name="__main__")
    sys.exit(subprocess.call([sys.executable, *sys.argv]))  # this file too may be of either version

from modules.setup import interpreter  # noqa: E402

OLD_PYTHON = "" if "--skip-python-version-check" in sys.argv else interpreter.problem(sys.version_info)
if OLD_PYTHON:
    sys.exit(OLD_PYTHON)

import threading  # noqa: E402
import time  # noqa: E402
import webbrowser  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

from modules.faults import Fault  # noqa: E402
from modules.flags import TAKES_REST, Flags, parse, spelling, table  # noqa: E402
from modules.folders import PROGRAM  # noqa: E402
from modules.setup import checks, environment, preloading, rings, update, wheels  # noqa: E402

if TYPE_CHECKING:
    from modules.app import App

DEVICE_WAIT_S = 300.0


def main(argv: list[str]) -> int:
    """Carry out a command line; returns the exit status. 1: it could not be done, 2: the command line is wrong."""
    asked = preloading.read(argv, {spelling(item.name) for item in table()}, TAKES_REST)
    flags = parse(asked.argv, asked.values, asked.help)
    preloading.warn(asked)
    try:
        return prepare(flags, argv)
    except Fault as fault:
        print(fault.message, file=sys.stderr)
        return 1
    except BrokenPipeError:  # who read the output has read enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def prepare(flags: Flags, argv: list[str]) -> int:
    """Check, set up, and carry out the command with the environment's Python."""
    if flags.command == "doctor":
        place = environment.find(PROGRAM, no_venv=flags.no_venv)
        if place.current or not place.python.exists():
            return doctor(flags)
        return run_with(place.python, argv)
    if flags.command in BEFORE:
        return BEFORE[flags.command](flags)
    if flags.command == "ui":
        checks.disk(Path(flags.data_dir or PROGRAM), checks.RUN_BYTES, "the program")
        checks.port(flags.host, flags.port)
    wants_tests = flags.command in ("test", "check")
    speaker = say_aside if flags.command == "mcp" else say
    place = environment.ensure(
        PROGRAM, no_venv=flags.no_venv, skip_install=flags.skip_install, tests=wants_tests, wheels=flags.wheels, say=speaker,
        cluster=flags.command == "cluster" or bool(flags.cluster),
    )  # fmt: skip
    if flags.exit:
        return 0
    if flags.command == "test":
        return rings.test(PROGRAM, place.python, flags.rest, say=say)
    if flags.command == "check":
        return rings.check(PROGRAM, place.python, flags.rest, say=say)
    if not place.current:
        return run_with(place.python, argv)
    commands = {
        "txt2img": txt2img, "img2img": img2img, "grid": grid, "reproduce": reproduce, "models": models, "upscale": upscale,
        "caption": caption,
        "train": train,
        "extensions": extensions,
        "import": import_folder,
        "cluster": cluster,
        "mcp": mcp,
        "users": users,
    }  # fmt: skip
    return commands.get(flags.command, page)(flags)


def run_with(python: Path, argv: list[str]) -> int:
    """Go on in the environment's Python; on POSIX in this same process, so that signals reach the program."""
    command = [str(python), str(PROGRAM / "launch.py"), *argv]
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(command[0], command)
    return subprocess.call(command)


def doctor(flags: Flags) -> int:
    """Print the report, with whatever Python this is."""
    """Print the report; runs on a bare Python too."""
    from modules.cli.doctor import main

    return main(flags)


def take_update(flags: Flags) -> int:
    """Go to a release."""
    return update.update(PROGRAM, flags, say=say)


def roll_back(flags: Flags) -> int:
    """Go back to the version before."""
    return update.rollback(PROGRAM, flags, say=say)


def collect_wheels(flags: Flags) -> int:
    """Fill a folder for a machine without a network, with the environment's pip where there is one."""
    python = environment.find(PROGRAM, no_venv=flags.no_venv).python
    return wheels.fill(PROGRAM, python if python.exists() else Path(sys.executable), flags.rest, say=say)


def txt2img(flags: Flags) -> int:
    """Make pictures without a page."""
    from modules.cli.txt2img import main

    return main(flags, flags.rest)


def img2img(flags: Flags) -> int:
    """Make pictures from pictures without a page."""
    from modules.cli.txt2img import IMG2IMG, main

    return main(flags, flags.rest, IMG2IMG)


def grid(flags: Flags) -> int:
    """Make an X/Y/Z grid without a page."""
    from modules.cli.grid import main

    return main(flags, flags.rest)


def reproduce(flags: Flags) -> int:
    """Make a picture again without a page."""
    from modules.cli.reproduce import main

    return main(flags, flags.rest)


def models(flags: Flags) -> int:
    """Work on model files without a page."""
    from modules.cli.models import main

    return main(flags, flags.rest)


def extensions(flags: Flags) -> int:
    """Work on extensions without a page."""
    from modules.cli.extensions import main

    return main(flags, flags.rest)


def import_folder(flags: Flags) -> int:
    """Take over another program's folder without a page."""
    from modules.cli.imports import main

    return main(flags, flags.rest)


def cluster(flags: Flags) -> int:
    """Start, join or look at a cluster."""
    from modules.cli.cluster import main

    return main(flags, flags.rest)


def upscale(flags: Flags) -> int:
    """Enlarge or finish pictures without a page."""
    from modules.cli.extras import main

    return main(flags, flags.rest)


def caption(flags: Flags) -> int:
    """Say what pictures show without a page."""
    from modules.cli.caption import main

    return main(flags, flags.rest)


def train(flags: Flags) -> int:
    """Train a session without a page."""
    from modules.cli.train import main

    return main(flags, flags.rest)


def mcp(flags: Flags) -> int:
    """Serve tools to the program that started this one."""
    from modules.server.mcp.stdio import main

    return main(flags)


def users(flags: Flags) -> int:
    """Work on the users file."""
    from modules.cli.users import main

    return main(flags, flags.rest)


def page(flags: Flags) -> int:
    """Open the web doors and serve until a signal."""
    from modules import server
    from modules.app import build

    app = build(flags)
    try:
        api = server.create(app)
        for notice in app.settings.notices:
            say(notice)
        app.start(url=f"http://{flags.host}:{flags.port}/", required=True)
        app.pictures.start()
        if not flags.nowebui:
            from modules import web

            web.mount(api, app)
        elif app.scripts is not None:
            app.scripts.started(api)
    except Fault:
        app.stop()
        raise
    threading.Thread(target=announce_device, args=(app,), daemon=True, name="device").start()
    api.state.power.restartable = True
    server.serve(api, app, on_ready=lambda url: ready(url, flags))
    if api.state.power.wanted == "restart":
        say("Starting again.")
        return run_with(Path(sys.executable), [word for word in sys.argv[1:] if word != "--autolaunch"])
    return 0


def ready(url: str, flags: Flags) -> None:
    """The server answers: say so, open the browser."""
    say(f"Running at {url}")
    if flags.autolaunch:
        webbrowser.open(url)


def announce_device(app: "App") -> None:
    """Print the worker's three lines about the device as soon as it has found it."""
    until = time.monotonic() + DEVICE_WAIT_S
    while time.monotonic() < until:
        device = app.jobs.worker()["device"]
        if "lines" in device:
            say(*device["lines"], *device["notes"])
            return
        time.sleep(0.2)


def say(*lines: str) -> None:
    """Print lines at once, also into a pipe."""
    for line in lines:
        print(line, flush=True)


def say_aside(*lines: str) -> None:
    """The same on the error output, where the standard output belongs to a protocol."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)


BEFORE = {"update": take_update, "rollback": roll_back, "wheels": collect_wheels}  # what needs nothing installed

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
