"""QR codes of addresses: as a picture for the page and as blocks for a terminal. Knows nothing about whose address it is."""

from __future__ import annotations

import io

import segno

QUIET = 2  # cells of white around it; enough for phones, and it fits a narrow terminal
BLACK_ON_WHITE, PLAIN = "\x1b[30;107m", "\x1b[0m"
HALVES = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def picture(text: str) -> bytes:
    """An SVG picture, black on white, which scales to any size."""
    out = io.BytesIO()
    code = segno.make(text, micro=False)
    code.save(out, kind="svg", border=4, dark="#000", light="#fff", omitsize=True, xmldecl=False, title=text)
    return out.getvalue()


def in_words(text: str, *, colours: bool = True) -> str:
    """Lines of block characters for a terminal. colours: with orders for black on white, so that dark terminals show no negative."""
    rows = [[int(cell) for cell in row] for row in segno.make(text, micro=False).matrix_iter(scale=1, border=QUIET)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    lines = ["".join(HALVES[upper, lower] for upper, lower in zip(*pair, strict=True)) for pair in pairs]
    return "\n".join(f"{BLACK_ON_WHITE}{line}{PLAIN}" if colours else line for line in lines)
