"""Names in a folder of pictures: their order, what a folder's name says, what a file's name says.

Knows nothing about what the files hold. Names are relative to the folder, with slashes. Start reading at `folder_words`.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from typing import Any

MOST_REPEATS = 10_000
_REPEATS = re.compile(r"(\d{1,5})_(.*)", re.DOTALL)
_NUMBERING = re.compile(r"[\s_-]*(\(\d+\)|\d+)\s*$")
# How cameras, phones and programs name pictures: nothing of it says what is on them.
_MACHINE = re.compile(
    r"(img|dsc[fn]?|dcim|p|pxl|mvimg|cimg|gopr|photo|image|picture|pic|screenshot|screen shot|scan|whatsapp image|signal|unnamed|download|"
    r"untitled|tmp|file|frame|output|upload)[\s_-]*[\d\s_.,:()-]*(at[\d\s_.,:()-]*)?",
    re.IGNORECASE,
)
_CODE = re.compile(r"[0-9a-f]{8,}([-_][0-9a-f]{2,})*|[\d\W_]*", re.IGNORECASE)


def same(name: str) -> str:
    """The name as files are compared by: systems write accents in two ways."""
    return unicodedata.normalize("NFC", name)


def in_order(name: str) -> Any:
    """Sort key that is the same on every system."""
    plain = same(name)
    return plain.casefold(), plain


def stem_of(name: str) -> str:
    """The name without its ending; pictures with the same one share a caption's file."""
    return PurePosixPath(name).with_suffix("").as_posix()


def folder_words(name: str) -> tuple[int, str]:
    """What the folder around a picture says, as kohya's scripts name folders: "10_sks cat/a.png" -> (10, "sks cat"); else (1, "")."""
    match = _REPEATS.fullmatch(PurePosixPath(name).parent.name)
    if match is None:
        return 1, ""
    return min(max(int(match[1]), 1), MOST_REPEATS), " ".join(match[2].replace("_", " ").split())


def name_words(name: str) -> str:
    """What a file's name says of the picture: "sks dog (3).png" -> "sks dog"; "" for a camera's or a program's name."""
    stem = PurePosixPath(name).stem
    if _MACHINE.fullmatch(stem) or _CODE.fullmatch(stem):
        return ""
    words = " ".join(_NUMBERING.sub("", stem).replace("_", " ").split()).strip(" -.,")
    return "" if len(words) < 2 or _CODE.fullmatch(words) or _MACHINE.fullmatch(words) else words
