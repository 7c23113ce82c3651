"""Removing the background with true ONNX files, run by OpenCV."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.faults import BlankPicture, ModelFault
from modules.upscale.background import cut_out, opened
from modules.upscale.finishing import FINISHING
from tests.upscale.onnx_files import bright, yunet

TOOL = FINISHING["u2netp"]


@pytest.fixture
def square() -> Image.Image:
    """White in the middle of dark grey."""
    image = Image.new("RGB", (100, 80), (20, 20, 20))
    image.paste((255, 250, 245), (30, 20, 70, 60))
    return image


def test_what_the_network_finds_stays_and_the_rest_becomes_transparent(tmp_path: Path, square: Image.Image) -> None:
    result = cut_out(square, TOOL, opened(bright(tmp_path / "u2netp.onnx")), "u2netp.onnx")
    alpha = np.asarray(result.getchannel("A"))
    assert result.mode == "RGBA"
    assert result.size == square.size
    assert (alpha[25:55, 35:65] > 235).all()
    assert (alpha[:12] < 30).all()
    assert (np.asarray(result.convert("RGB")) == np.asarray(square)).all()


def test_what_was_transparent_before_stays_so(tmp_path: Path, square: Image.Image) -> None:
    square.putalpha(Image.new("L", square.size, 255))
    square.paste((255, 250, 245, 0), (30, 20, 50, 60))
    alpha = np.asarray(cut_out(square, TOOL, opened(bright(tmp_path / "a.onnx")), "a.onnx").getchannel("A"))
    assert (alpha[25:55, 32:48] == 0).all()
    assert (alpha[25:55, 54:65] > 235).all()


def test_an_answer_that_is_to_be_squashed(tmp_path: Path, square: Image.Image) -> None:
    tool = dataclasses.replace(TOOL, sigmoid=True)
    alpha = np.asarray(cut_out(square, tool, opened(bright(tmp_path / "a.onnx")), "a.onnx").getchannel("A"))
    assert alpha[40, 50] > 235
    assert alpha[2, 2] < 30


def test_a_picture_of_one_colour_is_all_subject(tmp_path: Path) -> None:
    result = cut_out(Image.new("RGB", (40, 40), (9, 9, 9)), TOOL, opened(bright(tmp_path / "a.onnx")), "a.onnx")
    assert result.getchannel("A").getextrema() == (255, 255)


def test_files_that_cannot_be_used_are_named(tmp_path: Path, square: Image.Image) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"this is no network")
    with pytest.raises(ModelFault, match=r"broken\.onnx"):
        opened(broken)
    with pytest.raises(ModelFault, match="background removal"):
        cut_out(square, TOOL, opened(yunet(tmp_path / "faces.onnx")), "faces.onnx")


def test_no_numbers_are_no_mask(square: Image.Image) -> None:
    class Nothing:
        def setInput(self, values: np.ndarray) -> None:
            assert values.shape == (1, 3, TOOL.size_px, TOOL.size_px)

        def getUnconnectedOutLayersNames(self) -> list[str]:
            return ["out"]

        def forward(self, name: str) -> np.ndarray:
            return np.full((1, 1, 320, 320), np.nan, np.float32)

    with pytest.raises(BlankPicture, match=r"nan\.onnx"):
        cut_out(square, TOOL, Nothing(), "nan.onnx")
