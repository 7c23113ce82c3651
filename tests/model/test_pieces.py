"""A batch count over two workers gives the files of one worker alone: the same names, bytes, order and grid. With the starter model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modules.folders import Folders
from modules.jobs.pieces import Pieces
from modules.processing.pieces import may_lend
from modules.processing.resolve import resolve
from modules.processing.runner import PictureRunner
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, ResolvedRequest
from modules.settings import Settings
from tests.model.conftest import FakeControl, Studio
from tests.processing.pictures import data_of, noise

pytestmark = pytest.mark.slow


@dataclass
class Leading(FakeControl):
    """Another worker makes the last batches as soon as they are lent. helped: which; stops: the job is stopped when those have come."""

    other: Any = None
    resolved: dict[str, Any] = field(default_factory=dict[str, Any])
    helped: list[int] = field(default_factory=list[int])
    stops: bool = False
    pieces: Pieces = field(default_factory=Pieces)
    at: list[int] = field(default_factory=list[int])

    def lend(self, count: int, *, model: str, share: float) -> int:
        for number in range(count - 2, count):
            job = {"id": f"a.{number}", "kind": "txt2img", "resolved": self.resolved, "attempts": 1, "made": [], "piece": number}
            state, result = self.other.run(job, FakeControl())
            assert state == "done"
            self.pieces.hear({"do": "lent", "number": number})
            self.pieces.hear({"do": "piece", "number": number, "result": result})
            self.helped.append(number)
        self.interrupted = self.stops
        return self.pieces.name(count)

    def begun(self, number: int) -> None:
        self.at.append(number)

    def enough(self) -> None: ...


def resolved_of(studio: Studio, request: dict[str, Any], **settings: Any) -> dict[str, Any]:
    asked = GenerationRequest.from_data(request)
    return resolve(asked, Settings(**settings), studio.library, Styles(studio.folders.styles_file), studio.inputs).to_data()


def made_in(
    data: Path, studio: Studio, resolved: dict[str, Any], *, shared: bool, stops: bool = False
) -> tuple[dict[str, bytes], Any, Leading]:
    """(file below the data folder -> its bytes, the result, the control)."""
    folders = Folders.at(data)
    for path in studio.folders.inputs.glob("*"):
        folders.inputs.mkdir(parents=True, exist_ok=True)
        (folders.inputs / path.name).write_bytes(path.read_bytes())
    control = Leading(other=studio.runner, resolved=resolved, stops=stops)
    job = {"id": "a", "kind": "txt2img", "resolved": resolved, "attempts": 1, "made": [], **({"lends": True} if shared else {})}
    _, result = PictureRunner(folders, {}, 0).run(job, control)
    files = {path.relative_to(data).as_posix(): path.read_bytes() for path in (data / "outputs").rglob("*") if path.is_file()}
    shown = [(Path(p["path"]).name, p["index"], p["seed"], p["kind"], p["infotext"]) for p in result["pictures"]]
    return files, (shown, result["warnings"], result["notes"]), control


@pytest.mark.parametrize("begins_with_a_picture", [False, True])
def test_two_workers_make_the_files_of_one(studio: Studio, tmp_path: Path, begins_with_a_picture: bool):
    request: dict[str, Any] = {"prompt": "a {red|blue|green} apple", "seed": 7, "steps": 2, "n_iter": 4, "width": 128, "height": 128}
    if begins_with_a_picture:
        request |= {"init_images": [studio.inputs.put(data_of(noise(128, 128)))], "denoising_strength": 0.7, "batch_size": 2}
    resolved = resolved_of(studio, request)
    alone = made_in(tmp_path / "alone", studio, resolved, shared=False)
    shared = made_in(tmp_path / "shared", studio, resolved, shared=True)
    assert (alone[2].helped, shared[2].helped, shared[2].at) == ([], [2, 3], [0, 1, 2, 3])
    assert len(alone[0]) == 4 * request.get("batch_size", 1) + 1
    assert shared[0] == alone[0]
    assert shared[1] == alone[1]
    assert len(shared[2].steps) < len(alone[2].steps), "the leading worker drew fewer"
    assert not [*studio.folders.job_files.rglob("*.png")], "what was handed over is gone"


def test_what_others_have_made_is_kept_when_the_job_is_stopped(studio: Studio, tmp_path: Path):
    resolved = resolved_of(studio, {"prompt": "a red apple", "seed": 7, "steps": 2, "n_iter": 4, "width": 128, "height": 128})
    _, (shown, *_), control = made_in(tmp_path, studio, resolved, shared=True, stops=True)
    assert [index for _, index, _, kind, _ in shown if kind == "sample"] == [2, 3]
    assert control.at == [2, 3]


def test_some_jobs_stay_whole(studio: Studio):
    plain = {"prompt": "x", "seed": 7, "n_iter": 2}

    def lent(request: dict[str, Any], **settings: Any) -> bool:
        return may_lend(ResolvedRequest.from_data(resolved_of(studio, request, **settings)))

    assert lent(plain)
    assert not lent({**plain, "n_iter": 1})
    assert not lent(plain, save_images_before_highres_fix=True), "saved on the way, in order"
