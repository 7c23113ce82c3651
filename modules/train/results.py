"""What a training made: its files and samples, and how they come among the models. No torch.

Knows names of files; the trainees write them. Start reading at `outputs` and `install`.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.faults import DiskFault, RequestFault
from modules.folders import Folders
from modules.request.train_learning import CAPTIONER_LORA, DREAMBOOTH, LORA, TEXTUAL_INVERSION
from modules.train.sessions import Session

# Method -> what its files are, and the folder of the models from which they are used.
MADE: Mapping[str, tuple[str, str]] = {
    LORA: ("lora", "Lora"), TEXTUAL_INVERSION: ("embedding", "embeddings"), DREAMBOOTH: ("checkpoint", "Stable-diffusion"),
    CAPTIONER_LORA: ("captioner_lora", "caption-adapters"),
}  # fmt: skip
ENDINGS = (".safetensors", ".pt")
BESIDE = "-diffusers"  # behind the name of the second file of a result, which our prompts have no use for
_STEP = re.compile(rf"-(\d{{6,}})(?:{BESIDE})?$")
_SAMPLE = re.compile(r"(\d+)-(\d+)\.(png|jpg|webp)")


@dataclass(frozen=True)
class Made:
    """A file or folder that a training made. kind: as in MADE; step: None for the last one."""

    path: Path
    kind: str
    step: int | None

    @property
    def is_beside(self) -> bool:
        """It is the same result in another form."""
        return self.stem.endswith(BESIDE)

    @property
    def is_checkpoint(self) -> bool:
        return self.kind == "checkpoint"

    @property
    def stem(self) -> str:
        """What it is called in prompts and menus."""
        return self.path.stem if self.path.suffix in ENDINGS else self.path.name

    @property
    def size_bytes(self) -> int:
        if self.path.is_file():
            return self.path.stat().st_size
        return sum(one.stat().st_size for one in self.path.rglob("*") if one.is_file())

    def insert(self, weight: float = 1.0) -> str:
        """What goes into a prompt to use it; "" for what is chosen elsewhere."""
        if self.kind == "lora":
            return f"<lora:{self.stem}:{weight:g}>"
        return self.stem if self.kind == "embedding" else ""


@dataclass(frozen=True)
class Sample:
    """A picture made on the way. prompt: its number among the sample prompts; text: that prompt, "" when it is not known any more."""

    file: str
    step: int
    prompt: int
    text: str


def outputs(session: Session) -> list[Made]:
    """What lies in a session's output folder: the last result first, then the saved steps, the latest first."""
    try:
        kind = MADE[session.config().method][0]
    except (RequestFault, DiskFault):
        kind = "file"
    folder = session.paths.output
    return _sorted(Made(path, kind, step_of(path)) for path in (folder.iterdir() if folder.is_dir() else ()) if _is_result(path))


def made_of(paths: Iterable[Path], method: str) -> list[Made]:
    """The same of files that a training of that method has just made."""
    return _sorted(Made(path, MADE[method][0], step_of(path)) for path in paths)


def _sorted(found: Iterable[Made]) -> list[Made]:
    return sorted(found, key=lambda one: (one.step is not None, -(one.step or 0), one.is_beside, one.path.is_dir(), one.path.name))


def step_of(path: Path) -> int | None:
    """cat-000250.safetensors -> 250; None for the last one."""
    found = _STEP.search(path.stem if path.suffix in ENDINGS else path.name)
    return int(found[1]) if found else None


def samples(session: Session) -> list[Sample]:
    """The samples by step, then by prompt."""
    try:
        prompts = session.config().sample_prompts
    except (RequestFault, DiskFault):
        prompts = []
    rows: list[Sample] = []
    for path in session.paths.samples.iterdir() if session.paths.samples.is_dir() else ():
        if match := _SAMPLE.fullmatch(path.name):
            step, number = int(match[1]), int(match[2])
            rows.append(Sample(path.name, step, number, prompts[number] if number < len(prompts) else ""))
    return sorted(rows, key=lambda one: (one.step, one.prompt))


def install(folders: Folders, made: Sequence[Made], method: str) -> list[Made]:
    """Copies of results in the folder of the models they are used from; each whole, in place of a former one of that name.

    Raises DiskFault.
    """
    place = folders.models / MADE[method][1]
    done: list[Made] = []
    for one in made:
        target = place / one.path.name
        try:
            place.mkdir(parents=True, exist_ok=True)
            _copy(one.path, target)
        except OSError as error:
            raise DiskFault(f"cannot copy {one.path.name} into {place}: {error.strerror or error}. Free some space.") from error
        done.append(Made(target, one.kind, one.step))
    return done


def is_installed(folders: Folders, made: Made, method: str) -> bool:
    """Whether a file or folder of that name lies among the models."""
    return method in MADE and any((base / made.path.name).exists() for base in folders.model_folders(MADE[method][1]))


def _is_result(path: Path) -> bool:
    return not path.name.startswith(".") and (path.is_dir() or path.suffix in ENDINGS)


def _copy(source: Path, target: Path) -> None:
    temp = Path(tempfile.mkdtemp(dir=target.parent, prefix=".new-"))
    try:
        if source.is_dir():
            shutil.copytree(source, temp / target.name)
        else:
            shutil.copyfile(source, temp / target.name)
        if target.is_dir():
            os.replace(target, temp / f"{target.name}.old")
        os.replace(temp / target.name, target)
    finally:
        shutil.rmtree(temp, ignore_errors=True)
