"""A training session: a folder in models/train with everything a training needs and makes. No torch.

    models/train/<name>/config.toml     modules.request.train.TrainConfig
                        pictures/       what is learnt, captions beside them as .txt; sub-folders are kept
                        crops.json      a crop box by picture
                        class/          pictures of the class, for prior preservation
                        cache/          encoded pictures and captions; may be deleted
                        state/          where the training stands, in two generations (`modules.train.state`)
                        samples/        pictures made on the way: 000250-0.png
                        log/            metrics.jsonl and files for TensorBoard
                        output/         what was made: <name>.safetensors, <name>-000250.safetensors

Nothing in it names a place outside of it, so that it can be moved, copied or mounted anywhere. Start reading at `Session.open`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from modules.faults import DiskFault, RequestFault, UnknownName
from modules.folders import Folders, safe_join
from modules.request.train import TrainConfig

KIND = "train"
NAME_CHARS = 80
PARTS = ("config.toml", "crops.json", "pictures", "class", "cache", "state", "samples", "log", "output")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif")
_RESERVED = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}


@dataclass(frozen=True)
class Paths:
    """What lies where in a session's folder."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def crops(self) -> Path:
        return self.root / "crops.json"

    @property
    def pictures(self) -> Path:
        return self.root / "pictures"

    @property
    def class_pictures(self) -> Path:
        return self.root / "class"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def samples(self) -> Path:
        return self.root / "samples"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def metrics(self) -> Path:
        return self.log / "metrics.jsonl"

    @property
    def output(self) -> Path:
        return self.root / "output"


@dataclass(frozen=True)
class Summary:
    """A line of the list of sessions. step: the step it stands at, of steps in all; modified: seconds since 1970; total_bytes: on disk."""

    name: str
    method: str
    checkpoint: str
    pictures: int
    step: int
    steps: int
    modified: float
    running: bool
    total_bytes: int = 0
    fault: str = ""

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Session:
    """One session. `folder` is absolute."""

    name: str
    folder: Path

    @property
    def paths(self) -> Paths:
        return Paths(self.folder)

    @classmethod
    def create(cls, folders: Folders, name: str, config: TrainConfig | None = None) -> Self:
        """A new session with its folders and config.toml. Raises RequestFault("session") when the name is taken or no name, DiskFault."""
        clean = session_name(name)
        home = home_of(folders)
        folder = home / clean
        try:
            home.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            for part in ("pictures", "samples", "log", "output"):
                (folder / part).mkdir()
        except FileExistsError:
            raise RequestFault("session", "there is a session of that name; open it, or take another name", got=clean) from None
        except OSError as error:
            raise DiskFault(f"cannot make the folder {folder}: {error.strerror}. Choose another folder.") from error
        session = cls(clean, folder)
        session.save_config(config or TrainConfig())
        return session

    @classmethod
    def open(cls, folders: Folders, name: str) -> Self:
        """The session of that name. Raises UnknownName("session")."""
        folder = safe_join(home_of(folders), name) if name else home_of(folders)
        if not name or folder.parent != home_of(folders).resolve() or not (folder / "config.toml").is_file():
            raise UnknownName("session", name, cls.names(folders))
        return cls(folder.name, folder)

    @staticmethod
    def names(folders: Folders) -> list[str]:
        """Names of all sessions, sorted."""
        home = home_of(folders)
        if not home.is_dir():
            return []
        return sorted((entry.name for entry in home.iterdir() if (entry / "config.toml").is_file()), key=str.casefold)

    @classmethod
    def list(cls, folders: Folders) -> list[Summary]:
        """All sessions, the last changed first. One whose config cannot be read is in it with its fault."""
        found = [cls.open(folders, name).summary() for name in cls.names(folders)]
        return sorted(found, key=lambda each: -each.modified)

    def config(self) -> TrainConfig:
        """Its config.toml; `session` is the folder's name whatever the file says. Raises RequestFault, DiskFault."""
        return dataclasses.replace(TrainConfig.load(self.paths.config), session=self.name)

    def save_config(self, config: TrainConfig) -> None:
        """Write config.toml. Raises DiskFault."""
        dataclasses.replace(config, session=self.name).save(self.paths.config)

    def summary(self) -> Summary:
        """What the list shows of it."""
        summary = Summary(
            name=self.name,
            method="",
            checkpoint="",
            pictures=sum(1 for _ in self.pictures()),
            step=last_position(self.paths.state),
            steps=0,
            modified=self._modified(),
            running=self.running,
            total_bytes=_weighed(self.folder, self._stamps()),
        )
        try:
            config = self.config()
        except (RequestFault, DiskFault) as fault:
            return dataclasses.replace(summary, fault=str(fault))
        model = config.captioner or config.checkpoint
        return dataclasses.replace(summary, method=config.method, checkpoint=model, steps=config.total_steps)

    def pictures(self) -> Iterator[Path]:
        """Files in pictures/ that look like pictures by their name, sub-folders too, sorted."""
        root = self.paths.pictures
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
            if path.suffix.lower() in PICTURE_ENDINGS and not hidden and path.is_file():
                yield path

    def clone(self, folders: Folders, name: str, *, trained: bool = False) -> Session:
        """A copy with pictures, captions, crops, caches and config; trained=True: with state, samples, log and output as well.

        Raises RequestFault("session"), DiskFault. A copy that failed leaves nothing behind.
        """
        clean = session_name(name)
        left = () if trained else ("state", "samples", "log", "output")
        with new_folder(home_of(folders), clean) as folder:
            for part in PARTS:
                source = self.folder / part
                if source.is_dir() and part not in left:
                    shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns(".*.tmp"))
                elif source.is_file():
                    shutil.copy2(source, folder / part)
        session = type(self)(clean, home_of(folders) / clean)
        session.save_config(session.config())
        return session

    def delete(self) -> None:
        """Remove the session with everything in it. Raises RequestFault("session") while it is training, DiskFault."""
        with self.lock():
            grave = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=".deleted-"))
            try:
                os.replace(self.folder, grave / self.name)  # gone from the list at once, even if emptying it is stopped
                shutil.rmtree(grave)
            except OSError as error:
                raise DiskFault(f"cannot remove {self.folder}: {error.strerror}.") from error

    def forget_training(self) -> None:
        """Train anew: state, samples, log and output are removed; pictures, captions, crops and caches stay."""
        with self.lock():
            for part in (self.paths.state, self.paths.samples, self.paths.log, self.paths.output):
                shutil.rmtree(part, ignore_errors=True)

    @contextmanager
    def lock(self, timeout_s: float = 2.0) -> Iterator[None]:
        """Held by whoever trains it; freed by the system when that process dies. Raises RequestFault("session") when it is held."""
        held = FileLock(self._lock_file())
        try:
            held.acquire(timeout=timeout_s)
        except Timeout:
            raise RequestFault("session", "is being trained; stop the training first", got=self.name) from None
        except OSError as error:
            raise DiskFault(f"cannot write into {self.folder.parent}: {error.strerror}.") from error
        try:
            yield
        finally:
            held.release()

    @property
    def running(self) -> bool:
        """Whether a process holds its lock now."""
        try:
            with self.lock(0):
                return False
        except (RequestFault, DiskFault):
            return True

    def _lock_file(self) -> Path:
        return self.folder.parent / f".{self.name}.lock"  # beside it: the folder may be renamed while it is held

    def _stamps(self) -> tuple[int, ...]:
        """Changes whenever a file comes into one of its folders, or leaves it."""
        found = (_stat(path) for path in (self.paths.metrics, *self.folder.iterdir()))
        return tuple(one.st_mtime_ns for one in found if one is not None)

    def _modified(self) -> float:
        files = [self.paths.config, self.paths.metrics, self.paths.pictures, self.paths.state]
        return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)


@functools.lru_cache(maxsize=256)
def _weighed(folder: Path, stamps: tuple[int, ...]) -> int:
    """Bytes of all files in the folder; looked up again when the stamps have changed."""
    found = (_stat(path) for path in folder.rglob("*"))
    return sum(one.st_size for one in found if one is not None and stat.S_ISREG(one.st_mode))


def _stat(path: Path) -> os.stat_result | None:
    """None for what is gone by now: a training writes and renames files meanwhile."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def home_of(folders: Folders) -> Path:
    """models/train, where all sessions lie."""
    return folders.models / KIND


def session_name(name: str) -> str:
    """The name as a folder is called: spaces become _. Raises RequestFault("session") for what no system can hold."""
    clean = "_".join(unicodedata.normalize("NFC", name).split())
    bad = sorted({c for c in clean if not (c.isalnum() or c in "-_.()+" or unicodedata.category(c) in ("Mn", "Mc"))})
    if not clean:
        raise RequestFault("session", "needs a name")
    if bad or clean.startswith((".", "-")) or clean.endswith(".") or clean.split(".")[0].casefold() in _RESERVED:
        raise RequestFault("session", "may hold letters, digits, - _ . ( ) + and must not begin with . or -", got=name)
    if len(clean) > NAME_CHARS or len(clean.encode()) > 200:
        raise RequestFault("session", f"is longer than {NAME_CHARS} characters", got=name)
    return clean


@contextmanager
def new_folder(home: Path, name: str) -> Iterator[Path]:
    """A folder to fill, which gets its name at the end: whole, or not there at all. Raises RequestFault("session"), DiskFault."""
    if (home / name).exists():
        raise RequestFault("session", "there is a session of that name; take another name", got=name)
    temp = ""
    try:
        home.mkdir(parents=True, exist_ok=True)
        temp = tempfile.mkdtemp(dir=home, prefix=".new-")
        yield Path(temp)
        os.chmod(temp, 0o755)
        os.rename(temp, home / name)
        temp = ""
    except OSError as error:
        raise DiskFault(f"cannot write into {home}: {error.strerror or error}. Free some space or choose another folder.") from error
    finally:
        if temp:
            shutil.rmtree(temp, ignore_errors=True)


def last_position(state: Path) -> int:
    """The step of the newest state in a state folder, as its manifest says; 0 without one. `modules.train.state` checks it in full."""
    steps = [0]
    for manifest in state.glob("step-*/manifest.json"):
        try:
            steps.append(int(json.loads(manifest.read_text(encoding="utf-8"))["step"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half a state; the other generation tells
    return max(steps)
