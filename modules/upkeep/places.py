"""Which file a name means, and where a result goes. Everything stays inside the model folders.

Start reading at `find` and `new_target`.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from modules.control.maps.row import ANNOTATORS
from modules.faults import DiskFault, ModelFault, RequestFault, UnknownName
from modules.folders import Folders
from modules.library.rows import PLACES

CHECKPOINTS, LORAS, VAES = "Stable-diffusion", "Lora", "VAE"
CAPTIONERS = ("BLIP", "CLIP")  # models of transformers, each a folder
TAGGERS = "taggers"  # each a folder with a network as ONNX and its list of tags
FOLDERS = (*PLACES, *CAPTIONERS, TAGGERS, ANNOTATORS)  # where files of models go; captioners and annotators are in no list of the library
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
SPARE_BYTES = 500_000_000
_WINDOWS_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def find(folders: Folders, kind: str, text: str, suffixes: tuple[str, ...], *, field: str) -> Path:
    """The model file of a kind by its path, name or stem, whatever its case. Raises UnknownName(field) with close matches."""
    wanted = text.strip().casefold()
    there = listed(folders, (kind,), suffixes)
    for path, name in there:
        if wanted in (str(path).casefold(), name.casefold(), path.name.casefold(), path.stem.casefold()):
            return path
    raise UnknownName(field, text, [name for _, name in there])


def listed(folders: Folders, which: tuple[str, ...], suffixes: tuple[str, ...]) -> list[tuple[Path, str]]:
    """(path, path within its folder) of every file of these kinds with one of these endings."""
    found: dict[Path, str] = {}
    for kind in which:
        for base in folders.model_folders(kind):
            for path in sorted(base.rglob("*")) if base.is_dir() else []:
                name = path.relative_to(base).as_posix()
                hidden = name.startswith(".") or "/." in name  # half-made files, and the bin
                if path.suffix.lower() in suffixes and not hidden and path.is_file():
                    found.setdefault(path, name)
    return list(found.items())


def plain_name(text: str, *, field: str = "name") -> str:
    """A file name without a folder, fit for every system. Raises RequestFault."""
    name = re.sub(r"[\x00-\x1f<>:\"|?*]", "_", text.replace("\\", "/").rpartition("/")[2]).strip(" .")
    if not name or _WINDOWS_NAMES.match(name):
        raise RequestFault(field, "is no file name that every system takes; choose another", got=text)
    return name[:200]


def new_target(folder: Path, name: str, suffix: str, *, field: str = "name") -> Path:
    """folder / name+suffix, which must not be there yet. Raises RequestFault."""
    name = plain_name(name, field=field)
    target = folder / (name if suffix and name.lower().endswith(suffix) else name + suffix)
    if target.exists():
        raise RequestFault(field, f"{target.name} is already in {folder.name}; choose another name", got=name)
    return target


def room_for(folder: Path, needed_bytes: int, what: str) -> None:
    """Raises DiskFault when the disk of a folder has not enough room, with the figures."""
    nearest = next((p for p in (folder, *folder.parents) if p.exists()), folder)
    free = shutil.disk_usage(nearest).free
    if free < needed_bytes + SPARE_BYTES:
        raise DiskFault(
            f"{what} needs {_gb(needed_bytes)} and {_gb(SPARE_BYTES)} to spare, but the disk of {folder} has {_gb(free)} free. "
            "Free some space or use a model folder on another disk."
        )


def size_of(path: Path) -> int:
    """Bytes of a file, or of the weights of a model folder. Raises ModelFault when it is gone."""
    try:
        if path.is_file():
            return path.stat().st_size
        return sum(p.stat().st_size for p in path.rglob("*.safetensors"))
    except OSError as error:
        raise ModelFault(f"{path.name} cannot be read: {error.strerror}.") from error


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
