"""How often a guest failed, over jobs and restarts: one that fails again and again is switched off until somebody looks at it.

A small file that the worker writes and the web process reads. Start reading at `FaultLedger.fault`.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from modules.faults import DiskFault
from modules.folders import Folders, write_atomic

FILE = "script-faults.json"
TOO_OFTEN = 5
_log = logging.getLogger(__name__)


class FaultLedger:
    """Faults in a row of each guest. One that reaches `TOO_OFTEN` is off; a changed file begins anew."""

    too_often = TOO_OFTEN

    def __init__(self, folders: Folders) -> None:
        self._path = folders.cache / FILE
        self._stamps: dict[str, int] = {}

    def know(self, guest: str, path: Path) -> None:
        """The guest comes from this file."""
        try:
            self._stamps[guest] = path.stat().st_mtime_ns
        except OSError:
            self._stamps[guest] = 0

    def fault(self, guest: str, hook: str, text: str) -> bool:
        """One more; True when the guest is off from now on."""
        rows = self._read()
        row = self._row(rows, guest)
        row |= {"count": row["count"] + 1, "hook": hook, "text": text, "time_s": time.time()}
        rows[guest] = row
        self._write(rows)
        return row["count"] >= TOO_OFTEN

    def well(self, guest: str) -> None:
        """A job went by without a fault."""
        rows = self._read()
        if rows.pop(guest, None) is not None:
            self._write(rows)

    def off(self, guest: str) -> str:
        """Why the guest is off; "" when it is not."""
        row = self._row(self._read(), guest)
        if row["count"] < TOO_OFTEN:
            return ""
        return f"it failed {row['count']} times in a row, at last in {row['hook']}: {row['text']}"

    def row(self, guest: str, path: Path) -> dict[str, Any]:
        """{"count": faults in a row, "hook": of the last one, "text": what it was} of the guest that comes from this file."""
        self.know(guest, path)
        return self._row(self._read(), guest)

    def forgive(self, guest: str) -> None:
        """Switch it on again."""
        self.well(guest)

    def _row(self, rows: dict[str, Any], guest: str) -> dict[str, Any]:
        """A row of an older file does not count."""
        row = rows.get(guest)
        stamp = self._stamps.get(guest, 0)
        return row if isinstance(row, dict) and row.get("stamp") == stamp else {"count": 0, "stamp": stamp, "hook": "", "text": ""}

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, rows: dict[str, Any]) -> None:
        try:
            write_atomic(self._path, json.dumps(rows).encode())
        except DiskFault as fault:
            _log.warning("%s", fault)
