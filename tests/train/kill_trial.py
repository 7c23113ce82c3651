"""Ten kills: `python -m tests.train.kill_trial [--kills 10] [--seed N]`. A training that is killed by SIGKILL at random moments against an
unbroken one: the loss curve, the final weights, every sample and every file on the way must be equal bit for bit.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.train.killing import differences, killed_run, processes, timed
from tests.train.runs import FULL, session_at

CONFIG = {
    **FULL, "max_train_steps": 240, "save_every": 15, "validate_every": 20, "sample_every": 24, "text_encoder_steps": 40,
    "text_encoder_lr": 1e-3, "method": "dreambooth", "keep_last": 0,
}  # fmt: skip


def main() -> int:
    """Returns 0 when everything is equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--slow-s", type=float, default=0.02, help="a pause in each step, so that there is something to kill")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = session_at(Path(folder) / "whole", CONFIG), session_at(Path(folder) / "broken", CONFIG)
        seconds = timed(whole, asked.slow_s)
        print(f"an unbroken run of {whole.config().total_steps} steps: {seconds:.1f} s; seed {asked.seed}", flush=True)
        kills = killed_run(
            broken.folder.parents[2], asked.kills, random.Random(asked.seed), 1.6 * seconds / asked.kills, asked.slow_s, processes()
        )
        for number, kill in enumerate(kills):
            print(f"  kill {number + 1}: after {kill.after_s:.2f} s, the state stood at step {kill.step}")
        found = differences(whole, broken)
    print(f"not equal: {', '.join(found)}" if found else "equal bit for bit: the loss curve, the final weights, every sample and file")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
