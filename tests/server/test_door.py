"""Proving who one is: passwords and tokens, what is remembered, and who must wait after wrong ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from modules.faults import SetupFault
from modules.flags import Flags
from modules.server.access import Access
from modules.server.credentials import Bearer, Password, of_header
from modules.server.door import REMEMBERED_S, Door, MustWait
from modules.server.people import Person
from modules.server.throttle import FREE_FOR_A_NAME, FREE_FOR_AN_ADDRESS, NAME_UNDER_ATTACK, Throttle, site_of
from modules.users import ADMIN, GUEST, USER, Users
from modules.users.passwords import Passwords
from tests.server.walking import basic

GOOD = "correct horse"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Counting(Passwords):
    """Counts the slow checks."""

    def __init__(self) -> None:
        super().__init__(passes=1, memory_kib=32)
        self.checks = 0

    def fits(self, known: str | None, password: str) -> bool:
        self.checks += 1
        return super().fits(known, password)


@pytest.fixture
def passwords() -> Counting:
    return Counting()


@pytest.fixture
def users(tmp_path: Path, passwords: Counting) -> Users:
    made = Users(tmp_path / "users.json", passwords)
    made.add("mona", GOOD, ADMIN)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(users: Users, clock: Clock) -> Door:
    return Door(Access.from_flags(Flags(api_auth="bot:b"), users), hours=2, port=7860, clock=clock)


def asked(door: Door, *tries: tuple[str, str], at: str = HOME) -> list[Any]:
    """What each (name, password) gives: the role, "no", or the seconds to wait."""

    async def one_after_another() -> list[Any]:
        return [await door.of_request(Headers(basic(*one)), at) for one in tries]

    return [_told(answer) for answer in asyncio.run(one_after_another())]


def _told(answer: Person | MustWait | None) -> Any:
    return answer.seconds if isinstance(answer, MustWait) else answer.role if answer else "no"


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        *((header, None) for header in ("", " ", "Basic", "Basic !!!", "Basic bWU=", "Digest a", "Bearer", "Basic Og==", "Basic /zp4")),
        ("bearer abc", Bearer("abc")), ("Basic " + "QUFB" * 2000, None),
        (basic("Zoë", "a:b")["Authorization"], Password("Zoë", "a:b")), (basic("me", "")["Authorization"], Password("me", "")),
    ],
)  # fmt: skip
def test_the_header_is_read_whatever_it_is(header: str, shown: Any) -> None:
    assert of_header(header) == shown


def test_users_of_the_file_and_of_the_command_line_come_in(door: Door, users: Users) -> None:
    assert asked(door, ("mona", GOOD), ("bot", "b"), ("mona", "b"), ("bot", GOOD), ("nobody", GOOD)) == [ADMIN, ADMIN, "no", "no", "no"]
    secret = users.add_token("mona", "krita", USER)
    people = door.people
    assert people.by_token(secret) == people.check("mona", secret)
    assert (people.check("bot", secret), people.by_token(secret[:-1])) == (None, None)
    person = people.by_token(secret)
    assert person is not None
    assert (person.shown_name, person.role) == ("mona/krita", USER)
    users.set_role("mona", GUEST)
    assert [getattr(people.again(person), "role", None), getattr(people.by_token(secret), "role", None)] == [GUEST, GUEST]
    users.remove_token("mona", "krita")
    assert people.again(person) is None


def test_a_name_in_both_places_stops_the_start(users: Users, tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match="mona stands in the users file and on the command line"):
        Access.from_flags(Flags(gradio_auth="mona:x"), users)
    with pytest.raises(SetupFault, match="There is no users file"):
        Access.from_flags(Flags(users_file=str(tmp_path / "other.json")), Users(tmp_path / "other.json"))


def test_with_users_in_the_file_nothing_is_open_and_no_password_is_made(users: Users) -> None:
    access = Access.from_flags(Flags(listen=True), users)
    assert access.generated is None
    assert access.protects_everything
    later = Access.from_flags(Flags(), Users(users.path.with_name("later.json"), Counting()))
    assert not later.asks_anywhere
    assert later.users is not None
    later.users.add("gus", GOOD, USER)
    assert later.protects_everything, "a file that comes while the server runs counts at once"


def test_a_proved_header_is_not_checked_again_for_a_while(door: Door, passwords: Counting, users: Users, clock: Clock) -> None:
    assert asked(door, *[("mona", GOOD)] * 20) == [ADMIN] * 20
    assert passwords.checks == 1
    clock.now_s += REMEMBERED_S + 1
    assert asked(door, ("mona", GOOD)) == [ADMIN]
    assert passwords.checks == 2
    users.set_role("mona", GUEST)
    assert asked(door, ("mona", GOOD)) == [GUEST]
    users.set_password("mona", "another one")
    assert asked(door, ("mona", GOOD), ("mona", "another one")) == ["no", GUEST]


def test_many_at_once_with_the_same_password_are_one_check(door: Door, passwords: Counting) -> None:
    async def at_once(count: int, password: Callable[[int], str]) -> list[Any]:
        shown = [door.of_request(Headers(basic("mona", password(n))), HOME) for n in range(count)]
        return [_told(answer) for answer in await asyncio.gather(*shown)]

    assert asyncio.run(at_once(30, lambda _: GOOD)) == [ADMIN] * 30
    assert passwords.checks == 1
    guesses = asyncio.run(at_once(30, lambda n: f"guess {n}"))
    assert guesses.count("no") == FREE_FOR_A_NAME, "asking all at once is no way around"
    assert passwords.checks == 1 + FREE_FOR_A_NAME


def test_guesses_wait_longer_and_longer_and_the_same_wrong_one_is_no_guess(door: Door, passwords: Counting, clock: Clock) -> None:
    assert asked(door, *[("mona", "wrong")] * 50) == ["no"] * 50
    assert passwords.checks == 1
    waits: list[Any] = []
    for n in range(FREE_FOR_A_NAME + 3):
        answer = asked(door, ("mona", f"guess {n}"))[0]
        if answer != "no":
            waits.append(answer)
            clock.now_s += answer
            assert asked(door, ("mona", f"guess {n}")) == ["no"]
    assert waits == sorted(waits)
    assert waits[:2] == [1, 2]
    assert waits[-1] >= 8
    assert isinstance(asked(door, ("mona", GOOD))[0], int), "from this address even the right one waits"
    assert asked(door, ("mona", GOOD), at=ELSEWHERE) == [ADMIN], "and from another it does not"
    assert asked(door, ("bot", "b")) == [ADMIN], "nor does another name"


def test_who_came_in_before_is_not_shut_out_by_a_neighbour(door: Door) -> None:
    assert asked(door, ("mona", GOOD)) == [ADMIN]
    asked(door, *[("mona", f"guess {n}") for n in range(40)])
    assert asked(door, ("mona", "one more"), ("mona", GOOD))[1] == ADMIN


def test_guessing_at_many_names_makes_the_address_wait() -> None:
    throttle = Throttle(clock := Clock())
    for n in range(FREE_FOR_AN_ADDRESS):
        assert throttle.wait_s(HOME, f"name {n}") == 0
        throttle.begin(HOME, f"name {n}")
    assert throttle.wait_s(HOME, "a fresh name") == 1
    assert throttle.wait_s(ELSEWHERE, "a fresh name") == 0
    clock.now_s += 3601
    assert throttle.wait_s(HOME, "a fresh name") == 0, "it is forgotten after an hour"


def test_a_name_under_attack_leaves_every_new_address_one_try() -> None:
    throttle = Throttle(Clock())
    for n in range(NAME_UNDER_ATTACK):
        throttle.begin(f"198.51.100.{n}", "mona")
    assert throttle.wait_s(HOME, "mona") == 0
    throttle.begin(HOME, "mona")
    assert throttle.wait_s(HOME, "mona") == 1
    throttle.right(HOME, "mona")
    assert throttle.wait_s(HOME, "mona") == 0


def test_an_account_of_ones_own_does_not_wash_off_guesses_at_others() -> None:
    throttle = Throttle(Clock())
    for n in range(FREE_FOR_AN_ADDRESS):
        throttle.begin(HOME, f"victim {n}")
        throttle.begin(HOME, "attacker")
        throttle.right(HOME, "attacker")
    assert throttle.wait_s(HOME, "victim 99") == 1


def test_what_is_counted_stays_bounded() -> None:
    throttle = Throttle(Clock())
    for n in range(20_000):
        throttle.begin(HOME, f"name {n}")
    assert len(throttle._counts) <= 10_000
    assert throttle.wait_s(HOME, "x") > 0


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
    ],
)
def test_a_household_has_one_place(address: str, site: str) -> None:
    assert site_of(address) == site
