"""Where tiles begin and end along one axis. Knows no pixels, imports nothing heavy. Start reading at `spans`."""

from __future__ import annotations

import math

Span = tuple[int, int]  # begin, end (the first outside) along one axis


def spans(length: int, tile: int, overlap: int) -> list[Span]:
    """Spans of `tile` pixels, evenly spread so that neighbours share at least `overlap`; one span where the length fits into a tile.

    length, tile >= 1, 0 <= overlap < tile. Every pixel lies in at least one. Raises ValueError for other numbers.
    """
    if length < 1 or tile < 1 or not 0 <= overlap < tile:
        raise ValueError(f"no tiles of {tile} px with {overlap} px overlap in {length} px")
    if length <= tile:
        return [(0, length)]
    count = math.ceil((length - overlap) / (tile - overlap))
    begins = [n * (length - tile) // (count - 1) for n in range(count)]
    return [(begin, begin + tile) for begin in begins]
