"""Who comes without a session: programs, by token or by password with each request. Kept by this process, for the list of who is there.

Knows people, addresses and the clock. Start reading at `Programs.saw`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from modules.server.people import Person

KEPT = 200  # the ones seen longest ago go first


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A person's program at one address. requests: how many it has sent; since_s, seen_s: seconds since 1970."""

    person: Person
    address: str
    since_s: float
    seen_s: float
    requests: int


class Programs:
    """Callers by who they are and where they come from."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._known: OrderedDict[tuple[str, str], Caller] = OrderedDict()

    def saw(self, person: Person, address: str) -> None:
        """A request came from it."""
        now_s, key = self._wall(), (person.shown_name, address)
        former = self._known.get(key)
        if former is None:
            former = Caller(person=person, address=address, since_s=now_s, seen_s=now_s, requests=0)
        self._known[key] = replace(former, person=person, seen_s=now_s, requests=former.requests + 1)
        self._known.move_to_end(key)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    def all(self) -> list[Caller]:
        """The latest seen first."""
        return list(reversed(list(self._known.values())))
