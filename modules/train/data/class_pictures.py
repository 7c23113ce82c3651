"""Pictures of the class, for prior preservation: which are there, and which the model should make before the training.

What the model makes is named after what it was asked for, so that another prompt or another model does not go on with old pictures; what a
person puts into the folder always counts. Start reading at `wanted`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from modules.request.basics import SEED_LIMIT
from modules.request.train import TrainConfig
from modules.train.data.draws import draws
from modules.train.data.naming import in_order
from modules.train.sessions import PICTURE_ENDINGS, Session

_MADE = re.compile(r"made-(?P<mark>[0-9a-f]{8})-\d{6}\.png")


@dataclass(frozen=True)
class ClassPicture:
    """A picture to be made, as PNG at `path`, whole or not at all. side: width and height in pixels."""

    path: Path
    prompt: str
    seed: int
    side: int


@dataclass(frozen=True)
class ClassWanted:
    """there: names of the pictures in the folder that count, in order; missing: what is to be made so that there are `count`."""

    count: int
    there: tuple[str, ...]
    missing: tuple[ClassPicture, ...]
    folder: Path


def wanted(session: Session, config: TrainConfig) -> ClassWanted:
    """What prior preservation needs; nothing at all when the configuration is without it."""
    folder = session.paths.class_pictures
    if not config.prior_preservation:
        return ClassWanted(0, (), (), folder)
    mark = _mark(config)
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if _is_picture(path, folder)] if folder.is_dir() else []
    there = [name for name in sorted(found, key=in_order) if (made := _MADE.fullmatch(name)) is None or made["mark"] == mark]
    missing: list[ClassPicture] = []
    taken = set(there)
    number = 0
    while len(there) + len(missing) < config.num_class_images:
        number += 1
        name = f"made-{mark}-{number:06d}.png"
        if name not in taken:
            seed = int(draws(config.seed, "class", number).random() * SEED_LIMIT)
            missing.append(ClassPicture(folder / name, config.class_prompt, seed, config.resolution))
    return ClassWanted(config.num_class_images, tuple(there), tuple(missing), folder)


def _mark(config: TrainConfig) -> str:
    """What made pictures follow from, in eight digits."""
    asked = "\x1f".join((config.class_prompt.strip(), config.checkpoint.strip(), str(config.resolution)))
    return hashlib.blake2b(asked.encode(), digest_size=4).hexdigest()


def _is_picture(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in PICTURE_ENDINGS and not hidden and path.is_file()
