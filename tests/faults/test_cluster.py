"""Workers on other machines, with Ray's own cluster of several raylets: kill -9 of each kind of process loses nothing and doubles nothing.

`python -m tests.cluster.trial` does the same at length.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.trial import KINDS, Trial, raylets

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def test_every_kind_of_process_is_killed(tmp_path: Path):
    with raylets(2) as cluster:
        report = Trial(tmp_path, cluster, jobs=16, kills=len(KINDS), seed=5).run()
    assert set(report.killed) == set(KINDS)
    assert (report.lost, report.doubled, report.wrong) == ([], [], [])
