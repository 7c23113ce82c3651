"""Rules on the files of the repository: no machine's own paths, exact pins, tests for every room, no huge files, one version."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.house.test_floors import PLACE
from tests.house.tree import ROOT, Finding, Tree, report

TEXT_ENDINGS = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
    ".json",
    ".js",
    ".css",
    ".html",
    ".svg",
    ".sh",
    ".bat",
    ".ps1",
    ".cfg",
    ".ini",
    "",
}
PATTERN_FILES = {".gitignore", ".gitattributes"}  # a leading slash there means the root of the checkout
# Paths that exist on one person's machine only.
PERSONAL = re.compile(r"(?<![\w./<>-])(?:/(?:home|Users|root|tmp|var/tmp)/[\w.-]+|[A-Za-z]:\\\\?Users\\)")
PIN = re.compile(r"^[A-Za-z0-9][\w.-]*(\[[\w,.-]+\])?==\d[\w.!+]*(\s*;.+)?$")
FILE_BYTES = 50_000_000
# Rooms whose tests stand under another name: setup/ is what launch.py does before there is an environment.
MIRRORS = {"setup": "launch"}


def tracked(root: Path = ROOT) -> list[Path]:
    """The files that are or will be in the repository. Without git: everything but what .gitignore's folders hold."""
    if shutil.which("git") and (root / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
        return [root / n for n in names if n and (root / n).is_file()]
    skip = {"venv", "cache", "log", "outputs", "__pycache__", ".git"}
    return [p for p in root.rglob("*") if p.is_file() and not skip & set(p.relative_to(root).parts)]


def find_personal(root: Path, files: Iterable[Path]) -> list[Finding]:
    """Text files that name a folder of the machine they were written on."""
    own = [p for p in {str(root), str(Path.home()), sys.prefix, str(root.parent)} if len(p) > 4]
    found: list[Finding] = []
    for path in files:
        if path.name in PATTERN_FILES or path.suffix not in TEXT_ENDINGS or path.stat().st_size > 1_000_000:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            bad = next((p for p in own if f"{p}/" in line or line.endswith(p)), None) or ((m := PERSONAL.search(line)) and m.group())
            if bad:
                found.append(Finding(path.relative_to(root).as_posix(), number, "machine paths", f"names {bad}"))
    return found


def find_loose_pins(root: Path) -> list[Finding]:
    """Lines of requirements*.txt that are not `name==version`, also of folders directly in the root."""
    found: list[Finding] = []
    for path in sorted([*root.glob("requirements*.txt"), *root.glob("*/requirements*.txt")]):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            text = line.partition(" #")[0].strip()
            if text and not text.startswith(("#", "-r ")) and not PIN.match(text):
                found.append(Finding(path.relative_to(root).as_posix(), number, "pins", f"{text!r} is not pinned with =="))
    return found


def find_untested(tree: Tree, rooms: Iterable[str]) -> list[Finding]:
    """Rooms without a test: tests/<room>/test_*.py or a test_<room>*.py anywhere under tests/."""
    names = [f.name for f in tree.under("tests")]
    found: list[Finding] = []
    for room in rooms:
        room = MIRRORS.get(room, room)
        mirror = re.compile(rf"^tests/(?:{room}/(?:.+/)?test_\w+|(?:.+/)?test_{room}(?:_\w+)?)\.py$")
        if not any(mirror.match(n) for n in names):
            found.append(Finding(room, 0, "tests mirror rooms", f"no tests/{room}/test_*.py and no test_{room}.py"))
    return found


def test_no_file_names_the_machine_it_was_written_on():
    assert not (found := report(find_personal(ROOT, tracked()))), found


def test_requirements_are_pinned():
    assert (ROOT / "requirements.txt").is_file()
    assert not (found := report(find_loose_pins(ROOT))), found


def test_every_room_has_tests():
    assert not (found := report(find_untested(Tree.read(), PLACE))), found


def test_no_file_is_huge():
    huge = [f"{p.relative_to(ROOT)}: {p.stat().st_size / 1e6:.0f} MB" for p in tracked() if p.stat().st_size > FILE_BYTES]
    assert not huge, huge


@pytest.mark.parametrize("text", ["see @home/ann/models", "C:\\@Users\\ann\\x", "log in @tmp/x.log", "@root/venv/bin"])
def test_catches_machine_paths(tmp_path: Path, text: str):
    text = text.replace("\\@", "\\").replace("@", "/")  # so that this file does not name them itself
    (tmp_path / "a.md").write_text(f"one\n{text}\n")
    assert "a.md:2" in report(find_personal(tmp_path, [tmp_path / "a.md"]))


def test_catches_the_checkouts_own_path(tmp_path: Path):
    (tmp_path / "a.py").write_text(f"MODELS = '{tmp_path}/models'\n")
    assert "a.py:1" in report(find_personal(tmp_path, [tmp_path / "a.py"]))


def test_routes_and_relative_paths_are_no_machine_paths(tmp_path: Path):
    (tmp_path / "a.md").write_text("GET /sdapi/v1/txt2img\nhttp://host/home/x\n~/models\noutputs/txt2img-images\n<home>/tmp/x\n")
    assert find_personal(tmp_path, [tmp_path / "a.md"]) == []


@pytest.mark.parametrize(
    ("line", "good"),
    [("torch==2.1.0", True), ("uvicorn[standard]==0.3 ; python_version<'3.12'", True), ("torch>=2", False), ("torch", False)],
)
def test_what_a_pin_is(tmp_path: Path, line: str, good: bool):
    (tmp_path / "requirements.txt").write_text(f"# a comment\n{line}  # why\n")
    assert (find_loose_pins(tmp_path) == []) is good


def test_catches_a_room_without_tests():
    tree = Tree.made({"tests/jobs/test_store.py": "", "tests/words/test_infotext.py": "", "tests/web/conftest.py": ""})
    assert [f.file for f in find_untested(tree, ["jobs", "infotext", "web", "saver"])] == ["web", "saver"]
