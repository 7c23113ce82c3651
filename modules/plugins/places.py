"""Which scripts and extensions there are, and which of them are switched on. Runs none.

scripts/*.py of the program and of the data folder, then the scripts of each extension, its built-in ones first; names sorted, then by
metadata.ini. Start reading at `find`. Source: the behaviour of A1111 1.10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.folders import Folders
from modules.plugins.metadata import Metadata, Order, missing, ordered, read
from modules.settings import Settings

SAFE = "the program was started with --safe-mode"


@dataclass(frozen=True, kw_only=True)
class Extension:
    """name: canonical, lower case; off: why it is not in use, "" when it is; builtin: it came with the program."""

    name: str
    folder: Path
    builtin: bool
    off: str = ""
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def enabled(self) -> bool:
        return not self.off


@dataclass(frozen=True, kw_only=True)
class Source:
    """A script file. basedir: of its extension, or the folder above scripts/; extension: its name, "" for none."""

    path: Path
    basedir: Path
    extension: str = ""

    @property
    def module(self) -> str:
        """The name it is executed under: A1111's, with the ".py"."""
        return self.path.name


def extensions(folders: Folders, settings: Settings, flags: Mapping[str, Any]) -> list[Extension]:
    """Every folder in extensions/, built-in ones first. A name that is taken is off."""
    found: list[Extension] = []
    for base in dict.fromkeys([folders.program / "extensions", folders.data / "extensions"]):
        for folder in sorted(p for p in _inside(base) if p.is_dir() and not p.name.startswith((".", "_"))):
            metadata = read(folder)
            name = metadata.name or folder.name.lower()
            builtin = base == folders.program / "extensions" and (folder / ".builtin").exists()
            off = _off(folder.name, builtin, settings, flags)
            if any(other.name == name for other in found):
                off = "there is another extension of that name"
            found.append(Extension(name=name, folder=folder, builtin=builtin, off=off, metadata=metadata))
    names = {one.name for one in found if one.enabled}
    return [_with_needs(one, names) for one in found]


def find(folders: Folders, settings: Settings, flags: Mapping[str, Any]) -> tuple[list[Source], list[str]]:
    """(the script files to load, in order; notices). Nothing in safe mode."""
    if flags.get("safe_mode"):
        return [], []
    notices: list[str] = []
    rows: list[tuple[str, Source, Order]] = []
    for base in dict.fromkeys([folders.program, folders.data]):
        rows += [(path.name.lower(), Source(path=path, basedir=base), Order()) for path in _scripts(base / "scripts")]
    for extension in extensions(folders, settings, flags):
        if extension.metadata.problem:
            notices.append(f"{extension.name}: {extension.metadata.problem}.")
        for path in _scripts(extension.folder / "scripts") if extension.enabled else ():
            source = Source(path=path, basedir=extension.folder, extension=extension.name)
            rows.append((f"{extension.name}/{path.name.lower()}", source, extension.metadata.order_of(path.name)))
    sources, said = ordered(rows)
    return sources, notices + said


def switched_on(folders: Folders, settings: Settings, flags: Mapping[str, Any]) -> tuple[Any, ...]:
    """Something that differs when other files are to be loaded: after switching, installing and removing."""
    sources, _ = find(folders, settings, flags)
    return (tuple(settings.disabled_extensions), settings.disable_all_extensions, tuple(str(source.path) for source in sources))


def _with_needs(extension: Extension, names: set[str]) -> Extension:
    lacking = missing(extension.metadata.requires, names)
    if extension.off or not lacking:
        return extension
    off = f"it needs {', '.join(lacking)}, which is not here or switched off"
    return Extension(name=extension.name, folder=extension.folder, builtin=extension.builtin, off=off, metadata=extension.metadata)


def _off(name: str, builtin: bool, settings: Settings, flags: Mapping[str, Any]) -> str:
    if flags.get("safe_mode"):
        return SAFE
    if flags.get("disable_all_extensions"):
        return "the program was started with --disable-all-extensions"
    if flags.get("disable_extra_extensions") and not builtin:
        return "the program was started with --disable-extra-extensions"
    if settings.disable_all_extensions == "all" or (settings.disable_all_extensions == "extra" and not builtin):
        return "extensions are switched off in the settings"
    return "it is switched off in the settings" if name in settings.disabled_extensions else ""


def _scripts(folder: Path) -> list[Path]:
    return sorted(path for path in _inside(folder) if path.suffix == ".py" and path.is_file() and path.name != "__init__.py")


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
