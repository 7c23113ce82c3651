"""What each way of steering is: its fields, the models it works with, and where it comes from. Plain data, no torch.

Start reading at `OPTIONS`, then `useless`. What was asked for and means nothing for a model becomes a sentence, never an error.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modules.faults import RequestFault
from modules.request import Steering
from modules.steering.caches import CACHES, NONE, Cache
from modules.steering.caches.row import TRANSFORMERS, UNETS

ALL = (*UNETS, *TRANSFORMERS)


@dataclass(frozen=True, kw_only=True)
class Option:
    """label: for people. architectures: of `Family.architecture` with which it works. source: where it is described.

    fields: of `Steering`, the first of which turns it on when it is not at its default. value: turned on by this value of it only
    ("" for any). settings: that turn it on where the field is empty or missing, each when it is not 0 or false.
    guided: it changes guidance, which needs a CFG scale above 1. unguided: it works only without guidance where prompt and
    negative prompt are asked about in separate calls. pair: not with editing models, whose guidance has three parts.
    """

    label: str
    architectures: tuple[str, ...]
    source: str
    fields: tuple[str, ...] = ()
    value: str = ""
    settings: tuple[str, ...] = ()
    guided: bool = False
    unguided: bool = False
    pair: bool = False

    def is_on(self, steering: Steering, settings: Mapping[str, Any]) -> bool:
        """It was asked for."""
        asked = getattr(steering, self.fields[0]) if self.fields else None
        if asked is None:
            return any(settings.get(name) for name in self.settings)
        return asked == self.value if self.value else asked is not False and asked != _DEFAULTS[self.fields[0]]


_DEFAULTS = dataclasses.asdict(Steering())


def _of_cache(name: str, row: Cache) -> Option:
    return Option(
        label=row.title,
        architectures=row.architectures,
        source=row.source,
        fields=("cache", *row.fields),
        value=name,
        unguided=row.unguided,
    )


OPTIONS: tuple[Option, ...] = (
    Option(label="CFG rescale", architectures=ALL, source="arXiv:2305.08891, eq. 15 and 16", fields=("cfg_rescale",), guided=True),
    Option(
        label="The CFG schedule", architectures=ALL, source="arXiv:2404.13040", fields=("cfg_schedule", "cfg_schedule_min"), guided=True
    ),
    Option(label="Guidance start", architectures=ALL, source="arXiv:2404.07724", fields=("cfg_start",), guided=True, pair=True),
    Option(label="Guidance stop", architectures=ALL, source="arXiv:2404.07724", fields=("cfg_stop",), guided=True, pair=True),
    Option(
        label="Skip Early CFG",
        architectures=ALL,
        source="A1111's setting of that name",
        settings=("skip_early_cond",),
        guided=True,
        pair=True,
    ),
    Option(
        label="Negative Guidance minimum sigma",
        architectures=ALL,
        source="A1111's setting of that name",
        settings=("s_min_uncond",),
        guided=True,
        pair=True,
    ),
    Option(
        label="FreeU",
        architectures=UNETS,
        source="arXiv:2309.11497",
        fields=("freeu", "freeu_b1", "freeu_b2", "freeu_s1", "freeu_s2"),
    ),
    Option(
        label="Perturbed-attention guidance",
        architectures=(*UNETS, "sd3"),
        source="arXiv:2403.17377",
        fields=("pag_scale", "pag_layers"),
    ),
    Option(
        label="Skip-layer guidance",
        architectures=("sd3",),
        source="Stability AI's reference code for Stable Diffusion 3.5 Medium",
        fields=("slg_scale", "slg_layers", "slg_start", "slg_stop"),
        guided=True,
    ),
    *(_of_cache(name, row) for name, row in CACHES),
    Option(
        label="Token merging",
        architectures=UNETS,
        source="arXiv:2303.17604",
        settings=("token_merging_ratio", "token_merging_ratio_img2img", "token_merging_ratio_hr"),
    ),
    Option(
        label="Tiled diffusion",
        architectures=UNETS,
        source="arXiv:2302.08113, section 4; arXiv:2302.02412",
        fields=("tile_px", "tile_overlap"),
    ),
    Option(
        label="Tiling",
        architectures=UNETS,
        source="A1111's option of that name: circular padding",
        fields=("tiling",),
        settings=("tiling",),
    ),
)

# architecture -> (b1, b2, s1, s2). Source: the published code of arXiv:2309.11497.
FREEU: Mapping[str, tuple[float, float, float, float]] = {
    "sd1": (1.5, 1.6, 0.9, 0.2),
    "sd2": (1.4, 1.6, 0.9, 0.2),
    "sdxl": (1.3, 1.4, 0.9, 0.2),
}
_PLACE = re.compile(r"(mid|down|up)|(down|up)\.(\d{1,2})|(\d{1,3})")


def useless(
    steering: Steering,
    settings: Mapping[str, Any],
    architecture: str,
    name: str,
    *,
    guided: bool = True,
    rows: tuple[str, ...] = ("negative", "prompt"),
) -> list[str]:
    """What was asked for and has no effect on a model, in sentences.

    name: of the model, for the sentences; guided: a CFG scale above 1 on a model that takes one; rows: of a network call, as the
    pipeline's row in the table of calls says.
    """
    found: list[str] = []
    for option in OPTIONS:
        if not option.is_on(steering, settings):
            continue
        if architecture not in option.architectures or (option.pair and len(rows) > 2):
            found.append(f"{option.label} has no effect on {name}.")
        elif option.guided and not guided:
            found.append(f"{option.label} has no effect on {name} without guidance (CFG scale above 1).")
        elif option.unguided and guided and rows == ("prompt",):
            found.append(f"{option.label} has no effect on {name} with a CFG scale above 1.")
    return found


def works(label: str, steering: Steering, settings: Mapping[str, Any], architecture: str) -> bool:
    """The option was asked for and the architecture has what it needs. label: of a row of OPTIONS."""
    option = next(option for option in OPTIONS if option.label == label)
    return architecture in option.architectures and option.is_on(steering, settings)


def check(steering: Steering) -> None:
    """Raises UnknownName for a cache that there is not, RequestFault for layers that cannot be read.

    Which layers a model has is known when it is loaded.
    """
    if steering.cache.casefold() != NONE.casefold():
        CACHES.get(steering.cache)
    places(steering.pag_layers)
    numbers(steering.slg_layers)
    if steering.cfg_start >= steering.cfg_stop:
        raise RequestFault("cfg_start", "must be smaller than cfg_stop", got=steering.cfg_start, allowed=steering.cfg_stop)


def places(text: str) -> list[str]:
    """ "mid, down.1" -> ["mid", "down.1"]. Raises RequestFault."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    for part in found:
        if not _PLACE.fullmatch(part):
            raise RequestFault("pag_layers", "is a list such as: mid, down.1, up.2 - or numbers of blocks", got=part)
    if not found:
        raise RequestFault("pag_layers", "must name at least one layer, such as mid")
    return found


def numbers(text: str) -> list[int]:
    """ "7, 8" -> [7, 8]. Raises RequestFault."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found or not all(part.isdecimal() and len(part) < 4 for part in found):
        raise RequestFault("slg_layers", "is a list of numbers of blocks, such as: 7, 8, 9", got=text)
    return [int(part) for part in found]


def is_tiling(steering: Steering, settings: Mapping[str, Any]) -> bool:
    """The field, or the setting where it is empty."""
    return bool(settings.get("tiling")) if steering.tiling is None else steering.tiling


def merging_ratio(settings: Mapping[str, Any], stage: str, overrides: Mapping[str, Any] | None = None) -> float:
    """Share of tokens that are merged, 0 to 0.9. stage: "txt2img", "img2img" or "hires".

    overrides: settings that this run asked for itself.

    Source: A1111 1.10: a ratio of its own for each stage, the general one where that is 0; one that the run itself asks for goes first.
    """
    general = float(settings.get("token_merging_ratio", 0.0))
    if stage == "img2img" and not (overrides or {}).get("token_merging_ratio"):
        return float(settings.get("token_merging_ratio_img2img", 0.0)) or general
    if stage == "hires":
        return float(settings.get("token_merging_ratio_hr", 0.0)) or general
    return general


def freeu_values(steering: Steering, architecture: str) -> tuple[float, float, float, float]:
    """(b1, b2, s1, s2): as asked, the published ones where nothing was."""
    asked = (steering.freeu_b1, steering.freeu_b2, steering.freeu_s1, steering.freeu_s2)
    b1, b2, s1, s2 = (published if value is None else value for value, published in zip(asked, FREEU[architecture], strict=True))
    return b1, b2, s1, s2
