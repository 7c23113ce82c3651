"""What follows a picture: in order, on another thread, and what fails there ends its own job alone."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from modules.faults import DiskFault
from modules.processing.job import Job
from modules.processing.line import Line


def job(line: Line | None) -> Job:
    nothing: Any = None
    return Job(id="a", resolved=nothing, control=None, made={}, line=line)


def test_work_is_done_in_order_on_one_other_thread() -> None:
    line, done = Line(), list[tuple[int, int]]()
    for n in range(50):
        line.put(lambda n=n: done.append((n, threading.get_ident())))
    line.wait()
    assert [n for n, _ in done] == [*range(50)]
    assert {thread for _, thread in done} == {done[0][1]}
    assert done[0][1] != threading.get_ident()


def test_who_puts_waits_while_too_much_waits() -> None:
    line, go, begun = Line(waiting=1), threading.Event(), threading.Event()
    line.put(lambda: (begun.set(), go.wait(20), None)[-1])
    begun.wait(20)
    line.put(lambda: None)
    third = threading.Thread(target=lambda: line.put(lambda: None))
    third.start()
    third.join(0.05)
    assert third.is_alive()
    go.set()
    third.join(20)
    assert not third.is_alive()


def test_a_fault_ends_its_job_and_no_other() -> None:
    line, done = Line(), list[str]()
    bad, good = job(line), job(line)

    def fail() -> None:
        raise DiskFault("the disk is full. Free some space.")

    bad.later(fail)
    good.later(lambda: done.append("good"))
    line.wait()
    with pytest.raises(DiskFault):
        bad.later(lambda: done.append("never"))
    with pytest.raises(DiskFault):
        bad.settle()
    good.settle()
    assert done == ["good"]


def test_without_a_line_it_is_done_at_once() -> None:
    done: list[int] = []
    job(None).later(lambda: done.append(1))
    assert done == [1]
