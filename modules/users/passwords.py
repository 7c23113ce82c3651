"""Hashes of passwords and tokens.

Passwords are what people choose, so they are hashed with Argon2id, slowly and with much memory; tokens are 256 random bits,
for which SHA-256 is enough. Start reading at `Passwords`.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata

import argon2

LEAST_CHARS, MOST_CHARS = 8, 256
TOKEN_MARK = "dr_"


class Passwords:
    """Makes and checks hashes. Default costs: RFC 9106's second recommendation (64 MiB, three passes), about a tenth of a second."""

    def __init__(self, *, passes: int = 3, memory_kib: int = 65536) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=passes, memory_cost=memory_kib)
        self._nobody = ""

    def hash(self, password: str) -> str:
        """With its own salt and costs in it."""
        return self._hasher.hash(_plain(password))

    def fits(self, known: str | None, password: str) -> bool:
        """The password is the one of this hash. None, for a name that nobody has, is a no that takes as long."""
        if known is None:
            self._nobody = self._nobody or self.hash(secrets.token_urlsafe())
        if len(password) > MOST_CHARS:
            return False
        try:
            return self._hasher.verify(known or self._nobody, _plain(password)) and known is not None
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def new_token() -> str:
    """A token for a program: 256 random bits."""
    return TOKEN_MARK + secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _plain(password: str) -> bytes:
    return unicodedata.normalize("NFC", password).encode("utf-8", "replace")
