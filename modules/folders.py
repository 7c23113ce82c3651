"""Where everything lives on disk: models, outputs, settings, cache; and joins that cannot leave a folder.

Names follow A1111. Knows nothing about what the files hold. Start reading at `Folders.at`.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from modules.faults import DiskFault, RequestFault

PROGRAM = Path(__file__).resolve().parent.parent
MODEL_KINDS = {
    "Stable-diffusion": "ckpt_dir",
    "VAE": "vae_dir",
    "Lora": "lora_dir",
    "ControlNet": "controlnet_dir",
    "embeddings": "embeddings_dir",
    "ESRGAN": "esrgan_models_path",
    "BLIP": "blip_models_path",
}


@dataclass(frozen=True)
class Folders:
    """program: the checkout. data: what the user owns (settings, outputs, cache). All paths absolute."""

    program: Path
    data: Path
    models: Path
    model_dirs: tuple[tuple[str, Path], ...] = ()

    @classmethod
    def at(cls, data: Path | None = None, models: Path | None = None, **dirs: Path | None) -> Self:
        """Folders for a data directory (default: the program's own). dirs: A1111's flags, e.g. ckpt_dir=Path(...)."""
        base = Path(data or PROGRAM).resolve()
        given = tuple((kind, Path(p).resolve()) for kind, flag in MODEL_KINDS.items() if (p := dirs.get(flag)))
        return cls(program=PROGRAM, data=base, models=Path(models or base / "models").resolve(), model_dirs=given)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Back from `data()`, in another process."""
        dirs = tuple((kind, Path(p)) for kind, p in data["model_dirs"])
        return cls(Path(data["program"]), Path(data["data"]), Path(data["models"]), dirs)

    def to_data(self) -> dict[str, Any]:
        """JSON-ready; `from_data` reads it."""
        plain = asdict(self)
        return {k: str(v) if isinstance(v, Path) else [[a, str(b)] for a, b in v] for k, v in plain.items()}

    def model_folders(self, kind: str) -> list[Path]:
        """Where models of a kind ("Stable-diffusion", "Lora", ...) are looked for, the user's first.

        The program's own models/ is always among them, so the starter model is found with any --data-dir.
        """
        own = [path for k, path in self.model_dirs if k == kind]
        wanted = [*own, self.models / kind, self.program / "models" / kind]
        return list(dict.fromkeys(wanted))

    @property
    def outputs(self) -> Path:
        return self.data / "outputs"

    @property
    def cache(self) -> Path:
        return self.data / "cache"

    @property
    def job_files(self) -> Path:
        """Pictures of jobs that were not to be saved; removed after a day."""
        return self.cache / "job-files"

    @property
    def config_file(self) -> Path:
        return self.data / "config.json"

    @property
    def ui_config_file(self) -> Path:
        return self.data / "ui-config.json"

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
    def logs(self) -> Path:
        return self.data / "log"


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


def write_atomic(path: Path, data: bytes, *, overwrite: bool = True) -> None:
    """Write a file so that a crash leaves the old one or the new one, never a part.

    Temporary file in the same folder, fsync, rename. overwrite=False raises FileExistsError when the name is taken.
    Raises DiskFault when the file cannot be written; nothing is left behind then.
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
        os.chmod(temp, 0o644)
        if overwrite:
            os.replace(temp, path)
        else:
            _place_new(temp, path)
        temp = ""
        _sync_folder(path.parent)
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


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
