"""The test command: rings, counts, the closing line, and what counts as a failure. pytest is run for real on made-up tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from modules.setup import chromium, rings
from modules.setup.rings import Outcome

GOOD = "def test_good():\n    pass\n"
BAD = "def test_bad():\n    assert False\n"
SKIPPED = "import pytest\ndef test_skipped():\n    pytest.skip('because')\n"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program with a test in each ring; a browser that is there."""
    for ring in (*rings.OWN_FOLDERS, "words"):
        folder = tmp_path / "tests" / ring
        folder.mkdir(parents=True)
        (folder / f"test_{ring}.py").write_text(GOOD)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.setattr(chromium, "find_or_install", lambda say: ("/usr/bin/browser", ""))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # every process of these runs would load Hypothesis and the like
    monkeypatch.setenv("PYTEST_PLUGINS", "xdist.plugin")
    return tmp_path


@pytest.fixture
def no_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ring that is run passes two tests, in no time."""
    monkeypatch.setattr(rings, "run_ring", lambda program, python, ring, rest, env: Outcome(ring=ring, state="passed", counts=(2, 0, 0, 0)))


def run(program: Path, *words: str) -> tuple[int, list[str]]:
    said: list[str] = []
    code = rings.test(program, Path(sys.executable), ["-q", "-p", "no:cacheprovider", *words], say=said.append)
    return code, said


@pytest.mark.slow
def test_every_ring_runs_for_real_and_the_last_line_reads_like_pytests(program: Path):
    (program / "tests" / "house" / "test_house.py").write_text(BAD)
    (program / "tests" / "words" / "test_more.py").write_text(SKIPPED)
    (program / "tests" / "model" / "test_model.py").write_text("import no_such_module\n")
    code, said = run(program)
    told = {line.split()[1]: line.split()[2] for line in said if line.startswith("ring")}
    assert code == 1
    assert told == {"house": "failed", "fast": "passed", "model": "failed", "browser": "passed", "faults": "passed"}
    assert said[-1].startswith("==== 3 passed, 1 failed, 1 errors, 1 skipped in ")


@pytest.mark.usefixtures("no_pytest")
def test_the_program_is_compiled_once_for_all_processes_that_tests_start(program: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (program / "modules").mkdir()
    (program / "modules" / "small.py").write_text("A = 1\n")
    assert run(program)[0] == 0
    assert [file.suffix for file in (program / "modules" / "__pycache__").iterdir()] == [".pyc"]


def test_one_real_ring_with_further_words_for_pytest(program: Path):
    (program / "tests" / "words" / "test_more.py").write_text("def test_apple():\n    pass\n")
    env = dict(os.environ)
    quiet = ["-q", "-p", "no:cacheprovider", "-k"]
    assert rings.run_ring(program, Path(sys.executable), "fast", [*quiet, "apple"], env).counts == (1, 0, 0, 0)
    none = rings.run_ring(program, Path(sys.executable), "fast", [*quiet, "pear"], env)
    assert (none.state, none.why) == ("not run", "no test of it was selected")


UNSTEADY = """
import pathlib
import pytest

@pytest.mark.parametrize("n", [1, "a [b] (c)"])
def test_second_time(n):
    place = pathlib.Path(__file__).with_name(f"seen {n}")
    seen = place.exists()
    place.touch()
    assert seen
"""


def test_what_fails_once_and_passes_alone_is_named(program: Path):
    (program / "tests" / "words" / "test_more.py").write_text(UNSTEADY)
    outcome = rings.run_ring(program, Path(sys.executable), "fast", ["-q", "-p", "no:cacheprovider"], dict(os.environ))
    assert (outcome.state, outcome.counts) == ("passed", (3, 0, 0, 0))
    assert outcome.unsteady == ("tests/words/test_more.py::test_second_time[1]", "tests/words/test_more.py::test_second_time[a [b] (c)]")
    assert any(outcome.unsteady[0] in line for line in rings.summary([outcome]))


def test_what_fails_again_has_failed(program: Path):
    (program / "tests" / "words" / "test_more.py").write_text(UNSTEADY)
    (program / "tests" / "words" / "test_bad.py").write_text(BAD)
    outcome = rings.run_ring(program, Path(sys.executable), "fast", ["-q", "-p", "no:cacheprovider"], dict(os.environ))
    assert (outcome.state, outcome.counts, len(outcome.unsteady)) == ("failed", (3, 1, 0, 0), 2)


def test_many_failures_are_no_chance(program: Path):
    wide = UNSTEADY.replace('[1, "a [b] (c)"]', f"range({rings.MOST_AGAIN + 1})")
    (program / "tests" / "words" / "test_more.py").write_text(wide)
    outcome = rings.run_ring(program, Path(sys.executable), "fast", ["-q", "-p", "no:cacheprovider"], dict(os.environ))
    assert (outcome.state, outcome.counts, outcome.unsteady) == ("failed", (1, rings.MOST_AGAIN + 1, 0, 0), ())


def test_a_ring_that_hangs_is_ended_and_red(program: Path, monkeypatch: pytest.MonkeyPatch):
    (program / "tests" / "words" / "test_more.py").write_text("import threading\ndef test_waits():\n    threading.Event().wait()\n")
    monkeypatch.setattr(rings, "LONGEST_S", 2.0)
    outcome = rings.run_ring(program, Path(sys.executable), "fast", ["-q", "-p", "no:cacheprovider"], dict(os.environ))
    assert (outcome.state, outcome.counts) == ("failed", (0, 0, 0, 0))
    assert "was ended after" in outcome.why


ENDS = """
import os
import pathlib

def test_ends_the_process_once():
    mark = pathlib.Path(__file__).with_name("mark")
    if not mark.exists():
        mark.touch()
        os._exit(3)
"""


@pytest.mark.parametrize(
    ("text", "state", "counts"), [(ENDS, "passed", (2, 0, 0, 0)), (ENDS.replace("exists()", "is_dir()"), "failed", None)]
)
def test_a_ring_whose_process_ended_is_run_once_more(
    program: Path, monkeypatch: pytest.MonkeyPatch, text: str, state: str, counts: tuple[int, ...] | None
):
    (program / "tests" / "words" / "test_more.py").write_text(text)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    outcome = rings.run_ring(program, Path(sys.executable), "fast", ["-q", "-p", "no:cacheprovider"], dict(os.environ))
    assert outcome.state == state
    assert outcome.unsteady == ("tests/words/test_more.py::test_ends_the_process_once",)
    assert counts in (None, outcome.counts)


def test_files_with_slow_tests_begin_and_stay_whole(program: Path, monkeypatch: pytest.MonkeyPatch):
    """By the hook that every ring has, and by pytest's plugin, which has an order of its own unless it is told otherwise."""
    slow = "import pytest\npytestmark = pytest.mark.slow\ndef test_long():\n    pass\n"
    files = {"test_a.py": GOOD, "test_b.py": GOOD + GOOD.replace("good", "well"), "test_c.py": slow, "test_words.py": GOOD}
    for name, text in files.items():
        (program / "tests" / "words" / name).write_text(text)
    (program / "pytest.ini").write_text("[pytest]\nmarkers = slow: long\n")
    monkeypatch.setenv("PYTEST_PLUGINS", "xdist.plugin,tests.ordering")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    words = rings._processes("fast")
    words[words.index("-n") + 1] = "1"  # one process takes them in the order in which they are dealt out
    report = program / "report.xml"
    code = rings.subprocess.call(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, f"--junitxml={report}", "tests/words"], cwd=program
    )
    assert code == 0
    began = [case.get("classname", "") for case in rings.ET.parse(report).getroot().iter("testcase")]
    assert began == ["tests.words.test_c", "tests.words.test_b", "tests.words.test_b", "tests.words.test_a", "tests.words.test_words"]


def test_named_files_run_alone(program: Path, no_pytest: None):
    code, said = run(program, "tests/words/test_words.py::test_good")
    assert code == 0
    assert [line.split()[1] for line in said if line.startswith("ring ")][-1] == "chosen"
    assert said[-1].startswith("==== 2 passed, 0 failed in ")


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_a_missing_browser_is_said_and_is_a_failure_in_ci(
    program: Path, no_pytest: None, monkeypatch: pytest.MonkeyPatch, ci: str, code: int
):
    monkeypatch.setattr(chromium, "find_or_install", lambda say: (None, "no Chromium was found"))
    monkeypatch.setenv("CI", ci)
    got, said = run(program)
    assert got == code
    assert any(line.startswith("ring browser  not run  no Chromium was found") for line in said)
    assert said[-1].startswith("==== 8 passed, 0 failed in ")


def test_an_empty_ring_is_not_a_passed_one(program: Path, no_pytest: None):
    (program / "tests" / "faults" / "test_faults.py").unlink()
    _, said = run(program)
    assert any(line.startswith("ring faults   not run  there are no tests in tests/faults") for line in said)


def test_verdicts():
    passed, failed, absent = (Outcome(ring="r", state=s) for s in ("passed", "failed", "not run"))
    assert rings.verdict([passed, absent], strict=False) == 0
    assert rings.verdict([passed, absent], strict=True) == 1
    assert rings.verdict([passed, failed], strict=False) == 1
    assert rings.verdict([absent], strict=False) == 1


def test_the_named_browser_is_taken_and_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    browser = tmp_path / "my-browser"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(browser))
    assert chromium.find() == str(browser)
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "gone"))
    found, why = chromium.find_or_install(lambda line: None)
    assert found is None
    assert "which is no program" in why


@pytest.mark.skipif(os.name == "nt", reason="the stub of apt-get is a shell script")
def test_debians_browser_is_installed_by_root_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho "E: the mirror is away"\nexit ${{APT_FAILS:-0}}\n')
    apt.chmod(0o755)
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    monkeypatch.setattr(chromium, "find", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "install Chromium" in chromium.find_or_install(lambda line: None)[1]
    assert not (tmp_path / "calls").exists()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    chromium.find_or_install(lambda line: None)
    assert "install -qy --no-install-recommends chromium fonts-dejavu-core fonts-noto-color-emoji" in (tmp_path / "calls").read_text()
    monkeypatch.setenv("APT_FAILS", "100")
    assert chromium.find_or_install(lambda line: None) == (None, "apt-get update failed: E: the mirror is away")
