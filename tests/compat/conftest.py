"""The samples in a data folder of their own, the shelf of the web process and the house of the worker over them, with the starter model."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.compat.house import ScriptHouse
from modules.compat.shelf import Scripts
from modules.compat.troupe import Troupe
from modules.folders import Folders
from modules.inputs import Inputs
from modules.library import Library
from modules.plugins import FaultLedger
from modules.processing.extras_plan import resolve_extras
from modules.processing.resolve import resolve
from modules.processing.runner import PictureRunner
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, Picture, Result
from modules.request.extras import EXTRAS, ExtrasRequest
from modules.settings import Settings, SettingsStore
from tests.model.conftest import FakeControl

SAMPLES = Path(__file__).parent / "samples"
SMALL: dict[str, Any] = {"steps": 2, "width": 64, "height": 64, "seed": 5, "sampler_name": "Euler", "prompt": "a red circle"}


@dataclass
class Theatre:
    """Runs requests as door and worker would, in this process."""

    folders: Folders
    scripts: Scripts
    house: ScriptHouse
    runner: PictureRunner
    library: Library
    inputs: Inputs
    control: FakeControl = field(default_factory=FakeControl)

    def make(self, *, made: list[dict[str, Any]] | None = None, stop_at: int | None = None, **asked: Any) -> Result:
        """What the job leaves. asked: beside `SMALL`."""
        self.control = FakeControl(stop_at=stop_at)
        row = self.planned(**asked)
        job = {"id": f"job-{time.time_ns()}", "kind": "txt2img", "resolved": row, "attempts": 1, "made": made or []}
        return Result.from_data(self.runner.run(job, self.control)[1])

    def planned(self, **asked: Any) -> dict[str, Any]:
        """The job's resolved data. asked: beside `SMALL`."""
        request, said = self.scripts.before_resolve(GenerationRequest.from_data({**SMALL, **asked}))
        request, options = self.scripts.own_options(request)
        resolved = resolve(request, Settings(), self.library, Styles(self.folders.styles_file), self.inputs)
        resolved = dataclasses.replace(
            resolved, visit=self.scripts.visit(request, options), warnings=(*self.scripts.without_own_tags(resolved.warnings), *said)
        )
        return json.loads(json.dumps(resolved.to_data()))

    def extras(self, image: Image.Image, asked: dict[str, Any]) -> tuple[Result, Image.Image]:
        """(what a job of Extras leaves, its last picture) with these post-processing scripts."""
        request = ExtrasRequest.from_data({"images": [self.inputs.put_picture(image)], "postprocessing": asked})
        resolved = resolve_extras(request, Settings(), self.folders, self.inputs)
        job = {"id": f"job-{time.time_ns()}", "kind": EXTRAS, "resolved": resolved.to_data(), "attempts": 1, "made": []}
        result = Result.from_data(self.runner.run(job, FakeControl())[1])
        with Image.open(result.pictures[-1].path) as picture:
            return result, picture.convert("RGB")

    @property
    def at_work(self) -> Troupe:
        """The guests as the worker has them. Raises AssertionError before the first job."""
        troupe = self.house._troupe  # pyright: ignore[reportPrivateUsage]
        if troupe is None:
            raise AssertionError("no job has run yet")
        return troupe

    def module(self, name: str) -> Any:
        """A sample's module as the worker loaded it."""
        loaded = self.at_work.loader._loaded  # pyright: ignore[reportPrivateUsage]
        return next(module for path, module in loaded.items() if path.endswith(name))

    def forgive(self) -> None:
        """All guests begin anew."""
        (self.folders.cache / "script-faults.json").unlink(missing_ok=True)

    @property
    def ledger(self) -> FaultLedger:
        return FaultLedger(self.folders)


def pixels(picture: Picture) -> bytes:
    with Image.open(picture.path) as image:
        return image.convert("RGB").tobytes()


def samples(result: Result) -> list[Picture]:
    return [picture for picture in result.pictures if picture.kind == "sample"]


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    data = tmp_path_factory.mktemp("theatre")
    for part in ("scripts", "extensions"):
        shutil.copytree(SAMPLES / part, data / part)
    return theatre_in(data)


def theatre_in(data: Path) -> Theatre:
    """With the scripts and extensions of that folder."""
    folders = Folders.at(data)
    library = Library(folders)
    house = ScriptHouse(folders, {})
    scripts = Scripts(folders, {}, SettingsStore(folders.config_file), library)
    return Theatre(folders, scripts, house, PictureRunner(folders, {}, 0, house), library, Inputs(folders))
