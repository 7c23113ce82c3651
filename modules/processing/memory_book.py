"""What is known about memory on this machine, kept in a file: footprints of components, what runs really needed, where memory ran out.

The worker writes it, the web process reads it. No torch: whoever may walk through unknown components brings the means.
Start reading at `MemoryBook`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modules.folders import Folders, write_atomic
from modules.hardware.footprint import Footprint, shipped
from modules.hardware.plan import Need
from modules.processing.memory_known import Known
from modules.processing.memory_need import Counting

Walk = Callable[[Known, int], Footprint | None]
KEPT = 500  # rows of each kind; the oldest go first


class MemoryBook:
    """path: of its file. walk: `modules.processing.tracing.walked`, in a worker; it needs torch."""

    def __init__(self, path: Path, *, walk: Walk | None = None) -> None:
        self._path = path
        self._walk = walk
        self._shipped = shipped()
        self._read_at = -1
        self._rows: dict[str, dict[str, Any]] = {}
        self.counting = Counting(footprint=self._footprint)

    @classmethod
    def of(cls, folders: Folders, *, walk: Walk | None = None) -> MemoryBook:
        """The one of this installation."""
        return cls(folders.cache / "memory.json", walk=walk)

    def more(self, need: Need) -> Mapping[str, int]:
        """Policy -> bytes that the last run of this model needed beyond the sum, the process itself among them; negative for less."""
        return {row["policy"]: row["more"] for row in self._all("measured").values() if row["key"] == need.key}

    def begin_with(self, spot: str) -> str:
        """The policy under which a run of this model and size (`spot_of`) went well after memory ran out; "" when it never did."""
        return str(self._all("ran_out").get(spot, ""))

    def note_measured(self, need: Need, policy: str, more: int) -> None:
        """Remember by how much a run's measured peak was above the sum."""
        self._put("measured", f"{need.key} {policy}", {"key": need.key, "policy": policy, "more": more})

    def note_ran_out(self, spot: str, policy: str) -> None:
        """Remember the policy that a run of this model and size had to come down to."""
        self._put("ran_out", spot, policy)

    def _footprint(self, known: Known, number_bytes: int) -> Footprint | None:
        key = known.key(number_bytes)
        found = self._shipped.get(key) or self._all("footprints").get(key)
        if found is None and self._walk is not None and (found := self._walk(known, number_bytes)):
            self._put("footprints", key, found)
        return found or None

    def _all(self, kind: str) -> dict[str, Any]:
        """The rows of a kind, read again when the file has changed."""
        try:
            at = self._path.stat().st_mtime_ns
        except OSError:
            return self._rows.get(kind, {})
        if at != self._read_at:
            try:
                rows: Any = json.loads(self._path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                rows = {}
            self._rows, self._read_at = rows if isinstance(rows, dict) else {}, at
        return self._rows.get(kind, {})

    def _put(self, kind: str, name: str, value: Any) -> None:
        rows = {k: v for k, v in self._all(kind).items() if k != name} | {name: value}
        self._rows = {**self._rows, kind: dict(list(rows.items())[-KEPT:])}
        write_atomic(self._path, json.dumps(self._rows).encode(), sync=False)
        self._read_at = self._path.stat().st_mtime_ns
