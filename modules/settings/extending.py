"""Scripts and extensions: which are switched off, and the language of the page, which they may bring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from modules.knobs import Knob


@dataclass(frozen=True, kw_only=True)
class Extending:
    """Settings of this page, A1111's keys."""

    disabled_extensions: Annotated[
        list[str], Knob("Disabled extensions", section="Extensions", help="Names of folders in extensions/.", restart=True)
    ] = field(default_factory=list[str])
    localization: Annotated[
        str,
        Knob(
            "Localization",
            choices="localizations",
            section="User interface",
            help="The language of the page: a file in localizations/, without .json. Takes effect when the page is loaded anew.",
        ),
    ] = "None"
    disable_all_extensions: Annotated[
        str,
        Knob(
            "Disable all extensions",
            choices=("none", "extra", "all"),
            section="Extensions",
            help="extra: those that did not come with the program.",
            restart=True,
        ),
    ] = "none"
