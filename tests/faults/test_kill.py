"""kill -9 of the worker and of the whole program at random moments: no queued job is lost, no file is broken, none is made twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modules.folders import PROGRAM, Folders
from modules.jobs import FINISHED, Job, Jobs

RUNNER = "tests.faults.backend:build"
KILLS = 10
JOBS = 30
OWNER = """
import sys, time
from pathlib import Path
from modules.folders import Folders
from modules.jobs import Jobs
jobs = Jobs(Folders.at(Path(sys.argv[1])), {}, runner="tests.faults.backend:build")
jobs.start(required=True)
print("started", flush=True)
while True:
    time.sleep(1)
"""


def enqueue(jobs: Jobs) -> list[str]:
    knobs = {"pictures": 3, "steps": 4, "step_s": 0.03}
    return [jobs.submit("fake", {"n": n}, knobs, key=f"job-{n}").id for n in range(JOBS)]


def check_all(jobs: Jobs, ids: list[str], folders: Folders) -> None:
    """Every job ended, only those cut off twice are parked, files are whole, and each done job has each picture once."""
    rows = [jobs.get(job_id) for job_id in ids]
    assert len(jobs.list(limit=1000)) == JOBS
    for job in rows:
        assert job.state == "done" or (job.state == "parked" and job.attempts == 2), (job.state, job.attempts, job.fault)
        _check_pictures(job)
    assert sum(job.state == "done" for job in rows) >= JOBS - KILLS // 2
    for path in folders.job_files.rglob("*.txt"):
        job_id, index = path.read_text().split()
        assert (path.parent.name, path.stem) == (job_id, index), "a broken file lies under a final name"


def _check_pictures(job: Job) -> None:
    if job.state == "done":
        assert job.result is not None
        assert [p["index"] for p in job.result["pictures"]] == [0, 1, 2]


def wait_all(jobs: Jobs, ids: list[str], seconds: float) -> None:
    end = time.monotonic() + seconds
    for job_id in ids:
        jobs.wait(job_id, max(0.1, end - time.monotonic()))
    assert all(jobs.get(job_id).state in FINISHED for job_id in ids), [jobs.get(j).state for j in ids]


@pytest.mark.slow
def test_the_worker_is_killed_ten_times(tmp_path: Path) -> None:
    folders, chance = Folders.at(tmp_path), random.Random(1)
    jobs = Jobs(folders, {}, runner=RUNNER)
    jobs.start()
    ids = enqueue(jobs)
    killed = done = 0
    while killed < KILLS and any(jobs.get(j).state not in FINISHED for j in ids):
        time.sleep(chance.uniform(0.05, 1.0))
        pid, ended = jobs.worker()["pid"], sum(jobs.get(j).state == "done" for j in ids)
        # Every other kill after a job has ended: with the deaths in a row, the wait before the next start grows to half a minute.
        if pid and (killed % 2 == 0 or ended > done):
            os.kill(pid, signal.SIGKILL)
            killed, done = killed + 1, ended
        assert jobs.get(ids[0]).id == ids[0]  # the program itself goes on answering
    assert killed == KILLS, "the jobs were over too soon for this test to mean anything"
    wait_all(jobs, ids, 120)
    check_all(jobs, ids, folders)
    jobs.stop()


@pytest.mark.skipif(os.name == "nt", reason="process groups and SIGKILL are POSIX; Windows ends the worker by its closed pipe")
def test_the_whole_program_is_killed_ten_times(tmp_path: Path) -> None:
    folders, chance = Folders.at(tmp_path), random.Random(2)
    waiting = Jobs(folders, {}, runner=RUNNER)
    ids = enqueue(waiting)
    for _ in range(KILLS):
        owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], cwd=PROGRAM, stdout=subprocess.PIPE, text=True)
        assert owner.stdout is not None
        assert owner.stdout.readline() == "started\n", "the next start must not trip over the last one"
        time.sleep(chance.uniform(0.1, 1.2))
        owner.kill()
        owner.wait()
        owner.stdout.close()
    waiting.stop()
    jobs = Jobs(folders, {}, runner=RUNNER)
    jobs.start(required=True)
    wait_all(jobs, ids, 120)
    check_all(jobs, ids, folders)
    jobs.stop()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks the orphan up in /proc")
def test_a_worker_does_not_outlive_its_program(tmp_path: Path) -> None:
    code = OWNER.replace("while True:", "time.sleep(1)\nprint(jobs.worker()['pid'], flush=True)\nwhile True:")
    owner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=PROGRAM, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "started\n"
    worker = int(owner.stdout.readline())
    assert Path(f"/proc/{worker}").exists()
    owner.kill()
    owner.wait()
    owner.stdout.close()
    end = time.monotonic() + 10
    while _runs(worker):
        assert time.monotonic() < end, "the worker still runs"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
