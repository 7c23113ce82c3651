"""`python launch.py extensions`: list, install, set up, switch, update, remove and put back extensions.

Start reading at `main`; `modules.plugins.steward` does the work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from modules.cli.following import OK, WRONG, fail
from modules.faults import Fault, RequestFault
from modules.flags import Flags
from modules.folders import Folders
from modules.plugins import git, removal
from modules.plugins.origin import origin_of
from modules.plugins.places import Extension
from modules.plugins.setting_up import look, wants
from modules.plugins.steward import Steward
from modules.settings import SettingsStore

USAGE = "python launch.py extensions COMMAND"
COMMANDS = {
    "list": ("", "which there are, where they are from, which are off and why"),
    "install": (
        "SOURCE [--branch NAME] [--yes]",
        "bring one in from an https address (git or .zip), a folder or a .zip, and set it up; --yes does not ask first",
    ),
    "setup": ("NAME [--yes]", "install what it wants and run its install.py"),
    "enable": ("NAME", "switch it on, from the next job on"),
    "disable": ("NAME", "switch it off"),
    "check": ("[NAME ...]", "ask where they came from whether there is something newer"),
    "update": ("[NAME ...]", "take over what is newer; all that came by git without a name"),
    "remove": ("NAME", "into the bin, from where it can be put back"),
    "restore": ("[PLACE]", "put back what lies in the bin; without a place, list what is there"),
}
SWITCHES = ("--yes",)
VALUES = ("--branch",)


def main(flags: Flags, rest: Sequence[str]) -> int:
    """Carry out `extensions COMMAND …`. Returns 0, 1 when it failed, 2 for wrong arguments."""
    command, *words = [*rest] or ["--help"]
    if command in ("--help", "-h") or "--help" in words or "-h" in words:
        return _say(help_text())
    if command not in COMMANDS:
        return fail(f"There is no command extensions {command}; extensions --help lists them all.", WRONG)
    data, models = (Path(text) if text else None for text in (flags.data_dir, flags.models_dir))
    folders = Folders.at(data, models)
    steward = Steward(folders, SettingsStore(folders.config_file), flags.to_data())
    try:
        names, options = _read(words)
        return _carry_out(command, names, options, steward)
    except RequestFault as fault:
        return fail(fault.message, WRONG)
    except Fault as fault:
        return fail(fault.message)


def _carry_out(command: str, names: list[str], options: dict[str, str], steward: Steward) -> int:
    def one() -> str:
        if len(names) != 1:
            raise RequestFault("extensions", f"write: {USAGE.replace('COMMAND', command)} {COMMANDS[command][0]}")
        return names[0]

    does: dict[str, Callable[[], int]] = {
        "list": lambda: _list(steward),
        "install": lambda: _install(one(), options, steward),
        "setup": lambda: _set_up(one(), steward, asked="yes" in options),
        "enable": lambda: _done(steward.switch(one(), on=True)),
        "disable": lambda: _done(steward.switch(one(), on=False)),
        "check": lambda: _check(names, steward),
        "update": lambda: _update(names, steward),
        "remove": lambda: _say(f"{steward.remove(one())}\n"),
        "restore": lambda: _say(f"{steward.restore(one())}\n") if names else _binned(steward),
    }
    return does[command]()


def _install(source: str, options: dict[str, str], steward: Steward) -> int:
    name, notes = steward.install(source, _tell, branch=options.get("branch", ""))
    _say(f"{name}\n")
    return _set_up(name, steward, asked="yes" in options) if notes else OK


def _set_up(name: str, steward: Steward, *, asked: bool) -> int:
    """Tell what would be done, ask, do it."""
    found = steward.named(name)
    if not asked:
        if not sys.stdin.isatty():
            return fail(f"{found.folder.name} wants more than its own files. Look at its install.py, then: {_command('setup', name)} --yes")
        outlook = look(found.folder, steward.folders)
        for wish, why in outlook.verdict.refused.items():
            _tell(f"not possible: {wish}: {why}")
        for line in (*(f"to be installed: {wish}" for wish in outlook.verdict.install), *outlook.said):
            _tell(line)
        _tell("its install.py is run, which can do whatever you can" if outlook.runs else "it has no install.py")
        sys.stderr.write("Go on? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return fail(f"{found.folder.name} lies in {found.folder.parent} and is off. Later: {_command('setup', name)}")
    for note in steward.set_up(name, _tell):
        _tell(note)
    return OK


def _command(command: str, name: str) -> str:
    return f"{USAGE.replace('COMMAND', command)} {name}"


def _list(steward: Steward) -> int:
    for one in steward.all():
        _say(f"{_row(one)}\n")
        missing = wants(one.folder)["missing"]
        if missing and one.enabled:
            sys.stderr.write(f"{one.folder.name}: not installed: {', '.join(missing)}\n")
    return OK


def _row(one: Extension) -> str:
    origin = origin_of(one.folder)
    where = "comes with the program" if one.builtin else "a folder"
    if origin is not None:
        where = f"{origin.remote or 'git'} {origin.branch} {origin.commit[:8]}"
    return f"{one.folder.name}  ({where}){'' if one.enabled else f'  off: {one.off}'}"


def _check(names: list[str], steward: Steward) -> int:
    found = steward.look_for_updates(_tell, tuple(names))
    for name, news in found.items():
        _say(f"{name}  {news['said']}\n")
    return OK if all(news["behind"] is not None for news in found.values()) else 1


def _update(names: list[str], steward: Steward) -> int:
    wanted = names or [one.folder.name for one in steward.all() if (one.folder / ".git").exists()]
    worst = OK
    for name in wanted:
        try:
            for note in steward.update(name, _tell):
                _say(f"{note}\n")
        except git.GitFault as fault:
            worst = fail(fault.message)
    return worst


def _binned(steward: Steward) -> int:
    for row in removal.binned(steward.folders):
        _say(f"{row['place']}\n")
    return OK


def _read(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """(words without a flag, flags). Raises RequestFault for a flag that is none."""
    names: list[str] = []
    options: dict[str, str] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        if word in SWITCHES:
            options[word[2:]] = "yes"
        elif word in VALUES and left:
            options[word[2:]] = left.pop(0)
        elif word.startswith("--"):
            raise RequestFault("flag", f"there is no {word}; extensions --help lists them all")
        else:
            names.append(word)
    return names, options


def help_text() -> str:
    """What `extensions --help` prints."""
    lines = [f"usage: {USAGE}", ""]
    lines += [f"  {f'{name} {words}'.strip():<42} {about}" for name, (words, about) in COMMANDS.items()]
    return "\n".join([*lines, ""])


def _done(_: None) -> int:
    return OK


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _say(text: str) -> int:
    sys.stdout.write(text)
    sys.stdout.flush()
    return OK
