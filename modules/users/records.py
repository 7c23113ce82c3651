"""A user and a token as they stand in the users file, and the rules for names. No behaviour beyond reading and writing them.

Start reading at `read`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modules.faults import SetupFault
from modules.users.roles import ROLES

FORMAT = 1
NAME_CHARS = 64
RESERVED = frozenset({"local", "cli", "history"})  # owners that the program itself gives
NAME_RULE = f"1 to {NAME_CHARS} characters without : / , or control characters, and none of {', '.join(sorted(RESERVED))}"
_NAME = re.compile(r"[^\s:/,\x00-\x1f\x7f](?:[^:/,\x00-\x1f\x7f]*[^\s:/,\x00-\x1f\x7f])?")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Token:
    """What lets a program in for a user. sha256: of the token itself, which is nowhere kept; created: a date in words."""

    name: str
    role: str
    sha256: str
    created: str


@dataclass(frozen=True, kw_only=True)
class User:
    """password: an Argon2 hash with its parameters. tokens: by name."""

    name: str
    role: str
    password: str
    tokens: Mapping[str, Token] = field(default_factory=dict[str, Token])


def tidy(name: str) -> str:
    """A name in the one form it is kept and compared in."""
    return unicodedata.normalize("NFC", name)


def is_name(name: str) -> bool:
    """The name can be a user's or a token's; see NAME_RULE."""
    return len(name) <= NAME_CHARS and bool(_NAME.fullmatch(name)) and name.lower() not in RESERVED and name == tidy(name)


def read(text: str, place: str) -> dict[str, User]:
    """The users of a file's text, by name. Raises SetupFault saying what is wrong in the file `place`."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SetupFault(f"The users file {place} is not valid JSON ({error}). Mend it, or move it away and add the users again.") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("users"), dict):
        raise SetupFault(f"{place} is not a users file of format {FORMAT}. Make one with: python launch.py users add NAME")
    found: dict[str, User] = {}
    for name, row in data["users"].items():
        try:
            found[name] = _user(name, row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SetupFault(f"The users file {place} has a broken entry for {name[:80]!r} ({error}). Mend or remove it.") from None
    return found


def write(users: Mapping[str, User]) -> str:
    """The text that `read` reads."""
    rows = {
        user.name: {
            "role": user.role,
            "password": user.password,
            "tokens": {t.name: {"role": t.role, "sha256": t.sha256, "created": t.created} for t in user.tokens.values()},
        }
        for user in users.values()
    }
    return json.dumps({"format": FORMAT, "users": rows}, indent=2, ensure_ascii=False) + "\n"


def _user(name: str, row: dict[str, Any]) -> User:
    tokens = {key: _token(key, value) for key, value in row.get("tokens", {}).items()}
    if not is_name(name) or not isinstance(row["password"], str) or not row["password"].startswith("$argon2"):
        raise ValueError("name or password hash")
    return User(name=name, role=_role(row["role"]), password=row["password"], tokens=tokens)


def _token(name: str, row: dict[str, Any]) -> Token:
    if not is_name(name) or not _DIGEST.fullmatch(row["sha256"]):
        raise ValueError(f"token {name[:80]!r}")
    return Token(name=name, role=_role(row["role"]), sha256=row["sha256"], created=str(row.get("created", "")))


def _role(role: Any) -> str:
    if role not in ROLES:
        raise ValueError(f"role {str(role)[:40]!r}")
    return role
