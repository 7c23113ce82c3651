"""The roof: checks the machine, sets the program up, and opens the door that was asked for.

    python launch.py            the page, at http://127.0.0.1:7860
    python launch.py --help     every command and flag

Needs only the standard library until the environment is ready. An older Python must be able to read this file and say
that it is too old, so nothing else is imported before that. Start reading at `main`.
"""

import sys

from modules.setup import interpreter

OLD_PYTHON = "" if "--skip-python-version-check" in sys.argv else interpreter.problem(sys.version_info)
if OLD_PYTHON:
    sys.exit(OLD_PYTHON)

import os  # noqa: E402
import subprocess  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import webbrowser  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

from modules.faults import Fault  # noqa: E402
from modules.flags import Flags, parse  # noqa: E402
from modules.folders import PROGRAM  # noqa: E402
from modules.setup import checks, environment, rings  # noqa: E402

if TYPE_CHECKING:
    from fastapi import FastAPI

    from modules.app import App

DEVICE_WAIT_S = 300.0


def main(argv: list[str]) -> int:
    """Carry out a command line; returns the exit status. 1: it could not be done, 2: the command line is wrong."""
    flags = parse(argv)
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
    if flags.command == "ui":
        checks.disk(Path(flags.data_dir or PROGRAM), checks.RUN_BYTES, "the program")
        checks.port(flags.host, flags.port)
    wants_tests = flags.command in ("test", "check")
    place = environment.ensure(PROGRAM, no_venv=flags.no_venv, skip_install=flags.skip_install, tests=wants_tests, say=say)
    if flags.exit:
        return 0
    if flags.command == "test":
        return rings.test(PROGRAM, place.python, flags.rest, say=say)
    if flags.command == "check":
        return rings.check(PROGRAM, place.python, flags.rest, say=say)
    if not place.current:
        return run_with(place.python, argv)
    commands = {"txt2img": txt2img, "models": models}
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


def txt2img(flags: Flags) -> int:
    """Make pictures without a page."""
    from modules.cli.txt2img import main

    return main(flags, flags.rest)


def models(flags: Flags) -> int:
    """Work on model files without a page."""
    from modules.cli.models import main

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
        if not flags.nowebui:
            from modules import web

            web.mount(api, app)
    except Fault:
        app.stop()
        raise
    threading.Thread(target=announce_device, args=(app,), daemon=True, name="device").start()
    server.serve(api, app, on_ready=lambda url: ready(url, flags, api))
    return 0


def ready(url: str, flags: Flags, api: "FastAPI") -> None:
    """The server answers: say so, open the browser, open the link."""
    say(f"Running at {url}")
    if flags.autolaunch:
        webbrowser.open(url)
    if flags.share:
        threading.Thread(target=share, args=(flags, api), daemon=True, name="share").start()


def share(flags: Flags, api: "FastAPI") -> None:
    """Open the public link; without it the program goes on."""
    from modules.web.share import open_link

    try:
        link = open_link(flags.port)
        api.state.access.allow_host(urlsplit(link).hostname)
        say(f"Public link, open until this program ends and for a week at most: {link}")
    except Fault as fault:
        say(fault.message)


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
