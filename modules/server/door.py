"""Who stands before the door: proves what a request shows, remembers it for a while, and makes guessers wait.

Checking a password takes a tenth of a second on purpose, so a proved header is remembered, by a digest that only this process can
make, and not checked again for some minutes. Start reading at `Door.of_request`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.datastructures import Headers

from modules.server.access import Access
from modules.server.credentials import Bearer, Password, of_cookie, of_header
from modules.server.lane import Lane
from modules.server.people import People, Person
from modules.server.programs import Programs
from modules.server.sessions import Sessions
from modules.server.throttle import Throttle

V = TypeVar("V")
REMEMBERED_S = 300.0
KEPT = 1000  # proved headers, and wrong ones
CHECKS_AT_ONCE = 2  # each takes 64 MiB


@dataclass(frozen=True)
class MustWait:
    """There were too many wrong passwords; seconds: until the next may be tried."""

    seconds: int


class Door:
    """One a server. cookie: the name of the session cookie, which tells apart servers on the ports of one host."""

    def __init__(self, access: Access, *, hours: float, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.cookie = f"darkroom_{port}"
        self.people = People(access)
        self.sessions = Sessions(hours, clock)
        self.programs = Programs()
        self._throttle = Throttle(clock)
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._proved: OrderedDict[bytes, tuple[Person, float]] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._checks: dict[bytes, asyncio.Task[Person | None]] = {}
        self._lane = Lane(CHECKS_AT_ONCE)

    async def of_request(self, headers: Headers, address: str) -> Person | MustWait | None:
        """Who asks: by the session cookie, else by the Authorization header. None: nobody is proved."""
        if (person := self.signed_in(headers)) is not None:
            self.sessions.saw(self.session_key(headers) or "", address)
            return person
        shown = of_header(headers.get("authorization", ""))
        if isinstance(shown, Bearer):
            found = self.people.by_token(shown.token)
        else:
            found = await self.try_password(shown, address) if shown else None
        if isinstance(found, Person):
            self.programs.saw(found, address)
        return found

    def signed_in(self, headers: Headers) -> Person | None:
        """Whose session the cookie names."""
        key = self.session_key(headers)
        person = self.sessions.of(key) if key else None
        now = self.people.again(person) if person else None
        if key and person and now is None:  # the password has changed
            self.sessions.end(key)
        return now

    def session_key(self, headers: Headers) -> str | None:
        """The session that a request names, whether or not there is one."""
        return of_cookie(headers.get("cookie", ""), self.cookie)

    async def try_password(self, shown: Password, address: str) -> Person | MustWait | None:
        """The person whom a password proves. The same wrong password again is no new guess."""
        digest = self._digest(shown)
        if (person := self._remembered(digest)) is not None:
            return person
        if digest in self._wrong:
            return None
        check = self._checks.get(digest)
        if check is None or check.get_loop() is not asyncio.get_running_loop():
            if wait_s := self._throttle.wait_s(address, shown.name):
                return MustWait(math.ceil(wait_s))
            self._throttle.begin(address, shown.name)
            check = self._checks[digest] = asyncio.create_task(self._check(shown, digest, address))
        return await asyncio.shield(check)

    async def _check(self, shown: Password, digest: bytes, address: str) -> Person | None:
        try:
            person = await self._lane.run(self.people.check, shown.name, shown.password)
        finally:
            self._checks.pop(digest, None)
        if person is None:
            _keep(self._wrong, digest, None)
        else:
            self._throttle.right(address, shown.name)
            _keep(self._proved, digest, (person, self._clock() + REMEMBERED_S))
        return person

    def _remembered(self, digest: bytes) -> Person | None:
        person, until_s = self._proved.get(digest, (None, 0.0))
        now = self.people.again(person) if person is not None and until_s > self._clock() else None
        if person is not None and now is None:
            del self._proved[digest]
        return now

    def _digest(self, shown: Password) -> bytes:
        """Of the users file's state too: what was wrong before a change may be right after it."""
        shown_now = (shown.name, shown.password, self.people.state)
        return hmac.digest(self._secret, repr(shown_now).encode("utf-8", "replace"), hashlib.sha256)


def _keep(table: OrderedDict[bytes, V], key: bytes, value: V) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > KEPT:
        table.popitem(last=False)
