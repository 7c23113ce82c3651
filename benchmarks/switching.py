"""How long a change of the model takes: loaded from the disk, and taken back from main memory.

    python -m benchmarks.switching [--rounds 5] [--model FOLDER]

Takes two copies of a model in turn, as with "Maximum number of checkpoints loaded" 1 and 2. The files are in the system's cache after the
first round, which is not counted.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.backends import asked
from benchmarks.program import machine
from modules.backends.table import EAGER
from modules.folders import Folders
from modules.processing.slot import Slot


def switched(rounds: int, keep: int, folder: Path | None) -> list[float]:
    """Seconds of each change. keep: how many models may stay in memory."""
    with tempfile.TemporaryDirectory() as data:
        folders = Folders.at(Path(data))
        args = argparse.Namespace(steps=1, side=128)
        one = asked(folders, args, EAGER, 0).checkpoint
        one = one if folder is None else dataclasses.replace(one, path=str(folder), title=folder.name, model_name=folder.name)
        models = [dataclasses.replace(one, title=name, sha256=name) for name in ("a", "b")]
        slot = Slot(lambda p: None, lambda p: None, "float32", lambda: 2**40)
        spent: list[float] = []
        for n in range(2 * rounds + 2):
            began = time.perf_counter()
            slot.take(models[n % 2], lambda *said, **more: None, keep=keep)
            spent.append(time.perf_counter() - began)
        return spent[2:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", type=Path, help="a folder of the same family as the starter model")
    args = parser.parse_args()
    print(machine())
    for keep, words in ((1, "loaded from the disk"), (2, "taken back from main memory")):
        spent = switched(args.rounds, keep, args.model)
        print(f"{words}: {statistics.median(spent):.3f} s ({min(spent):.3f} to {max(spent):.3f})")


if __name__ == "__main__":
    main()
