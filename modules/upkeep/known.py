"""Well-known models: name, family, licence, size, where to get them. `known.json` is the list; nothing in it is fetched unasked.

A digest or size that is not certain is null: the hub's own listing gives it at the time of the download. Start reading at `models`.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LIST = Path(__file__).with_name("known.json")


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """source: as `modules.upkeep.sources` reads it; place: folder in models/; family, variant: as in `modules.families`, "" for any.

    gated: its site wants an account that has accepted the licence (HF_TOKEN); needs: ids of the parts it cannot do without.
    """

    id: str
    title: str
    family: str
    variant: str
    place: str
    licence: str
    gated: bool
    size_bytes: int | None
    source: str
    sha256: str | None
    needs: tuple[str, ...]
    note: str


@functools.cache
def models() -> tuple[KnownModel, ...]:
    """The list, in the order it is to be shown."""
    rows: list[dict[str, Any]] = json.loads(_LIST.read_text(encoding="utf-8"))
    for row in rows:
        row["needs"] = tuple(row["needs"])
    return tuple(KnownModel(**row) for row in rows)


def find(text: str) -> KnownModel | None:
    """The model of an id or source, None when it is not on the list."""
    wanted = text.strip().casefold()
    return next((m for m in models() if wanted in (m.id, m.source.casefold())), None)
