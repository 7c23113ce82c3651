"""Extras and face restoration in the worker's own runner, beside a model."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from modules.inputs import Inputs
from modules.processing.extras_plan import resolve_extras
from modules.request import Result
from modules.request.extras import ExtrasRequest
from modules.settings import Settings
from modules.upscale.faces import TEMPLATE
from tests.model.conftest import FakeControl, Studio
from tests.processing.pictures import data_of, noise
from tests.upscale.networks import tiny
from tests.upscale.onnx_files import yunet
from tests.upscale.test_faces import painter

SMALL: dict[str, Any] = {"prompt": "a red apple", "seed": 1, "steps": 2, "width": 64, "height": 64}


def test_the_runner_takes_jobs_of_extras(studio: Studio) -> None:
    tiny(studio.folders.models / "ESRGAN" / "Tiny2x.safetensors")
    inputs = Inputs(studio.folders)
    request = ExtrasRequest(images=[inputs.put(data_of(noise()))], upscaler_1="Tiny2x", upscaling_resize=2)
    plan = resolve_extras(request, Settings(), studio.folders, inputs)
    state, data = studio.runner.run({"id": "x", "kind": "extras", "resolved": plan.to_data(), "made": []}, FakeControl())
    assert state == "done"
    (picture,) = Result.from_data(data).pictures
    assert Image.open(picture.path).size == (80, 60)


@pytest.mark.parametrize("damaged", [False, True])
def test_faces_that_cannot_be_restored_are_a_warning_and_the_picture_stays(studio: Studio, damaged: bool) -> None:
    (plain,) = studio.pictures(**SMALL)
    if damaged:
        place = studio.folders.models / "Codeformer"
        place.mkdir(parents=True, exist_ok=True)
        for name in ("codeformer-v0.1.0.safetensors", "face_detection_yunet_2023mar.onnx"):
            (place / name).write_bytes(b"nothing")
    _, result = studio.make(**SMALL, override_settings={"face_restoration": True})
    assert any(("cannot be opened" if damaged else "codeformer-v0.1.0.safetensors") in warning for warning in result.warnings)
    assert Image.open(result.pictures[0].path).convert("RGB").tobytes() == plain.tobytes()
    assert "Face restoration" not in result.pictures[0].infotext


def test_restored_faces_are_in_the_text(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a detector that sees a face in any picture: the model's own pictures have none."""
    place = studio.folders.models / "GFPGAN"
    yunet(place / "face_detection_yunet_2023mar.onnx")
    (place / "GFPGANv1.4.safetensors").write_bytes(b"nothing")
    monkeypatch.setattr("modules.upscale.faces.Detector.__call__", lambda self, image: [painted_points()])
    monkeypatch.setattr("modules.upscale.faces.load", lambda path, device: painter(lambda face: face * 0 + 1))
    _, result = studio.make(**SMALL, override_settings={"face_restoration": True, "face_restoration_model": "GFPGAN"})
    assert "Face restoration: GFPGAN" in result.pictures[0].infotext
    assert Image.open(result.pictures[0].path).convert("RGB").getpixel((32, 32)) == (255, 255, 255)


def painted_points() -> Any:
    """The points of a face that fills a picture of 64 pixels."""
    return TEMPLATE / 8
