"""`Users`: the users file. Read again when it has changed, so that a running server follows the command line at once.

Knows the file; knows nothing about sessions or who is asking. Safe with several threads and processes. Start reading at `Users`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from modules.faults import DiskFault, RequestFault, SetupFault, UnknownName
from modules.folders import write_atomic
from modules.users.passwords import LEAST_CHARS, MOST_CHARS, Passwords, new_token, token_digest
from modules.users.records import NAME_RULE, Token, User, is_name, read, tidy, write
from modules.users.roles import ADMIN, ROLES

log = logging.getLogger(__name__)
FILE_MODE = 0o600
LOCK_WAIT_S = 10


class Users:
    """The users of a file, which need not exist: then there are none."""

    def __init__(self, path: Path, passwords: Passwords | None = None) -> None:
        self.path = path
        self._passwords = passwords or Passwords()
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._users: dict[str, User] = {}
        self._ever = False

    # ---- questions -------------------------------------------------------------------------------------------------

    def all(self) -> dict[str, User]:
        """By name, as the file is now. Raises SetupFault for a file that cannot be read, unless an earlier state of it is known."""
        with self._lock:
            stamp = _stamp(self.path)
            if stamp != self._stamp:
                try:
                    self._users = self._in_file()
                except SetupFault as error:
                    self._keep_former(error)
                self._stamp = stamp
                self._ever = self._ever or bool(self._users)
            return self._users

    def _in_file(self) -> dict[str, User]:
        """Raises SetupFault."""
        try:
            return read(self.path.read_text(encoding="utf-8"), str(self.path))
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise SetupFault(f"The users file {self.path} cannot be read: {error}.") from error

    def _keep_former(self, error: SetupFault) -> None:
        """A file that was broken by hand while the server runs: the users known so far stay, and the log says why."""
        if self._stamp is None:
            raise error
        log.error("The users file has become unreadable; its former users stay until it is mended: %s", error)

    @property
    def known(self) -> bool:
        """There is somebody in the file, or was when this program last read one: a file that is gone opens no door."""
        return bool(self.all()) or self._ever

    @property
    def state(self) -> tuple[int, ...]:
        """Changes with the file."""
        self.all()
        return self._stamp or ()

    def find(self, name: str) -> User:
        """Raises UnknownName."""
        return _found(self.all(), name)

    def get(self, name: str) -> User | None:
        return self.all().get(tidy(name))

    def check(self, name: str, password: str) -> User | None:
        """The user whom a password proves. Slow on purpose, and as slow for a name that nobody has."""
        user = self.get(name)
        return user if self._passwords.fits(user.password if user else None, password) else None

    def by_token(self, token: str) -> tuple[User, Token] | None:
        """Whom a token stands for."""
        digest = token_digest(token)
        return next(((u, t) for u in self.all().values() for t in u.tokens.values() if t.sha256 == digest), None)

    def role_of(self, owner: str) -> str:
        """The role of an owner of jobs: a user's name, or NAME/TOKEN. Who is not in the file came in otherwise and is no guest."""
        name, _, token = owner.partition("/")
        user = self.all().get(name)
        if user is None:
            return ADMIN
        return lower(user.role, user.tokens[token].role) if token in user.tokens else user.role

    # ---- changes ---------------------------------------------------------------------------------------------------

    def may_add(self, name: str, role: str) -> str:
        """The name as it will be kept. Raises RequestFault naming what is wrong."""
        name = tidy(name)
        if not is_name(name):
            raise RequestFault("name", f"must be {NAME_RULE}", got=name)
        if taken := next((other for other in self.all() if other.lower() == name.lower()), None):
            raise RequestFault("name", f"there is a user {taken} already", got=name)
        _known(role)
        return name

    def add(self, name: str, password: str, role: str) -> User:
        """Raises RequestFault naming what is wrong, DiskFault."""
        name = self.may_add(name, role)
        user = User(name=name, role=role, password=self._hash(password))
        with self._change() as users:
            self.may_add(name, role)  # another process may have been quicker
            users[name] = user
        return user

    def remove(self, name: str) -> None:
        with self._change() as users:
            del users[_found(users, name).name]

    def set_role(self, name: str, role: str) -> None:
        self._replace(name, lambda user: dataclasses.replace(user, role=_known(role)))

    def set_password(self, name: str, password: str) -> None:
        """Whoever is signed in with the old password is signed out; tokens stay."""
        known = self._hash(password)
        self._replace(name, lambda user: dataclasses.replace(user, password=known))

    def add_token(self, name: str, token_name: str, role: str | None = None) -> str:
        """A new token; it is shown this once. role: at most the user's, which is also the default."""
        secret, token_name = new_token(), tidy(token_name)
        if not is_name(token_name):
            raise RequestFault("token", f"its name must be {NAME_RULE}", got=token_name)

        def with_token(user: User) -> User:
            wanted = _known(role or user.role)
            if lower(wanted, user.role) != wanted:
                raise RequestFault("role", f"a token can have at most its user's role, {user.role}", got=wanted)
            if token_name in user.tokens:
                raise RequestFault("token", f"{user.name} has a token of that name already", got=token_name)
            token = Token(name=token_name, role=wanted, sha256=token_digest(secret), created=time.strftime("%Y-%m-%d"))
            return dataclasses.replace(user, tokens={**user.tokens, token_name: token})

        self._replace(name, with_token)
        return secret

    def remove_token(self, name: str, token_name: str) -> None:
        def without(user: User) -> User:
            if token_name not in user.tokens:
                raise UnknownName("token", token_name, user.tokens)
            return dataclasses.replace(user, tokens={key: token for key, token in user.tokens.items() if key != token_name})

        self._replace(name, without)

    def _hash(self, password: str) -> str:
        if not LEAST_CHARS <= len(password) <= MOST_CHARS:
            raise RequestFault("password", f"must have {LEAST_CHARS} to {MOST_CHARS} characters")
        return self._passwords.hash(password)

    def _replace(self, name: str, change: Callable[[User], User]) -> None:
        with self._change() as users:
            user = _found(users, name)
            users[user.name] = change(user)

    @contextlib.contextmanager
    def _change(self) -> Iterator[dict[str, User]]:
        """The users as the file has them, written back when the block ends well. One process at a time."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=LOCK_WAIT_S):
                users = self._in_file()
                yield users
                write_atomic(self.path, write(users).encode(), mode=FILE_MODE)
            self.all()
        except filelock.Timeout as error:
            raise DiskFault(f"Another process holds the users file {self.path}. Try again in a moment.") from error
        except OSError as error:
            raise DiskFault(f"The users file {self.path} cannot be written: {error.strerror or error}.") from error


def lower(one: str, other: str) -> str:
    """The role of these two that may do less."""
    return min(one, other, key=ROLES.index)


def _found(users: dict[str, User], name: str) -> User:
    if (user := users.get(tidy(name))) is None:
        raise UnknownName("user", name, users)
    return user


def _known(role: str) -> str:
    if role not in ROLES:
        raise RequestFault("role", f"must be one of {', '.join(ROLES)}", got=role, allowed=list(ROLES))
    return role


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes with the file's content; empty: there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
