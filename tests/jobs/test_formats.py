"""Files of earlier formats become the present one with everything that was in them, or stay as they were."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from modules.faults import SetupFault
from modules.folders import Folders
from modules.jobs import Jobs, database
from modules.jobs.holder import Holder
from modules.jobs.store import JobStore

JOBS_1 = """
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, key TEXT UNIQUE, kind TEXT NOT NULL, state TEXT NOT NULL,
  owner TEXT NOT NULL, priority INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, request TEXT NOT NULL, resolved TEXT NOT NULL,
  created_s REAL NOT NULL, started_s REAL, finished_s REAL, result TEXT, fault TEXT, cancel TEXT{lane});
CREATE INDEX jobs_queue ON jobs (state, priority DESC, number);
CREATE INDEX jobs_finished ON jobs (finished_s);
CREATE TABLE events (
  job TEXT NOT NULL, number INTEGER NOT NULL, time_s REAL NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO facts VALUES ('paused', '1');
PRAGMA user_version={version};
"""
LANE = ", lane TEXT NOT NULL DEFAULT 'device'"
ROWS = [  # id, key, state, priority, started, finished, result
    ("old-done", "task(1)", "done", 0, 11.0, 12.0, {"pictures": [{"path": "a.png"}]}),
    ("old-low", None, "queued", -1, None, None, None),
    ("old-first", "task(2)", "queued", 0, None, None, None),
    ("old-second", None, "queued", 0, None, None, None),
    ("old-high", None, "queued", 7, None, None, None),
]


def write_old(path: Path, version: int) -> None:
    """A file as that version of the program left it."""
    with sqlite3.connect(path) as db:
        db.executescript(JOBS_1.format(lane=LANE if version == 2 else "", version=version))
        request = json.dumps({"prompt": "é", "init_images": []})
        for n, (job, key, state, priority, started, finished, result) in enumerate(ROWS):
            db.execute(
                "INSERT INTO jobs (id, key, kind, state, owner, priority, attempts, request, resolved, created_s, started_s, finished_s, "
                "result) VALUES (?,?,'txt2img',?,'x',?,?,?,?,?,?,?,?)",
                (job, key, state, priority, int(state == "done"), request, "{}", 10.0 + n, started, finished, json.dumps(result)),
            )
            db.execute("INSERT INTO events VALUES (?,1,?,'state','{\"state\": \"queued\"}')", (job, 10.0 + n))
        db.execute("INSERT INTO events VALUES ('old-done',2,12.5,'done','{\"state\": \"done\"}')")
        db.execute("UPDATE jobs SET request='{\"init_images\": [\"input:1\"]}' WHERE id='old-low'")
        if version == 2:
            db.execute("UPDATE jobs SET lane='files' WHERE id='old-second'")
    db.close()


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_file_keeps_its_jobs_their_order_and_their_events(tmp_path: Path, version: int) -> None:
    path = tmp_path / "jobs.sqlite"
    write_old(path, version)
    store = JobStore(path)
    done = store.get("task(1)")
    assert (done.state, done.attempts, done.result, done.finished_s) == ("done", 1, {"pictures": [{"path": "a.png"}]}, 12.0)
    assert (done.held, done.deadline_s) == (False, None)
    assert [(job.id, job.kind) for job in store.list() if job.kind != "txt2img"] == [("old-low", "img2img")]
    assert store.paused()
    files = ["old-second"] if version == 2 else []
    assert store.queue_ids("files") == files
    assert store.queue_ids() == [i for i in ("old-high", "old-first", "old-second", "old-low") if i not in files]
    assert [(e.number, e.type) for e in store.events("old-done")] == [(1, "state"), (2, "done")]
    assert [e.job for e in store.lists.changes(0, 100)] == ["old-done", "old-low", "old-first", "old-done", "old-second", "old-high"]
    new, _ = store.submit("txt2img", {}, {}, owner="x", key=None, priority=0)
    assert store.queue_ids()[-2:] == [new.id, "old-low"]
    assert store.order.move("old-low", "old-high")
    assert store.queue_ids()[:2] == ["old-low", "old-high"]
    claimed = store.claim()
    assert claimed is not None
    assert claimed.request == {"init_images": ["input:1"]}
    assert store.get("old-first").request == {"prompt": "é", "init_images": []}


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_file_has_the_tables_of_a_new_one_afterwards(tmp_path: Path, version: int) -> None:
    write_old(tmp_path / "old.sqlite", version)
    for name in ("old.sqlite", "new.sqlite"):
        JobStore(tmp_path / name).close()
    assert shape(tmp_path / "old.sqlite") == shape(tmp_path / "new.sqlite")


def test_a_change_of_format_that_fails_halfway_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobs.sqlite"
    write_old(path, 2)
    before = shape(path)
    monkeypatch.setitem(database._STEPS, 2, (*database._STEPS[2], "SELECT * FROM nothing"))
    with pytest.raises(SetupFault, match="cannot be read"):
        JobStore(path)
    assert shape(path) == before
    monkeypatch.undo()
    assert JobStore(path).queue_ids("files") == ["old-second"]


def shape(path: Path) -> tuple[int, dict[str, list[tuple[str, str, int]]], set[str]]:
    """(format, columns of each table, indices)."""
    db = sqlite3.connect(path)
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'")]
    columns = {t: sorted((c[1], c[2], c[3]) for c in db.execute(f"PRAGMA table_info({t})")) for t in tables}
    indices = {row[0] for row in db.execute("SELECT sql FROM sqlite_master WHERE type='index' AND sql IS NOT NULL")}
    version = db.execute("PRAGMA user_version").fetchone()[0]
    db.close()
    return version, columns, indices


def test_version_three_gets_groups_and_keeps_its_jobs(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    store = JobStore(path)
    job, _ = store.submit("txt2img", {}, {}, owner="x", key=None)
    store.close()
    with sqlite3.connect(path) as db:
        db.executescript("DROP INDEX jobs_group; ALTER TABLE jobs DROP COLUMN group_id; PRAGMA user_version=3;")
    db.close()
    again = JobStore(path)
    assert again.get(job.id).group_id is None
    assert again.groups.members(job.id) == []
    assert again.queue_ids() == [job.id]


def test_the_file_as_it_was_stays_for_the_version_that_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    write_old(path, 2)
    before = shape(path)
    JobStore(path).close()
    assert shape(tmp_path / "jobs.format-2.sqlite") == before
    assert len(list(tmp_path.glob("*format*"))) == 1


def test_a_newer_version_leaves_the_file_alone_while_an_older_one_runs_on_it(folders: Folders) -> None:
    folders.jobs_file.parent.mkdir(parents=True)
    write_old(folders.jobs_file, 2)
    before = shape(folders.jobs_file)
    older = Holder(folders.cache)
    older.take(url="http://127.0.0.1:7860/", required=True)
    with pytest.raises(SetupFault, match=r"Another copy already uses this data folder .*at http://127\.0\.0\.1:7860/"):
        Jobs(folders, {})
    assert shape(folders.jobs_file) == before
    older.give_back()
    Jobs(folders, {}).stop()
    assert shape(folders.jobs_file)[0] == database.SCHEMA_VERSION


def test_a_file_of_a_newer_version_is_refused_and_the_copy_for_this_one_named(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    JobStore(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={database.SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(SetupFault, match=rf"newer version .*jobs\.format-{database.SCHEMA_VERSION}\.sqlite"):
        JobStore(path)
