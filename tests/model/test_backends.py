"""Pictures of the starter model through a backend: the same within the tolerance, told in the parameters, and eager where it must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.backends.backing import Backing, difference
from modules.backends.table import BACKENDS
from modules.faults import UnknownName
from modules.processing.slot import Slot
from modules.request import Result
from tests.model.conftest import Studio
from tests.model.tiny import BUILDERS
from tests.model.two_models import Stage, checkpoint_of, request

ASKED: dict[str, Any] = {
    "prompt": "a red apple, 3d", "negative_prompt": "blue", "steps": 3, "width": 128, "height": 128, "seed": 3, "cfg_scale": 5,
    "sampler_name": "Euler",
}  # fmt: skip


def make(studio: Studio, backend: str, **more: Any) -> tuple[np.ndarray, Result]:
    """The first picture; it waits for its backend."""
    settings = {"backend": backend, "backend_in_background": False}
    _, result = studio.make(**{**ASKED, **more, "override_settings": {**settings, **more.get("override_settings", {})}})
    with Image.open(result.pictures[0].path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16), result


def text_of(result: Result) -> str:
    return result.pictures[0].infotext


def apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one - other).max())


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_the_starter_through_a_backend(studio: Studio, name: str):
    if why := BACKENDS.get(name).probe("cpu"):
        pytest.fail(f"{name}: {why} It is in requirements-test.txt.", pytrace=False)
    own, plain = make(studio, "eager")
    told, result = make(studio, name)
    assert apart(told, own) <= 2
    assert result.warnings == ()
    assert f"Backend: {name}" in text_of(result)
    assert "Backend" not in text_of(plain)


def test_and_goes_through_the_same_graph(studio: Studio):
    asked = {"prompt": "a red apple AND 3d", "batch_size": 2}
    own, _ = make(studio, "eager", **asked)
    told, result = make(studio, "onnx", **asked)
    assert apart(told, own) <= 2
    assert result.warnings == ()


def test_what_eager_must_do_is_told_and_not_claimed(studio: Studio):
    asked = {"freeu": True}
    own, _ = make(studio, "eager", **asked)
    told, result = make(studio, "onnx", **asked)
    assert apart(told, own) == 0
    assert result.warnings == ("ONNX Runtime stood aside for eager torch: FreeU works inside the network.",)
    assert "Backend" not in text_of(result)


@pytest.mark.parametrize("family", ["sdxl", "sd3", "flux"])
def test_other_families(family: str, tmp_path: Path):
    """Each network answers through its graph; what a graph cannot is eager's, with the reason."""
    stage = Stage()
    stage.slot = Slot(lambda p: None, lambda p: None, "float32", lambda: 2**40, backing=lambda: Backing("cpu", tmp_path / "graphs"))
    checkpoint = checkpoint_of(BUILDERS[family](tmp_path / family))
    settings = {"backend": "onnx", "backend_in_background": False}
    own = stage.latents(request(checkpoint, settings={}))
    told = stage.latents(request(checkpoint, settings=settings))
    assert told.warnings == own.warnings
    assert told.infotext == {"Backend": "onnx"}
    assert difference(told.latents, own.latents) == pytest.approx(0, abs=1e-3)


def test_a_backend_that_is_not_there_is_refused_before_anything_runs(studio: Studio):
    with pytest.raises(UnknownName) as caught:
        make(studio, "onyx")
    assert "onnx" in str(caught.value)
