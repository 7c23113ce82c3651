"""How many waiting jobs are taken along when one begins, to be made as one batch. Pure; start reading at `count_joined`.

What two jobs must have in common is told by whoever knows what jobs are about: a `Joining`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modules.jobs.records import Job

# (kind, resolved, device of the worker) -> (what must be the same, pictures, most pictures at once); None: to be made by itself.
Joining = Callable[[str, dict[str, Any], Mapping[str, Any]], tuple[str, int, int] | None]


def never(kind: str, resolved: dict[str, Any], device: Mapping[str, Any]) -> None:
    """No job is joined."""


def count_joined(first: Job, waiting: Sequence[Job], joining: Joining, device: Mapping[str, Any], workers: int = 1) -> int:
    """How many of those that wait, in run order, go along with the first; up to the first that does not fit, as none is overtaken.

    workers: so many workers, this one counted in, have nothing to do; they share what fits.
    """
    own = joining(first.kind, first.resolved, device)
    if own is None or first.attempts > 1:
        return 0
    key, pictures, most = own
    sizes: list[int] = []
    for job in waiting:
        other = joining(job.kind, job.resolved, device)
        if other is None or other[0] != key:
            break
        sizes.append(other[1])
    share = -(-(1 + len(sizes)) // max(1, workers)) - 1
    count = 0
    for size in sizes[:share]:
        pictures += size
        if pictures > most:
            break
        count += 1
    return count
