"""How much syntax a prompt may hold. Every reader takes time in proportion to the text, but a bracket costs more than a word.

Start reading at `check_marks`.
"""

from __future__ import annotations

from modules.faults import RequestFault

MARKS = ("(", "[", "{", "<", "__")
MOST_MARKS = 10_000  # a text of a million characters with so many is read within 200 ms


def marks(text: str) -> int:
    """How many brackets of any kind open in a text, and how many names of wildcards may begin and end in it."""
    return sum(text.count(mark) for mark in MARKS)


def check_marks(field: str, text: str) -> None:
    """Raises RequestFault when a prompt holds more syntax than anybody means."""
    found = marks(text)
    if found > MOST_MARKS:
        raise RequestFault(field, f"holds {found} brackets; the most that are read is {MOST_MARKS}", allowed=MOST_MARKS)
