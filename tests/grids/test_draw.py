"""The picture of a grid: every pixel of every cell in its place, words beside them, files under the limit, and the report."""

from __future__ import annotations

import csv
import io
import math
from html.parser import HTMLParser

import pytest
from PIL import Image

from modules.grids.asked import GridOptions
from modules.grids.canvas import Frame, sheets_of
from modules.grids.draw import BLANK, draw_sheet, framed
from modules.grids.records import AxisRow, CellRow, Ending, GridRow
from modules.grids.report import csv_text, html_text
from modules.pixels.grid import BACKGROUND

SHAPE, CELL = (3, 2, 2), (20, 12)
WORDS = (["one", "two", "three"], ["up", "down"], ["left", "right"])


def colour(x: int, y: int, z: int) -> tuple[int, int, int]:
    return 40 + 50 * x, 60 + 70 * y, 80 + 90 * z


def cell(x: int, y: int, z: int) -> Image.Image:
    return Image.new("RGB", CELL, colour(x, y, z))


@pytest.mark.parametrize("legend", [False, True])
@pytest.mark.parametrize("margin", [0, 6])
def test_every_cell_stands_in_its_place(margin: int, legend: bool) -> None:
    frame = framed(Frame(shape=SHAPE, cell=CELL, margin=margin), WORDS, legend=legend)
    [sheet] = sheets_of(frame, 200)
    whole = draw_sheet(frame, sheet, WORDS, cell)
    assert whole.size == frame.size == sheet.size
    if not legend:
        assert whole.size == (6 * 20 + 5 * margin, 2 * 12 + margin)
    for z in range(2):
        for y in range(2):
            for x in range(3):
                left, top = frame.at(x, y, z)
                part = whole.crop((left, top, left + 20, top + 12))
                assert part.getcolors() == [(240, colour(x, y, z))]
    known = {BACKGROUND, *(colour(x, y, z) for x in range(3) for y in range(2) for z in range(2))}
    assert bool([value for _, value in whole.getcolors(100_000) or [] if value not in known]) == legend


def test_blanks_and_smaller_pictures() -> None:
    frame = Frame(shape=(2, 1, 1), cell=CELL)
    [sheet] = sheets_of(frame, 200)
    small = Image.new("RGB", (10, 4), (9, 9, 9))
    whole = draw_sheet(frame, sheet, ([""] * 2, [""], [""]), lambda x, y, z: small if x else None)
    assert whole.crop((0, 0, 20, 12)).getcolors() == [(240, BLANK)]
    assert whole.crop((25, 4, 35, 8)).getcolors() == [(40, (9, 9, 9))]


@pytest.mark.parametrize("limit_mp", [0.0002, 0.0006, 0.0015, 0.003, 0.01, 1])
def test_a_large_grid_becomes_files_under_the_limit_with_every_cell_once(limit_mp: float) -> None:
    frame = Frame(shape=(5, 4, 3), cell=CELL, margin=2)
    sheets = sheets_of(frame, limit_mp)
    places = [(x, y, z) for s in sheets for z in s.grids for y in s.rows for x in s.columns]
    assert sorted(places) == sorted({(x, y, z) for x in range(5) for y in range(4) for z in range(3)})
    smallest = math.prod(CELL)
    for sheet in sheets:
        alone = len(sheet.columns) * len(sheet.rows) * len(sheet.grids) == 1
        assert math.prod(sheet.size) <= max(limit_mp * 1e6, smallest if alone else 0)
        assert draw_sheet(frame, sheet, ([""] * 5, [""] * 4, [""] * 3), cell).size == sheet.size


GRID = GridRow(
    tab="txt2img",
    axes=(
        AxisRow(label="Prompt", used=True, words=("<b>x</b>", "y"), values=("<b>x</b>", '=HYPERLINK("z")')),
        AxisRow(label="Steps", used=True, words=("Steps: 1",), values=("1",)),
        AxisRow(label="Nothing", used=False, words=("",), values=("None",)),
    ),
    options=GridOptions(),
    infotext={},
    cells=(CellRow(place=(0, 0, 0), job="one"), CellRow(place=(1, 0, 0), job="two")),
)
ENDINGS = (
    Ending(state="done", pictures=({"kind": "sample", "path": "/a/p.png", "seed": 7, "infotext": "a & b\nSteps: 1"},), seconds=1.5),
    Ending(state="failed", fault="no <room>"),
)


def test_the_table_has_a_line_for_each_cell_and_no_formulas() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(GRID, ENDINGS, lambda cell, ending: f"../{cell.job}.png" if ending.picture else ""))))
    assert [(row["column"], row["Prompt"], row["Steps"], row["state"], row["file"]) for row in rows] == [
        ("1", "<b>x</b>", "1", "done", "../one.png"),
        ("2", '\'=HYPERLINK("z")', "1", "failed", ""),
    ]
    assert (rows[0]["seed"], rows[0]["seconds"], rows[0]["parameters"]) == ("7", "1.50", "a & b\nSteps: 1")


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_needs_nothing_but_the_pictures_and_runs_no_words() -> None:
    text = html_text(GRID, ENDINGS, lambda cell, ending: f"../{cell.job}.png" if ending.picture else "", "<i>title</i>", "about")
    seen = Seen()
    seen.feed(text)
    images = [about for tag, about in seen.tags if tag == "img" and about.get("src")]
    assert [image["src"] for image in images] == ["../one.png"]
    assert images[0]["title"] == "<b>x</b>, Steps: 1\na & b\nSteps: 1"
    assert not [tag for tag, _ in seen.tags if tag in ("b", "i", "room", "link", "iframe")]
    assert "http" not in text.replace("http-equiv", "")
