"""Lists of words that a picture's prompt may hold: our own short ones, and people's .txt files in models/interrogate/.

A list is a text file, one entry a line; `name.topN.txt` says that N entries of it are taken, else one. A list of a person's takes the
place of ours of that name. A folder in ours that is called like a model holds the lists for that one instead: the starter's knows few
words. Start reading at `word_lists`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from modules.folders import Folders

OWN = Path(__file__).with_name("lists")
PLACE = "interrogate"  # folder in models/
MOST_BYTES = 20_000_000
_NAME = re.compile(r"(?P<name>.+?)(\.top(?P<top>\d{1,3}))?$")


@dataclass(frozen=True, kw_only=True)
class WordList:
    """name: of the category; top: how many entries a prompt gets from it."""

    name: str
    top: int
    entries: tuple[str, ...]


def word_lists(folders: Folders, scorer: str = "", *, most: int = 0, skip: tuple[str, ...] = ()) -> list[WordList]:
    """Every list with entries, in the order of their names. most: entries read of each, 0 for all; skip: names that are left out.

    scorer: name of the model that ranks them.
    """
    files: dict[str, tuple[int, Path]] = {}
    own = OWN / scorer if scorer and Path(scorer).name == scorer and (OWN / scorer).is_dir() else OWN
    for base in (own, *reversed(folders.model_folders(PLACE))):
        for path in sorted(base.glob("*.txt")) if base.is_dir() else []:
            match = _NAME.fullmatch(path.stem)
            if match and path.stat().st_size <= MOST_BYTES:
                files[match["name"]] = (int(match["top"] or 1), path)
    left_out = {name.casefold() for name in skip}
    found: list[WordList] = []
    for name, (top, path) in sorted(files.items()):
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        entries = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))[: most or None]
        if entries and name.casefold() not in left_out:
            found.append(WordList(name=name, top=max(1, top), entries=entries))
    return found
