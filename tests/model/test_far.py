"""A job on another machine makes the very pictures that it makes here: the starter model, its files sent over, through the real worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.cluster.fitting import fits
from modules.cluster.post import Post
from modules.folders import Folders
from modules.processing.pieces import unpacked
from modules.processing.resolve import resolve
from modules.prompts.styles import Styles
from modules.request import GenerationRequest
from modules.settings import Settings
from tests.cluster.line import Head
from tests.model.conftest import Studio
from tests.processing.pictures import data_of, noise

pytestmark = pytest.mark.slow
RUNNER = "modules.compat.house:build"


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """Of one worker for all tests. The other machine has a data folder of its own."""
    tmp_path = tmp_path_factory.mktemp("far")
    post = Post(str(tmp_path / "there"), 10**9)
    head = Head(Folders.at(data=tmp_path / "here"), post, RUNNER)
    head.hear("idle")
    yield head
    post._end()


def resolved_for(head: Head, studio: Studio, **request: Any) -> dict[str, Any]:
    asked = GenerationRequest.from_data(request)
    return resolve(asked, Settings(), studio.library, Styles(head.folders.styles_file), studio.inputs).to_data()


def far(head: Head, job: str, kind: str, resolved: dict[str, Any]) -> dict[str, Any]:
    assert fits(kind, resolved)
    head.order(do="jobs", jobs=[{"id": job, "kind": kind, "resolved": resolved, "attempts": 1, "made": []}])
    done = head.hear("done")
    assert done["fault"] is None, done["fault"]
    return done["result"]


def same(result: dict[str, Any], own: list[Image.Image], head: Head) -> None:
    paths = [Path(picture["path"]) for picture in result["pictures"] if picture["kind"] != "grid"]
    assert all(path.is_relative_to(head.folders.outputs) for path in paths)
    assert len(paths) == len(own)
    for path, image in zip(paths, own, strict=True):
        assert np.array_equal(np.asarray(Image.open(path).convert("RGB")), np.asarray(image)), path


def test_text_to_image(head: Head, studio: Studio):
    request = {"prompt": "a red apple", "seed": 7, "steps": 3, "batch_size": 2, "width": 128, "height": 128}
    result = far(head, "t2i", "txt2img", resolved_for(head, studio, **request))
    same(result, studio.pictures(**request), head)
    assert result["pictures"][-1]["infotext"].startswith("a red apple\nSteps: 3,")


def test_a_picture_that_was_sent(head: Head, studio: Studio):
    reference = studio.inputs.put(data_of(noise(128, 128)))
    (head.folders.inputs).mkdir(parents=True, exist_ok=True)
    for path in studio.folders.inputs.iterdir():
        (head.folders.inputs / path.name).write_bytes(path.read_bytes())
    request = {
        "init_images": [reference],
        "prompt": "a red apple",
        "seed": 7,
        "steps": 4,
        "denoising_strength": 0.6,
        "width": 128,
        "height": 128,
    }
    same(far(head, "i2i", "img2img", resolved_for(head, studio, **request)), studio.pictures(**request), head)


def test_a_piece_of_a_batch_count(head: Head, studio: Studio):
    request = {"prompt": "a red apple", "seed": 7, "steps": 3, "n_iter": 2, "width": 128, "height": 128}
    resolved = resolved_for(head, studio, **request)
    head.order(do="jobs", jobs=[{"id": "lent.1", "kind": "txt2img", "resolved": resolved, "attempts": 1, "made": [], "piece": 1}])
    done = head.hear("done")
    assert done["fault"] is None, done["fault"]
    [image] = unpacked(done["result"]).images
    assert np.array_equal(np.asarray(image), np.asarray(studio.pictures(**request)[1]))
