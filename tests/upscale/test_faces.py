"""Finding faces with a network of YuNet's form, and putting painted faces back where they were."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from spandrel.architectures.RestoreFormer import RestoreFormer

from modules.faults import BlankPicture, ModelFault
from modules.upscale.faces import EDGE_PX, SIDE_PX, TEMPLATE, Detector, FaceNetwork, load, restore, similarity, soft_square
from tests.upscale.networks import tiny
from tests.upscale.onnx_files import KPS, bright, yunet


def painter(change: Any) -> FaceNetwork:
    """A network in GFPGAN's place that does this to the face."""

    def forward(face: torch.Tensor, *, return_rgb: bool, randomize_noise: bool) -> tuple[torch.Tensor, None]:
        assert not return_rgb
        assert not randomize_noise, "the same face must give the same picture"
        assert face.shape == (1, 3, SIDE_PX, SIDE_PX)
        assert -1 <= float(face.min()) <= float(face.max()) <= 1
        return change(face), None

    return FaceNetwork(name="x", architecture="GFPGAN", descriptor=SimpleNamespace(model=forward, device="cpu", dtype=torch.float32))


def gradient(width: int = 400, height: int = 320) -> Image.Image:
    rows = np.stack(np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height)), -1)
    return Image.fromarray(np.concatenate([rows, rows[..., :1] * 0 + 90], -1).astype(np.uint8))


@pytest.mark.parametrize(("angle", "scale", "shift"), [(0.0, 0.4, (40, 30)), (0.5, 0.3, (150, 20)), (-1.2, 0.35, (90, 200))])
def test_an_unchanged_face_leaves_the_picture_as_it_was(angle: float, scale: float, shift: tuple[int, int]) -> None:
    """There and back again, turned and scaled: only what resampling changes."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = TEMPLATE @ turn.T + shift
    image = gradient()
    result = restore(image, painter(lambda face: face), [points])
    assert np.abs(np.asarray(result).astype(int) - np.asarray(image)).max() <= 3


def test_a_painted_face_stands_in_its_place_only() -> None:
    points = TEMPLATE * 0.5 + np.array((40, 30))  # the square lies from (40, 30) to (296, 286)
    image = gradient()
    result = np.asarray(restore(image, painter(lambda face: face * 0 + 1), [points])).astype(int)
    edge = EDGE_PX // 2 + 2
    assert (result[30 + edge : 286 - edge, 40 + edge : 296 - edge] == 255).all()
    outside = np.ones(result.shape[:2], bool)
    outside[29:288, 39:298] = False
    assert (result[outside] == np.asarray(image)[outside]).all()


def test_a_face_at_the_border_is_no_accident() -> None:
    points = TEMPLATE * 0.5 - np.array((100, 80))
    image = gradient()
    result = restore(image, painter(lambda face: face), [points])
    assert np.abs(np.asarray(result).astype(int) - np.asarray(image)).max() <= 3
    far = restore(image, painter(lambda face: face * 0), [TEMPLATE + np.array((5000, 5000))])
    assert (np.asarray(far) == np.asarray(image)).all()


def test_it_stops_between_faces_and_says_when_there_are_no_numbers() -> None:
    image = gradient()
    assert (np.asarray(restore(image, painter(lambda f: f * 0), [TEMPLATE], stopped=lambda: True)) == np.asarray(image)).all()
    with pytest.raises(BlankPicture):
        restore(image, painter(lambda face: face * float("nan")), [TEMPLATE * 0.4])


def test_geometry() -> None:
    assert np.allclose(similarity(TEMPLATE, TEMPLATE), [[1, 0, 0], [0, 1, 0]])
    assert np.allclose(similarity(TEMPLATE * 2 + 7, TEMPLATE), [[0.5, 0, -3.5], [0, 0.5, -3.5]])
    mask = soft_square()
    assert mask[0].max() == 0
    assert mask[SIDE_PX // 2, SIDE_PX // 2] == 1
    assert (mask == mask.T).all()


def test_the_detector_finds_each_face_once_and_where_it_is(tmp_path: Path) -> None:
    detector = Detector(yunet(tmp_path / "y.onnx"))
    image = Image.new("RGB", (256, 192))
    assert detector(image) == []
    image.paste((255, 255, 255), (96, 64, 128, 96))
    (points,) = detector(image)
    assert np.allclose(points, np.array(KPS).reshape(5, 2) * 32 + (96, 64), atol=0.01)


def test_a_face_in_a_large_picture_is_found_at_its_true_place(tmp_path: Path) -> None:
    image = Image.new("RGB", (2048, 1024))
    image.paste((255, 255, 255), (1024, 512, 1088, 576))  # one cell, after the picture was halved
    (points,) = Detector(yunet(tmp_path / "y.onnx"))(image)
    assert np.allclose(points, np.array(KPS).reshape(5, 2) * 64 + (1024, 512), atol=0.1)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no network at all")
    with pytest.raises(ModelFault, match=r"no\.onnx"):
        Detector(tmp_path / "no.onnx")(gradient())
    with pytest.raises(ModelFault, match=r"seg\.onnx"):
        Detector(bright(tmp_path / "seg.onnx"))(gradient())
    with pytest.raises(ModelFault, match="no network for faces"):
        load(tiny(tmp_path / "upscaler.safetensors"))


def test_a_true_network_is_recognised_by_its_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = RestoreFormer(
        n_embed=16, embed_dim=32, ch=32, out_ch=3, ch_mult=(1, 1, 1, 1, 1, 1), num_res_blocks=1, attn_resolutions=(16,), dropout=0.0,
        in_channels=3, resolution=512, z_channels=32, double_z=False, enable_mid=True, fix_decoder=False, fix_codebook=True,
        fix_encoder=False, head_size=8,
    )  # fmt: skip
    path = tmp_path / "RestoreFormer.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    network = load(path)
    assert network.architecture == "RestoreFormer"
    loaded = network.descriptor.model.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())
