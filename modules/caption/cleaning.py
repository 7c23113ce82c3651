"""Captions as they are written down: find and replace, words that are never said, prefix and suffix; and how often which tag stands.

Knows texts only. Start reading at `cleaned` and `tags_of`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from modules.request.caption_folder import Cleaning

_SPACES, _COMMAS = re.compile(r"\s+"), re.compile(r"(?:\s*,)+\s*")
MOST_TAGS = 2000


def cleaned(text: str, how: Cleaning) -> str:
    """The text after everything that is asked, in this order: replacements, words never said, prefix and suffix."""
    for find, to in how.replace:
        text = text.replace(find, to)
    text = without(text, how.never)
    return f"{how.prefix}{text}{how.suffix}"


def without(text: str, never: Iterable[str]) -> str:
    """The text without these words or tags, whole ones only and whatever their case; spaces and commas are tidied where one went."""
    words = sorted({word.strip() for word in never if word.strip()}, key=len, reverse=True)
    if not words:
        return text
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(word) for word in words)})(?!\w)", re.IGNORECASE)
    if not pattern.search(text):
        return text
    left = _COMMAS.sub(", ", _SPACES.sub(" ", pattern.sub(" ", text)))
    return left.strip(" ,")


def joined(old: str, new: str, *, before: bool = False) -> str:
    """A caption that is there and a new one, with a comma between. before: the new one first."""
    parts = [part.strip() for part in ((new, old) if before else (old, new))]
    return ", ".join(part.rstrip(",") for part in parts if part)


def tags_of(texts: Iterable[str]) -> list[tuple[str, int]]:
    """(tag, in how many texts) of everything between commas, the most frequent first."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({tag.strip() for tag in text.split(",") if tag.strip()})
    return sorted(counts.most_common(MOST_TAGS), key=lambda row: (-row[1], row[0].casefold()))


def words_of(texts: Iterable[str]) -> list[tuple[str, int]]:
    """(word, in how many texts), the most frequent first; for captions that are sentences."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(re.findall(r"[^\W_][\w'-]*", text.casefold())))
    return sorted(counts.most_common(MOST_TAGS), key=lambda row: (-row[1], row[0]))
