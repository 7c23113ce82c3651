"""`python launch.py cluster`: Ray on this machine, as head or as one more machine, and who is there. Start reading at `main`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modules.cli.following import FAILED, OK, WRONG, fail
from modules.cluster import joining
from modules.faults import Fault
from modules.flags import Flags
from modules.folders import PROGRAM

USAGE = "python launch.py cluster COMMAND"
HELP = f"""usage: {USAGE}

  start [--host IP] [--port PORT] [--workers N]   make this machine the head of a cluster
  join HOST:PORT --token TOKEN [--workers N]      let this machine work for that head, until it is stopped
  status [ADDRESS] [--json]                       machines, devices, jobs, models and versions
  stop                                            end Ray on this machine

  --host IP      the address that other machines reach this one at; {joining.LOOPBACK}, which none does, where it is left out
  --port PORT    {joining.PORT} where it is left out
  --workers N    how many may work on this machine; start: 0, join: one for each card, or 1
  --token TOKEN  as `start` printed it; who knows it can run programs on every machine of the cluster

Then, on the head: python launch.py --cluster HOST:PORT
"""
OPTIONS = {"--host": True, "--port": True, "--workers": True, "--token": True, "--json": False}  # option -> it has a value


@dataclass(frozen=True)
class _Words:
    """A command's words: bare ones, and options by name."""

    bare: list[str]
    options: dict[str, str]

    def number(self, name: str, default: int, lowest: int, highest: int) -> int:
        """Raises ValueError with what to do."""
        text = self.options.get(name, str(default))
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise ValueError(f"{name} must be a whole number from {lowest} to {highest} (got {text[:40]})")
        return int(text)


def main(flags: Flags, rest: Sequence[str]) -> int:
    """Carry out `cluster COMMAND …`. Returns 0, 1 when it failed, 2 for wrong arguments."""
    command, *words = [*rest] or ["--help"]
    if command in ("--help", "-h") or {"--help", "-h"} & set(words):
        return _say(HELP.rstrip())
    if command not in COMMANDS:
        return fail(f"There is no command cluster {command}; cluster --help lists them all.", WRONG)
    try:
        return COMMANDS[command](flags, _read(words))
    except ValueError as error:
        return fail(f"{error}. See cluster --help.", WRONG)
    except Fault as fault:
        return fail(fault.message, FAILED)
    except KeyboardInterrupt:
        return OK


def _read(words: Sequence[str]) -> _Words:
    """Raises ValueError."""
    bare: list[str] = []
    options: dict[str, str] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            bare.append(word)
            continue
        name, mark, value = word.partition("=")
        if name not in OPTIONS or (mark and not OPTIONS[name]):
            raise ValueError(f"there is no option {word}")
        if OPTIONS[name] and not mark:
            if not left:
                raise ValueError(f"{name} needs a value")
            value = left.pop(0)
        options[name] = value
    return _Words(bare, options)


def _start(flags: Flags, words: _Words) -> int:
    host, port = words.options.get("--host", joining.LOOPBACK), words.number("--port", joining.PORT, 1, 65535)
    token = joining.token_here()
    command = joining.start_words(host=host, port=port, workers=words.number("--workers", 0, 0, 64))
    if code := _run(command, token, host):
        return code
    others = (
        "Only this machine can reach it. For others: cluster stop, then cluster start --host IP with an address of your own network."
        if host == joining.LOOPBACK
        else f"On another machine:  python launch.py cluster join {host}:{port} --token {token}"
    )
    return _say(f"The cluster answers at {host}:{port}.", others, f"Here, for the page:  python launch.py --cluster {host}:{port}")


def _join(flags: Flags, words: _Words) -> int:
    if len(words.bare) != 1:
        raise ValueError("usage: cluster join HOST:PORT --token TOKEN")
    workers = words.number("--workers", 0, 0, 64) or _devices(flags)
    return _run([*joining.join_words(address=words.bare[0], workers=workers), "--block"], words.options.get("--token"), words.bare[0])


def _stop(flags: Flags, words: _Words) -> int:
    return _run(joining.stop_words(), None)


def _status(flags: Flags, words: _Words) -> int:
    address = words.bare[0] if words.bare else flags.cluster or "auto"
    how = ["--json"] if "--json" in words.options else []
    return _run([sys.executable, "-m", "modules.cluster.census", address, *how], words.options.get("--token"), address)


def _run(command: Sequence[str], token: str | None, address: str = "") -> int:
    """The exit status of a process that may use Ray; its words go to the terminal."""
    return subprocess.call(list(command), env=joining.surroundings(token, address), cwd=PROGRAM)


def _say(*texts: str) -> int:
    sys.stdout.write("\n".join(texts) + "\n")
    return OK


def _devices(flags: Flags) -> int:
    """How many workers this machine can have: one a card, or one."""
    from modules.hardware.choice import pick
    from modules.hardware.detect import probe

    device, count = pick(probe(with_kernels=False), flags.to_data())
    return count if device.kind != "cpu" else 1


COMMANDS: dict[str, Callable[[Flags, _Words], int]] = {"start": _start, "join": _join, "status": _status, "stop": _stop}
