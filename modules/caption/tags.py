"""Tags of a picture: the list that a tagger was trained on, which of them are likely enough, and how they are written.

Reads lists; knows nothing of networks. Imports no torch. Start reading at `read_tags` and `chosen`.
Source: the lists of the WD taggers (selected_tags.csv, with Danbooru's numbers of categories) and of DeepDanbooru (tags.txt).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.faults import ModelFault
from modules.request.tagging import BY_NAME, Tagging

GENERAL, CHARACTER, RATING = "general", "character", "rating"
CATEGORIES = {"0": GENERAL, "4": CHARACTER, "9": RATING}  # all others are read as general ones
WD_LIST, DEEP_LIST, DEEP_CHARACTERS = "selected_tags.csv", "tags.txt", "tags-character.txt"
LISTS = (WD_LIST, DEEP_LIST)
_RATING = "rating:"
_LIMIT_BYTES = 20_000_000
_SPECIAL = re.compile(r"([\\()\[\]])")
_LETTERS = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class Tag:
    """name: as the list has it, with underscores; group: GENERAL, CHARACTER or RATING."""

    name: str
    group: str


@dataclass(frozen=True)
class Tagged:
    """text: the tags as they are asked for; groups: name of a group -> (tag as the list has it, chance) of those that were chosen, the
    likeliest first; of RATING all.
    """

    text: str
    groups: dict[str, list[tuple[str, float]]]


def read_tags(folder: Path) -> list[Tag]:
    """The list of a tagger's folder, in the order of its network's outputs. Raises ModelFault when there is none or it is damaged."""
    name = next((name for name in LISTS if (folder / name).is_file()), None)
    if name is None:
        raise ModelFault(f"{folder.name} has no list of tags ({' or '.join(LISTS)}). Copy the model again.")
    found = _wd_list(folder / name) if name == WD_LIST else _deep_list(folder / name)
    if not found:
        raise ModelFault(f"{folder.name}/{name} holds no tags. Copy the model again.")
    return found


def chosen(tags: Sequence[Tag], chances: Sequence[float], how: Tagging) -> Tagged:
    """Those that are likely enough. chances: of each tag, 0 to 1."""
    left_out = {_plain(name) for name in how.skip}
    least = {GENERAL: how.threshold, CHARACTER: how.character, RATING: 0.0}
    rows = [(tag, float(chance)) for tag, chance in zip(tags, chances, strict=True) if chance >= least[tag.group]]
    rows = sorted((row for row in rows if _plain(row[0].name) not in left_out), key=lambda row: -row[1])
    said = [row for row in rows if row[0].group != RATING]
    kept = said[: how.most] if how.most else said
    ratings = [row for row in rows if row[0].group == RATING]
    ordered = sorted(kept, key=lambda row: row[0].name) if how.order == BY_NAME else kept
    first = ratings[:1] if how.ratings else []
    groups = {
        group: [(tag.name, round(chance, 4)) for tag, chance in some if tag.group == group]
        for group, some in ((GENERAL, kept), (CHARACTER, kept), (RATING, ratings))
    }
    return Tagged(", ".join(_with_chance(written(tag.name, how), chance, how) for tag, chance in (*first, *ordered)), groups)


def written(name: str, how: Tagging) -> str:
    """A tag as it is asked for: spaces for underscores, except in faces made of signs; brackets with a backslash before them."""
    text = name.replace("_", " ") if how.spaces and not is_face(name) else name
    return _SPECIAL.sub(r"\\\1", text) if how.escape else text


def is_face(name: str) -> bool:
    """Is it drawn with signs, as ^_^, o_o and >_< are? Then no part of it between underscores has two letters or digits."""
    parts = name.split("_")
    return len(parts) > 1 and all(len(_LETTERS.findall(part)) < 2 for part in parts)


def _with_chance(text: str, chance: float, how: Tagging) -> str:
    return f"({text}:{chance:.3f})" if how.chances else text


def _plain(name: str) -> str:
    return name.strip().casefold().replace("_", " ").replace("\\", "")


def _wd_list(path: Path) -> list[Tag]:
    rows = list(csv.DictReader(io.StringIO(_text(path))))
    if rows and not {"name", "category"} <= set(rows[0]):
        raise ModelFault(f"{path.parent.name}/{path.name} has no columns name and category. Copy the model again.")
    return [Tag(str(row["name"]), CATEGORIES.get(str(row["category"]).strip(), GENERAL)) for row in rows]


def _deep_list(path: Path) -> list[Tag]:
    beside = path.with_name(DEEP_CHARACTERS)
    characters = set(_text(beside).split()) if beside.is_file() else set[str]()
    found: list[Tag] = []
    for name in _text(path).split():
        if name.startswith(_RATING):
            found.append(Tag(name.removeprefix(_RATING), RATING))
        else:
            found.append(Tag(name, CHARACTER if name in characters else GENERAL))
    return found


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise ModelFault(f"{path.parent.name}/{path.name} is far too large for a list of tags. Copy the model again.")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFault(f"{path.parent.name}/{path.name} cannot be read: {error}. Copy the model again.") from error
