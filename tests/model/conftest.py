"""One runner with the starter model loaded, and a way to run a request through it as the worker would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.folders import Folders
from modules.inputs import Inputs
from modules.library import Library
from modules.processing.resolve import resolve
from modules.processing.runner import PictureRunner
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, Result
from modules.settings import Settings


@dataclass
class FakeControl:
    """Stands for the worker's end of the conversation; keeps what was reported. stop_at, skip_at: step at which to act."""

    watched: bool = False
    stop_at: int | None = None
    skip_at: int | None = None
    interrupted: bool = False
    steps: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    fractions: list[float] = field(default_factory=list[float])
    previews: list[bytes] = field(default_factory=list[bytes])
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])

    def progress(self, *, fraction: float, step: int, steps: int, batch_no: int, batch_count: int, text: str = "") -> None:
        self.steps.append((step, steps))
        self.fractions.append(fraction)
        if step == self.stop_at:
            self.interrupted = True

    def take_skip(self) -> bool:
        return bool(self.skip_at and self.steps[-1][0] == self.skip_at)

    def preview(self, jpeg: bytes) -> None:
        self.previews.append(jpeg)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))

    def status(self, message: str, **facts: Any) -> None:
        self.events.append(("status", {"message": message, **facts}))


@dataclass
class Studio:
    """Runs requests in this process."""

    folders: Folders
    runner: PictureRunner
    library: Library

    @property
    def inputs(self) -> Inputs:
        return Inputs(self.folders)

    def make(self, control: FakeControl | None = None, *, made: list[dict[str, Any]] | None = None, **request: Any) -> tuple[str, Result]:
        resolved = resolve(GenerationRequest.from_data(request), Settings(), self.library, Styles(self.folders.styles_file), self.inputs)
        job = {"id": "test-job", "kind": "txt2img", "resolved": resolved.to_data(), "attempts": 1, "made": made or []}
        state, result = self.runner.run(job, control or FakeControl())
        return state, Result.from_data(result)

    def pictures(self, control: FakeControl | None = None, **request: Any) -> list[Image.Image]:
        """The pictures without the grid, in order."""
        _, result = self.make(control, **request)
        return [Image.open(p.path).convert("RGB") for p in result.pictures if p.kind != "grid"]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    folders = Folders.at(tmp_path_factory.mktemp("studio"))
    return Studio(folders, PictureRunner(folders, {}, 0), Library(folders))


@pytest.fixture
def studio_with(tmp_path: Path) -> Callable[[Path], Studio]:
    """A studio whose only other model lies in the folder given."""

    def build(models: Path) -> Studio:
        folders = Folders.at(tmp_path / "data", ckpt_dir=models)
        return Studio(folders, PictureRunner(folders, {}, 0), Library(folders))

    return build
