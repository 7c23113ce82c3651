"""Turns, holds, deadlines, copies and waiting for events, through the real store, supervisor and worker process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.faults import UnknownJob
from modules.folders import Folders
from modules.jobs import Jobs, Turn
from tests.jobs.test_service import RUNNER, submit, until


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    service = Jobs(Folders.at(tmp_path_factory.mktemp("turns")), {}, runner=RUNNER)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def paused(jobs: Jobs) -> Iterator[Jobs]:
    jobs.pause()
    yield jobs
    jobs.resume()


def test_jobs_run_in_the_order_they_were_put_into(paused: Jobs) -> None:
    first, second, third, fourth = (submit(paused).id for _ in range(4))
    assert paused.move(fourth, first)
    assert paused.set_priority(third, 1)
    assert paused.hold(second)
    assert [job.id for job in paused.list(states=("queued",))] == [third, fourth, first, second]
    paused.resume()
    for job in (third, fourth, first):
        assert paused.wait(job, 20).state == "done"
    orders = [(paused.get(job).result or {})["order"] for job in (third, fourth, first)]
    assert orders == sorted(orders)
    assert (paused.get(second).state, paused.get(second).held) == ("queued", True)
    assert paused.release(second)
    assert paused.wait(second, 20).state == "done"


def test_a_deadline_ends_a_job_also_while_the_queue_is_paused(paused: Jobs) -> None:
    job = paused.submit("fake", {}, {}, deadline_s=time.time() + 0.2)
    ended = paused.wait(job.id, 20)
    assert (ended.state, ended.started_s) == ("canceled", None)
    assert "deadline" in (ended.fault or {})["message"]


def test_a_copy_has_the_request_and_its_owner_and_turn_are_its_own(jobs: Jobs) -> None:
    job = jobs.submit("fake", {"prompt": "x"}, {"steps": 2}, owner="ann", key="copied", priority=4)
    copy = jobs.duplicate("copied", "bob", Turn(held=True))
    assert copy.id != job.id
    assert (copy.kind, copy.request, copy.resolved, copy.lane) == (job.kind, job.request, job.resolved, job.lane)
    assert (copy.owner, copy.key, copy.priority, copy.held) == ("bob", None, 0, True)
    assert jobs.release(copy.id)
    assert jobs.wait(copy.id, 20).state == "done"


def test_whoever_waits_for_events_gets_each_once_as_it_comes(jobs: Jobs) -> None:
    async def follow(job_id: str) -> list[str]:
        told: list[str] = []
        after = 0
        while not told or told[-1] != "done":
            found = await jobs.wait_events(job_id, after, 20)
            assert found
            assert [e.number for e in found] == list(range(after + 1, after + 1 + len(found)))
            told += [e.data.get("state") or e.type for e in found]
            after = found[-1].number
        assert await jobs.wait_events(job_id, after, 20) == []  # it has ended: nothing more can come
        return told

    async def many() -> list[list[str]]:
        ids = [submit(jobs, pictures=2, step_s=0.01).id for _ in range(3)]
        return list(await asyncio.gather(*(follow(job_id) for job_id in ids for _ in range(5))))

    assert asyncio.run(many()) == [["queued", "running", "picture", "picture", "done"]] * 15


def test_waiting_for_events_ends_with_the_time_or_with_what_another_task_does(paused: Jobs) -> None:
    async def scenario() -> None:
        job = submit(paused)
        assert await paused.wait_events(job.id, 1, 0.05) == []
        waiting = asyncio.create_task(paused.wait_events(job.id, 1, 60))
        await asyncio.sleep(0.05)
        assert await asyncio.to_thread(paused.cancel, job.id)
        assert [e.type for e in await waiting] == ["done"]
        with pytest.raises(UnknownJob):
            await paused.wait_events("nobody", 0, 1)

    asyncio.run(scenario())


def test_the_feed_over_all_jobs_wakes_for_each_of_them_and_for_the_queue(paused: Jobs) -> None:
    async def scenario() -> None:
        after = await asyncio.to_thread(paused.last_change)
        assert await paused.wait_changes(after, 10, 0.05) == []
        waiting = asyncio.create_task(paused.wait_changes(after, 10, 60))
        await asyncio.sleep(0.05)
        job = await asyncio.to_thread(submit, paused)
        [event] = await waiting
        assert (event.job, event.type, event.number) == (job.id, "state", 1)
        assert event.serial > after
        assert await asyncio.to_thread(paused.hold, job.id)
        assert [e.data["held"] for e in await paused.wait_changes(event.serial, 10, 60)] == [True]
        paused.cancel(job.id)
        waiting = asyncio.create_task(paused.wait_changes(paused.last_change(), 10, 60))
        await asyncio.sleep(0.05)
        paused.resume()
        assert [(e.job, e.data) for e in await waiting] == [("", {"paused": False})]

    asyncio.run(scenario())


def test_what_another_process_does_is_seen_too(paused: Jobs, tmp_path: Path) -> None:
    other = Jobs(Folders.at(Path(paused._store._database.rows("PRAGMA database_list")[0][2]).parents[1]), {}, runner=RUNNER)

    async def scenario() -> list[str]:
        job = submit(paused)
        waiting = asyncio.create_task(paused.wait_events(job.id, 1, 60))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(other.cancel, job.id)
        return [e.type for e in await waiting]

    assert asyncio.run(scenario()) == ["done"]
    until(lambda: not paused.list(states=("queued",)))
    other.stop()
