"""Who sees what, what guests may ask for, and how often anybody may."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from modules.faults import NotAllowed, RequestFault, SetupFault, TooMany
from modules.request import ResolvedRequest
from modules.settings import Settings
from modules.users import ADMIN, GUEST, USER, Allowance, Users, Viewer, require, viewer_of
from modules.users.passwords import Passwords
from modules.users.rates import Rate

SETTINGS = Settings(guest_max_pictures=4, guest_max_megapixels=1.0, guest_max_steps=30, guest_max_jobs=2)


def asked(**values: Any) -> ResolvedRequest:
    """As much of a resolved request as is looked at."""
    plain: dict[str, Any] = {"batch_size": 1, "n_iter": 1, "steps": 20, "width": 512, "height": 512, "hires": None, "overrides": {}}
    return cast(ResolvedRequest, SimpleNamespace(**plain | values))


@pytest.fixture
def allowance(tmp_path: Path) -> Allowance:
    users = Users(tmp_path / "users.json", Passwords(passes=1, memory_kib=32))
    for name, role in (("gus", GUEST), ("uma", USER), ("ada", ADMIN)):
        users.add(name, "long enough", role)
    users.add_token("ada", "toy", GUEST)
    return Allowance(users)


def test_guests_see_their_own_and_no_others() -> None:
    guest, user, nobody = Viewer("gus", GUEST), Viewer("uma", USER), Viewer()
    assert (guest.sees("gus"), guest.sees("uma"), guest.sees("gus/bot"), guest.only) == (True, False, False, "gus")
    assert (user.sees("gus"), user.only) == (True, None)
    assert (nobody.sees("gus"), nobody.only, nobody.owner, nobody.role) == (True, None, "local", ADMIN)


def test_roles_are_a_ladder() -> None:
    roles = (GUEST, USER, ADMIN)
    assert [[Viewer("x", role).may(least) for least in roles] for role in roles] == [
        [True, False, False], [True, True, False], [True, True, True],
    ]  # fmt: skip


def test_a_request_of_starlette_and_one_of_gradio_say_the_same() -> None:
    plain = SimpleNamespace(state=SimpleNamespace(user="gus", role=GUEST))
    assert viewer_of(plain) == viewer_of(SimpleNamespace(request=plain)) == Viewer("gus", GUEST)
    assert require(plain, GUEST, "look") == Viewer("gus", GUEST)
    with pytest.raises(NotAllowed, match="to change settings takes the role admin"):
        require(plain, ADMIN, "change settings")


@pytest.mark.parametrize(
    ("values", "field"),
    [({"n_iter": 5}, "n_iter"), ({"n_iter": 3, "batch_size": 2}, "n_iter"), ({"steps": 31}, "steps"), ({"width": 2048}, "width"),
     ({"hires": SimpleNamespace(to_px=(1024, 1024), width=64, height=64)}, "width"),
     ({"overrides": {"outdir_samples": "models"}}, "override_settings")],
)  # fmt: skip
def test_guests_have_limits_and_others_none(allowance: Allowance, values: dict[str, Any], field: str) -> None:
    for owner in ("gus", "ada/toy"):
        with pytest.raises(RequestFault, match="guests of this server") as caught:
            allowance.check(owner, asked(**values), SETTINGS, lambda: 0)
        assert caught.value.field == field
    for owner in ("uma", "ada", "local", "cli"):
        allowance.check(owner, asked(**values), SETTINGS, lambda: 1000)
    Allowance().check("gus", asked(**values), SETTINGS, lambda: 1000)


def test_a_guest_has_few_jobs_waiting(allowance: Allowance) -> None:
    allowance.check("gus", asked(n_iter=4, steps=30, width=1000, height=1000), SETTINGS, lambda: 1)
    with pytest.raises(TooMany, match="2 jobs waiting") as caught:
        allowance.check("gus", asked(), SETTINGS, lambda: 2)
    assert caught.value.extra["retry_after_s"] > 0


def test_work_beyond_a_role_is_refused_in_words(allowance: Allowance) -> None:
    with pytest.raises(NotAllowed, match="Your role here is guest; to enlarge pictures takes the role user"):
        allowance.require("gus", USER, "enlarge pictures")
    allowance.require("uma", USER, "enlarge pictures")
    allowance.require("local", ADMIN, "work on models")


def test_a_rate_counts_each_name_for_itself() -> None:
    rate = Rate("2/hour;100/day", "--rate-limit")
    assert [rate.take("gus") for _ in range(2)] == [0, 0]
    assert 0 < rate.take("gus") <= 3600
    assert rate.take("uma") == 0
    limited = dataclasses.replace(Allowance(), rate=rate)
    limited.take("uma")
    with pytest.raises(TooMany, match="as many jobs"):
        limited.take("uma")


@pytest.mark.parametrize("text", ["", "many", "10", "10/fortnight", "0/minute", "-1/minute"])
def test_a_rate_that_is_none_stops_the_start(text: str) -> None:
    with pytest.raises(SetupFault, match="--rate-limit"):
        Rate(text, "--rate-limit")
