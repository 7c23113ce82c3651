"""Languages from right to left: style sheets say start and end, so that the page is mirrored as a whole."""

from __future__ import annotations

import re

from modules.web.page import ASSETS, STYLES

PHYSICAL = re.compile(r"(?<![\w-])(?:(?:margin|padding|border)-)?(?:left|right)(?:-color)?: |(?:text-align|float): (?:left|right)")
SIDES = re.compile(r"(?<![\w-])(?:padding|margin): ([^;}]+)")
# What is measured on a picture, or stands in its middle.
ON_PICTURES = (".dr-slide > i", ".dr-slide > span", ".dr-train-box [data-corner")


def lopsided(line: str) -> bool:
    """Four sides in one go, of which right and left differ."""
    parts = [re.split(r"\s+(?![^(]*\))", text.replace("!important", "").strip()) for text in SIDES.findall(line)]
    return any(len(sides) == 4 and sides[1] != sides[3] for sides in parts)


def test_no_style_sheet_says_left_or_right():
    found = [
        f"{name}:{number}: {line.strip()[:90]}"
        for name in STYLES
        if name != "direction.css"
        for number, line in enumerate((ASSETS / name).read_text(encoding="utf-8").splitlines(), 1)
        if (PHYSICAL.search(line) or lopsided(line)) and not any(start in line for start in ON_PICTURES)
    ]
    assert found == []
    assert lopsided("a { padding: 1px 2px 1px 3px; }")
    assert PHYSICAL.search("b { left: 3px; }")
