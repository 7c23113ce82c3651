"""Every route of the running server, the page's and Gradio's own included: who gets in, and how far with which role."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.app import App
from modules.jobs import Job
from modules.request import Picture
from modules.server import create
from modules.server.rules import PUBLIC, least_role
from modules.users import ADMIN, GUEST, ROLES, USER, Allowance, Users
from modules.users.passwords import Passwords
from modules.web.page import build_page
from tests.server.conftest import LOCAL
from tests.server.fake_jobs import FakeJobs
from tests.server.walking import SOCKET, Walker, basic

GOOD = "correct horse"
NAMES = {GUEST: "gus", USER: "uma", ADMIN: "ada"}
# What a guest may do, at most: whatever else is added stays closed to guests until it stands here too.
FOR_GUESTS = (
    "/", "/config", "/config/", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/static/", "/svelte/", "/assets/",
    "/pwa_icon", "/gradio_api/heartbeat/", "/gradio_api/info", "/gradio_api/theme.css", "/gradio_api/startup-events",
    "/gradio_api/upload", "/gradio_api/queue/", "/gradio_api/app_id", "/gradio_api/run/", "/gradio_api/cancel", "/gradio_api/reset",
    "/internal/me", "/internal/ping", "/internal/jobs", "/internal/queue", "/internal/progress", "/internal/pending-tasks",
    "/internal/inputs", "/internal/token-count", "/internal/zip", "/internal/models", "/internal/history/text", "/internal/form",
    "/sd_extra_networks/",
    "/api/v2/jobs", "/api/v2/inputs", "/api/v2/choices", "/api/v2/models", "/sdapi/v1/",
)  # fmt: skip
NOT_FOR_GUESTS = tuple(f"/sdapi/v1/{name}" for name in ("options", "cmd-flags", "extra-", "interrogate", "memory", "refresh"))
FOR_ADMINS = {
    *(("POST", f"/sdapi/v1/{name}") for name in ("options", "server-kill", "server-restart", "server-stop")),
    *(("POST", f"/sdapi/v1/{name}") for name in ("unload-checkpoint", "reload-checkpoint")),
    *(("POST", f"/internal/models/{name}") for name in ("x/remove", "x/notes", "x/hash", "restore")),
    *(("POST", f"/gradio_api/{name}") for name in ("component_server", "vibe-edit", "api/x", "call/x")),
    ("POST", "/api/v2/models/x/hash"), ("GET", "/internal/sysinfo"), ("GET", "/monitoring"), ("GET", "/gradio_api/dev/reload"),
}  # fmt: skip


@pytest.fixture
def users(make_app: Callable[..., App], folders: Any) -> Users:
    made = Users(folders.users_file, Passwords(passes=1, memory_kib=32))
    for role, name in NAMES.items():
        made.add(name, GOOD, role)
    return made


@pytest.fixture
def guarded(make_app: Callable[..., App], users: Users) -> App:
    """An App with the three users, and a job of each."""
    return dataclasses.replace(make_app(api_server_stop=True), allowance=Allowance(users))


@pytest.fixture
def walk(guarded: App) -> Walker:
    """The whole server with the real page in it."""
    api = create(guarded)
    api.mount("/", build_page(guarded))
    return Walker(api)


@pytest.fixture
def client(guarded: App) -> Iterator[TestClient]:
    with TestClient(create(guarded), base_url=LOCAL) as made:
        yield made


def as_role(role: str) -> dict[str, str]:
    return basic(NAMES[role], GOOD)


def test_every_route_there_is_asks_for_a_name_and_roles_do_the_rest(walk: Walker) -> None:
    known = {(SOCKET, "/api/v2/jobs/x/ws"), ("POST", "/gradio_api/cancel"), ("GET", "/gradio_api/heartbeat/x"), ("GET", "/docs")}
    assert known <= set(walk.paths)
    assert len(walk.paths) > 200
    assert set(walk.statuses().values()) == {401}
    assert set(walk.statuses({"Authorization": "Basic"}).values()) == {401}
    assert set(walk.statuses(as_role(ADMIN)).values()) == {200}
    of_users = walk.statuses(as_role(USER))
    assert set(of_users.values()) == {200, 403}
    refused = {where for where, status in of_users.items() if status == 403}
    assert refused >= FOR_ADMINS, FOR_ADMINS - refused
    of_guests = walk.statuses(as_role(GUEST))
    assert {where for where, status in of_guests.items() if status == 403} >= refused
    passed = {path for (_, path), status in of_guests.items() if status == 200}
    assert not [path for path in passed if not path.startswith(FOR_GUESTS) or path.startswith(NOT_FOR_GUESTS)]
    assert {"/", "/sdapi/v1/txt2img", "/internal/jobs", "/gradio_api/run/x"} <= passed
    assert {status for (_, path), status in of_guests.items() if path.startswith("/internal/history/x")} == {403}
    assert of_guests["GET", "/internal/jobs/x"] == 404, "somebody else's job is as if there were none"


def test_the_public_list_is_short_and_its_rules_are_not_asked() -> None:
    assert {"/sign-in", "/sign-out"} == PUBLIC
    assert least_role("GET", "/something/new") == ADMIN
    assert least_role("POST", "/internal//jobs") == ADMIN
    assert least_role("GET", "/sdapi/v1/samplers-of-mine") == USER
    assert {least_role(method, "/sdapi/v1/new") for method in ("GET", "POST", "DELETE")} == {USER, ADMIN}
    assert set(ROLES) == set(NAMES)


@pytest.fixture
def theirs(client: TestClient, jobs: FakeJobs) -> dict[str, Job]:
    """A finished job of the guest and of the administrator, made through the API."""
    for role in (GUEST, ADMIN):
        made = client.post(
            "/sdapi/v1/txt2img", json={"prompt": role, "width": 64, "height": 64, "save_images": True}, headers=as_role(role)
        )
        assert made.status_code == 200, made.text
    return {job.owner: job for job in jobs.jobs.values()}


def test_a_guest_meets_their_own_jobs_and_pictures_only(client: TestClient, theirs: dict[str, Job], jobs: FakeJobs) -> None:
    own, other = theirs["gus"].id, theirs["ada"].id
    headers = as_role(GUEST)
    assert [job["id"] for job in client.get("/internal/jobs", headers=headers).json()["jobs"]] == [own]
    assert {job["id"] for job in client.get("/internal/jobs", headers=as_role(USER)).json()["jobs"]} == {own, other}
    for path in ("/internal/jobs/{}", "/internal/pictures/{}/0", "/internal/zip?pictures={}/0", "/api/v2/jobs/{}"):
        assert client.get(path.format(own), headers=headers).status_code == 200, path
        assert client.get(path.format(other), headers=headers).status_code == 404, path
        assert client.get(path.format(other), headers=as_role(USER)).status_code == 200, path
    assert client.post(f"/internal/jobs/{other}/cancel", headers=headers).status_code == 404
    polled = [client.post("/internal/progress", json={"id_task": name}, headers=headers).json()["state"] for name in (own, other)]
    assert polled == ["done", "unknown"]
    again = {"prompt": ADMIN, "width": 64, "height": 64, "save_images": True, "force_task_id": other}
    assert client.post("/sdapi/v1/txt2img", json=again, headers=headers).status_code == 422


def test_a_guest_sees_and_stops_only_what_is_made_for_them(client: TestClient, jobs: FakeJobs) -> None:
    jobs.at_once = lambda job: jobs.run(job, step=3, steps=4, preview=b"x", preview_number=1)
    jobs.submit("txt2img", {}, {"n_iter": 1}, owner="ada")
    assert client.get("/sdapi/v1/progress", headers=as_role(GUEST)).json()["state"]["job_count"] == 0
    assert client.get("/sdapi/v1/progress", headers=as_role(ADMIN)).json()["state"]["job_count"] == 1
    for path in ("/sdapi/v1/interrupt", "/sdapi/v1/skip"):
        assert client.post(path, headers=as_role(GUEST)).status_code == 200
    assert jobs.asked == []
    mine = jobs.submit("txt2img", {}, {"n_iter": 1}, owner="gus")
    assert client.get("/sdapi/v1/progress", headers=as_role(GUEST)).json()["state"]["sampling_step"] == 3
    assert client.post("/sdapi/v1/interrupt", headers=as_role(GUEST)).status_code == 200
    assert jobs.asked == [("interrupt", mine.id)]


def test_gradios_files_are_those_of_ones_own_jobs(guarded: App, theirs: dict[str, Job], walk: Walker) -> None:
    page = guarded.folders.cache / "page"
    places: dict[str, str] = {}
    for owner, job in theirs.items():
        picture = Picture(**(job.result or {})["pictures"][0])
        assert Path(picture.path).is_relative_to(guarded.folders.outputs)
        places |= {owner: picture.path, f"{owner} unsaved": f"{guarded.folders.job_files}/{job.id}/0.png"}
    answers = {
        places["gus"]: 200, places["gus unsaved"]: 200, f"{page}/0a1b/x.png": 200,
        places["ada"]: 404, places["ada unsaved"]: 404,
        f"{page}/../jobs.sqlite": 404, "/etc/passwd": 404, f"{guarded.folders.outputs}/x.png": 404,
    }  # fmt: skip
    for form in ("file=", "file/"):
        walk.paths = [("GET", f"/gradio_api/{form}{path}") for path in answers]
        assert list(walk.statuses(as_role(GUEST)).values()) == list(answers.values())
        assert set(walk.statuses(as_role(USER)).values()) == {200}


def test_guests_generate_and_neither_install_convert_delete_nor_look_at_others(client: TestClient, theirs: dict[str, Job], jobs: FakeJobs):
    """Those who come through a tunnel for an evening; `theirs` shows that they generate."""
    own, other, headers = theirs["gus"].id, theirs["ada"].id, as_role(GUEST)
    path = (theirs["ada"].result or {})["pictures"][0]["path"]
    refused: list[tuple[str, str, Any]] = [
        ("POST", "/internal/extensions/install", {"source": "https://example.org/x.git"}),
        ("POST", "/api/v2/captioners/export", {"name": "blip"}),
        ("POST", "/internal/models/x/remove", {}),
        ("DELETE", "/api/v2/models/x", None),
        ("POST", "/internal/history/remove", {"paths": [path]}),
        ("DELETE", "/api/v2/pictures/x", None),
        ("GET", "/internal/history", None),
        ("GET", "/api/v2/pictures", None),
        ("POST", "/sdapi/v1/extra-single-image", {"image": "x"}),
        ("GET", "/internal/remote", None),
        ("POST", "/internal/remote/tunnel", {"on": False}),
    ]
    for method, where, body in refused:
        assert client.request(method, where, json=body, headers=headers).status_code == 403, where
    for where in (f"/internal/pictures/{other}/0", f"/api/v2/jobs/{other}", f"/internal/queue/{other}/thumbnail/0"):
        assert client.get(where, headers=headers).status_code == 404, where
    assert client.post(f"/api/v2/jobs/{other}/duplicate", headers=headers).status_code == 404
    assert client.get(f"/internal/pictures/{own}/0", headers=headers).status_code == 200
    assert Path(path).exists()


def test_guests_and_users_change_no_settings_by_the_way(client: TestClient, guarded: App) -> None:
    body = {"width": 64, "height": 64, "override_settings": {"samples_format": "webp"}, "override_settings_restore_afterwards": False}
    for role, status in ((GUEST, 403), (USER, 403), (ADMIN, 200)):
        assert client.post("/sdapi/v1/txt2img", json=body, headers=as_role(role)).status_code == status
        assert (guarded.settings.current.samples_format == "webp") == (role == ADMIN)


def test_a_role_counts_from_the_moment_it_is_given(client: TestClient, users: Users) -> None:
    assert client.get("/sdapi/v1/options", headers=as_role(GUEST)).status_code == 403
    users.set_role("gus", USER)
    assert client.get("/sdapi/v1/options", headers=as_role(GUEST)).status_code == 200
    users.remove("gus")
    assert client.get("/sdapi/v1/options", headers=as_role(GUEST)).status_code == 401


def test_me_says_who_one_is(client: TestClient, make_api: Callable[..., FastAPI]) -> None:
    assert client.get("/internal/me", headers=as_role(GUEST)).json() == {"name": "gus", "role": GUEST, "session": False}
