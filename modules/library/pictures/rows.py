"""The records of the picture index, and what can be asked of it. No behaviour beyond reading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

KINDS: Mapping[str, str] = {"txt2img": "txt2img", "img2img": "img2img", "extras": "Extras", "grid": "Grids", "other": "Other"}
# Name of an order -> (SQL order, words for people).
SORTS: Mapping[str, tuple[str, str]] = {
    "newest": ("created_s DESC, n DESC", "Newest first"),
    "oldest": ("created_s, n", "Oldest first"),
    "name": ("name, created_s, n", "By file name"),
    "largest": ("width * height DESC, created_s DESC, n DESC", "Largest first"),
    "seed": ("seed, created_s, n", "By seed"),
}
# Name of an order -> (what a row's place in it is made of, which way it goes). The same orders, for lists that are read on from a place.
PLACES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "newest": (("created_s", "n"), "DESC"),
    "oldest": (("created_s", "n"), "ASC"),
    "name": (("name", "created_s", "n"), "ASC"),
    "largest": (("width * height", "created_s", "n"), "DESC"),
    "seed": ((f"IFNULL(seed, {-(2**63)})", "created_s", "n"), "ASC"),
}
ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, kw_only=True)
class Found:
    """A picture file that a scan met. kind: as its folder says, "" when it does not; stamp: changes with the content."""

    path: Path
    kind: str
    size_bytes: int
    stamp: str
    changed_s: float


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a picture file says about itself. kind: as its text says; problem: why it could not be read, "" when it could.

    width, height: pixels, as it is looked at (turned upright). seed, steps, cfg: None where the text has none.
    """

    width: int = 0
    height: int = 0
    infotext: str = ""
    prompt: str = ""
    negative: str = ""
    model: str = ""
    model_hash: str = ""
    seed: int | None = None
    sampler: str = ""
    scheduler: str = ""
    steps: int | None = None
    cfg: float | None = None
    kind: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class PictureRow(Facts):
    """A row of the index. id: of its path; created_s: seconds since 1970; job: that made it, "" when unknown.

    described: its file has been read; until then only what the folder tells is known.
    """

    id: str
    path: str
    name: str
    size_bytes: int
    stamp: str
    created_s: float
    described: bool
    job: str = ""
    favourite: bool = False


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Which pictures are wanted, in which order; "" and None mean any.

    search: see `search.read`; job: id of the job that made them; since_s, until_s: seconds since 1970, the second excluded; least_px,
    most_px: the longer side.
    """

    search: str = ""
    model: str = ""
    sampler: str = ""
    kind: str = ""
    job: str = ""
    since_s: float | None = None
    until_s: float | None = None
    least_px: int | None = None
    most_px: int | None = None
    favourites: bool = False
    sort: str = "newest"
