"""How a tagger's tags become a text: which are likely enough, in what order, how they are written. Frozen data, no torch.

Start reading at `TagFields` (what is asked) and `Tagging` (nothing left open).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from modules.knobs import Knob

BY_CHANCE, BY_NAME = ORDERS = ("chance", "alphabet")


@dataclass(frozen=True, kw_only=True)
class TagFields:
    """For taggers alone. None: as suits the tagger, or as the settings say where deepdanbooru is asked for."""

    threshold: Annotated[float | None, Knob("Tag threshold", 0, 1, step=0.01, help="Taggers: least chance of a tag; 0.35.")] = None
    character_threshold: Annotated[
        float | None, Knob("Character threshold", 0, 1, step=0.01, help="Taggers: least chance of a character's name; 0.85.")
    ] = None
    max_tags: Annotated[int, Knob("Most tags", 0, 1000, step=1, help="Taggers: the likeliest so many; 0 is no limit.")] = 0
    tag_order: Annotated[str | None, Knob("Order of tags", choices=ORDERS, help="Taggers: chance puts the likeliest first.")] = None
    tag_ratings: Annotated[bool, Knob("Rating first", help="Taggers: how fit for everyone the picture is, before its tags.")] = False
    tag_spaces: Annotated[bool | None, Knob("Spaces in tags", help="Taggers: a space for each underscore, but not in faces as ^_^.")] = None
    tag_escape: Annotated[
        bool | None, Knob("Escape brackets in tags", help="Taggers: brackets get a backslash, so that a prompt takes them as they are.")
    ] = None
    tag_chances: Annotated[bool | None, Knob("Chances in tags", help="Taggers: each tag as (tag:0.98).")] = None
    tag_skip: Annotated[str, Knob("Tags left out", max_chars=4000, help="Taggers: tags between commas that are never said.")] = ""


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """Nothing left open. threshold, character: least chances, 0 to 1; most: 0 for all; skip: tags left out, as people write them."""

    threshold: float = 0.35
    character: float = 0.85
    most: int = 0
    order: str = BY_CHANCE
    ratings: bool = False
    spaces: bool = True
    escape: bool = False
    chances: bool = False
    skip: tuple[str, ...] = ()

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """From a job row. Raises KeyError, TypeError when it was written by a version with other fields."""
        values: dict[str, Any] = {**data, "skip": tuple(data["skip"])}
        return cls(**values)
