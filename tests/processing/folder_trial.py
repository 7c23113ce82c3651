"""A folder of pictures for captions, with broken files among them; by hand: 1,000 of them through a true worker that is killed on the way.

`python -m tests.processing.folder_trial` prints what came of it. Start reading at `make`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from modules.app import build
from modules.caption.ledger import FILE, runs
from modules.flags import Flags
from modules.jobs import Jobs
from modules.request.caption_folder import FolderRequest

SIDES = ((40, 30), (24, 56), (64, 64), (33, 17))
BACKEND = "tests.processing.caption_backend:build"
WAIT_S = 600


def make(folder: Path, count: int, bad: int) -> list[str]:
    """`count` small pictures of mixed sizes, `bad` of them broken in several ways, spread evenly. Returns the broken ones' names."""
    folder.mkdir(parents=True, exist_ok=True)
    step = count // bad if bad else count + 1
    broken: list[str] = []
    for n in range(count):
        path = folder / f"picture {n}.png"
        pixels = np.random.default_rng(n).integers(0, 255, (*SIDES[n % len(SIDES)], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, compress_level=1)
        if n % step == step - 1 and len(broken) < bad:
            data = path.read_bytes()
            path.write_bytes((b"", b"no picture", data[: len(data) // 2])[len(broken) % 3])
            broken.append(path.name)
    return broken


def main(count: int = 1000, bad: int = 50, kills: int = 1) -> None:
    """Make the folder, caption it, kill the worker on the way, and say whether anything was done twice."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place)
        broken = make(data / "set", count, bad)
        app = build(Flags(data_dir=str(data)))
        app.jobs.stop()
        app = dataclasses.replace(app, jobs=Jobs(app.folders, {}, runner=BACKEND))
        app.start()
        began = time.monotonic()
        job = app.submit_caption_folder(FolderRequest(folder="set", num_beams=1, max_length=8, batch_size=16))
        ledger = runs(app.folders) / job.id / FILE
        for n in range(kills):
            while not ledger.is_file() or len(ledger.read_bytes().splitlines()) < (n + 1) * count // (kills + 1):
                time.sleep(0.02)
            os.kill(app.jobs.worker()["pid"], signal.SIGKILL)
        ended = app.jobs.wait(job.id, WAIT_S)
        took = time.monotonic() - began
        names = [json.loads(line).get("name") for line in ledger.read_text().splitlines()[1:]]
        result = ended.result or {}
        app.stop()
        texts = sorted(path.name for path in (data / "set").glob("*.txt"))
        told = {fault["name"] for fault in result["faults"]}
        sys.stdout.write(
            f"{ended.state} after {ended.attempts} attempts in {took:.1f} s, {result['per_second']} pictures/s in the last one\n"
            f"{result['captioned']} captions, {len(texts)} files, {result['failed']} faults, all named: {told == set(broken)}\n"
            f"{len(names)} lines, {len(names) - len(set(names))} pictures done twice, {result['earlier']} done before the kill\n"
        )


if __name__ == "__main__":
    main()
