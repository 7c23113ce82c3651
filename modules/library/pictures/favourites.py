"""Which pictures the person marked: a small file of its own in the data folder, since the index may be thrown away at any time.

Start reading at `Favourites.all`.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from modules.folders import write_atomic

log = logging.getLogger(__name__)


class Favourites:
    """path -> stamp of the marked pictures. Inside the data folder paths are kept relative to it, so that it can be moved.

    The stamp keeps a new picture that took an old one's name from being marked.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._file = data / "favourites.json"
        self._lock = threading.Lock()

    def all(self) -> dict[str, str]:
        """Absolute path -> stamp. A file that cannot be read is kept aside, and the list begins anew."""
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            return {str(self._data / path): str(stamp) for path, stamp in kept["pictures"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            aside = self._file.with_name(f"{self._file.name}.bad-{time.strftime('%Y%m%d-%H%M%S')}")
            log.warning("%s could not be read (%s); it was kept as %s", self._file.name, error, aside.name)
            if self._file.is_file():
                self._file.replace(aside)
            return {}

    def change(self, *, add: Mapping[str, str] | None = None, drop: Mapping[str, str] | None = None) -> None:
        """Mark pictures and take marks away; path -> stamp. Raises DiskFault."""
        with self._lock:
            kept = self.all()
            changed = {path: stamp for path, stamp in kept.items() if path not in (drop or {})} | dict(add or {})
            if changed != kept:
                rows = {self._short(path): stamp for path, stamp in sorted(changed.items())}
                write_atomic(self._file, json.dumps({"pictures": rows}, indent=1, ensure_ascii=False).encode())

    def _short(self, path: str) -> str:
        inside = Path(path)
        return inside.relative_to(self._data).as_posix() if inside.is_relative_to(self._data) else path
