"""Who is signed in: sessions of browsers, kept by this process. A restart signs everybody out.

Knows people and the clock; knows nothing about cookies. Start reading at `Sessions.begin`.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from modules.server.people import Person

KEPT = 10_000  # sessions; the oldest go first
_HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Session:
    """id: names it in lists, and opens nothing; address: of the latest request; since_s, seen_s: seconds since 1970."""

    id: str
    person: Person
    address: str
    since_s: float
    seen_s: float
    until_s: float  # by `clock`


class Sessions:
    """Sessions by the digest of their key: what lies in memory opens nothing. clock: seconds, may start anywhere; wall: since 1970."""

    def __init__(self, hours: float, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._length_s = hours * _HOUR_S
        self._clock = clock
        self._wall = wall
        self._open: OrderedDict[str, Session] = OrderedDict()

    def begin(self, person: Person, address: str = "") -> str:
        """A new session; returns its key, 256 random bits."""
        key, now_s = secrets.token_urlsafe(32), self._wall()
        self._open[_digest(key)] = Session(
            id=secrets.token_hex(8),
            person=person,
            address=address,
            since_s=now_s,
            seen_s=now_s,
            until_s=self._clock() + self._length_s,
        )
        while len(self._open) > KEPT:
            self._open.popitem(last=False)
        return key

    def of(self, key: str) -> Person | None:
        """Whose session it is, as long as it lasts."""
        session = self._open.get(digest := _digest(key))
        if session is not None and session.until_s > self._clock():
            return session.person
        self._open.pop(digest, None)
        return None

    def saw(self, key: str, address: str) -> None:
        """A request came with this key."""
        if (session := self._open.get(digest := _digest(key))) is not None:
            self._open[digest] = replace(session, address=address, seen_s=self._wall())

    def all(self) -> list[Session]:
        """Those that last, the latest seen first."""
        now = self._clock()
        return sorted((one for one in list(self._open.values()) if one.until_s > now), key=lambda one: -one.seen_s)

    def end(self, key: str) -> None:
        self._open.pop(_digest(key), None)

    def end_named(self, session_id: str) -> bool:
        """End the session of that id; False when there is none."""
        found = next((digest for digest, one in list(self._open.items()) if one.id == session_id), None)
        return found is not None and self._open.pop(found, None) is not None

    def named(self, key: str | None) -> str:
        """The id of the session with this key, "" when there is none."""
        session = self._open.get(_digest(key)) if key else None
        return session.id if session is not None else ""


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
