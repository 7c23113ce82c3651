"""A training that is killed by SIGKILL at random moments. Ten kills: `python -m tests.train.kill_trial`."""

from __future__ import annotations

import random
from pathlib import Path

from tests.train.killing import differences, killed_run, processes
from tests.train.runs import FULL, run, session_at


def test_three_kills_and_the_run_is_as_if_unbroken(tmp_path: Path):
    config = {**FULL, "max_train_steps": 30, "save_every": 5, "validate_every": 6, "sample_every": 7}
    whole, broken = session_at(tmp_path / "whole", config), session_at(tmp_path / "broken", config)
    run(whole)
    kills = killed_run(tmp_path / "broken", 3, random.Random(11), 2.0, 0.05, processes())
    print(kills)
    assert broken.summary().step == 30
    assert differences(whole, broken) == []
