"""Rules on the documents: tables as the program has them, every name documented, links that lead somewhere."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from modules import flags
from modules.jobs.store import KEEP_FINISHED
from modules.jobs.supervisor import STALL_S, STALL_STEPS
from modules.knobs import knobs_of
from modules.pixels.names import PATTERNS
from modules.request import GenerationRequest
from modules.samplers import SAMPLERS, SCHEDULES
from modules.server.body import DEPTH_LIMIT
from modules.server.sending import BODY_LIMIT_BYTES
from modules.settings import GENERATIONS, Settings
from modules.setup.checks import GIB, INSTALL_BYTES
from tests.house import doc_tables
from tests.house.test_floors import FLOORS
from tests.house.tree import ROOT, Finding, Tree, report

LINK = re.compile(r"!?\[[^\]]*\]\((?P<to>[^)\s]+)\)|<img[^>]+src=\"(?P<src>[^\"]+)\"")
SVG = "{http://www.w3.org/2000/svg}"
TORCH = {"torch", "diffusers", "transformers"}
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
NEEDED = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "NOTICE"]
DOCUMENTED = {
    "docs/settings.md": [*knobs_of(Settings), *(f"[{name}]" for name in PATTERNS)],
    "docs/api.md": list(knobs_of(GenerationRequest)),
    "docs/samplers.md": [*SAMPLERS.names(), *SCHEDULES.names()],
    "docs/flags.md": [flags.spelling(f.name) for f in flags.table()],
}

ORDINALS = {5: "five"}
# Limits that the pages quote, as the program has them.
QUOTED = [
    ("docs/jobs.md", f"for {STALL_S:.0f} s or {STALL_STEPS} times"),
    ("docs/jobs.md", f"newest {KEEP_FINISHED} finished jobs"),
    ("docs/api.md", f"{BODY_LIMIT_BYTES // 2**20} MB"),
    ("docs/security.md", f"at most {BODY_LIMIT_BYTES // 2**20} MB; JSON at most {DEPTH_LIMIT} levels"),
    ("docs/settings.md", f"The last {ORDINALS[GENERATIONS]} versions"),
    ("docs/troubleshooting.md", f"{INSTALL_BYTES // GIB} GiB"),
    ("README.md", f"{INSTALL_BYTES // GIB} GiB"),
]


def find_broken_links(root: Path) -> list[Finding]:
    """Relative links and pictures that lead to nothing."""
    found: list[Finding] = []
    for page in doc_tables.pages(root):
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            for match in LINK.finditer(line):
                target = match["to"] or match["src"]
                if not re.match(r"[a-z]+:", target) and (why := _broken(page, target)):
                    found.append(Finding(page.relative_to(root).as_posix(), number, "links", f"{target} {why}"))
    return found


def _broken(page: Path, target: str) -> str:
    name, _, anchor = target.partition("#")
    file = page.parent / name if name else page
    if not file.exists():
        return "is not there"
    if anchor and file.suffix == ".md" and anchor not in {_anchor(h) for h in HEADING.findall(file.read_text(encoding="utf-8"))}:
        return "has no such heading"
    return ""


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def find_undocumented(text: str, names: list[str]) -> list[str]:
    """The names that the page does not show as a table row: in the first cell, plain or as code."""
    cells = {line.split("|")[1].strip().strip("`") for line in text.splitlines() if line.startswith("| ")}
    starts = {cell.split(" ")[0] for cell in cells}
    return [name for name in names if name not in cells and name not in starts]


def test_tables_are_up_to_date():
    old = [page.relative_to(ROOT).as_posix() for page in doc_tables.stale()]
    assert not old, f"{old}: run `python -m tests.house.doc_tables --write`"


def test_every_table_stands_somewhere():
    text = "".join(page.read_text(encoding="utf-8") for page in doc_tables.pages())
    assert not (missing := [name for name in doc_tables.TABLES if f"<!-- table: {name} -->" not in text]), missing


@pytest.mark.parametrize("page", DOCUMENTED)
def test_every_name_is_documented(page: str):
    missing = find_undocumented((ROOT / page).read_text(encoding="utf-8"), DOCUMENTED[page])
    assert not missing, f"{page} says nothing about {missing}"


@pytest.mark.parametrize(("page", "words"), QUOTED)
def test_quoted_limits_are_the_programs(page: str, words: str):
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    assert words in text, f"{page} should say: {words}"


def test_links_lead_somewhere():
    assert not (found := report(find_broken_links(ROOT))), found


def test_the_pages_that_every_project_has_are_there():
    assert not (missing := [name for name in NEEDED if not (ROOT / name).is_file()]), missing


def test_the_two_commands_stand_at_the_top_of_the_readme():
    top = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20]
    assert "python launch.py" in [line.strip() for line in top]
    assert "python launch.py test" in [line.strip() for line in top]


def drawn_rooms(svg: str) -> dict[str, list[tuple[str, str]]]:
    """Floor -> (room, class of its box) from left to right, as the picture of the rooms has them."""
    floors: dict[str, list[tuple[str, str]]] = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        boxes = [e.get("class", "") for e in group.iter(f"{SVG}rect") if e.get("class") != "floor"]
        names = [(e.text or "").rstrip("/").removesuffix(".py") for e in group.iter(f"{SVG}text") if e.get("class") == "name"]
        floors[group.get("id", "")] = list(zip(names, boxes, strict=True))
    return floors


def test_the_picture_of_the_rooms_is_the_table_of_floors():
    drawn = drawn_rooms((ROOT / "docs" / "rooms.svg").read_text(encoding="utf-8"))
    assert {floor: tuple(name for name, _ in rooms) for floor, rooms in drawn.items()} == dict(FLOORS)
    marked = {name for rooms in drawn.values() for name, box in rooms if box == "torch"}
    assert marked == {f.room for f in Tree.read().under("modules") if any(i.top in TORCH and not i.typing_only for i in f.imports)}


def test_every_room_stands_in_the_architecture():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = [room for _, rooms in FLOORS for room in rooms]
    missing = [r for r in rooms if not re.search(rf"^\|.*`{r}(/|\.py)?`.*\|", text, re.MULTILINE)]
    assert not missing, f"ARCHITECTURE.md has no row for {missing}"


def test_catches_a_stale_table(tmp_path: Path):
    page = tmp_path / "a.md"
    page.write_text("x\n<!-- table: t -->\n| old |\n<!-- end of table -->\ny\n")
    assert doc_tables.stale(tmp_path, {"t": lambda: "| new |\n"}) == {page: "x\n<!-- table: t -->\n| new |\n<!-- end of table -->\ny\n"}
    assert doc_tables.stale(tmp_path, {"t": lambda: "| old |\n"}) == {}


def test_catches_broken_links(tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.md").write_text("# A heading\n[up](../a.md) [gone](c.md)\n")
    (tmp_path / "a.md").write_text("[ok](docs/b.md#a-heading) [no](docs/b.md#other) ![p](p.png) [w](https://example.org)\n")
    assert {(f.file, f.text) for f in find_broken_links(tmp_path)} == {
        ("a.md", "docs/b.md#other has no such heading"), ("a.md", "p.png is not there"), ("docs/b.md", "c.md is not there"),
    }  # fmt: skip


def test_catches_an_undocumented_name():
    text = "| Name | x |\n| --- | --- |\n| `steps` | 1 |\n| `--port PORT` | 2 |\n| Euler a | 3 |\nseed in prose\n"
    assert find_undocumented(text, ["steps", "--port", "Euler a", "seed"]) == ["seed"]


def test_cells_survive_odd_characters():
    assert doc_tables.table(("a", "b"), [("x|y", "two\nlines")]) == "| a | b |\n| --- | --- |\n| x\\|y | two lines |\n"
