"""Updates and the way back, between real git repositories made here; what would install packages is a stand-in."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import filelock
import pytest

from modules.faults import SetupFault
from modules.flags import Flags
from modules.folders import PROGRAM
from modules.setup import environment, running, update

AUTHOR = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
HEAD = (PROGRAM / "launch.py").read_text(encoding="utf-8").partition("from modules.setup import interpreter")[0]
BODY = """
from modules import __version__
from modules.part import PART
print(__version__, PART, LAUNCH)
"""
# A process that ends without a word after so many renames, removals and calls of git, counted from the one that writes down the journal.
KILLED = """
import os, sys
from pathlib import Path
sys.prefix = sys.base_prefix
from modules.flags import Flags
from modules.setup import environment, update

program, left, counting = Path(sys.argv[1]), int(sys.argv[2]), False

def count(event, args):
    global left, counting
    counting = counting or (event == "os.rename" and str(args[1]).endswith("journal.json"))
    if counting and event in ("os.rename", "os.remove", "subprocess.Popen"):
        left -= 1
        if left < 0:
            os._exit(9)

def make_venv(venv):
    environment.python_of(venv).parent.mkdir(parents=True)
    environment.python_of(venv).write_text("")
    (venv / "pyvenv.cfg").write_text("version = 3.11.7")

means = update.Means(make_venv=make_venv, install=lambda *_, **__: None, check=lambda *_: "")
sys.addaudithook(count)
update.update(program, Flags(command="update"), say=lambda text: None, means=means)
"""


@dataclass
class Stand:
    """Stands for what installs packages: environments are folders, and what was asked of pip is kept."""

    asked: list[list[str]] = field(default_factory=list)
    problem: str = ""

    def means(self) -> update.Means:
        return update.Means(make_venv=make_venv, install=self.install, check=lambda python, tree: self.problem)

    def install(self, python: Path, words: list[str], **_: object) -> None:
        self.asked.append([str(python), *words])


def make_venv(venv: Path) -> None:
    environment.python_of(venv).parent.mkdir(parents=True)
    environment.python_of(venv).write_text("")
    (venv / "pyvenv.cfg").write_text("version = 3.11.7\n")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *AUTHOR, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def release(author: Path, version: str, requirements: str, **files: str | None) -> None:
    """A commit and its tag, pushed. files: path with __ for / -> content, None to remove."""
    wanted = {"modules/__init__.py": f'__version__ = "{version}"\n', "modules/part.py": f'PART = "{version}"\n'}
    wanted |= {"launch.py": HEAD + f'LAUNCH = "{version}"\n' + BODY, "requirements.txt": requirements, "ui-config.json": f'"{version}"'}
    for path, text in {**wanted, **{name.replace("__", "/") + ".py": text for name, text in files.items()}}.items():
        place = author / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True) if text is None else place.write_text(text)
    git(author, "add", "-A")
    git(author, "commit", "-qm", version)
    git(author, "tag", f"v{version}")
    git(author, "push", "-q", "origin", "HEAD:main", "--tags")


@dataclass
class World:
    """author: where releases are made; program: a clone of the first one, with an environment; said: what was told."""

    author: Path
    program: Path
    stand: Stand = field(default_factory=Stand)
    said: list[str] = field(default_factory=list)

    def update(self, *words: str) -> int:
        return update.update(self.program, Flags(command="update", rest=words), say=self.said.append, means=self.stand.means())

    def rollback(self) -> int:
        return update.rollback(self.program, Flags(command="rollback"), say=self.said.append)

    def starts(self) -> str:
        return starts(self.program)

    def status(self) -> str:
        return git(self.program, "status", "--porcelain", "--untracked-files=no")


def starts(program: Path) -> str:
    """What the program prints: its version as three of its files have it."""
    done = subprocess.run([sys.executable, "-S", "launch.py"], cwd=program, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr


def all_of(version: str) -> str:
    return " ".join([version] * 3)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    author, remote, program = tmp_path / "author", tmp_path / "remote.git", tmp_path / "program"
    author.mkdir()
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(remote)], check=True)
    git(author, "init", "-q", "-b", "main")
    git(author, "remote", "add", "origin", str(remote))
    (author / ".gitignore").write_text("__pycache__/\n/venv/\n/venv-*/\n/.update/\n/cache/\n/log/\n/outputs/\n/config.json\n")
    release(author, "0.1.0", "torch==1.0\n", modules__gone="x = 1\n")
    subprocess.run(["git", "clone", "-q", "--template=", str(remote), str(program)], check=True)
    make_venv(program / "venv")
    environment.stamp(program / "venv", program / "requirements.txt")
    return World(author, program)


def test_check_only_looks(world: World):
    assert world.update("--check") == 0
    assert "nothing to do" in world.said[-1]
    release(world.author, "0.2.0", "torch==1.0\n")
    release(world.author, "0.3.0rc1", "torch==1.0\n")
    assert world.update("--check") == 0
    assert world.said[-1] == "This is 0.1.0. 0.2.0 can be had: python launch.py update"
    assert world.starts() == all_of("0.1.0")


def test_to_the_latest_release_and_back_with_all_that_is_the_persons_own(world: World):
    release(world.author, "0.2.0", "torch==2.0\n", modules__gone=None, modules__fresh="y = 2\n")
    release(world.author, "0.10.0", "torch==2.0\n", modules__deep__new="z = 3\n")
    own = {"config.json": "{}", "outputs/a.png": "picture", "models/mine.safetensors": "weights", "ui-config.json": '"by hand"'}
    for path, text in own.items():
        (world.program / path).parent.mkdir(exist_ok=True)
        (world.program / path).write_text(text)
    assert world.update() == 0
    assert world.starts() == all_of("0.10.0")
    assert (world.program / "modules/deep/new.py").exists()
    assert not (world.program / "modules/gone.py").exists()
    assert world.status() == "M ui-config.json"
    venv = world.program / "venv-0.10.0"
    assert environment.home(world.program) == venv
    assert world.stand.asked == [
        [str(environment.python_of(venv)), "-r", str(world.program / ".update" / "tree" / "requirements.txt")],
    ]
    assert environment.is_stamped(venv, world.program / "requirements.txt")
    assert world.rollback() == 0
    assert world.starts() == all_of("0.1.0")
    assert environment.home(world.program) == world.program / "venv"
    assert git(world.program, "branch", "--show-current") == "main"
    assert world.status() == "M ui-config.json"
    assert {path: (world.program / path).read_text() for path in own} == own
    with pytest.raises(SetupFault, match="no update to go back from"):
        world.rollback()
    assert world.update("--to", "v0.2.0") == 0
    assert world.starts() == all_of("0.2.0")
    assert len(world.stand.asked) == 1, "the environment of 0.10.0 has what 0.2.0 needs"
    assert world.update() == 0
    assert world.rollback() == 0
    assert world.starts() == all_of("0.2.0")


def test_environments_that_nobody_uses_go(world: World):
    for version in ("0.2.0", "0.3.0"):
        release(world.author, version, f"torch=={version}\n")
        world.update()
    assert [path.name for path in environment.homes(world.program)] == ["venv-0.2.0", "venv-0.3.0"]


def test_the_installer_takes_up_where_it_was_and_uses_a_folder_of_wheels(world: World, tmp_path: Path):
    release(world.author, "0.2.0", "torch==2.0\n")
    make_venv(world.program / "venv-0.2.0")
    (tmp_path / "wheels").mkdir()
    flags = Flags(command="update", wheels=str(tmp_path / "wheels"))
    update.update(world.program, flags, say=world.said.append, means=world.stand.means())
    assert world.stand.asked[0][1:4] == ["--no-index", "--find-links", str(tmp_path / "wheels")]


REFUSALS: dict[str, tuple[Callable[[World], object], str]] = {
    "changed by hand": (lambda w: (w.program / "modules/part.py").write_text("PART = 'mine'\n"), "    modules/part.py\n"),
    "a file in the way": (lambda w: (w.program / "modules/fresh.py").write_text("mine = 1\n"), "    modules/fresh.py\n"),
    "does not start": (lambda w: setattr(w.stand, "problem", "No module named torch"), "0.1.0 stays: No module named torch"),
    "no clone": (lambda w: shutil.rmtree(w.program / ".git"), "unpacked from an archive"),
    "no remote": (lambda w: git(w.program, "remote", "remove", "origin"), "no remote repository"),
    "remote away": (lambda w: shutil.rmtree(w.author.parent / "remote.git"), "`git fetch` failed"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refused_with_everything_as_it_was(world: World, what: str):
    release(world.author, "0.2.0", "torch==2.0\n", modules__fresh="y = 2\n")
    do, words = REFUSALS[what]
    do(world)
    before = {p: p.read_bytes() for p in world.program.rglob("*.py")}
    with pytest.raises(SetupFault) as caught:
        world.update()
    assert words in caught.value.message
    after = {p: p.read_bytes() for p in world.program.rglob("*.py") if ".update" not in p.parts}
    assert after == before
    assert environment.home(world.program) == world.program / "venv"


def test_an_unknown_release_names_those_that_are_near(world: World):
    release(world.author, "0.2.0", "torch==1.0\n")
    with pytest.raises(SetupFault, match=r"There is no release 0\.2\.1\. There is 0\.2\.0"):
        world.update("--to", "0.2.1")


def test_not_while_the_program_runs(world: World):
    release(world.author, "0.2.0", "torch==1.0\n")
    cache = world.program / "cache"
    cache.mkdir()
    (cache / running.TOLD).write_text('{"pid": 77, "url": "http://here/"}')
    with filelock.FileLock(cache / running.LOCK), pytest.raises(SetupFault, match="process 77 at http://here/"):
        world.update()
    assert world.update() == 0


def test_a_job_list_of_the_newer_version_gives_way_to_the_one_of_before(world: World):
    release(world.author, "0.2.0", "torch==1.0\n")
    cache = world.program / "cache"
    cache.mkdir()

    def write(name: str, version: int) -> None:
        with sqlite3.connect(cache / name) as db:
            db.execute(f"PRAGMA user_version={version}")
        db.close()

    def version(name: str) -> int:
        with sqlite3.connect(cache / name) as db:
            return db.execute("PRAGMA user_version").fetchone()[0]

    write("jobs.sqlite", 4)
    world.update()
    write("jobs.format-4.sqlite", 4)  # what the newer version does at its first start
    write("jobs.sqlite", 5)
    world.rollback()
    assert (version("jobs.sqlite"), version("jobs.format-5.sqlite")) == (4, 5)
    assert "jobs.format-5.sqlite" in world.said[-1]


def test_cut_off_at_any_moment_one_of_the_two_versions_starts_whole(world: World, tmp_path: Path):
    release(world.author, "0.2.0", "torch==2.0\n", modules__gone=None, modules__deep__new="z = 3\n")
    git(world.program, "fetch", "-q", "--tags")
    seen: dict[str, int] = {}
    done: subprocess.CompletedProcess[bytes] | None = None
    for left in range(100):
        program = tmp_path / f"copy-{left}"
        shutil.copytree(world.program, program, symlinks=True)
        done = subprocess.run([sys.executable, "-S", "-c", KILLED, str(program), str(left)], cwd=PROGRAM, check=False)
        said = starts(program)
        seen[said] = seen.get(said, 0) + 1
        assert said in (all_of("0.1.0"), all_of("0.2.0")), f"cut off at {left}"
        assert git(program, "status", "--porcelain", "--untracked-files=no") == ""
        assert environment.home(program).name == ("venv" if said == all_of("0.1.0") else "venv-0.2.0")
        shutil.rmtree(program)
        if seen.get(all_of("0.2.0"), 0) == 2:
            break
    assert done is not None
    assert done.returncode == 9, "it was still tidying up"
    assert seen[all_of("0.1.0")] > 9
