"""An App with the real settings, library and samplers over the fake job room, and clients that look like local ones."""

from __future__ import annotations

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
from modules.settings import SettingsStore
from tests.server.fake_jobs import FakeJobs

LOCAL = "http://127.0.0.1:7860"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, starter_path: object) -> Iterator[Library]:
    """The starter model and nothing else; its hash is computed once."""
    made = Library(Folders.at(tmp_path_factory.mktemp("library")))
    made.with_hash(made.default_checkpoint(""))
    yield made
    made.close()


@pytest.fixture
def jobs(folders: Folders) -> FakeJobs:
    return FakeJobs(folders)


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
def app(make_app: Callable[..., App]) -> App:
    return make_app()


@pytest.fixture
def api(app: App) -> FastAPI:
    return create(app)


@pytest.fixture
def client(api: FastAPI) -> Iterator[TestClient]:
    with TestClient(api, base_url=LOCAL) as made:
        yield made
