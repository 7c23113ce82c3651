"""`python launch.py users`: who may use a server that asks. Works on the users file; a running server follows at once.

Start reading at `main`.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.cli.following import OK, WRONG, fail
from modules.faults import Fault, RequestFault
from modules.flags import Flags
from modules.folders import Folders
from modules.users import ADMIN, ROLES, USER, Users

USAGE = "python launch.py users COMMAND"
HELP = f"""usage: {USAGE}

  list                            the users, their roles and tokens
  add NAME [--role ROLE]          a new user; asks for the password
  remove NAME                     with the user's tokens
  role NAME ROLE                  another role
  password NAME                   another password; signs the user out everywhere
  token NAME TOKEN [--role ROLE]  a token of that name for a program; printed once
  token NAME TOKEN --revoke       the token opens nothing any more

  --role ROLE        {", ".join(ROLES)}; {USER} where it is left out, for a token the user's own
  --password-stdin   read the password from the input, one line
  --users-file FILE  another file than users.json in the data folder

guest: generates, sees only what is their own. user: all but settings, models and the server itself. admin: all.
"""
OPTIONS = {"--role": True, "--password-stdin": False, "--revoke": False}  # option -> it has a value


@dataclass(frozen=True)
class _Words:
    """A command's words: bare ones, and options by name."""

    bare: list[str]
    options: dict[str, str]


def main(flags: Flags, rest: Sequence[str]) -> int:
    """Carry out `users COMMAND …`. Returns 0, 1 when it failed, 2 for wrong arguments."""
    command, *words = [*rest] or ["--help"]
    if command in ("--help", "-h") or {"--help", "-h"} & set(words):
        return _say(HELP)
    if command not in COMMANDS:
        return fail(f"There is no command users {command}; users --help lists them all.", WRONG)
    names, carry_out = COMMANDS[command]
    folders = Folders.at(Path(flags.data_dir) if flags.data_dir else None)
    try:
        given = _read(words)
        if len(given.bare) != len(names):
            return fail(f"usage: {USAGE.removesuffix('COMMAND')}{' '.join([command, *names])}", WRONG)
        return carry_out(Users(Path(flags.users_file) if flags.users_file else folders.users_file), given)
    except RequestFault as fault:
        return fail(fault.message, WRONG)
    except Fault as fault:
        return fail(fault.message)


def _list(users: Users, _words: _Words) -> int:
    found = users.all()
    if not found:
        return _say(f"There are no users in {users.path}.\n")
    for user in found.values():
        tokens = ", ".join(f"{t.name} ({t.role}, {t.created})" for t in user.tokens.values())
        _say(f"{user.name}  {user.role}{f'  tokens: {tokens}' if tokens else ''}\n")
    return OK


def _add(users: Users, words: _Words) -> int:
    name, role = words.bare[0], words.options.get("--role", USER)
    users.may_add(name, role)  # before a password is typed
    users.add(name, _password(words), role)
    return _done(users, f"{name} was added as {role}.")


def _remove(users: Users, words: _Words) -> int:
    users.remove(words.bare[0])
    return _done(users, f"{words.bare[0]} was removed.")


def _role(users: Users, words: _Words) -> int:
    users.set_role(*words.bare)
    return _done(users, f"{words.bare[0]} is {words.bare[1]} now.")


def _change_password(users: Users, words: _Words) -> int:
    users.find(words.bare[0])
    users.set_password(words.bare[0], _password(words))
    return _done(users, f"The password of {words.bare[0]} was changed.")


def _token(users: Users, words: _Words) -> int:
    name, token = words.bare
    if "--revoke" in words.options:
        users.remove_token(name, token)
        return _done(users, f"The token {token} of {name} opens nothing any more.")
    secret = users.add_token(name, token, words.options.get("--role"))
    _tell("This is shown once. A program sends it as `Authorization: Bearer …`, or as the password with the name over Basic.")
    return _say(f"{secret}\n")


COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Users, _Words], int]]] = {
    "list": ((), _list),
    "add": (("NAME",), _add),
    "remove": (("NAME",), _remove),
    "role": (("NAME", "ROLE"), _role),
    "password": (("NAME",), _change_password),
    "token": (("NAME", "TOKEN"), _token),
}


def _read(words: Sequence[str]) -> _Words:
    """Raises RequestFault for an option that there is not."""
    left, found = [*words], _Words([], {})
    while left:
        word, equals, value = left.pop(0).partition("=")
        if not word.startswith("--"):
            found.bare.append(word + equals + value)
        elif word not in OPTIONS:
            raise RequestFault(word, "is no option here; users --help lists them all")
        elif OPTIONS[word] and not equals and not left:
            raise RequestFault(word, "needs a value")
        else:
            found.options[word] = value if equals or not OPTIONS[word] else left.pop(0)
    return found


def _password(words: _Words) -> str:
    """From the input, or typed twice. Raises RequestFault when the two differ."""
    if "--password-stdin" in words.options or not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Again: "):
        raise RequestFault("password", "was typed differently the second time")
    return first


def _done(users: Users, sentence: str) -> int:
    _tell(sentence)
    known = users.all().values()
    if known and not any(user.role == ADMIN for user in known):
        _tell("There is no administrator now: nobody can change settings or models over the network.")
    if not known:
        _tell("There are no users left: a server asks nobody any more, unless it is reachable from elsewhere.")
    return OK


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _say(text: str) -> int:
    sys.stdout.write(text)
    return OK
