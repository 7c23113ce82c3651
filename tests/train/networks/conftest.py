"""The tiny models, each built once for all tests of this folder; what a test put on them comes off at its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.train.networks.rig import ATTACHED, Built, built


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Built:
    made: dict[str, Any] = {}

    def pipeline(name: str) -> Any:
        if name not in made:
            made[name] = built(name, tmp_path_factory.mktemp("models") / name)
        return made[name]

    return pipeline


@pytest.fixture(autouse=True)
def taken_off() -> Iterator[None]:
    yield
    while ATTACHED:
        ATTACHED.pop().detach()
