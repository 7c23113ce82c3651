"""From a name and a password, or a token, to a person: the users of the command line and of the users file together.

Knows every source of users; knows nothing about requests, sessions or waiting. Start reading at `People.check`.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace

from modules.server.access import API, FILE, PAGE, Access
from modules.users import ADMIN, User
from modules.users.passwords import TOKEN_MARK, token_digest
from modules.users.store import lower


@dataclass(frozen=True)
class Person:
    """Somebody who has proved a name. sources: which lists it stands in; stamp: changes with the password, so that what was proved
    with the old one ends; token: the name of the token it was proved with, "" for a password.
    """

    name: str
    role: str
    sources: frozenset[str]
    stamp: str
    token: str = ""

    @property
    def shown_name(self) -> str:
        """The name that jobs get: a program's token has jobs of its own."""
        return f"{self.name}/{self.token}" if self.token else self.name


class People:
    """Everybody who may come in."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @property
    def state(self) -> tuple[int, ...]:
        """Changes whenever the users file does."""
        return self._access.users.state if self._access.users is not None else ()

    def check(self, name: str, password: str) -> Person | None:
        """The person whom a password proves. A tenth of a second for users of the file; as long for a name that nobody has."""
        if password.startswith(TOKEN_MARK):  # clients that know Basic only send a token as the password
            person = self.by_token(password)
            if person is not None and person.name == name:
                return person
        if (person := self._of_flags(name, password)) is not None:
            return person
        users = self._access.users
        if users is None or not users.known or name in {**self._access.api_users, **self._access.page_users}:
            return None
        user = users.check(name, password)
        return _person(user) if user else None

    def by_token(self, token: str) -> Person | None:
        """The person for whom a token stands, as far as the token's role goes."""
        found = self._access.users.by_token(token) if self._access.users is not None else None
        if found is None:
            return None
        user, known = found
        return Person(user.name, lower(user.role, known.role), frozenset({FILE}), known.sha256, known.name)

    def again(self, person: Person) -> Person | None:
        """The same person as of now; None once the password or the token has changed, or the name is gone."""
        if FILE not in person.sources:
            return person  # the command line does not change while the program runs
        user = self._access.users.get(person.name) if self._access.users is not None else None
        if user is None:
            return None
        if person.token:
            token = user.tokens.get(person.token)
            return replace(person, role=lower(user.role, token.role)) if token and token.sha256 == person.stamp else None
        return replace(person, role=user.role) if user.password == person.stamp else None

    def _of_flags(self, name: str, password: str) -> Person | None:
        """Takes the same time for every wrong answer."""
        sources: set[str] = set()
        for source, users in ((API, self._access.api_users), (PAGE, self._access.page_users)):
            found = False
            for known, right in users.items():
                found |= _same(known, name) & _same(right, password)
            if found:
                sources.add(source)
        return Person(name, ADMIN, frozenset(sources), token_digest(password)) if sources else None


def _person(user: User) -> Person:
    return Person(user.name, user.role, frozenset({FILE}), user.password)


def _same(one: str, other: str) -> bool:
    """Equal texts; the time taken tells nothing about them, not even their length."""
    return hmac.compare_digest(hashlib.sha256(one.encode()).digest(), hashlib.sha256(other.encode("utf-8", "replace")).digest())
