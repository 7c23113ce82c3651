"""Flags that extensions add: `preload(parser)` of their preload.py, asked before the command line is read.

Standard library only, since nothing may be installed yet. A file that fails is a warning and adds nothing. Start reading at `read`.
"""

from __future__ import annotations

import argparse
import builtins
import importlib.machinery
import importlib.util
import json
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from modules.folders import PROGRAM, Folders

FILE = "preload.py"
_FOLDERS = ("--data-dir", "--models-dir")
_NONE = ("--safe-mode", "--disable-all-extensions")
EXTRA = "--disable-extra-extensions"


@dataclass(kw_only=True)
class Preloaded:
    """argv: the words that are left for the program's own flags; values: of the extensions' flags, by name, as JSON can hold them;
    help: a line for each of them; warnings: in words.
    """

    argv: list[str]
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    help: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])


def read(argv: Sequence[str], taken: Collection[str], stops: Collection[str], program: Path = PROGRAM) -> Preloaded:
    """The flags of extensions taken out of a command line. taken: the program's own flags; stops: commands whose words are their own.

    A wrong value of such a flag ends the program with argparse's words, as a wrong value of an own flag does.
    """
    words = list(argv)
    end = next((n for n, word in enumerate(words) if word in stops), len(words))
    found = Preloaded(argv=words)
    if any(flag in words[:end] for flag in _NONE):
        return found
    named = {flag: _value(words[:end], flag) for flag in _FOLDERS}
    folders = Folders.at(*(Path(text) if text else None for text in named.values()))
    parser = argparse.ArgumentParser(prog="launch.py", add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for folder in _with_preload(folders, program, extra=EXTRA not in words[:end]):
        _ask(folder, folders, parser, found.warnings)
    actions = _own(parser, taken)
    if actions:
        values, left = parser.parse_known_args(words[:end])
        found.argv = [*left, *words[end:]]
        found.values = {name: _plain(value) for name, value in vars(values).items()}
        found.help = [f"  {action.option_strings[-1]:<32} {action.help or ''}".rstrip() for action in actions]
    return found


def _with_preload(folders: Folders, program: Path, *, extra: bool) -> list[Path]:
    """Folders of extensions that are not switched off and have a preload.py."""
    try:
        config = json.loads(folders.config_file.read_text(encoding="utf-8"))
        off, none = config.get("disabled_extensions") or [], config.get("disable_all_extensions", "none")
    except (OSError, ValueError, AttributeError):
        off, none = [], "none"
    found: list[Path] = []
    for base in dict.fromkeys([program / "extensions", folders.data / "extensions"]):
        for path in sorted(base.glob(f"*/{FILE}")):
            builtin = (path.parent / ".builtin").exists() and base == program / "extensions"
            shown = none != "all" and (builtin or (extra and none != "extra"))
            if shown and path.parent.name not in off and not path.parent.name.startswith((".", "_")):
                found.append(path.parent)
    return found


def _own(parser: argparse.ArgumentParser, taken: Collection[str]) -> list[argparse.Action]:
    """What is left to the parser: flags that the program does not have itself, none of them required, and no words without a flag."""
    known: dict[str, argparse.Action] = parser._option_string_actions  # pyright: ignore[reportPrivateUsage]
    for name in [name for name in known if name in taken]:
        del known[name]
    left = list(dict.fromkeys(known.values()))
    parser._actions[:] = left  # pyright: ignore[reportPrivateUsage]
    for action in left:
        action.required = False
    return left


def _ask(folder: Path, folders: Folders, parser: argparse.ArgumentParser, warnings: list[str]) -> None:
    """Run preload(parser) of one extension."""
    try:
        preload = _module(folder / FILE, folders).__dict__.get("preload")
        if preload is not None:
            preload(parser)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises, the program starts
        warnings.append(f"The flags of the extension {folder.name} were passed over: {type(error).__name__}: {error}")


def _module(path: Path, folders: Folders) -> ModuleType:
    """The file, executed with A1111's `modules.paths` to be imported from."""
    loader = importlib.machinery.SourceFileLoader(f"preload of {path.parent.name}", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    if spec is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    module.__dict__.update(__file__=str(path), __builtins__={**vars(builtins), "__import__": _bring(folders)})
    loader.exec_module(module)
    return module


def _bring(folders: Folders) -> Callable[..., Any]:
    paths = ModuleType("modules.paths")
    places = {"script_path": folders.program, "data_path": folders.data, "models_path": folders.models}
    for name, place in {**places, "extensions_dir": folders.data / "extensions"}.items():
        setattr(paths, name, str(place))
    holder = ModuleType("modules")
    holder.__dict__.update(paths=paths, paths_internal=paths)
    offered = {"modules": holder, "modules.paths": paths, "modules.paths_internal": paths}

    def bring(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if name in offered:
            return offered[name] if fromlist else holder
        return builtins.__import__(name, globals, locals, fromlist, level)

    return bring


def _value(words: Sequence[str], flag: str) -> str:
    for n, word in enumerate(words):
        if word == flag and n + 1 < len(words):
            return words[n + 1]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return ""


def _plain(value: Any) -> Any:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return str(value)
    return value


def warn(found: Preloaded) -> None:
    """Say what went wrong, beside whatever the command prints."""
    for line in found.warnings:
        sys.stderr.write(f"{line}\n")
