"""The index: one SQLite file with a row for every model file, and the digests that were computed. Shared by processes.

A cache only: it is made anew when it cannot be read or when its shape has changed. Rows are kept by path and renewed when size
or time of change differ. Start reading at `Index.sync`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from modules.library.describe import expected_kind
from modules.library.rows import LISTS, REFUSED, Facts, Found, ModelRow

SHAPE = 3  # changes with the table `files`; digests are worth keeping and have a table of their own
_TABLES = """
CREATE TABLE IF NOT EXISTS files (
  id TEXT PRIMARY KEY, path TEXT NOT NULL, base TEXT NOT NULL, place TEXT NOT NULL, name TEXT NOT NULL, title TEXT NOT NULL,
  sort TEXT NOT NULL, format TEXT NOT NULL, size_bytes INTEGER NOT NULL, stamp TEXT NOT NULL, changed_s REAL NOT NULL,
  kind TEXT NOT NULL, described INTEGER NOT NULL DEFAULT 0, architecture TEXT, family TEXT, variant TEXT NOT NULL DEFAULT '',
  prediction TEXT, native_px INTEGER NOT NULL DEFAULT 512, precision TEXT NOT NULL DEFAULT '', parameters INTEGER NOT NULL DEFAULT 0,
  alias TEXT NOT NULL DEFAULT '', refusal TEXT NOT NULL DEFAULT '', extra TEXT NOT NULL DEFAULT '{}');
CREATE INDEX IF NOT EXISTS files_by_kind ON files (kind, refusal, sort, path);
CREATE INDEX IF NOT EXISTS files_by_place ON files (place);
CREATE INDEX IF NOT EXISTS files_open ON files (described) WHERE described = 0;
CREATE TABLE IF NOT EXISTS metadata (id TEXT PRIMARY KEY, packed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS hashes (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS contents (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, sha256 TEXT NOT NULL);
"""
_ROWS = (
    "SELECT f.*, h.sha256 AS sha256, c.sha256 AS content_sha256 FROM files f "
    "LEFT JOIN hashes h ON h.path = f.path AND h.stamp = f.stamp LEFT JOIN contents c ON c.path = f.path AND c.stamp = f.stamp"
)
_FACTS = ("kind", "architecture", "family", "variant", "prediction", "native_px", "precision", "parameters", "alias", "refusal")
_SCANNED = ("id", "path", "base", "place", "name", "title", "sort", "format", "size_bytes", "stamp", "changed_s", "kind")
_ESCAPED = str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\"})


class Index:
    """The rows. Every call is short; one lock keeps threads apart."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        try:
            self._db = _opened(path)
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

    # ---- what lies on the disk -------------------------------------------------------------------------------------

    def sync(self, place: str, found: Iterable[Found]) -> bool:
        """Make the rows of a place those that a scan found; changed ones are described anew. True when anything changed."""
        now = {str(f.path): f for f in found}
        known = {row["path"]: row["stamp"] for row in self._read("SELECT path, stamp FROM files WHERE place = ?", (place,))}
        gone = [path for path in known if path not in now]
        new = [f for path, f in now.items() if known.get(path) != f.stamp]
        if not gone and not new:
            return False
        with self._change() as db:
            for path in gone:
                db.execute("DELETE FROM files WHERE path = ? AND place = ?", (path, place))
                db.execute("DELETE FROM metadata WHERE id = ?", (id_of(path),))
            db.executemany(
                f"INSERT INTO files ({', '.join(_SCANNED)}) VALUES ({_marks(_SCANNED)}) ON CONFLICT (id) DO UPDATE SET "
                f"{', '.join(f'{n} = excluded.{n}' for n in _SCANNED[2:])}, described = 0, refusal = '' WHERE stamp != excluded.stamp",
                [_fresh(f) for f in new],
            )
        return True

    def open_rows(self, kinds: Sequence[str] = (), limit: int = 64) -> list[tuple[str, Found]]:
        """(id, what was found) of rows that are not described yet, by name; of some kinds or all."""
        where = f" AND kind IN ({_marks(kinds)})" if kinds else ""
        rows = self._read(f"SELECT * FROM files WHERE described = 0{where} ORDER BY sort LIMIT ?", (*kinds, limit))
        return [(row["id"], _found(row)) for row in rows]

    def put(self, facts: Sequence[tuple[str, Found, Facts]]) -> None:
        """Write descriptions, unless the file has changed meanwhile."""
        with self._change() as db:
            for key, found, said in facts:
                values = [_storable(getattr(said, name)) for name in _FACTS]
                done = db.execute(
                    f"UPDATE files SET described = 1, extra = ?, {', '.join(f'{n} = ?' for n in _FACTS)} WHERE id = ? AND stamp = ?",
                    (json.dumps(dict(said.extra)), *values, key, found.stamp),
                )
                if done.rowcount and said.content_sha256:
                    db.execute("REPLACE INTO contents VALUES (?, ?, ?)", (str(found.path), found.stamp, said.content_sha256))
                if done.rowcount and said.metadata:
                    db.execute("REPLACE INTO metadata VALUES (?, ?)", (key, zlib.compress(json.dumps(dict(said.metadata)).encode(), 1)))

    # ---- reading ---------------------------------------------------------------------------------------------------

    def rows(
        self, kinds: Sequence[str], search: str = "", offset: int = 0, limit: int = -1, *, refused: bool | None = False
    ) -> list[ModelRow]:
        """Rows of these kinds (all for none), by name. search: words that all must stand in name, path, alias or family.

        refused: False only usable ones, True only others, None both.
        """
        where, values = _where(kinds, search, refused)
        rows = self._read(f"{_ROWS} WHERE {where} ORDER BY f.sort, f.path LIMIT ? OFFSET ?", (*values, limit, offset))
        return [_row(row) for row in rows]

    def after(
        self, kinds: Sequence[str], search: str, place: Sequence[str] | None, limit: int, *, refused: bool, fits: tuple[str, str] | None
    ) -> list[ModelRow]:
        """Rows in the order of their names behind a place in it: (name with small letters, id) of the row before; None: from the beginning.

        fits: (family, architecture); rows of that family, and those without one that are made for its architecture.
        """
        where, values = _where(kinds, search, refused, fits)
        behind = "(f.sort, f.id) > (?, ?)" if place else "1"
        rows = self._read(f"{_ROWS} WHERE {where} AND {behind} ORDER BY f.sort, f.id LIMIT ?", (*values, *(place or ()), limit))
        return [_row(row) for row in rows]

    def count(self, kinds: Sequence[str], search: str = "", *, refused: bool | None = False, fits: tuple[str, str] | None = None) -> int:
        """How many rows `rows` would give without a limit."""
        where, values = _where(kinds, search, refused, fits)
        return int(self._read(f"SELECT COUNT(*) FROM files f WHERE {where}", values)[0][0])

    def counts(self) -> dict[str, int]:
        """Number of usable rows of every list, and of refused ones."""
        by_kind: dict[str, int] = {}
        refused = 0
        for row in self._read("SELECT kind, refusal != '' AS bad, COUNT(*) AS n FROM files GROUP BY kind, bad"):
            if row["bad"]:
                refused += row["n"]
            else:
                by_kind[row["kind"]] = row["n"]
        return {name: sum(by_kind.get(kind, 0) for kind in kinds) for name, kinds in LISTS.items()} | {REFUSED: refused}

    def open_count(self) -> int:
        """How many rows are not described yet."""
        return int(self._read("SELECT COUNT(*) FROM files WHERE described = 0")[0][0])

    def row(self, key: str) -> ModelRow | None:
        """The row of an id."""
        found = self._read(f"{_ROWS} WHERE f.id = ?", (key,))
        return _row(found[0]) if found else None

    def found(self, key: str) -> Found | None:
        """What the scan met at a row's path."""
        rows = self._read("SELECT * FROM files WHERE id = ?", (key,))
        return _found(rows[0]) if rows else None

    def named(self, kinds: Sequence[str], name: str) -> list[ModelRow]:
        """Rows whose name, title or path below its folder without ending is this (case apart), usable ones first."""
        folded = name.casefold()
        where = f"f.kind IN ({_marks(kinds)}) AND (f.sort = ? OR LOWER(f.title) = LOWER(?) OR LOWER(f.title) LIKE LOWER(?) ESCAPE '\\')"
        rows = self._read(
            f"{_ROWS} WHERE {where} ORDER BY f.refusal != '', f.path", (*kinds, folded, name, f"{name.translate(_ESCAPED)}.%")
        )
        return [_row(row) for row in rows]

    def aliased(self, kinds: Sequence[str], alias: str) -> list[ModelRow]:
        """Usable rows that call themselves so in their metadata."""
        query = f"{_ROWS} WHERE f.kind IN ({_marks(kinds)}) AND f.refusal = '' AND LOWER(f.alias) = LOWER(?) ORDER BY f.path"
        return [_row(row) for row in self._read(query, (*kinds, alias))]

    def names(self, kinds: Sequence[str]) -> list[str]:
        """The names of all usable rows of these kinds."""
        rows = self._read(f"SELECT name FROM files f WHERE f.refusal = '' AND f.kind IN ({_marks(kinds)}) ORDER BY sort", tuple(kinds))
        return [row["name"] for row in rows]

    def doubles(self, kind: str, names: Sequence[str]) -> set[str]:
        """Which of these names (with small letters) several usable rows of a kind share."""
        query = f"SELECT sort FROM files WHERE kind = ? AND refusal = '' AND sort IN ({_marks(names)}) GROUP BY sort HAVING COUNT(*) > 1"
        return {row["sort"] for row in self._read(query, (kind, *names))}

    def all_metadata(self, kinds: Sequence[str]) -> dict[str, dict[str, str]]:
        """id -> metadata of every usable row of these kinds that has any."""
        query = f"SELECT m.id, m.packed FROM metadata m JOIN files f ON f.id = m.id WHERE f.refusal = '' AND f.kind IN ({_marks(kinds)})"
        return {row["id"]: _unpacked(row["packed"]) for row in self._read(query, tuple(kinds))}

    def metadata(self, key: str) -> dict[str, str]:
        """The metadata of a row's header, empty when it has none."""
        rows = self._read("SELECT packed FROM metadata WHERE id = ?", (key,))
        return _unpacked(rows[0]["packed"]) if rows else {}

    # ---- digests ---------------------------------------------------------------------------------------------------

    def put_digest(self, table: str, path: str, stamp: str, sha256: str) -> None:
        """Remember a digest. table: "hashes" (of the file) or "contents" (without its header)."""
        with self._change() as db:
            db.execute(f"REPLACE INTO {table} VALUES (?, ?, ?)", (path, stamp, sha256))

    def close(self) -> None:
        with self._lock:
            self._db.close()


def id_of(path: str) -> str:
    """The id of a path: the same in every run, so that a page left open means what it showed."""
    return hashlib.blake2b(path.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    if db.execute("PRAGMA user_version").fetchone()[0] != SHAPE:
        db.executescript(f"DROP TABLE IF EXISTS files; DROP TABLE IF EXISTS metadata; PRAGMA user_version={SHAPE}")
    db.executescript(_TABLES)
    return db


def _storable(value: Any) -> Any:
    """Text without what no encoding has; a header may hold half a character."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _unpacked(packed: bytes) -> dict[str, str]:
    return json.loads(zlib.decompress(packed))


def _fresh(f: Found) -> tuple[Any, ...]:
    path = str(f.path)
    return (
        id_of(path), path, str(f.base), f.place, f.name, f.title, f.name.casefold(), f.format, f.size_bytes, f.stamp, f.changed_s,
        expected_kind(f),
    )  # fmt: skip


def _found(row: sqlite3.Row) -> Found:
    return Found(
        path=Path(row["path"]), base=Path(row["base"]), place=row["place"], format=row["format"], size_bytes=row["size_bytes"],
        stamp=row["stamp"], changed_s=row["changed_s"],
    )  # fmt: skip


def _row(row: sqlite3.Row) -> ModelRow:
    values: dict[str, Any] = {key: row[key] for key in row.keys() if key not in ("sort", "stamp")}  # noqa: SIM118 - a sqlite3.Row gives values
    values |= {"described": bool(row["described"]), "extra": json.loads(row["extra"])}
    return ModelRow(**values)


def _where(kinds: Sequence[str], search: str, refused: bool | None, fits: tuple[str, str] | None = None) -> tuple[str, list[Any]]:
    parts = [f"f.kind IN ({_marks(kinds)})"] if kinds else ["1"]
    values: list[Any] = list(kinds)
    if refused is not None:
        parts.append("f.refusal != ''" if refused else "f.refusal = ''")
    if fits is not None:
        parts.append("(f.family = ? OR (f.family IS NULL AND f.architecture = ?))")
        values += fits
    for word in search.split()[:8]:
        parts.append("(f.title || ' ' || f.name || ' ' || f.alias || ' ' || COALESCE(f.family, f.architecture, '')) LIKE ? ESCAPE '\\'")
        values.append(f"%{word[:100].translate(_ESCAPED)}%")
    return " AND ".join(parts), values


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
