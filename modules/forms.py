"""What each person's forms hold, their presets, and what they have been shown: a file for each person in the data folder.

Knows names, values as plain JSON, limits and the clock; knows nothing about what the values mean. The newest change wins, however late
it arrives. Start reading at `Forms`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import DiskFault, RequestFault
from modules.folders import write_atomic

log = logging.getLogger(__name__)
_TAB = re.compile(r"[a-z][a-z0-9_]{0,39}")
_KINDS = ("forms", "presets", "marks")
NAME_CHARS = 80
FIELDS = 1000
LONG_AGO_S = 10 * 365 * 86400.0


@dataclass(frozen=True)
class Limits:
    """Of one person: bytes of one form, tabs with a form, presets of a tab, marks, bytes of everything together."""

    form_bytes: int = 500_000
    tabs: int = 20
    presets: int = 200
    marks: int = 50
    bytes: int = 8_000_000


FOR_GUESTS = Limits(form_bytes=100_000, tabs=8, presets=20, marks=20, bytes=600_000)
GUEST_FILES = 200  # files of guests; the one that was not used for the longest time makes room


class Forms:
    """The only reader and writer of its folder. Every method may be called from any thread."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time, guest_files: int = GUEST_FILES) -> None:
        self._folder = folder
        self._clock = clock
        self._guest_files = guest_files
        self._lock = threading.Lock()

    def of(self, owner: str) -> dict[str, Any]:
        """{"forms": {tab: {"values", "age_s"}}, "presets": {tab: [name]}, "marks": {name: value}} of a person; age_s: since its change."""
        with self._lock:
            data = self._read(owner)
        now = self._clock()
        return {
            "forms": {tab: {"values": kept["values"], "age_s": max(0.0, now - kept["at_s"])} for tab, kept in data["forms"].items()},
            "presets": {tab: sorted(named, key=str.casefold) for tab, named in data["presets"].items()},
            "marks": data["marks"],
        }

    def keep(self, owner: str, tab: str, values: Any, age_s: Any = 0.0, *, guest: bool = False) -> bool:
        """Keep what a form holds. age_s: how long ago it was changed. False when a newer change is here already. Raises RequestFault."""
        limits = _limits(guest)
        given = _values(values, limits)
        at_s = self._clock() - _age(age_s)
        with self._lock:
            data = self._read(owner)
            forms = data["forms"]
            if _tab(tab) not in forms and len(forms) >= limits.tabs:
                raise RequestFault("tab", f"is one too many: forms of {limits.tabs} tabs are kept", got=tab)
            if tab in forms and forms[tab]["at_s"] > at_s:
                return False
            forms[tab] = {"at_s": at_s, "values": given}
            self._write(owner, data, guest)
        return True

    def preset(self, owner: str, tab: str, name: Any) -> dict[str, Any]:
        """The values of a preset. Raises RequestFault when there is none of that name."""
        with self._lock:
            named = self._read(owner)["presets"].get(_tab(tab), {})
        return dict(_there(named, _name("name", name)))

    def save_preset(self, owner: str, tab: str, name: Any, values: Any, *, replace: bool = False, guest: bool = False) -> None:
        """Keep values under a name. Raises RequestFault for a name that is taken, unless replace."""
        limits = _limits(guest)
        given, called = _values(values, limits), _name("name", name)
        if not given:
            raise RequestFault("values", "must hold one field at least")

        def change(named: dict[str, Any]) -> None:
            if called in named and not replace:
                raise RequestFault("name", "is taken by a preset; choose another one, or replace it", got=called)
            if called not in named and len(named) >= limits.presets:
                raise RequestFault("name", f"is one too many: {limits.presets} presets a tab are kept; delete one first", got=called)
            named[called] = given

        self._change_presets(owner, tab, change, guest)

    def rename_preset(self, owner: str, tab: str, name: Any, to: Any, *, guest: bool = False) -> None:
        """Give a preset another name. Raises RequestFault when there is none, or the new name is taken."""
        old, new = _name("name", name), _name("to", to)

        def change(named: dict[str, Any]) -> None:
            values = _there(named, old)
            if new in named and new != old:
                raise RequestFault("to", "is taken by another preset", got=new)
            del named[old]
            named[new] = values

        self._change_presets(owner, tab, change, guest)

    def delete_preset(self, owner: str, tab: str, name: Any, *, guest: bool = False) -> None:
        """Raises RequestFault when there is none of that name."""
        called = _name("name", name)

        def change(named: dict[str, Any]) -> None:
            _there(named, called)
            del named[called]

        self._change_presets(owner, tab, change, guest)

    def mark(self, owner: str, name: Any, value: Any, *, guest: bool = False) -> None:
        """Remember a word about a person, as that the tour was taken. value: a truth, a number or a short text. Raises RequestFault."""
        called = _name("name", name)
        if not isinstance(value, bool | int | float | str) or len(str(value)) > NAME_CHARS:
            raise RequestFault(
                "value", f"must be true, false, a number or a text of at most {NAME_CHARS} characters", got=type(value).__name__
            )
        limits = _limits(guest)
        with self._lock:
            data = self._read(owner)
            if called not in data["marks"] and len(data["marks"]) >= limits.marks:
                raise RequestFault("name", f"is one too many: {limits.marks} are kept", got=called)
            data["marks"][called] = value
            self._write(owner, data, guest)

    def _change_presets(self, owner: str, tab: str, change: Callable[[dict[str, Any]], None], guest: bool) -> None:
        with self._lock:
            data = self._read(owner)
            change(data["presets"].setdefault(_tab(tab), {}))
            self._write(owner, data, guest)

    # ---- the file -----------------------------------------------------------------------------------------------------

    def _path(self, owner: str) -> Path:
        """Names of people may hold what file names may not."""
        return self._folder / f"{hashlib.sha256(owner.encode('utf-8', 'replace')).hexdigest()[:32]}.json"

    def _read(self, owner: str) -> dict[str, Any]:
        path = self._path(owner)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(data, dict) or not all(isinstance(data.get(kind), dict) for kind in _KINDS):
                raise ValueError("it holds something else than forms")
            return {kind: data[kind] for kind in _KINDS}
        except FileNotFoundError:
            pass
        except ValueError as error:
            broken = path.with_suffix(".broken")
            log.warning("The file of the forms %s cannot be read (%s); it is kept as %s.", path.name, error, broken.name)
            with contextlib.suppress(OSError):
                path.replace(broken)
        except OSError as error:
            raise DiskFault(f"cannot read {path.name} in {path.parent}: {error.strerror}. Look at the rights of that folder.") from error
        return {kind: {} for kind in _KINDS}

    def _write(self, owner: str, data: Mapping[str, Any], guest: bool) -> None:
        raw = json.dumps({"owner": owner, "guest": guest, **data}, ensure_ascii=False).encode("utf-8", "replace")
        limits = _limits(guest)
        if len(raw) > limits.bytes:
            raise RequestFault("values", f"are too much: {limits.bytes // 1000} kB a person are kept; delete a preset first")
        path = self._path(owner)
        if guest and not path.exists():
            self._make_room()
        write_atomic(path, raw, mode=0o600)

    def _make_room(self) -> None:
        """Room for one more guest: those who were away longest leave."""
        guests = [path for path in self._folder.glob("*.json") if _is_guests(path)]
        guests.sort(key=lambda path: path.stat().st_mtime)
        for path in guests[: max(0, len(guests) - self._guest_files + 1)]:
            path.unlink(missing_ok=True)


def _is_guests(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["guest"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _limits(guest: bool) -> Limits:
    return FOR_GUESTS if guest else Limits()


def _tab(tab: Any) -> str:
    if not isinstance(tab, str) or not _TAB.fullmatch(tab):
        raise RequestFault("tab", "must be the name of a tab: small letters, digits and _", got=str(tab)[:80])
    return tab


def _name(field: str, name: Any) -> str:
    called = name.strip() if isinstance(name, str) else ""
    if not 0 < len(called) <= NAME_CHARS or any(ord(sign) < 32 for sign in called):
        raise RequestFault(field, f"must be a name of 1 to {NAME_CHARS} characters in one line", got=str(name)[:80])
    return called


def _there(named: Mapping[str, Any], name: str) -> Any:
    if name not in named:
        raise RequestFault("name", "is no preset of this tab", got=name)
    return named[name]


def _age(age_s: Any) -> float:
    if isinstance(age_s, bool) or not isinstance(age_s, int | float) or not 0 <= age_s <= LONG_AGO_S:
        raise RequestFault("age_s", "must be the seconds since the change, from 0", got=str(age_s)[:40])
    return float(age_s)


def _values(values: Any, limits: Limits) -> dict[str, Any]:
    """Plain JSON of a form: names to values. Raises RequestFault when it is something else, or too much."""
    if not isinstance(values, dict) or len(values) > FIELDS:
        raise RequestFault("values", f"must be an object of at most {FIELDS} fields", got=type(values).__name__)
    size = len(json.dumps(values, ensure_ascii=False).encode("utf-8", "replace"))
    if size > limits.form_bytes:
        raise RequestFault("values", f"are too long to be kept: {size // 1000} kB; the most is {limits.form_bytes // 1000} kB")
    return dict(values)
