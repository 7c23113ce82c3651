"""`python launch.py test` and `check`: the rings of tests, one pytest run each, and the tools that read the code.

A ring is a folder under tests/; every other folder belongs to the fast ring. Start reading at `test`.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.setup import chromium

NOTHING_COLLECTED = 5
OWN_FOLDERS = ("house", "model", "browser", "faults")
RINGS = ("house", "fast", "model", "browser", "faults")
MOST_PROCESSES = 4  # each holds torch
MOST_AGAIN = 5  # more failures than these are no chance
LONGEST_S = 40 * 60  # of a ring; three times what the longest takes on two cores
TOO_LONG = 124  # as the command "timeout" ends
CRASHED = 125  # a process of the tests ended by itself, and with it the run
CRASH = "crashed while running"  # words of that plugin in the report
COUNTS = ("passed", "failed", "errors", "skipped")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a ring went. state: "passed", "failed" or "not run"; why: in words when it was not run; counts in order of COUNTS.

    unsteady: tests that failed beside others and passed alone.
    """

    ring: str
    state: str
    why: str = ""
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    seconds: float = 0.0
    unsteady: tuple[str, ...] = ()


def test(program: Path, python: Path, rest: Sequence[str], *, say: Callable[[str], None]) -> int:
    """Run every ring, or only the test files named in rest, and say how each went. rest: words for pytest.

    Returns 1 when a test failed, when nothing ran, or when a ring could not run although CI=true asks for all of them.
    """
    env = dict(os.environ)
    named = [w for w in rest if (program / w.partition("::")[0]).exists() and not w.startswith("-")]
    browser, why = chromium.find_or_install(say)
    if browser:
        env["CHROMIUM"] = browser
    # The tests start the program a hundred times; where PYTHONDONTWRITEBYTECODE is set, each of these would read its source anew.
    subprocess.call([str(python), "-m", "compileall", "-q", "modules"], cwd=program, stdout=subprocess.DEVNULL)
    outcomes: list[Outcome] = []
    for ring in ["chosen"] if named else RINGS:
        missing = why if ring == "browser" and not browser else ""
        folder = program / "tests" / ring
        if not missing and ring in OWN_FOLDERS and not any(folder.glob("**/test_*.py")):
            missing = f"there are no tests in tests/{ring}"
        if missing:
            outcomes.append(Outcome(ring=ring, state="not run", why=missing))
            continue
        say(f"\nring {ring}")
        outcomes.append(run_ring(program, python, ring, rest, env))
    for line in summary(outcomes):
        say(line)
    return verdict(outcomes, strict=os.environ.get("CI", "").lower() in ("true", "1"))


def run_ring(program: Path, python: Path, ring: str, rest: Sequence[str], env: dict[str, str]) -> Outcome:
    """One pytest run; its output goes to the terminal as it comes.

    A few tests that failed (MOST_AGAIN at most) are run once more, alone: tests that drive processes and a browser against the clock can
    starve beside others. One that fails again has failed; one that passes is named in the summary. When a process of the tests ends by
    itself, the whole ring is run once more, and the test it was at is named.
    """
    began = time.monotonic()
    words = [*paths_of(ring), *_processes(ring), *rest]
    code, counts, failed = _pytest(program, python, words, env)
    unsteady: tuple[str, ...] = ()
    if code == CRASHED:
        crashed = failed
        code, counts, failed = _pytest(program, python, words, env)
        unsteady = tuple(crashed)
    if ring != "chosen" and 0 < len(failed) <= MOST_AGAIN and counts[1] + counts[2] == len(failed):
        again, second, still = _pytest(program, python, [*failed, *rest], env)
        if second[0] + len(still) == len(failed):
            code, unsteady = again, (*unsteady, *(name for name in failed if name not in still))
            counts = (counts[0] + second[0], *second[1:3], counts[3])
    seconds = time.monotonic() - began
    if code == NOTHING_COLLECTED:
        return Outcome(ring=ring, state="not run", why="no test of it was selected", seconds=seconds)
    state, why = ("passed", "") if code == 0 else ("failed", "" if counts[1] or counts[2] else _ended(code))
    return Outcome(ring=ring, state=state, why=why, counts=counts, seconds=seconds, unsteady=unsteady)


def _ended(code: int) -> str:
    """Why there is no count of failures."""
    return f"it was ended after {LONGEST_S / 60:.0f} minutes" if code == TOO_LONG else f"pytest ended with {code}"


def _pytest(program: Path, python: Path, words: Sequence[str], env: dict[str, str]) -> tuple[int, tuple[int, int, int, int], list[str]]:
    """(exit status, counts, names of the failed tests) of one run of pytest.

    It is ended after LONGEST_S, and when one of its processes crashes: the plugin that spreads the tests would wait for ever.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        try:
            code = subprocess.call([str(python), "-m", "pytest", *words, f"--junitxml={report}"], cwd=program, env=env, timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            code = TOO_LONG
        if code and report.exists() and CRASH in report.read_text(encoding="utf-8"):
            code = CRASHED
        return code, read_counts(report), read_failed(report)


def _processes(ring: str) -> list[str]:
    """Words for pytest that spread the files of a ring over the cores, in the order of tests/ordering.py.

    The plugin's own order would put the files with few tests last, and those hold the longest.
    """
    count = min(os.cpu_count() or 1, MOST_PROCESSES)
    spread = ["-n", str(count), "--dist", "loadfile", "--no-loadscope-reorder", "--max-worker-restart", "0"]
    return spread if ring in RINGS and count > 1 else []


def paths_of(ring: str) -> list[str]:
    """What pytest is told to collect for a ring."""
    if ring == "chosen":
        return []
    if ring == "fast":
        return ["tests", *(f"--ignore=tests/{name}" for name in OWN_FOLDERS)]
    return [f"tests/{ring}"]


def read_counts(report: Path) -> tuple[int, int, int, int]:
    """(passed, failed, errors, skipped) of a JUnit report; zeros when pytest wrote none."""
    try:
        suites = list(ET.parse(report).getroot().iter("testsuite"))
    except (OSError, ET.ParseError):
        return (0, 0, 0, 0)
    total, failed, errors, skipped = (sum(int(s.get(k, "0")) for s in suites) for k in ("tests", "failures", "errors", "skipped"))
    return (total - failed - errors - skipped, failed, errors, skipped)


def read_failed(report: Path) -> list[str]:
    """What pytest calls the failed tests of a JUnit report: path::name. Empty when there is none."""
    try:
        root = ET.parse(report).getroot()
    except (OSError, ET.ParseError):
        return []
    cases = [*root.findall(".//testcase[failure]"), *root.findall(".//testcase[error]")]
    return list(dict.fromkeys(f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '')}" for case in cases))


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """A line a ring, and pytest's own closing line over all of them."""
    lines = [""]
    for o in outcomes:
        told = ", ".join(f"{n} {what}" for n, what in zip(o.counts, COUNTS, strict=True) if n or what == "passed")
        text = told if not o.why else f"{o.why}" if o.state == "not run" else f"{told}; {o.why}"
        lines.append(f"ring {o.ring:<8} {o.state:<8} {text}" + (f" in {o.seconds:.1f}s" if o.state != "not run" else ""))
        lines.extend(f"    unsteady: failed once, passed alone: {name}" for name in o.unsteady)
    sums = [sum(o.counts[i] for o in outcomes) for i in range(len(COUNTS))]
    words = ", ".join(f"{n} {what}" for n, what in zip(sums, COUNTS, strict=True) if n or what in ("passed", "failed"))
    return [*lines, f"==== {words} in {sum(o.seconds for o in outcomes):.2f}s ===="]


def verdict(outcomes: Sequence[Outcome], *, strict: bool) -> int:
    """The exit status. strict: a ring that could not run is a failure."""
    states = [o.state for o in outcomes]
    if "failed" in states or "passed" not in states:
        return 1
    return 1 if strict and "not run" in states else 0


def check(program: Path, python: Path, rest: Sequence[str], *, say: Callable[[str], None]) -> int:
    """ruff (rules and format), pyright and the house tests, all of them also when one fails. rest: words for pytest.

    Returns 1 when one failed.
    """
    bin_folder = str(python.parent)
    env = {**os.environ, "PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", "")])}
    steps = {
        "ruff check": ["ruff", "check"],
        "ruff format": ["ruff", "format", "--check", "--quiet"],
        "pyright": ["pyright", "--pythonpath", str(python)],
        "house tests": ["pytest", "tests/house", *rest],
    }
    failed: list[str] = []
    for name, command in steps.items():
        say(f"\n{name}")
        if subprocess.call([str(python), "-m", *command], cwd=program, env=env):
            failed.append(name)
    say(f"\nfailed: {', '.join(failed)}" if failed else "\nall checks passed")
    return 1 if failed else 0
