"""What lies where in the folder of another program: settings, styles, models by kind, pictures. Reads small files only.

Knows the layouts of A1111 and Forge, which are one, and of SD.Next, and the folders that their command lines and settings name.
Start reading at `read_layout`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.faults import RequestFault
from modules.folders import MODEL_KINDS, Folders, elsewhere

MARKS = {"sdnext": "SD.Next", "modules_forge": "Forge", "webui.py": "A1111"}  # a name in the folder -> the program
PICTURES = ("outputs", "output", "log/images")
_STARTERS = ("webui-user.sh", "webui-user.bat", "webui.settings.bat", "webui-macos-env.sh")
_ARGUMENTS = re.compile(r"^\s*(?:export\s+|set\s+|@set\s+)?\"?COMMANDLINE_ARGS\s*=\s*(?P<words>.*)$", re.IGNORECASE | re.MULTILINE)
# A flag or a setting that names a folder of models -> its kind; "" is a whole folder of them.
_DIRS: Mapping[str, str] = {
    **{flag: kind for kind, flag in MODEL_KINDS.items()},
    "models_dir": "", "forge_ref_a1111_home": "", "control_net_models_path": "ControlNet", "lyco_dir": "LyCORIS",
    "lyco_dir_backcompat": "LyCORIS", "realesrgan_models_path": "ESRGAN", "swinir_models_path": "ESRGAN", "dat_models_path": "ESRGAN",
    "diffusers_dir": "Stable-diffusion", "unet_dir": "unet", "te_dir": "text_encoder", "text_encoder_dir": "text_encoder",
    "wildcards_dir": "wildcards",
}  # fmt: skip
STYLES = "styles"
SMALL_BYTES = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A folder of another program. config, ui_config: its files; entries: for the setting extra_models_dirs; models: (kind, folder).

    pictures: folders, none within another; styles: files, and folders of SD.Next's kind; problems: what could not be used.
    """

    root: Path
    program: str
    config: dict[str, Any]
    ui_config: dict[str, Any]
    entries: tuple[str, ...]
    models: tuple[tuple[str, Path], ...]
    pictures: tuple[Path, ...]
    styles: tuple[Path, ...]
    problems: list[str] = field(default_factory=list[str])


def read_layout(text: str, own: Folders) -> Layout:
    """The layout of a folder. own: the program's, which is no folder to import. Raises RequestFault("folder")."""
    root = _root(text, own)
    problems: list[str] = []
    flags = _flags(root)
    base = _under(root, flags["data_dir"]) if flags.get("data_dir") else root
    config = _object(_under(base, flags.get("ui_settings_file") or "config.json"), problems)
    entries = _entries(root, base, flags, config)
    models, lost = elsewhere(entries)
    pictures = _pictures(root, base, config)
    ui_config = _object(_under(base, flags.get("ui_config_file") or "ui-config.json"), problems)
    found = _styles(base, flags, config)
    if not (config or models or pictures or found):
        raise RequestFault(
            "folder", "has no config.json, models or outputs of A1111, Forge or SD.Next in it; name the one with webui.py", got=text
        )
    program = next((name for mark, name in MARKS.items() if (root / mark).exists()), "")
    program = program or ("SD.Next" if (root / "webui.py").exists() and "sd_backend" in config else "a folder of models")
    return Layout(
        root=root, program=program, config=config, ui_config=ui_config, entries=tuple(entries), models=models, pictures=pictures,
        styles=found, problems=[*problems, *lost],
    )  # fmt: skip


def _root(text: str, own: Folders) -> Path:
    given = Path(text.strip().strip('"')).expanduser()
    if not given.is_absolute():
        raise RequestFault("folder", "must be a whole path, from the top of the disk", got=text)
    try:
        root = given.resolve()
        os.scandir(root).close()
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else "its links lead round in a circle"
        raise RequestFault("folder", f"cannot be read: {why}", got=text) from error
    if root in (own.data, own.program, own.models, own.outputs):
        raise RequestFault("folder", "is this program's own", got=text)
    return root


def _flags(root: Path) -> dict[str, str]:
    """Name -> value of the flags in the files that start the program."""
    found: dict[str, str] = {}
    for name in _STARTERS:
        try:
            text = (root / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for match in _ARGUMENTS.finditer(text):
            found |= _words(match["words"].strip(), windows=name.endswith(".bat"))
    return found


def _words(line: str, *, windows: bool) -> dict[str, str]:
    line = line if windows else line.strip("\"'").replace('\\"', '"')
    try:
        words = [word.strip("\"'") for word in shlex.split(line.rstrip('"') if line.count('"') % 2 else line, posix=not windows)]
    except ValueError:  # a quotation mark without its other one
        words = line.split()
    found: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, mark, value = word.partition("=")
        if name.startswith("--"):
            found[name.removeprefix("--").replace("-", "_")] = value if mark else ("" if following.startswith("--") else following)
    return found


def _entries(root: Path, base: Path, flags: Mapping[str, str], config: Mapping[str, Any]) -> list[str]:
    """What extra_models_dirs is to say. Folders that are not there are left out."""
    wholes = [path for path in dict.fromkeys((root, base)) if (path / "models").is_dir() or _is_models(path)]
    found = [str(path) for path in wholes]
    for name, kind in _DIRS.items():
        value = flags.get(name) or config.get(name)
        if not isinstance(value, str) or not value.strip():
            continue
        folder = _under(base, value)
        inside = any(folder.is_relative_to(whole) for whole in wholes)
        if folder.is_dir() and not (inside and name not in flags) and not any(str(folder) == str(w / "models") for w in wholes):
            found.append(f"{kind}={folder}" if kind else str(folder))
    return list(dict.fromkeys(found))


def _is_models(path: Path) -> bool:
    """It is a models folder itself."""
    return any((path / name).is_dir() for name in ("Stable-diffusion", "checkpoints", "Lora", "loras"))


def _pictures(root: Path, base: Path, config: Mapping[str, Any]) -> tuple[Path, ...]:
    named = [value for key, value in config.items() if key.startswith("outdir_") and isinstance(value, str) and value.strip()]
    wanted = [_under(base, text) for text in (*PICTURES, *named)] + [_under(root, text) for text in named]
    there = [path for path in dict.fromkeys(wanted) if path.is_dir() and path not in (root, base)]
    return tuple(path for path in there if not any(path != other and path.is_relative_to(other) for other in there))


def _styles(base: Path, flags: Mapping[str, str], config: Mapping[str, Any]) -> tuple[Path, ...]:
    """A1111's file, SD.Next's folder, and where flags or settings put them."""
    named = [value for value in (flags.get("styles_file"), config.get("styles_dir")) if isinstance(value, str) and value.strip()]
    wanted = [base / "styles.csv", base / "models" / STYLES, *(_under(base, text) for text in named)]
    return tuple(dict.fromkeys(path for path in wanted if path.is_file() or path.is_dir()))


def _under(base: Path, text: str) -> Path:
    return Path(os.path.normpath(base / Path(text.strip().replace("\\", "/") if os.name != "nt" else text.strip()).expanduser()))


def _object(path: Path, problems: list[str]) -> dict[str, Any]:
    """What a JSON file says; nothing where there is none."""
    try:
        if not path.is_file():
            return {}
        if path.stat().st_size > SMALL_BYTES:
            raise ValueError("it is too large")
        values = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(values, dict):
            raise ValueError("it is not an object of keys and values")
        return values
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.name} cannot be read: {error}. It is left out.")
        return {}


def files_below(folder: Path, problems: list[str], seen: set[str] | None = None) -> Iterator[os.DirEntry[str]]:
    """Every file below a folder, without hidden ones. Links are followed, each folder once, so that none leads round in a circle."""
    seen = set() if seen is None else seen
    open_folders = [str(folder)]
    while open_folders:
        here = open_folders.pop()
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(here), key=lambda e: e.name)
        except OSError as error:
            problems.append(f"{here} cannot be read: {error.strerror}. It is left out.")
            continue
        yield from _files(entries, open_folders)


def _files(entries: Iterable[os.DirEntry[str]], open_folders: list[str]) -> Iterator[os.DirEntry[str]]:
    for entry in entries:
        try:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                open_folders.append(entry.path)
            elif entry.is_file():
                yield entry
        except OSError:  # a link that leads round in a circle
            continue
