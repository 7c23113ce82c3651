"""`SettingsStore`: the settings file, read once, written atomically, with older versions beside it."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import RequestFault
from modules.folders import write_atomic
from modules.knobs import coerce, knobs_of
from modules.settings.declared import Settings, check

GENERATIONS = 5


@dataclass(frozen=True)
class Older:
    """An older version of the file. n: 1 is the latest; saved_s: when it was put aside, seconds since 1970."""

    n: int
    saved_s: float
    settings: Settings


class SettingsStore:
    """The settings file. Reads it once, writes it atomically, keeps the last five versions beside it.

    A file that cannot be read is moved to config.json.bad-<time> and the newest good generation is used; `notices` says so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.notices: list[str] = []
        self._raw = self._read()
        self._current = self._to_settings(self._raw)

    @property
    def current(self) -> Settings:
        return self._current

    @property
    def others(self) -> dict[str, Any]:
        """What stands in the file and is no setting of the program: options of extensions, and those of other versions."""
        knobs = knobs_of(Settings)
        return {key: value for key, value in self._raw.items() if key not in knobs}

    def keep_others(self, values: dict[str, Any]) -> None:
        """Keep some that are no settings of the program. Raises RequestFault for one that is, DiskFault."""
        if taken := sorted(set(values) & set(knobs_of(Settings))):
            raise RequestFault(taken[0], "is a setting of the program")
        with self._lock:
            raw = {**self._raw, **values}
            if raw != self._raw:
                self._write(raw)
                self._raw = raw

    def set(self, values: dict[str, Any], *, anywhere: bool = False, others: dict[str, Any] | None = None) -> Settings:
        """Change and save some settings. Raises UnknownName, RequestFault, DiskFault; nothing is changed then.

        anywhere: folders may lie outside the data folder, as whoever asks is at this machine; others: kept along with them, see
        `keep_others`, None takes one out.
        """
        checked = check(values, self._current, anywhere=anywhere)
        with self._lock:
            changed = dataclasses.replace(self._current, **checked)
            more = {key: value for key, value in (others or {}).items() if key not in knobs_of(Settings)}
            raw = {**self._raw, **{k: v for k, v in changed.to_data().items() if k in checked}, **more}
            raw = {key: value for key, value in raw.items() if key not in more or value is not None}
            if changed == self._current and all(self._raw.get(key) == value for key, value in more.items()):
                return changed
            self._write(raw)
            self._raw, self._current = raw, changed
            return changed

    def older(self) -> list[Older]:
        """The older versions of the file that can be read, the latest first."""
        found: list[Older] = []
        with self._lock:
            for n in range(1, GENERATIONS + 1):
                try:
                    path = self._generation(n)
                    raw, saved_s = json.loads(path.read_text(encoding="utf-8")), path.stat().st_mtime
                except (OSError, ValueError):
                    continue
                if isinstance(raw, dict):
                    found.append(Older(n, saved_s, self._readable(raw)[0]))
        return found

    def restore(self, n: int, saved_s: float) -> Settings:
        """Go back to an older version; what is so now becomes the latest of them. saved_s: as `older` told, so that nothing else is hit.

        Raises RequestFault when it is not there any more, DiskFault.
        """
        with self._lock:
            path = self._generation(n)
            try:
                if path.stat().st_mtime != saved_s:
                    raise ValueError("it is another one by now")
                raw = json.loads(path.read_text(encoding="utf-8"))
                if not isinstance(raw, dict):
                    raise ValueError("it is no object")
            except (OSError, ValueError) as error:
                raise RequestFault("n", "means an older version that is not there any more; look at the list again", got=n) from error
            current = self._readable(raw)[0]
            self._write(raw)
            self._raw, self._current = raw, current
            return current

    def _to_settings(self, raw: dict[str, Any]) -> Settings:
        found, wrong = self._readable(raw)
        self.notices += [f"config.json: {text}; the default is used" for text in wrong]
        return found

    @staticmethod
    def _readable(raw: dict[str, Any]) -> tuple[Settings, list[str]]:
        """(the settings of a file, what is wrong with those that are left out)."""
        knobs = knobs_of(Settings)
        good: dict[str, Any] = {}
        wrong: list[str] = []
        for key, value in raw.items():
            if key not in knobs:
                continue
            try:
                good[key] = coerce(knobs[key], value)
            except RequestFault as fault:
                wrong.append(fault.message)
        return Settings(**good), wrong

    def _generation(self, n: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{n}")

    def _read(self) -> dict[str, Any]:
        for n, path in enumerate([self._path, *(self._generation(i) for i in range(1, GENERATIONS + 1))]):
            if not path.exists():
                continue
            try:
                raw = json.loads(path.read_text(encoding="utf-8"))
                if not isinstance(raw, dict):
                    raise ValueError("not an object")
            except (OSError, ValueError) as error:
                if n == 0:
                    bad = path.with_name(f"{path.name}.bad-{time.strftime('%Y%m%d-%H%M%S')}")
                    os.replace(path, bad)
                    self.notices.append(f"config.json could not be read ({error}); it was kept as {bad.name}")
                continue
            if n:
                self.notices.append(f"settings were taken from the older {path.name}")
            return raw
        return {}

    def _write(self, raw: dict[str, Any]) -> None:
        for n in range(GENERATIONS - 1, 0, -1):
            if self._generation(n).exists():
                os.replace(self._generation(n), self._generation(n + 1))
        if self._path.exists():
            write_atomic(self._generation(1), self._path.read_bytes())
        write_atomic(self._path, json.dumps(raw, indent=4, ensure_ascii=False).encode())
