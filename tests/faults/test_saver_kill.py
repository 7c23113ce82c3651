"""kill -9 of a process that saves pictures, at random moments: under a final name there is a whole picture or nothing."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from modules.folders import PROGRAM, Folders
from modules.infotext import VERSION
from modules.pixels.metadata import read_parameters
from modules.saver import sweep

KILLS = 20
SAVES = """
import itertools, os, sys
from pathlib import Path
from PIL import Image
from modules.folders import Folders
from modules.saver import Saver
from tests.words.examples import resolved
saver = Saver(Folders.at(Path(sys.argv[1])))
noise = Image.effect_noise((256, 256), 90).convert("RGB")
formats = ("png", "jpg", "webp")
print("ready", flush=True)
for n in itertools.count():
    settings = {"samples_format": formats[n % 3], "grid_format": formats[n % 3], "save_txt": True}
    saver.save(noise, resolved=resolved(seed=n, settings=settings), index=0, job=f"job-{os.getpid()}-{n}", saved=n % 4 != 3)
    saver.save(noise, resolved=resolved(seed=n, settings=settings), index=-1, job=f"job-{os.getpid()}-{n}", kind="grid")
"""


@pytest.mark.faults
def test_a_process_that_saves_is_killed_twenty_times(tmp_path: Path) -> None:
    chance, folders, seen = random.Random(7), Folders.at(tmp_path), 0
    for _ in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", SAVES, str(tmp_path)], cwd=PROGRAM, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.0, 0.4))
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        seen = check_all(folders)
    assert seen > KILLS
    strays = list(tmp_path.rglob(".*.tmp"))
    assert sweep(folders, time.time() + 2 * 3600) == len(strays)  # in outputs, in the cache and beside the settings
    assert not list(tmp_path.rglob(".*.tmp"))
    assert check_all(folders) == seen


def check_all(folders: Folders) -> int:
    """How many files have final names; every one of them is whole, and so is the index of pictures."""
    index = folders.cache / "pictures.sqlite"
    if index.exists():
        with contextlib.closing(sqlite3.connect(index)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    paths = [p for p in folders.data.rglob("*") if p.is_file() and p.suffix not in (".tmp", ".jsonl") and not p.name.startswith(index.name)]
    for path in paths:
        if path.suffix == ".txt":
            assert path.read_text(encoding="utf-8").strip().endswith(VERSION), path
            continue
        with Image.open(path) as image:
            image.load()
        assert "Seed: " in read_parameters(path)[0]
    return len(paths)
