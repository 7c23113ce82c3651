"""The one command for benchmarks: what it lists, what it keeps of a run, and the page it writes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import keeping, report
from benchmarks.keeping import kept, read, run
from benchmarks.listing import FOLDER, SHORT, Row, Short, listed
from benchmarks.program import machine

PRINTED = f"""{machine()}
4 pairs in turn

| way | time | spread |
| --- | --- | --- |
| one | 0.50 | 0.4 to 0.6 |
| two & more | 1.25 | 1.1 to 1.3 |

through the API : median 0.5 s  (min 0.4)
a remark without a figure
"""
ROW = Row(name="made_up", question="How long?", short=Short(title="Made up", drawn=r"\| ([\d.]+) \|", caption="seconds", line=1.0))


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Scripts are not run but print PRINTED; the list takes what would have been run."""
    asked: list[list[str]] = []

    def done(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command[1:])
        code = 3 if "fail" in command else 0
        return subprocess.CompletedProcess(command, code, PRINTED, "Traceback\nSystemExit: no card here\n")

    monkeypatch.setattr(keeping.subprocess, "run", done)
    return asked


def test_every_script_is_listed_with_its_question() -> None:
    rows = {row.name: row for row in listed()}
    scripts = {path.stem for path in FOLDER.glob("[a-z]*.py") if "\ndef main()" in path.read_text(encoding="utf-8")}
    assert set(rows) == scripts
    assert all(row.question and row.title for row in rows.values())
    assert [name for name in rows if name in SHORT] == [name for name in SHORT if name in rows]


def test_a_script_that_nobody_described_is_listed_too(tmp_path: Path) -> None:
    (tmp_path / "new_one.py").write_text('"""What the new one costs.\n\nMore.\n"""\n\ndef main() -> None: ...\n')
    (tmp_path / "part.py").write_text('"""No script."""\n')
    assert [(row.name, row.title, row.question) for row in listed(tmp_path)] == [("new_one", "New one", "What the new one costs.")]


def test_tables_and_figures_are_read() -> None:
    tables, said = read(PRINTED.replace(machine(), ""))
    assert tables == [
        [["way", "time", "spread"], ["one", "0.50", "0.4 to 0.6"], ["two & more", "1.25", "1.1 to 1.3"]],
        [["what", "figure"], ["through the API", "median 0.5 s  (min 0.4)"]],
    ]
    assert said == ["4 pairs in turn", "a remark without a figure"]


def test_a_run_is_kept_with_what_it_ran_on(answering: list[list[str]], tmp_path: Path) -> None:
    made = run(ROW, ("--pairs", "4"), tmp_path)
    assert answering == [["-m", "benchmarks.made_up", "--pairs", "4"]]
    assert made == kept("made_up", tmp_path)
    assert made.command == "python -m benchmarks.made_up --pairs 4"
    assert made.machine == machine()
    assert made.date.endswith("UTC")
    assert machine() not in str(made.tables) + str(made.said)


def test_a_failed_run_says_why_and_leaves_what_was_kept(answering: list[list[str]], tmp_path: Path) -> None:
    before = run(ROW, results=tmp_path)
    with pytest.raises(SystemExit, match="no card here"):
        run(ROW, ("fail",), tmp_path)
    assert kept("made_up", tmp_path) == before


def test_the_page_has_what_was_run_and_says_what_was_not(answering: list[list[str]], tmp_path: Path) -> None:
    run(ROW, results=tmp_path)
    other = Row(name="away", question="And this?", short=Short(title="Away", by_hand="needs a card", arguments=("--pairs", "3")))
    text, plots = report.page([ROW, other], tmp_path)
    assert "| two & more | 1.25 | 1.1 to 1.3 |" in text
    assert "![Made up](benchmarks/made_up.svg)" in text
    assert "Not run here by this command: needs a card. To run it: `python -m benchmarks.away --pairs 3`" in text
    drawing = ElementTree.fromstring(plots["made_up.svg"])
    bars = [float(e.attrib["width"]) for e in drawing.iter("{http://www.w3.org/2000/svg}rect") if e.get("class") == "bar"]
    assert bars[1] == pytest.approx(2.5 * bars[0], rel=0.01)
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}path"))) == 1  # the line at 1


def test_the_page_in_the_docs_is_what_was_kept() -> None:
    text, plots = report.page(listed())
    assert report.PAGE.read_text(encoding="utf-8") == text, "renew it: python -m benchmarks --page"
    assert {path.name for path in report.PLOTS.glob("*.svg")} == set(plots)
