"""Folders of other programs, whose models and pictures are used where they lie. Only read; nothing there is changed by looking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from modules.knobs import Knob

_PAGE = "Folders"


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """Settings of this page."""

    extra_models_dirs: Annotated[
        list[str],
        Knob(
            "Further folders of models",
            section=_PAGE,
            restart=True,
            help="Whole models folders of other programs, such as A1111's; or a single one as Lora=FOLDER. Changed at this machine only.",
        ),
    ] = field(default_factory=list[str])
    extra_picture_dirs: Annotated[
        list[str],
        Knob(
            "Further folders of pictures",
            section=_PAGE,
            help="Their pictures are found in the History, where they lie. Changed at this machine only.",
        ),
    ] = field(default_factory=list[str])
