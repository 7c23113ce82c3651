"""The picture index: one SQLite file with a row for every picture file, its words for full-text search, and the folders' stamps.

A cache only: it is made anew when it cannot be read or when its shape has changed. Shared by processes: the server reads and
fills it, the saver in the worker adds what it has just written. Start reading at `PictureIndex.page`, then `apply`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.library.index import id_of
from modules.library.pictures import search
from modules.library.pictures.rows import PLACES, SORTS, Facts, Found, PictureRow, Wish

SHAPE = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS pictures (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, path TEXT NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
  size_bytes INTEGER NOT NULL, stamp TEXT NOT NULL, created_s REAL NOT NULL, described INTEGER NOT NULL DEFAULT 0,
  job TEXT NOT NULL DEFAULT '', favourite INTEGER NOT NULL DEFAULT 0, width INTEGER NOT NULL DEFAULT 0, height INTEGER NOT NULL DEFAULT 0,
  model TEXT NOT NULL DEFAULT '', model_hash TEXT NOT NULL DEFAULT '', seed INTEGER, sampler TEXT NOT NULL DEFAULT '',
  scheduler TEXT NOT NULL DEFAULT '', steps INTEGER, cfg REAL, problem TEXT NOT NULL DEFAULT '', prompt TEXT NOT NULL DEFAULT '',
  negative TEXT NOT NULL DEFAULT '', infotext TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS pictures_by_time ON pictures (created_s, n);
CREATE INDEX IF NOT EXISTS pictures_by_kind ON pictures (kind, created_s, n);
CREATE INDEX IF NOT EXISTS pictures_by_model ON pictures (model, created_s, n);
CREATE INDEX IF NOT EXISTS pictures_by_sampler ON pictures (sampler, created_s, n);
CREATE INDEX IF NOT EXISTS pictures_by_folder ON pictures (folder);
CREATE INDEX IF NOT EXISTS pictures_by_name ON pictures (name, created_s, n);
CREATE INDEX IF NOT EXISTS pictures_open ON pictures (described) WHERE described = 0;
CREATE TABLE IF NOT EXISTS folders (path TEXT PRIMARY KEY, parent TEXT NOT NULL, stamp_ns INTEGER NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
  prompt, negative, model, name, content='pictures', content_rowid='n', tokenize='unicode61 remove_diacritics 2');
CREATE TRIGGER IF NOT EXISTS words_in AFTER INSERT ON pictures BEGIN
  INSERT INTO words (rowid, prompt, negative, model, name) VALUES (new.n, new.prompt, new.negative, new.model, new.name); END;
CREATE TRIGGER IF NOT EXISTS words_out AFTER DELETE ON pictures BEGIN
  INSERT INTO words (words, rowid, prompt, negative, model, name) VALUES ('delete', old.n, old.prompt, old.negative, old.model, old.name);
END;
CREATE TRIGGER IF NOT EXISTS words_new AFTER UPDATE OF prompt, negative, model, name ON pictures BEGIN
  INSERT INTO words (words, rowid, prompt, negative, model, name) VALUES ('delete', old.n, old.prompt, old.negative, old.model, old.name);
  INSERT INTO words (rowid, prompt, negative, model, name) VALUES (new.n, new.prompt, new.negative, new.model, new.name); END;
"""
_DROP = "DROP TABLE IF EXISTS words; DROP TABLE IF EXISTS pictures; DROP TABLE IF EXISTS folders;"
_FACTS = tuple(f.name for f in dataclasses.fields(Facts) if f.name != "kind")
_ROW = tuple(f.name for f in dataclasses.fields(PictureRow))
_FILE = ("id", "path", "folder", "name", "kind", "size_bytes", "stamp", "created_s")
MARKS = 500  # values in one statement


@dataclass
class Changes:
    """What a scan found different. gone: paths; new: files without a row, or with other content; moved: old path -> file.

    folders: path -> (parent, stamp) of those that were listed; gone_folders: no longer there.
    """

    gone: list[str] = field(default_factory=list[str])
    new: list[Found] = field(default_factory=list[Found])
    moved: dict[str, Found] = field(default_factory=dict[str, Found])
    folders: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    gone_folders: list[str] = field(default_factory=list[str])

    def __bool__(self) -> bool:
        return bool(self.gone or self.new or self.moved or self.gone_folders)


class PictureIndex:
    """The rows. Every call is short; one lock keeps threads apart."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        try:
            self._db = _opened(path)
        except sqlite3.OperationalError:  # locked, or the disk is full: the file itself is in order
            raise
        except sqlite3.DatabaseError:
            for part in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
                part.unlink(missing_ok=True)
            self._db = _opened(path)

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _read(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # ---- what lies on the disk -------------------------------------------------------------------------------------

    def folder_stamps(self) -> dict[str, tuple[str, int]]:
        """Folder -> (the folder above it, its stamp when it was listed last)."""
        return {row["path"]: (row["parent"], row["stamp_ns"]) for row in self._read("SELECT * FROM folders")}

    def files_in(self, folder: str) -> dict[str, str]:
        """path -> stamp of the rows of one folder."""
        return {row["path"]: row["stamp"] for row in self._read("SELECT path, stamp FROM pictures WHERE folder = ?", (folder,))}

    def apply(self, changes: Changes, favourites: Mapping[str, str]) -> None:
        """Bring the rows in line with what a scan found. favourites: path -> stamp of the pictures the person marked."""
        with self._change() as db:
            for old, found in changes.moved.items():
                db.execute("DELETE FROM pictures WHERE id = ?", (id_of(str(found.path)),))  # what it was moved over
                names = [name for name in _FILE if name != "kind" or found.kind]  # what its text told stays known
                values = [value for name, value in zip(_FILE, _of_file(found), strict=True) if name in names]
                db.execute(f"UPDATE pictures SET {_sets(names)} WHERE path = ?", (*values, old))
            db.executemany("DELETE FROM pictures WHERE path = ?", [(path,) for path in changes.gone])
            for folder in changes.gone_folders:
                db.execute("DELETE FROM pictures WHERE folder = ?", (folder,))
                db.execute("DELETE FROM folders WHERE path = ?", (folder,))
            db.executemany(
                f"INSERT INTO pictures ({', '.join(_FILE)}, favourite) VALUES ({_marks(len(_FILE) + 1)}) ON CONFLICT (id) DO UPDATE SET "
                f"{', '.join(f'{n} = excluded.{n}' for n in (*_FILE[1:], 'favourite'))}, described = 0, job = '' "
                "WHERE stamp != excluded.stamp",
                [(*_of_file(f), favourites.get(str(f.path)) == f.stamp) for f in changes.new],
            )
            db.executemany("REPLACE INTO folders VALUES (?, ?, ?)", [(path, *facts) for path, facts in changes.folders.items()])

    def add(self, found: Found, facts: Facts, job: str) -> None:
        """A picture that was saved just now, with everything known about it."""
        names = (*_FILE, *_FACTS, "job", "described")
        values = (*_of_file(found), *(getattr(facts, name) for name in _FACTS), job, 1)
        sets = ", ".join(f"{n} = excluded.{n}" for n in names[1:])
        with self._change() as db:
            db.execute(
                f"INSERT INTO pictures ({', '.join(names)}) VALUES ({_marks(len(names))}) ON CONFLICT (id) DO UPDATE SET {sets}", values
            )

    def open_files(self, limit: int = 64) -> list[Found]:
        """Files that are not read yet, the newest first."""
        rows = self._read("SELECT * FROM pictures WHERE described = 0 ORDER BY created_s DESC LIMIT ?", (limit,))
        return [_found(row) for row in rows]

    def put(self, facts: Sequence[tuple[Found, Facts]]) -> None:
        """Write what files say, unless they have changed meanwhile. A kind that the folder did not tell comes from the text."""
        with self._change() as db:
            for found, said in facts:
                values = (
                    *(getattr(said, name) for name in _FACTS),
                    found.kind or said.kind or "other",
                    id_of(str(found.path)),
                    found.stamp,
                )
                db.execute(f"UPDATE pictures SET {_sets(_FACTS)}, kind = ?, described = 1 WHERE id = ? AND stamp = ?", values)

    def remove(self, ids: Sequence[str]) -> None:
        """Take rows out; their files have gone."""
        with self._change() as db:
            db.executemany("DELETE FROM pictures WHERE id = ?", [(key,) for key in ids])

    def set_favourite(self, ids: Sequence[str], on: bool) -> None:
        """Mark pictures, or take the mark away."""
        with self._change() as db:
            db.executemany("UPDATE pictures SET favourite = ? WHERE id = ?", [(on, key) for key in ids])

    def clear(self) -> None:
        """Forget everything; the next scan meets it anew."""
        with self._change() as db:
            db.execute("DELETE FROM pictures")
            db.execute("DELETE FROM folders")

    # ---- reading ---------------------------------------------------------------------------------------------------

    def page(self, wish: Wish, offset: int = 0, limit: int = -1) -> list[PictureRow]:
        """Rows of a wish, in its order."""
        where, values = _where(wish)
        order = SORTS[wish.sort][0]
        chosen = f"SELECT n AS m FROM pictures WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?"  # sorts numbers, not whole texts
        rows = self._read(f"SELECT pictures.* FROM ({chosen}) JOIN pictures ON n = m ORDER BY {order}", (*values, limit, offset))
        return [_row(row) for row in rows]

    def after(self, wish: Wish, place: Sequence[Any] | None, limit: int) -> list[tuple[PictureRow, list[Any]]]:
        """Rows of a wish behind a place in its order (None: from the beginning), each with its own place, see `PLACES`.

        What comes and goes meanwhile shifts nothing, as a number of rows to leave out would.
        """
        where, values = _where(wish)
        terms, way = PLACES[wish.sort]
        behind = f"({', '.join(terms)}) {'>' if way == 'ASC' else '<'} ({_marks(len(terms))})" if place else "1"
        order = ", ".join(f"{term} {way}" for term in terms)
        chosen = f"SELECT n AS m FROM pictures WHERE {where} AND {behind} ORDER BY {order} LIMIT ?"
        shown = ", ".join(f"{term} AS place_{i}" for i, term in enumerate(terms))
        query = f"SELECT pictures.*, {shown} FROM ({chosen}) JOIN pictures ON n = m ORDER BY {order}"
        rows = self._read(query, (*values, *(place or ()), limit))
        return [(_row(row), [row[f"place_{i}"] for i in range(len(terms))]) for row in rows]

    def count(self, wish: Wish) -> int:
        """How many rows `page` would give without a limit."""
        where, values = _where(wish)
        return int(self._read(f"SELECT COUNT(*) FROM pictures WHERE {where}", values)[0][0])

    def open_count(self) -> int:
        """How many files are not read yet."""
        return int(self._read("SELECT COUNT(*) FROM pictures WHERE described = 0")[0][0])

    def values_of(self, column: str) -> list[tuple[str, int]]:
        """(value, number of pictures) of "kind", "model" or "sampler", the most frequent first; without the empty one."""
        if column not in ("kind", "model", "sampler"):
            raise ValueError(f"there is no list of {column!r}")
        query = f"SELECT {column} AS v, COUNT(*) AS n FROM pictures WHERE {column} != '' GROUP BY {column} ORDER BY n DESC, v LIMIT 300"
        return [(row["v"], row["n"]) for row in self._read(query)]

    def texts_with(self, words: str) -> list[str]:
        """Every parameters text that holds these words."""
        return [row["infotext"] for row in self._read("SELECT infotext FROM pictures WHERE INSTR(infotext, ?) > 0", (words,))]

    def rows_of(self, ids: Sequence[str]) -> list[PictureRow]:
        """The rows of these ids, in their order; those that are not there are left out."""
        found = {row["id"]: _row(row) for row in self._read(f"SELECT * FROM pictures WHERE id IN ({_marks(len(ids))})", ids[:MARKS])}
        return [found[key] for key in ids if key in found]

    def moved_candidates(self, stamps: Sequence[str]) -> dict[str, list[str]]:
        """stamp -> paths of rows with that stamp."""
        found: dict[str, list[str]] = {}
        for at in range(0, len(stamps), MARKS):
            part = stamps[at : at + MARKS]
            for row in self._read(f"SELECT path, stamp FROM pictures WHERE stamp IN ({_marks(len(part))})", part):
                found.setdefault(row["stamp"], []).append(row["path"])
        return found


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
    db.row_factory = sqlite3.Row
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        if db.execute("PRAGMA user_version").fetchone()[0] != SHAPE:
            db.executescript(f"{_DROP} PRAGMA user_version={SHAPE}")
        db.executescript(_TABLES)
    except BaseException:
        db.close()
        raise
    return db


def _of_file(found: Found) -> tuple[Any, ...]:
    path = str(found.path)
    values = (found.kind or "other", found.size_bytes, found.stamp, found.changed_s)
    return (id_of(path), path, str(found.path.parent), found.path.name, *values)


def _found(row: sqlite3.Row) -> Found:
    kind = "" if row["kind"] == "other" else row["kind"]
    return Found(path=Path(row["path"]), kind=kind, size_bytes=row["size_bytes"], stamp=row["stamp"], changed_s=row["created_s"])


def _row(row: sqlite3.Row) -> PictureRow:
    values: dict[str, Any] = {name: row[name] for name in _ROW}
    values |= {name: bool(row[name]) for name in ("described", "favourite")}
    return PictureRow(**values)


def _where(wish: Wish) -> tuple[str, list[Any]]:
    parts, values = search.read(wish.search)
    for column in ("model", "sampler", "kind", "job"):
        if wanted := getattr(wish, column):
            parts.append(f"{column} = ?")
            values.append(wanted)
    bounds = (
        ("created_s >= ?", wish.since_s), ("created_s < ?", wish.until_s), ("MAX(width, height) >= ?", wish.least_px),
        ("MAX(width, height) <= ?", wish.most_px),
    )  # fmt: skip
    for condition, value in bounds:
        if value is not None:
            parts.append(condition)
            values.append(value)
    if wish.favourites:
        parts.append("favourite = 1")
    return " AND ".join(parts) or "1", values


def _sets(names: Sequence[str]) -> str:
    return ", ".join(f"{name} = ?" for name in names)


def _marks(count: int) -> str:
    return ", ".join("?" * count)
