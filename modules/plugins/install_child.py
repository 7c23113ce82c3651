"""Runs an extension's install.py in a process of its own. Entry: `python -m modules.plugins.install_child FOLDER REPORT look|do`.

look: `launch` writes down what the file wants installed and installs nothing; programs and other machines are refused, so it may end
early. do: the packages are there by now; the file may do the rest of its work, but pip is still refused. The report is JSON:
{"wishes": [what follows "pip"], "said": [lines], "fault": words or ""}. Start reading at `main`.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from modules.folders import Folders, write_atomic
from modules.plugins.needs import missing

LOOK, DO = "look", "do"
FILE = "install.py"


class Refused(Exception):
    """The file asked for something that is not done for it."""


class Recorder:
    """`launch` as install.py imports it. wishes: what it gave to pip; said: what else it wanted, in words."""

    def __init__(self, folders: Folders, *, doing: bool) -> None:
        self.wishes: list[str] = []
        self.said: list[str] = []
        self._folders = folders
        self._doing = doing

    def module(self) -> ModuleType:
        """The module with A1111's names."""
        module = ModuleType("launch")
        names: dict[str, Any] = {
            "run_pip": self._run_pip,
            "run": self._run,
            "git_clone": self._git_clone,
            "is_installed": is_installed,
            "requirements_met": lambda path: not missing(Path(path)),
            "python": sys.executable,
            "git": "git",
            "args": SimpleNamespace(skip_install=False, data_dir=str(self._folders.data), models_dir=str(self._folders.models)),
            "dir_extensions": str(self._folders.data / "extensions"),
            "script_path": str(self._folders.program),
            "data_path": str(self._folders.data),
            "skip_install": False,
            "commit_hash": lambda: "",
            "list_extensions": lambda settings_file=None: [],
            "prepare_environment": lambda: None,
        }
        for name, value in names.items():
            setattr(module, name, value)
        return module

    def _run_pip(self, command: str, desc: str | None = None, live: bool = False) -> str:
        self.wishes.append(str(command))
        return ""

    def _run(self, command: str, desc: str | None = None, errdesc: str | None = None, custom_env: Any = None, live: bool = False) -> str:
        text = str(command)
        if " pip " in f" {text} ":
            self.wishes.append(text.partition(" pip ")[2])
            return ""
        if self._doing:
            done = subprocess.run(shlex.split(text), capture_output=True, check=False, encoding="utf-8", errors="replace")
            if done.returncode:
                raise RuntimeError(f"{errdesc or text[:200]} (exit {done.returncode}): {done.stderr[-500:]}")
            return done.stdout
        self.said.append(f"it runs a program: {text[:200]}")
        raise Refused("install.py runs a program, which is not done while it is only looked at")

    def _git_clone(self, url: str, directory: str, name: str, commithash: str | None = None) -> None:
        self.said.append(f"it wants {name} from {url}; fetch it by hand into {directory} if you trust it")


def is_installed(package: str) -> bool:
    """A package, or a module, of that name is here; "name==version" asks for that version."""
    name, _, version = package.partition("==")
    try:
        found = importlib.metadata.version(name.strip())
    except importlib.metadata.PackageNotFoundError:
        try:
            return importlib.util.find_spec(name.strip().replace("-", "_")) is not None and not version
        except (ImportError, ValueError):
            return False
    return not version or found == version.strip()


def guard(recorder: Recorder, *, doing: bool) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook of Python's: pip is never run from here; other programs and machines only while doing."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in ("subprocess.Popen", "os.system", "os.posix_spawn", "os.spawn", "os.exec"):
            words = _words(args)
            if "pip" in words and "install" in words:
                recorder.wishes.append(" ".join(words[words.index("pip") + 1 :]))
                raise Refused("install.py calls pip itself; what it wants is installed for it")
            if not doing:
                recorder.said.append(f"it runs a program: {' '.join(words)[:200]}")
                raise Refused("install.py runs a program, which is not done while it is only looked at")
        elif event in ("socket.connect", "socket.getaddrinfo") and not doing:
            recorder.said.append("it asks another machine")
            raise Refused("install.py asks another machine, which is not done while it is only looked at")

    return hook


def _words(args: tuple[Any, ...]) -> list[str]:
    """The words of a command as audit events tell it: a text, or the program and a list."""
    found: list[str] = []
    for arg in args[:2]:
        if isinstance(arg, bytes | str | os.PathLike):
            found += os.fsdecode(arg).split()
        elif isinstance(arg, list | tuple):
            found += [os.fsdecode(one) for one in arg if isinstance(one, bytes | str | os.PathLike)]
    return found


def execute(path: Path, recorder: Recorder, folders: Folders) -> str:
    """Run the file; what went wrong in words, "" for nothing."""
    own = recorder.module()
    offered = {"launch": own, "modules.launch_utils": own, **_paths(folders)}
    inner = builtins.__import__

    def bring(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if name == "modules" and fromlist:
            holder = ModuleType("modules")
            for one in fromlist:
                if (found := offered.get(f"modules.{one}")) is not None:
                    setattr(holder, one, found)
            return holder
        return offered[name] if name in offered and (fromlist or "." not in name) else inner(name, globals, locals, fromlist, level)

    loader = importlib.machinery.SourceFileLoader("__main__", str(path))
    spec = importlib.util.spec_from_loader("__main__", loader)
    if spec is None:
        return f"{path} cannot be run"
    module = importlib.util.module_from_spec(spec)
    module.__dict__.update(__file__=str(path), __builtins__={**vars(builtins), "__import__": bring})
    try:
        loader.exec_module(module)
    except Refused as error:
        return str(error)
    except SystemExit as error:
        return "" if error.code in (None, 0) else f"it ended with {error.code}"
    except Exception as error:  # noqa: BLE001 - whatever it raises stands in the report
        last = traceback.extract_tb(error.__traceback__)[-1:]
        where = f" (line {last[0].lineno} of {Path(last[0].filename).name})" if last else ""
        return f"{type(error).__name__}: {error}{where}"
    return ""


def _paths(folders: Folders) -> dict[str, ModuleType]:
    module = ModuleType("modules.paths")
    for name, path in (
        ("script_path", folders.program),
        ("data_path", folders.data),
        ("models_path", folders.models),
        ("extensions_dir", folders.data / "extensions"),
    ):
        setattr(module, name, str(path))
    return {"modules.paths": module, "modules.paths_internal": module}


def main(argv: list[str]) -> int:
    """Carry out the command line of this file; folders come as JSON over standard input."""
    folder, report, how = Path(argv[0]), Path(argv[1]), argv[2]
    folders = Folders.from_data(json.loads(sys.stdin.read()))
    recorder = Recorder(folders, doing=how == DO)
    sys.addaudithook(guard(recorder, doing=how == DO))
    fault = execute(folder / FILE, recorder, folders)
    data = {"wishes": recorder.wishes, "said": list(dict.fromkeys(recorder.said)), "fault": fault}
    write_atomic(report, json.dumps(data).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
