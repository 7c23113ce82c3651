"""`launch.py users`: the whole of the command line, over a file of its own."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modules.cli import users as command
from modules.flags import parse
from modules.users import GUEST, USER, Users

GOOD = "correct horse"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Carry out a command line; typed: what stands on the input. Gives (exit status, output, error output)."""

    def carry_out(*words: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        flags = parse(["users", *words, "--data-dir", str(tmp_path)])
        status = command.main(flags, flags.rest)
        told = capsys.readouterr()
        return status, told.out, told.err

    return carry_out


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(tmp_path / "users.json")


def test_a_users_whole_life(run: Run, users: Users) -> None:
    assert run("list") == (0, f"There are no users in {users.path}.\n", "")
    status, _, told = run("add", "mona", typed=f"{GOOD}\n")
    assert (status, "mona was added as user." in told, "There is no administrator" in told) == (0, True, True)
    assert users.check("mona", GOOD) is not None
    assert run("role", "mona", "admin") == (0, "", "mona is admin now.\n")
    assert run("password", "mona", "--password-stdin", typed="another one\r\n")[0] == 0
    assert users.check("mona", "another one") is not None
    status, secret, told = run("token", "mona", "krita", "--role=guest")
    assert status == 0
    assert "shown once" in told
    found = users.by_token(secret.strip())
    assert found is not None
    assert found[1].role == GUEST
    assert "mona  admin  tokens: krita (guest, " in run("list")[1]
    assert run("token", "mona", "krita", "--revoke")[0] == 0
    assert users.by_token(secret.strip()) is None
    status, _, told = run("remove", "mona")
    assert (status, "There are no users left" in told) == (0, True)
    assert users.all() == {}


def test_a_file_elsewhere(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "else" / "who.json"
    assert run("add", "gus", "--role", "guest", "--users-file", str(other), typed=GOOD)[0] == 0
    assert [user.role for user in Users(other).all().values()] == [GUEST]
    assert not (tmp_path / "users.json").exists()


@pytest.mark.parametrize(
    ("words", "typed", "told"),
    [
        (("add",), "", "usage: python launch.py users add NAME"),
        (("add", "a:b"), GOOD, "name: must be 1 to 64 characters"),
        (("add", "gus", "--role", "boss"), GOOD, "role: must be one of guest, user, admin"),
        (("add", "gus", "--role"), "", "--role: needs a value"),
        (("add", "gus", "--admin"), GOOD, "--admin: is no option here"),
        (("add", "gus"), "short\n", "password: must have 8 to 256 characters"),
        (("add", "gus"), "", "password: must have 8 to 256 characters"),
        (("role", "nobody", "user"), "", "there is no user of that name"),
        (("password", "nobody"), GOOD, "there is no user of that name"),
        (("token", "nobody", "krita"), "", "there is no user of that name"),
        (("promote", "gus"), "", "There is no command users promote"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_and_nothing_is_written(run: Run, users: Users, words: tuple[str, ...], typed: str, told: str) -> None:
    status, _, errors = run(*words, typed=typed)
    assert status == 2
    assert told in errors
    assert not users.path.exists()


def test_a_password_is_typed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter([GOOD, GOOD, GOOD, "something else"])
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(typed))
    given = command._read(["mona"])
    monkeypatch.setattr(sys, "stdin", _Terminal())
    assert command._password(given) == GOOD
    with pytest.raises(command.RequestFault, match="typed differently the second time"):
        command._password(given)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_help_names_every_command(run: Run) -> None:
    for words in ((), ("--help",), ("add", "-h")):
        status, text, _ = run(*words)
        assert status == 0
        assert all(f"  {name}" in text for name in command.COMMANDS)


def test_roles_are_told_as_they_are() -> None:
    assert all(role in command.HELP for role in (GUEST, USER, "admin"))
