"""Who may do what with whose jobs, over /api/v2, where there are users: guests, users and an administrator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from modules.folders import Folders
from modules.users import ADMIN, GUEST, USER, Users
from tests.server.v2.job_server import APPLE, JobServer, job_server

NAMES = {"gus": GUEST, "ann": USER, "bob": USER, "root": ADMIN}
HELD: dict[str, Any] = {**APPLE, "held": True}
PASSWORD = "correct horse battery staple"
STREAM = {"Accept": "text/event-stream"}


class Asking:
    """A client for each name, with a token; and one with a password."""

    def __init__(self, server: JobServer, tokens: dict[str, str]) -> None:
        self.server = server
        self._http = {name: httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {t}"}) for name, t in tokens.items()}
        self._http["ann herself"] = httpx.Client(base_url=server.url, auth=("ann", PASSWORD))

    def __call__(self, name: str, method: str, path: str, status: int, body: Any = None, **more: Any) -> Any:
        answer = self._http[name].request(method, f"/api/v2/{path}", json=body, **more)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    data = tmp_path_factory.mktemp("rights")
    users = Users(Folders.at(data).users_file)
    for name, role in NAMES.items():
        users.add(name, PASSWORD, role)
    tokens = {name: users.add_token(name, "test") for name in NAMES}
    with job_server(data) as server:
        yield Asking(server, tokens)


def test_strangers_get_nothing(ask: Asking) -> None:
    for path in ("jobs", "events", "queue"):
        answer = ask.server.http.get(f"/api/v2/{path}")
        assert (answer.status_code, answer.json()["status"]) == (401, 401)


def test_guests_meet_their_own_jobs_only(ask: Asking) -> None:
    own, other = ask("gus", "POST", "jobs", 201, HELD)["id"], ask("ann", "POST", "jobs", 201, HELD)["id"]
    assert {job["id"] for job in ask("gus", "GET", "jobs", 200)["items"]} == {own}
    assert ask("gus", "GET", "jobs", 200, params={"owner": "ann"})["items"] == []
    assert {own, other} <= {job["id"] for job in ask("bob", "GET", "jobs", 200)["items"]}
    for path in ("", "/events", "/preview", "/pictures/0", "/events/1/picture"):
        ask("gus", "GET", f"jobs/{other}{path}", 404)
    for path in ("cancel", "skip", "hold", "release", "duplicate"):
        ask("gus", "POST", f"jobs/{other}/{path}", 404)
    ask("gus", "PATCH", f"jobs/{other}", 404, {"held": False})
    ask("gus", "GET", "events", 403, headers=STREAM)
    ask("gus", "GET", f"jobs/{own}/events", 200)
    ask("gus", "POST", f"jobs/{own}/cancel", 200)


def test_users_change_their_own_jobs_and_administrators_the_order(ask: Asking) -> None:
    own, other = ask("ann", "POST", "jobs", 201, HELD)["id"], ask("bob", "POST", "jobs", 201, HELD)["id"]
    assert ask("ann", "PATCH", f"jobs/{own}", 200, {"deadline_s": 9e9})["deadline_s"] == 9e9
    for body in ({"priority": 1}, {"before": other}):
        assert ask("ann", "PATCH", f"jobs/{own}", 403, body)["status"] == 403
    ask("ann", "PATCH", f"jobs/{other}", 403, {"held": False})
    ask("ann", "POST", f"jobs/{other}/release", 403)
    ask("ann", "POST", "jobs", 403, {**HELD, "priority": 1})
    assert ask("ann", "POST", "jobs", 201, {**HELD, "priority": -1})["priority"] == -1
    assert ask("root", "PATCH", f"jobs/{other}", 200, {"before": own})["owner"] == "bob/test"
    assert ask("root", "POST", "jobs", 201, {**HELD, "priority": 9})["position"] == 1
    assert ask("ann", "POST", f"jobs/{other}/duplicate", 201, {"held": True})["owner"] == "ann/test"
    ask("ann herself", "POST", f"jobs/{own}/release", 200)  # what her programs sent is hers, too
    ask("ann herself", "POST", f"jobs/{other}/release", 403)
    ask("ann", "POST", f"jobs/{other}/cancel", 200)


def test_two_people_may_use_the_same_key(ask: Asking) -> None:
    key = {"Idempotency-Key": "mine"}
    ids = {ask(name, "POST", "jobs", 201, HELD, headers=key)["id"] for name in ("ann", "bob")}
    assert len(ids) == 2
    assert ask("ann", "POST", "jobs", 200, HELD, headers=key)["id"] in ids
