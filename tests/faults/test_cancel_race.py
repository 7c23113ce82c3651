"""A job that is cancelled at whatever moment ends once, as done or canceled, and gives the device back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.cancelling import race

COUNT = 100


@pytest.mark.slow
def test_random_cancels_end_in_exactly_one_way(tmp_path: Path) -> None:
    found = race(tmp_path, COUNT)
    assert len(found) == COUNT
    assert all(one.ends == (one.state,) and one.state in ("done", "canceled") for one in found)
    assert all(one.late <= 1 for one in found)
    stopped = [one for one in found if one.state == "canceled"]
    assert len(stopped) > COUNT // 2
    assert {one.began for one in stopped} == {"queued", "running"}
    assert any(one.free_s is not None for one in stopped), "some were stopped on the device, and it was idle again after each"
