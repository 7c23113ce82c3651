"""An App with the real settings, library and samplers over the fake job room, and clients that look like local ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.app import App
from modules.flags import Flags
from modules.folders import Folders
from modules.inputs import Inputs
from modules.jobs import Jobs
from modules.library import Library
from modules.library.pictures import Pictures
from modules.prompts.styles import Styles
from modules.samplers import SAMPLERS, SCHEDULES
from modules.server import create
from modules.settings import Settings, SettingsStore
from tests.server.fake_jobs import FakeJobs

LOCAL = "http://127.0.0.1:7860"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, starter_path: object) -> Iterator[Library]:
    """The starter model and nothing else; its hash is computed once."""
    made = Library(Folders.at(tmp_path_factory.mktemp("library")))
    made.with_hash(made.default_checkpoint(""))
    yield made
    made.close()


@pytest.fixture(scope="module")
def one_app(tmp_path_factory: pytest.TempPathFactory, library: Library) -> App:
    """The App of all tests of a file that says `ONE_SERVER = True`: building the routes takes longer than most tests do.

    Each test gets an empty job room, the settings as they ship, and none of the pictures that another has sent or made.
    """
    folders = Folders.at(tmp_path_factory.mktemp("data"))
    return app_over(folders, library, FakeJobs(folders))


@pytest.fixture(scope="module")
def one_api(one_app: App) -> FastAPI:
    return create(one_app)


def shares(request: pytest.FixtureRequest) -> bool:
    return getattr(request.module, "ONE_SERVER", False)


@pytest.fixture
def folders(request: pytest.FixtureRequest) -> Folders:
    """Of the test, or of the server that it shares."""
    return request.getfixturevalue("one_app").folders if shares(request) else Folders.at(data=request.getfixturevalue("data_dir"))


@pytest.fixture
def jobs(request: pytest.FixtureRequest, folders: Folders) -> FakeJobs:
    if not shares(request):
        return FakeJobs(folders)
    room = cast(FakeJobs, request.getfixturevalue("one_app").jobs)
    room.begin()
    return room


def app_over(folders: Folders, library: Library, jobs: FakeJobs, **flags: Any) -> App:
    """An App whose jobs are done by this room."""
    settings = SettingsStore(folders.config_file)
    return App(
        folders=folders,
        flags=Flags(**flags),
        settings=settings,
        library=library,
        pictures=Pictures(folders, settings),
        inputs=Inputs(folders),
        styles=Styles(folders.styles_file),
        samplers=SAMPLERS,
        schedules=SCHEDULES,
        jobs=cast(Jobs, jobs),
    )


@pytest.fixture
def make_app(folders: Folders, library: Library, jobs: FakeJobs) -> Callable[..., App]:
    return lambda **flags: app_over(folders, library, jobs, **flags)


@pytest.fixture
def make_api(make_app: Callable[..., App]) -> Callable[..., FastAPI]:
    return lambda **flags: create(make_app(**flags))


@pytest.fixture
def app(request: pytest.FixtureRequest, make_app: Callable[..., App], jobs: FakeJobs) -> App:
    if not shares(request):
        return make_app()
    shared = request.getfixturevalue("one_app")
    if shared.settings.current != Settings():
        shared.settings.set(Settings().to_data(), anywhere=True)
    for left in (shared.folders.outputs, shared.folders.job_files, shared.folders.inputs):
        shutil.rmtree(left, ignore_errors=True)
    return shared


@pytest.fixture
def api(request: pytest.FixtureRequest, app: App) -> FastAPI:
    return request.getfixturevalue("one_api") if shares(request) else create(app)


@pytest.fixture
def client(api: FastAPI) -> Iterator[TestClient]:
    with TestClient(api, base_url=LOCAL) as made:
        yield made
