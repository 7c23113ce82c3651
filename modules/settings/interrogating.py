"""Captions and ranked words for pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from modules.knobs import Knob

_PAGE = "Interrogate"


@dataclass(frozen=True, kw_only=True)
class Interrogating:
    """Settings of this page, A1111's keys where it has them."""

    interrogate_captioner: Annotated[
        str,
        Knob("Captioner", section=_PAGE, max_chars=500, help="Used where none is named; empty: your own first one, else the starter's."),
    ] = ""
    interrogate_scorer: Annotated[
        str,
        Knob(
            "Model that ranks words",
            section=_PAGE,
            max_chars=500,
            help="A CLIP or BLIP ITM; empty: your own first one, else the starter's.",
        ),
    ] = ""
    interrogate_tagger: Annotated[
        str, Knob("Tagger", section=_PAGE, max_chars=500, help="Answers for deepdanbooru; empty: the first one that is here.")
    ] = ""
    interrogate_keep_models_in_memory: Annotated[
        bool, Knob("Keep models in memory", section=_PAGE, help="Else a captioner that rests for two minutes gives its memory back.")
    ] = False
    interrogate_return_ranks: Annotated[
        bool, Knob("Include ranks of model tags matches in results", section=_PAGE, help="Each word as (word:how near).")
    ] = False
    interrogate_clip_num_beams: Annotated[int, Knob("BLIP: num_beams", 1, 16, step=1, section=_PAGE)] = 1
    interrogate_clip_min_length: Annotated[
        int, Knob("BLIP: minimum description length", 1, 128, step=1, section=_PAGE, help="Small models cannot fill many words with sense.")
    ] = 1
    interrogate_clip_max_length: Annotated[int, Knob("BLIP: maximum description length", 1, 256, step=1, section=_PAGE)] = 48
    interrogate_clip_dict_limit: Annotated[
        int, Knob("CLIP: maximum number of lines in text file", 0, 100_000, section=_PAGE, help="0 is no limit.")
    ] = 1500
    interrogate_clip_skip_categories: Annotated[
        list[str], Knob("CLIP: skip inquire categories", section=_PAGE, help="Names of lists, such as artists.")
    ] = field(default_factory=list[str])
    interrogate_deepbooru_score_threshold: Annotated[
        float, Knob("deepbooru: score threshold", 0, 1, step=0.01, section=_PAGE, help="Least chance of a tag, characters included.")
    ] = 0.5
    deepbooru_sort_alpha: Annotated[
        bool, Knob("deepbooru: sort tags alphabetically", section=_PAGE, help="Else the likeliest come first.")
    ] = True
    deepbooru_use_spaces: Annotated[bool, Knob("deepbooru: use spaces in tags", section=_PAGE, help="Else underscores stay.")] = True
    deepbooru_escape: Annotated[
        bool, Knob("deepbooru: escape (\\) brackets", section=_PAGE, help="So that a prompt takes them literally.")
    ] = True
    deepbooru_filter_tags: Annotated[
        str, Knob("deepbooru: filter out those tags", section=_PAGE, max_chars=4000, help="Separated by commas.")
    ] = ""
