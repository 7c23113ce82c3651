"""/internal/form over HTTP: everybody has their own, and a restart keeps it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from starlette.testclient import TestClient

from modules.app import App
from modules.server import create
from modules.users import GUEST, USER, Allowance, Users
from modules.users.passwords import Passwords
from tests.server.conftest import LOCAL
from tests.server.walking import basic

GOOD = "correct horse"


def test_a_form_is_there_after_a_restart(make_app: Callable[..., App]):
    for turn in range(2):
        with TestClient(create(make_app()), base_url=LOCAL) as client:
            if not turn:
                assert client.post("/internal/form", json={"tab": "txt2img", "values": {"prompt": "x"}}).json() == {"kept": True}
                assert client.post("/internal/form/mark", json={"name": "tour", "value": True}).json() == {"kept": True}
            mine = client.get("/internal/form").json()
            assert (mine["forms"]["txt2img"]["values"], mine["marks"]) == ({"prompt": "x"}, {"tour": True})


def test_everybody_has_their_own(make_app: Callable[..., App], folders: Any):
    users = Users(folders.users_file, Passwords(passes=1, memory_kib=32))
    users.add("uma", GOOD, USER)
    users.add("gus", GOOD, GUEST)
    app = dataclasses.replace(make_app(), allowance=Allowance(users))
    quick = {"tab": "txt2img", "name": "Quick"}
    with TestClient(create(app), base_url=LOCAL) as client:
        uma, gus = (basic(name, GOOD) for name in ("uma", "gus"))
        saved = client.post("/internal/form/preset", json={**quick, "values": {"steps": 8}}, headers=gus)
        assert saved.json()["presets"] == {"txt2img": ["Quick"]}
        assert client.get("/internal/form", headers=uma).json()["presets"] == {}
        assert client.get("/internal/form/preset", params=quick, headers=uma).status_code == 422
        assert client.get("/internal/form/preset", params=quick, headers=gus).json() == {"values": {"steps": 8}}
        renamed = client.post("/internal/form/preset/rename", json={**quick, "to": "Fast"}, headers=gus)
        assert renamed.json()["presets"] == {"txt2img": ["Fast"]}
        deleted = client.post("/internal/form/preset/delete", json={**quick, "name": "Fast"}, headers=gus)
        assert deleted.json()["presets"] == {"txt2img": []}
        assert client.get("/internal/form").status_code == 401
