"""Where everything lives on disk: models, outputs, settings, cache; and joins that cannot leave a folder.

Names follow A1111. Knows nothing about what the files hold. Start reading at `Folders.at`.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from modules.faults import DiskFault, RequestFault

PROGRAM = Path(__file__).resolve().parent.parent
_TEMPORARY = re.compile(r"\.[a-z0-9_]{8}\.tmp")
MODEL_KINDS = {
    "Stable-diffusion": "ckpt_dir",
    "VAE": "vae_dir",
    "Lora": "lora_dir",
    "ControlNet": "controlnet_dir",
    "ControlNetPreprocessor": "controlnet_annotator_models_path",
    "embeddings": "embeddings_dir",
    "ESRGAN": "esrgan_models_path",
    "BLIP": "blip_models_path",
}
# What folders of models are called in other programs, in small letters -> our kind. All others are called as here, whatever their case.
NAMES_ELSEWHERE = {
    "checkpoints": "Stable-diffusion", "diffusers": "Stable-diffusion", "loras": "Lora", "vae_approx": "VAE-approx", "clip": "text_encoder",
    "text_encoders": "text_encoder", "text-encoder": "text_encoder", "te": "text_encoder", "diffusion_models": "unet",
    "upscale_models": "ESRGAN", "realesrgan": "ESRGAN", "swinir": "ESRGAN", "dat": "ESRGAN", "hat": "ESRGAN", "scunet": "ESRGAN",
}  # fmt: skip
# What lies beside models/ in a whole installation of A1111, Forge or SD.Next.
BESIDE = (
    ("embeddings", "embeddings"),
    ("ControlNet", "extensions/sd-webui-controlnet/models"),
    ("ControlNetPreprocessor", "extensions/sd-webui-controlnet/annotator/downloads"),
    ("wildcards", "wildcards"),
    ("wildcards", "extensions/sd-dynamic-prompts/wildcards"),
    ("wildcards", "extensions/stable-diffusion-webui-wildcards/wildcards"),
)


@dataclass(frozen=True)
class Folders:
    """program: the checkout. data: what the user owns (settings, outputs, cache). All paths absolute.

    model_dirs: (kind, folder) that come before models/; more_dirs: those that come after it and are only read, see `elsewhere`.
    """

    program: Path
    data: Path
    models: Path
    model_dirs: tuple[tuple[str, Path], ...] = ()
    more_dirs: tuple[tuple[str, Path], ...] = ()

    @classmethod
    def at(cls, data: Path | None = None, models: Path | None = None, **dirs: Path | None) -> Self:
        """Folders for a data directory (default: the program's own). dirs: A1111's flags, e.g. ckpt_dir=Path(...)."""
        base = Path(data or PROGRAM).resolve()
        given = tuple((kind, Path(p).resolve()) for kind, flag in MODEL_KINDS.items() if (p := dirs.get(flag)))
        return cls(program=PROGRAM, data=base, models=Path(models or base / "models").resolve(), model_dirs=given)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Back from `data()`, in another process."""
        dirs, more = (tuple((kind, Path(p)) for kind, p in data.get(name, ())) for name in ("model_dirs", "more_dirs"))
        return cls(Path(data["program"]), Path(data["data"]), Path(data["models"]), dirs, more)

    def to_data(self) -> dict[str, Any]:
        """JSON-ready; `from_data` reads it."""
        plain = asdict(self)
        return {k: str(v) if isinstance(v, Path) else [[a, str(b)] for a, b in v] for k, v in plain.items()}

    def model_folders(self, kind: str) -> list[Path]:
        """Where models of a kind ("Stable-diffusion", "Lora", ...) are looked for, the user's first.

        The program's own models/ is always among them, so the starter model is found with any --data-dir.
        """
        own = [path for k, path in self.model_dirs if k == kind]
        more = [path for k, path in self.more_dirs if k.casefold() == kind.casefold()]
        wanted = [*own, self.models / kind, *more, self.program / "models" / kind]
        return list(dict.fromkeys(wanted))

    @property
    def outputs(self) -> Path:
        return self.data / "outputs"

    @property
    def cache(self) -> Path:
        return self.data / "cache"

    @property
    def backends(self) -> Path:
        """Graphs and compiled code of backends; made again when they are gone."""
        return self.cache / "backends"

    @property
    def job_files(self) -> Path:
        """Pictures of jobs that were not to be saved; removed after a day."""
        return self.cache / "job-files"

    @property
    def receipts(self) -> Path:
        """What was saved for which job; removed after a week."""
        return self.cache / "receipts"

    @property
    def inputs(self) -> Path:
        """Pictures that were sent to begin with; removed when no job names them any more."""
        return self.cache / "inputs"

    @property
    def config_file(self) -> Path:
        return self.data / "config.json"

    @property
    def ui_config_file(self) -> Path:
        return self.data / "ui-config.json"

    @property
    def users_file(self) -> Path:
        """Who may use a server; need not exist."""
        return self.data / "users.json"

    @property
    def forms(self) -> Path:
        """What each person's forms on the page hold, and their presets."""
        return self.data / "forms"

    @property
    def styles_file(self) -> Path:
        return self.data / "styles.csv"

    @property
    def jobs_file(self) -> Path:
        return self.cache / "jobs.sqlite"

    @property
    def library_file(self) -> Path:
        return self.cache / "library.sqlite"

    @property
    def pictures_file(self) -> Path:
        """The index of the pictures that were made."""
        return self.cache / "pictures.sqlite"

    @property
    def logs(self) -> Path:
        return self.data / "log"


def elsewhere(entries: Iterable[str]) -> tuple[tuple[tuple[str, Path], ...], list[str]]:
    """((kind, folder) of every folder of models that these entries lead to, a sentence for each entry that leads nowhere).

    An entry is a whole models folder, a whole installation of another program with models/ in it, or KIND=FOLDER for a single one.
    """
    found: list[tuple[str, Path]] = []
    notices: list[str] = []
    for entry in entries:
        kind, mark, rest = entry.partition("=")
        single = bool(mark) and _plain_kind(kind.strip())
        root = Path(os.path.abspath(Path(rest.strip() if single else entry.strip()).expanduser()))
        try:
            rows = [(_plain_kind(kind.strip()) or "", root)] if single else _kinds_below(root)
            root.stat()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            notices.append(f"The folder of models {root} cannot be used: {why}. See the setting extra_models_dirs.")
            continue
        found += rows
    return tuple(dict.fromkeys(found)), notices


def _plain_kind(name: str) -> str | None:
    """The kind that a folder's name means; None for names that are no single word of ours."""
    known = {kind.casefold(): kind for kind in (*MODEL_KINDS, "LyCORIS", "text_encoder", "unet", "VAE-approx", "clip_vision", "wildcards")}
    return (known | NAMES_ELSEWHERE).get(name.casefold())


def _kinds_below(root: Path) -> list[tuple[str, Path]]:
    """Every folder of a models folder under its kind. Raises OSError."""
    models = root / "models"
    whole = models.is_dir()
    with os.scandir(models if whole else root) as entries:
        rows = [(_plain_kind(e.name) or e.name, Path(e.path)) for e in sorted(entries, key=lambda e: e.name) if _is_folder(e)]
    beside = root if whole else root.parent if root.name.casefold() == "models" else None
    return rows + [(kind, beside / name) for kind, name in BESIDE if beside is not None and (beside / name).is_dir()]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return not entry.name.startswith(".") and entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False


def safe_join(base: Path, relative: str) -> Path:
    """base / relative, refused when the result would lie outside base (.., absolute paths, links).

    Raises RequestFault("path").
    """
    if "\x00" in relative:
        raise RequestFault("path", "must not hold a NUL character")
    joined = (base / relative).resolve()
    if not joined.is_relative_to(base.resolve()):
        raise RequestFault("path", "must stay inside its folder", got=relative)
    return joined


def is_temporary(path: Path) -> bool:
    """Is that a file which `write_atomic` had not given its name yet?"""
    return _TEMPORARY.fullmatch(path.name) is not None


def write_atomic(path: Path, data: bytes, *, overwrite: bool = True, mode: int = 0o644, sync: bool = True) -> None:
    """Write a file so that a crash leaves the old one or the new one, never a part.

    Temporary file in the same folder, fsync, rename. overwrite=False raises FileExistsError when the name is taken. mode: POSIX's, who
    may read it. sync=False leaves `sync_folder`, which makes the new name sure, to a caller with many files. Raises DiskFault when the
    file cannot be written; nothing is left behind then.
    """
    temp = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a file stands where a folder should be, or the folder may not be written to
        raise DiskFault(f"cannot make the folder {path.parent}: {error.strerror}. Choose another folder.") from error
    try:
        fd, temp = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temp, mode)
        if overwrite:
            os.replace(temp, path)
        else:
            _place_new(temp, path)
        temp = ""
        if sync:
            sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise DiskFault(
            f"cannot write {path.name} in {path.parent}: {error.strerror}. Free some space or choose another folder."
        ) from error
    finally:
        if temp:
            Path(temp).unlink(missing_ok=True)


def _place_new(temp: str, path: Path) -> None:
    """Give the file its final name only if nobody has it. Raises FileExistsError."""
    try:
        os.link(temp, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(temp, path)
        return
    os.unlink(temp)


def sync_folder(folder: Path) -> None:
    """Names in the folder are on the disk as they are now."""
    if os.name == "nt":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
