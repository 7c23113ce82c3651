"""Lists of words for prompts: text files, one entry a line, # for remarks. Start reading at `names`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

MARKS = frozenset("{}|$<>")  # of the prompt's own language; an entry that has them is passed over
PLACE = "prompt-enhancer"


def names(folders: Sequence[Path]) -> tuple[str, ...]:
    """The lists there are; one of an earlier folder stands for later ones of its name."""
    return tuple(sorted({path.stem for folder in folders for path in _files(folder)}))


def entries(name: str, folders: Sequence[Path]) -> list[str]:
    """The entries of a list; none when it is not there."""
    path = next((path for folder in folders for path in _files(folder) if path.stem == name), None)
    if path is None:
        return []
    lines = (line.partition("#")[0].strip(" ,\t") for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines())
    return [line for line in dict.fromkeys(lines) if line and not MARKS & set(line)]


def choice(words: Sequence[str], count: int) -> str:
    """So many of them as the prompt's own language draws them for each picture; a single one as it is."""
    return words[0] if len(words) == 1 else f"{{{min(count, len(words))}$$, $$" + "|".join(words) + "}"


def drawn(words: Sequence[str], count: int) -> str:
    """So many of them, drawn now: for prompts whose language is switched off."""
    return ", ".join(random.sample(list(words), min(count, len(words))))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == ".txt") if folder.is_dir() else []
