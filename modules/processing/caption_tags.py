"""Which tagger is meant, and how its tags become a text: A1111's settings where its own tagger is asked for, else what suits the tagger.

Imports no torch. Start reading at `tagging_of` and `chosen_tagger`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modules.caption import TAGS, tagger
from modules.caption.installed import Installed
from modules.faults import RequestFault, UnknownName
from modules.folders import Folders
from modules.request.caption import CaptionRequest
from modules.request.tagging import BY_CHANCE, BY_NAME, Tagging
from modules.settings import Settings

DEEPBOORU = ("deepdanbooru", "deepbooru")  # A1111's names for its tagger; the taggers here are its successors
SUCCESSOR = "SmilingWolf/wd-swinv2-tagger-v3"


def means_tags(model: str) -> bool:
    """Is A1111's tagger asked for?"""
    return model.strip().casefold() in DEEPBOORU


def chosen_tagger(rows: Sequence[Installed], settings: Settings, folders: Folders) -> Installed:
    """The tagger that answers for A1111's. Raises RequestFault("model") when none is here, UnknownName for a setting that names none."""
    able = [row for row in rows if TAGS in row.does]
    wanted = settings.interrogate_tagger.strip()
    if wanted:
        meant = tagger.folder_name(wanted)
        row = next((row for row in able if row.name.casefold() in (wanted.casefold(), meant)), None)
        if row is None:
            raise UnknownName("interrogate_tagger", wanted, [row.name for row in able])
        return row
    if able:
        return able[0]
    places = [folder for place in tagger.PLACES for folder in folders.model_folders(place)]
    raise RequestFault(
        "model",
        f"there is no tagger here. {tagger.old_forms(places)}Its successors, the WD taggers, are: python launch.py models download "
        f"{SUCCESSOR} --kind {tagger.PLACES[0]}, or put {tagger.MODEL} and selected_tags.csv into models/{tagger.PLACES[0]}/NAME",
        got=DEEPBOORU[0],
    )


def tagging_of(request: CaptionRequest, settings: Settings, model: Installed) -> Tagging | None:
    """How its tags become a text; None for a captioner that is no tagger."""
    if TAGS not in model.does:
        return None
    usual = _as_a1111(settings) if means_tags(request.model) else Tagging()
    asked = {
        "threshold": request.threshold, "character": request.character_threshold, "order": request.tag_order, "spaces": request.tag_spaces,
        "escape": request.tag_escape, "chances": request.tag_chances,
    }  # fmt: skip
    values: dict[str, Any] = {name: getattr(usual, name) if value is None else value for name, value in asked.items()}
    skip = (*usual.skip, *_names(request.tag_skip))
    return Tagging(**values, most=request.max_tags, ratings=request.tag_ratings, skip=skip)


def _as_a1111(settings: Settings) -> Tagging:
    return Tagging(
        threshold=settings.interrogate_deepbooru_score_threshold,
        character=settings.interrogate_deepbooru_score_threshold,
        order=BY_NAME if settings.deepbooru_sort_alpha else BY_CHANCE,
        spaces=settings.deepbooru_use_spaces,
        escape=settings.deepbooru_escape,
        chances=settings.interrogate_return_ranks,
        skip=_names(settings.deepbooru_filter_tags),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
