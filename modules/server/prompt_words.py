"""/internal/prompt-words: what the beginning of a tag may go on to be, from the prompts of the pictures that were made here.

Knows the list of pictures; LoRAs and embeddings are asked of /internal/models. Start reading at `routes`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from modules.library.pictures import Wish

if TYPE_CHECKING:
    from modules.app import App

LATEST = 300  # pictures that are looked at
MOST = 12
LONGEST = 60  # characters of a tag; what is longer is a sentence
_APART = re.compile(r"[,\n|]|\bBREAK\b|\bAND\b|<[^<>]*>")
_WEIGHT = re.compile(r":\s*[-+]?[\d.]+\s*$")


def routes(app: App) -> APIRouter:
    """The route of the words."""
    router = APIRouter(prefix="/internal/prompt-words", tags=["page"])

    @router.get("")
    def words(begin: Annotated[str, Query(min_length=2, max_length=LONGEST)]) -> dict[str, list[dict[str, Any]]]:
        """Tags that begin so, the most frequent first: {words: [{text, count}]}. count: pictures among the latest that have them."""
        plain = begin.strip().replace('"', " ")
        wanted = " ".join(f"prompt:{word}" for word in plain.split())
        found = app.pictures.page(Wish(search=wanted), 0, LATEST).rows if wanted else []
        counted = counts((row.prompt for row in found), plain)
        return {"words": [{"text": text, "count": count} for text, count in counted[:MOST]]}

    return router


def counts(prompts: Iterable[str], begin: str) -> list[tuple[str, int]]:
    """(tag, prompts that have it) of those that begin so in any case, the most frequent first; `begin` itself is none."""
    found: Counter[str] = Counter()
    low = begin.casefold()
    for prompt in prompts:
        found.update({tag for tag in tags_of(prompt) if tag.casefold().startswith(low) and tag.casefold() != low})
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def tags_of(prompt: str) -> list[str]:
    """The parts of a prompt between commas, without brackets and weights."""
    parts = (_WEIGHT.sub("", part.strip().strip("()[]{}")).strip().strip("()[]{}") for part in _APART.split(prompt))
    return [part for part in parts if 0 < len(part) <= LONGEST]
