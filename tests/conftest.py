"""What every test shares: no way out of this machine, a folder of its own, and the path of the starter model.

Knows nothing about single rooms; their fixtures lie in their own folders.
"""

from __future__ import annotations

import gc
import os
import runpy
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from modules.folders import PROGRAM, Folders

pytest_plugins = ["tests.ordering"]

# Property tests draw the same cases in every run, so that a run says something about the change and not about luck.
# Others are drawn with `--hypothesis-profile=default`.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

# Test modules import every library there is. Garbage is looked for once, when all are there.
gc.disable()

# The models here are tiny; two threads would wait for each other. Set before a room's conftest.py imports torch, which reads it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
OFFLINE = Path(__file__).parent / "offline"
LOG = Path(tempfile.mkdtemp(prefix="offline-")) / "attempts.txt"


def pytest_configure() -> None:
    """Close the network before any test module is imported, here and in every Python process started from here."""
    LOG.touch()
    os.environ["OFFLINE_LOG"] = str(LOG)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(OFFLINE), os.environ.get("PYTHONPATH")]))
    runpy.run_path(str(OFFLINE / "sitecustomize.py"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What importing has left in memory stays to the end: the program collects garbage between models, and would look through all of it."""
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Libraries that count their objects when the process ends find them gone."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def stays_on_this_machine() -> Iterator[Path]:
    """Fails the test when it, or a process it started, tried to reach another host, even if the error was swallowed."""
    before = LOG.stat().st_size
    yield LOG
    attempts = LOG.read_text(encoding="utf-8")[before:]
    if attempts:
        pytest.fail(f"tried to leave this machine:\n{attempts}", pytrace=False)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data folder (settings, outputs, cache) that belongs to one test."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def folders(data_dir: Path) -> Folders:
    """Folders over `data_dir`; the program's own models stay visible."""
    return Folders.at(data=data_dir)


@pytest.fixture(scope="session")
def starter_path() -> Path:
    """The starter model's folder (diffusers layout)."""
    path = PROGRAM / "models" / "Stable-diffusion" / "darkroom-starter"
    if not (path / "model_index.json").is_file():
        pytest.fail(f"the starter model is missing: {path.relative_to(PROGRAM)}", pytrace=False)
    return path
