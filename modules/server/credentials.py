"""What a request shows to say who it is: the Authorization header and the session cookie, read and not yet believed.

Start reading at `of_header`.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from starlette.requests import cookie_parser

HEADER_LIMIT_CHARS = 4096


@dataclass(frozen=True)
class Password:
    """Basic: a name and a password, or a token in the password's place."""

    name: str
    password: str


@dataclass(frozen=True)
class Bearer:
    """A token."""

    token: str


def of_header(header: str) -> Password | Bearer | None:
    """What an Authorization header holds; None for an empty, broken or foreign one."""
    scheme, _, text = header.strip().partition(" ")
    text = text.strip()
    if len(header) > HEADER_LIMIT_CHARS or not text:
        return None
    if scheme.lower() == "bearer":
        return Bearer(text)
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return Password(name, password) if colon and name else None


def of_cookie(header: str, name: str) -> str | None:
    """The value of a cookie in a Cookie header."""
    return cookie_parser(header).get(name)
