"""The order of what waits: it is what the list says, whatever was moved, held, raised or put off, and however much waits."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from modules.faults import RequestFault, UnknownJob
from modules.jobs.lists import Filter, filter_of
from modules.jobs.store import JobStore

PRIORITIES = st.integers(-2, 2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    made = JobStore(tmp_path / "jobs.sqlite")
    yield made
    made.close()


def add(store: JobStore, n: int = 1, **more: object) -> list[str]:
    values: dict[str, object] = {"owner": "x", "key": None, **more}
    return [store.submit("fake", {}, {}, **values)[0].id for _ in range(n)]  # pyright: ignore[reportArgumentType]


class Queue(RuleBasedStateMachine):
    """A list in memory does the same; the store must never differ from it."""

    numbers = itertools.count()
    folder: Path

    @initialize()
    def open(self) -> None:
        self.store = JobStore(self.folder / f"{next(self.numbers)}.sqlite")
        self.waiting: list[str] = []
        self.priority: dict[str, int] = {}
        self.held: set[str] = set()
        self.running: str | None = None

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()

    def put_behind(self, job: str, priority: int) -> None:
        """Behind the last of at least that priority."""
        behind = [place for place, other in enumerate(self.waiting) if self.priority[other] >= priority]
        self.waiting.insert(behind[-1] + 1 if behind else 0, job)
        self.priority[job] = priority

    def pick(self, n: int) -> str | None:
        return self.waiting[n % len(self.waiting)] if self.waiting else None

    @rule(priority=PRIORITIES, held=st.booleans())
    def submit(self, priority: int, held: bool) -> None:
        [job] = add(self.store, priority=priority, held=held)
        self.put_behind(job, priority)
        if held:
            self.held.add(job)

    @rule(n=st.integers(0, 99), to=st.integers(0, 99))
    def move(self, n: int, to: int) -> None:
        job, before = self.pick(n), self.pick(to)
        if job is None or before is None or job == before:
            return
        assert self.store.order.move(job, before)
        self.waiting.remove(job)
        self.waiting.insert(self.waiting.index(before), job)
        self.priority[job] = self.priority[before]

    @rule(n=st.integers(0, 99))
    def move_last(self, n: int) -> None:
        if (job := self.pick(n)) is None:
            return
        assert self.store.order.move(job, None)
        self.waiting.remove(job)
        if self.waiting:
            self.priority[job] = self.priority[self.waiting[-1]]
        self.waiting.append(job)

    @rule(n=st.integers(0, 99), priority=PRIORITIES)
    def set_priority(self, n: int, priority: int) -> None:
        if (job := self.pick(n)) is None:
            return
        assert self.store.order.set_priority(job, priority)
        if self.priority[job] != priority:
            self.waiting.remove(job)
            self.put_behind(job, priority)

    @rule(n=st.integers(0, 99))
    def hold_or_release(self, n: int) -> None:
        if (job := self.pick(n)) is None:
            return
        assert self.store.order.release(job) if job in self.held else self.store.order.hold(job)
        self.held ^= {job}

    @rule(n=st.integers(0, 99))
    def cancel(self, n: int) -> None:
        if (job := self.pick(n)) is not None:
            assert self.store.cancel_queued(job)
            self.waiting.remove(job)

    @rule()
    def claim(self) -> None:
        if self.running is not None:
            assert self.store.finish(self.running, "done").state == "done"
        free = [job for job in self.waiting if job not in self.held]
        claimed = self.store.claim()
        assert (claimed.id if claimed else None) == (free[0] if free else None)
        self.running = claimed.id if claimed else None
        if claimed:
            self.waiting.remove(claimed.id)

    @invariant()
    def the_list_is_the_order(self) -> None:
        if hasattr(self, "store"):
            assert self.store.queue_ids() == self.waiting
            shown = self.store.list(states=("queued",))
            assert [job.id for job in shown] == self.waiting
            assert {job.id for job in shown if job.held} == self.held & set(self.waiting)
            if (job := self.pick(len(self.waiting) // 2)) is not None:
                assert self.store.order.position(job) == (self.waiting.index(job) + 1, len(self.waiting))


def test_the_order_is_what_a_list_in_memory_says(tmp_path: Path) -> None:
    Queue.folder = tmp_path
    run = Queue.TestCase()
    run.settings = settings(
        max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )  # fmt: skip
    run.runTest()


def test_there_is_always_room_between_two_jobs(store: JobStore) -> None:
    first, last, *others = add(store, 42)
    expected = [first]
    for job in others:  # each right before the last one: the gap is halved again and again
        assert store.order.move(job, last)
        expected.append(job)
    assert store.queue_ids() == [*expected, last]
    [new] = add(store)
    assert store.queue_ids()[-1] == new


def test_a_job_that_comes_back_stands_before_those_that_came_later(store: JobStore) -> None:
    [first] = add(store)
    store.claim()
    later = add(store, 2)
    store.requeue(first, fault=None, counts=False)
    assert store.queue_ids() == [first, *later]


def test_what_has_begun_or_ended_is_not_moved(store: JobStore) -> None:
    running, ended, waiting = add(store, 3)
    store.claim()
    store.cancel_queued(ended)
    for job in (running, ended):
        assert not store.order.move(job, waiting)
        assert not store.order.move(waiting, job)
        assert not store.order.set_priority(job, 9)
        assert not store.order.hold(job)
        assert not store.order.set_deadline(job, 1.0)
    assert (store.get(running).priority, store.get(running).held) == (0, False)


def test_moves_that_make_no_sense_are_refused(store: JobStore) -> None:
    [picture], [merge] = add(store), add(store, lane="files")
    with pytest.raises(RequestFault, match="lane of files"):
        store.order.move(picture, merge)
    with pytest.raises(RequestFault, match="before itself"):
        store.order.move(picture, picture)
    with pytest.raises(UnknownJob):
        store.order.move(picture, "nobody")


def test_a_job_that_missed_its_deadline_never_begins(store: JobStore) -> None:
    [late] = add(store, deadline_s=time.time() - 1, priority=9)
    [held] = add(store, deadline_s=time.time() - 1, held=True)
    [soon] = add(store, deadline_s=time.time() + 3600)
    claimed = store.claim()
    assert claimed is not None
    assert claimed.id == soon
    assert not store.order.ready()
    assert store.claim() is None
    assert set(store.order.expire()) == {late, held}
    ended = store.get(late)
    assert (ended.state, ended.attempts, ended.started_s) == ("canceled", 0, None)
    assert (ended.fault or {})["kind"] == "deadline"
    assert "had not begun by its deadline" in (ended.fault or {})["message"]
    assert store.events(late)[-1].data == {"state": "canceled", "fault": ended.fault}
    assert store.order.expire() == []
    assert store.get(soon).state == "running"


def test_changes_of_the_queue_are_told_as_events(store: JobStore) -> None:
    one, two = add(store, 2)
    store.order.hold(one)
    store.order.hold(one)
    store.order.set_priority(one, 3)
    store.order.set_deadline(one, 5e9)
    store.order.move(two, one)
    told = [(e.job, e.data) for e in store.lists.changes(2, 100)]
    assert told == [
        (one, {"priority": 0, "held": True, "deadline_s": None}),
        (one, {"priority": 3, "held": True, "deadline_s": None}),
        (one, {"priority": 3, "held": True, "deadline_s": 5e9}),
        (two, {"priority": 3, "held": False, "deadline_s": None}),
    ]
    serials = [e.serial for e in store.lists.changes(0, 100)]
    assert serials == sorted(set(serials))
    assert store.lists.last_change() == serials[-1]
    store.set_paused(True)
    assert [(e.job, e.data) for e in store.lists.changes(serials[-1], 100)] == [("", {"paused": True})]


def test_pages_put_together_are_the_list_also_while_jobs_come_and_go(store: JobStore) -> None:
    jobs = add(store, 30)
    for _ in range(12):
        claimed = store.claim()
        assert claimed is not None
        store.finish(claimed.id, "done")
    store.claim()
    for n, job in enumerate(jobs[20:26]):
        store.order.set_priority(job, n % 3)
    everything = [job.id for job in store.list(limit=1000)]
    assert len(everything) == 30
    for size in (1, 7, 30, 100):
        assert pages(store, Filter(), size) == everything
    assert pages(store, Filter(states=frozenset({"done"})), 5) == [i for i in everything if store.get(i).state == "done"]
    found, cursor = store.lists.page(Filter(), limit=4)
    gone = found[-1].id
    store.cancel_queued(gone)
    [come] = add(store, priority=9)
    rest = [job.id for job in store.lists.page(Filter(), cursor=cursor, limit=100)[0]]
    assert come not in rest
    assert [i for i in rest if i != gone] == everything[4:]


def pages(store: JobStore, wanted: Filter, size: int) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        jobs, cursor = store.lists.page(wanted, cursor=cursor, limit=size)
        assert len(jobs) == size or cursor is None
        found += [job.id for job in jobs]
        if cursor is None:
            return found


def test_filters_and_wrong_cursors(store: JobStore) -> None:
    add(store, 3, owner="ann")
    add(store, 2, owner="bob", lane="files")
    store.claim("files")
    assert [j.owner for j in store.lists.page(Filter(owner="bob"))[0]] == ["bob", "bob"]
    assert [j.state for j in store.lists.page(filter_of(("running", "queued"), lane="files"))[0]] == ["running", "queued"]
    assert store.lists.page(Filter(kind="merge")) == ([], None)
    assert store.lists.page(Filter(states=frozenset())) == ([], None)
    with pytest.raises(RequestFault, match="state"):
        filter_of(("waiting",))
    for cursor in ("", "x", "queued:1", "past:a", "running:1:2", f"past:{1 << 70}", "queued:1:2:3:4"):
        with pytest.raises(RequestFault, match="cursor"):
            store.lists.page(Filter(), cursor=cursor)


@pytest.mark.parametrize(
    ("filter_", "cursor"),
    [
        (Filter(), None),
        (Filter(), "queued:0:5:1"),
        (Filter(), "past:9"),
        (Filter(owner="x"), "past:9"),
        (Filter(states=frozenset({"failed"})), "past:9"),
        (Filter(states=frozenset({"failed", "done"}), kind="fake"), None),
        (Filter(lane="device"), "queued:0:5:1"),
    ],
)
def test_no_page_is_sorted_or_read_from_the_beginning(store: JobStore, filter_: Filter, cursor: str | None) -> None:
    """What makes ten thousand jobs as quick as ten: every statement goes through an index that has the order already."""
    plans = plans_of(store, lambda: store.lists.page(filter_, cursor=cursor))
    assert plans
    assert not [plan for plan in plans if "TEMP B-TREE" in plan or ("SCAN" in plan and "USING INDEX" not in plan)], plans


def test_what_is_done_for_each_new_job_goes_through_indices(store: JobStore) -> None:
    add(store, 3)
    plans = plans_of(store, lambda: (add(store, key="k"), store.claim(), store.order.ready(), store.order.expire()))
    plans += plans_of(store, lambda: store.order.move(store.queue_ids()[-1], store.queue_ids()[0]))
    assert len(plans) > 8
    assert not [plan for plan in plans if "TEMP B-TREE" in plan or ("SCAN jobs" in plan and "INDEX" not in plan)], plans


def plans_of(store: JobStore, call: object) -> list[str]:
    """How SQLite carries out what the call asks for."""
    said: list[str] = []
    db = store._database._db
    db.set_trace_callback(said.append)
    call()  # pyright: ignore[reportCallIssue]
    db.set_trace_callback(None)
    statements = [s for s in said if s.startswith(("SELECT", "UPDATE", "INSERT"))]
    return [str(row[3]) for sql in statements for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
