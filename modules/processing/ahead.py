"""The next job's model files, read into the system's file cache while a job runs, so that loading them does not wait for the disk.

Nothing is kept: the system gives the memory to whoever wants it. Knows files and free memory; knows nothing about loading; no torch.
Start reading at `ReadAhead.look`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PIECE_BYTES = 4 << 20
SPARE_BYTES = 1 << 30  # main memory that stays free
WEIGHTS = (".safetensors", ".gguf")


class ReadAhead:
    """Reads on a thread of its own, the files of one job at a time. room(): bytes of main memory that are free, file caches counted in."""

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self._wanted: tuple[Path, ...] = ()
        self._thread: threading.Thread | None = None

    def look(self, paths: Sequence[Path]) -> None:
        """From now on these files or folders, in place of what was to be read; none: nothing any more. Comes back at once."""
        wanted = tuple(paths)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if wanted:
            self._thread = threading.Thread(target=self._read, args=(wanted,), daemon=True, name="read-ahead")
            self._thread.start()

    def wait(self) -> None:
        """Until what was to be read is read or given up."""
        if self._thread is not None:
            self._thread.join()

    def _read(self, wanted: tuple[Path, ...]) -> None:
        files = [file for path in wanted for file in weight_files(path)]
        left = sum(size for _, size in files)
        if self._room() < left + SPARE_BYTES:
            return
        piece = bytearray(PIECE_BYTES)
        for path, _ in files:
            try:
                with path.open("rb", buffering=0) as file:
                    while file.readinto(piece):
                        if self._wanted != wanted or self._room() < SPARE_BYTES:
                            return
            except OSError:  # it has gone, or cannot be read; the job itself will say so
                continue


def weight_files(path: Path) -> list[tuple[Path, int]]:
    """(file, bytes) of a model file, or of the weights in a folder of one; [] when it is not there."""
    try:
        found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix in WEIGHTS)
        return [(file, file.stat().st_size) for file in found]
    except OSError:
        return []


def files_of(resolved: Mapping[str, Any], held: Sequence[str] = ()) -> list[Path]:
    """The files that a generation's models lie in, by its data as in the job row. held: paths of checkpoints that are loaded already.

    [] for a job of another kind, and where its settings do not want it.
    """
    if not (resolved.get("settings") or {}).get("read_ahead") or not resolved.get("checkpoint"):
        return []
    found = list[str]()
    for one in (resolved, resolved.get("refiner") or {}, resolved.get("hires") or {}):
        checkpoint = one.get("checkpoint") or {}
        if checkpoint and checkpoint["path"] not in held:
            found += [checkpoint["path"], *(part["path"] for part in (one.get("parts") or {}).values())]
            found += [one["vae"]["path"]] if one.get("vae") else []
        found += [network["path"] for network in one.get("networks") or ()]
    return [Path(path) for path in dict.fromkeys(found)]
