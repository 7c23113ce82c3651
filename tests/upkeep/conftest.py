"""What the tests of upkeep share: a web server on this machine, model folders of their own, a recorder of reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.folders import Folders
from modules.upkeep.report import Report
from tests.upkeep.web import Site


class Control:
    """Stands for the worker's RunControl: keeps what it is told; `stop_after` reports it asks to stop."""

    def __init__(self) -> None:
        self.interrupted = False
        self.stop_after: int | None = None
        self.progresses: list[dict[str, Any]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    def progress(self, **where: Any) -> None:
        self.progresses.append(where)
        if self.stop_after is not None and len(self.progresses) >= self.stop_after:
            self.interrupted = True

    def status(self, text: str, **facts: Any) -> None:
        return None

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture
def own(tmp_path: Path) -> Folders:
    """Folders whose models are under tmp_path; the program's own stay visible."""
    return Folders.at(data=tmp_path)


@pytest.fixture
def report() -> Report:
    return Report(Control())
