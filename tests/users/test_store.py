"""The users file: what it keeps, who may read it, and that a running program follows it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from modules.faults import RequestFault, SetupFault, UnknownName
from modules.users import ADMIN, GUEST, USER, Users
from modules.users.passwords import Passwords

QUICK = Passwords(passes=1, memory_kib=32)
GOOD = "correct horse"


@pytest.fixture
def users(tmp_path: Path) -> Users:
    made = Users(tmp_path / "data" / "users.json", QUICK)
    made.add("mona", GOOD, ADMIN)
    return made


def again(users: Users) -> Users:
    """As another process sees the file."""
    return Users(users.path, QUICK)


def test_there_are_none_without_a_file(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json", QUICK)
    assert users.all() == {}
    assert not users.known
    assert users.check("mona", GOOD) is None
    assert users.role_of("anybody") == ADMIN


def test_the_password_proves_the_user_and_is_not_in_the_file(users: Users) -> None:
    assert again(users).check("mona", GOOD) == users.get("mona")
    for name, password in (("mona", "correct Horse"), ("mona", ""), ("Mona", GOOD), ("nobody", GOOD), ("mona", "x" * 100_000)):
        assert again(users).check(name, password) is None
    text = users.path.read_text()
    assert GOOD not in text
    assert "$argon2id$" in text


def test_hashes_cost_what_rfc_9106_recommends_and_two_of_one_password_differ() -> None:
    first = Passwords().hash(GOOD)
    assert "m=65536,t=3" in first
    assert QUICK.hash(GOOD) != QUICK.hash(GOOD)
    assert Passwords().fits(first, GOOD)


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX here")
def test_only_the_owner_may_read_the_file(users: Users) -> None:
    users.set_role("mona", USER)
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600


def test_accents_are_the_same_however_they_are_typed(users: Users) -> None:
    users.add("Zoe\u0308", "pa\u0308ssword", USER)
    assert users.check("Zo\u00eb", "p\u00e4ssword") is not None


@pytest.mark.parametrize("name", ["", " ", "a:b", "a/b", "a,b", " a", "a\n", "x" * 65, "local", "CLI", "MONA"])
def test_names_that_cannot_be(users: Users, name: str) -> None:
    with pytest.raises(RequestFault, match="name:"):
        users.add(name, GOOD, USER)
    assert list(users.all()) == ["mona"]


@pytest.mark.parametrize(("password", "role"), [("seven77", USER), ("x" * 257, USER), (GOOD, "boss")])
def test_passwords_and_roles_that_cannot_be(users: Users, password: str, role: str) -> None:
    with pytest.raises(RequestFault):
        users.add("gus", password, role)
    assert "gus" not in users.all()


def test_changes_reach_a_program_that_runs(users: Users) -> None:
    running = again(users)
    before = running.state
    users.set_role("mona", GUEST)
    assert running.role_of("mona") == GUEST
    assert running.state != before
    users.set_password("mona", "another one")
    assert running.check("mona", GOOD) is None
    assert running.check("mona", "another one") is not None
    users.remove("mona")
    assert running.all() == {}
    assert running.known, "who was asked for a name once is asked for ever"
    with pytest.raises(UnknownName):
        users.remove("mona")


def test_tokens_have_at_most_their_users_role_and_are_revoked(users: Users) -> None:
    secret = users.add_token("mona", "bot", USER)
    assert secret not in users.path.read_text()
    found = again(users).by_token(secret)
    assert found is not None
    assert (found[0].name, found[1].name, found[1].role) == ("mona", "bot", USER)
    assert users.role_of("mona/bot") == USER
    with pytest.raises(RequestFault, match="a token of that name already"):
        users.add_token("mona", "bot")
    users.set_role("mona", GUEST)
    assert users.role_of("mona/bot") == GUEST
    with pytest.raises(RequestFault, match="at most its user's role, guest"):
        users.add_token("mona", "higher", ADMIN)
    users.remove_token("mona", "bot")
    assert again(users).by_token(secret) is None
    with pytest.raises(UnknownName):
        users.remove_token("mona", "bot")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"users": {}}', '{"format": 2, "users": {}}', '{"format": 1, "users": {"a": {"role": "user", "password": "plain"}}}',
     '{"format": 1, "users": {"a": {"role": "boss", "password": "$argon2id$"}}}', '{"format": 1, "users": {"a": 1}}',
     '{"format": 1, "users": {"a": {"role": "user", "password": "$argon2id$", "tokens": {"b": {"role": "user", "sha256": "x"}}}}}'],
)  # fmt: skip
def test_a_file_that_is_none_stops_the_start_and_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users.json"
    path.write_text(text)
    with pytest.raises(SetupFault, match="users file"):
        Users(path, QUICK).all()
    with pytest.raises(SetupFault):
        Users(path, QUICK).add("gus", GOOD, USER)
    assert path.read_text() == text


def test_a_file_that_breaks_while_the_program_runs_changes_nothing(users: Users, caplog: pytest.LogCaptureFixture) -> None:
    good = users.path.read_text()
    users.path.write_text(good[:40])
    assert users.check("mona", GOOD) is not None
    assert "unreadable" in caplog.text
    with pytest.raises(SetupFault):
        users.set_role("mona", GUEST)
    assert users.path.read_text() == good[:40]


def test_what_is_written_is_read_again_byte_for_byte(users: Users) -> None:
    users.add("Zoë", GOOD, GUEST)
    users.add_token("Zoë", "bot")
    data = json.loads(users.path.read_text())
    assert list(data["users"]) == ["mona", "Zoë"]
    assert again(users).all() == users.all()
