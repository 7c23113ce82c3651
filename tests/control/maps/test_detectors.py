"""Maps by networks: the true classes of controlnet-aux and transformers, with random weights out of files as they are published."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    ConvNextConfig,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessor,
    SegformerImageProcessor,
    UperNetConfig,
    UperNetForSemanticSegmentation,
)

from modules.control.maps.ground import Ground
from modules.control.maps.making import make, make_map
from modules.control.maps.skeleton import draw
from modules.control.maps.weights import aux
from modules.faults import BlankPicture, ModelFault
from modules.folders import Folders

SIDE = 64


@pytest.fixture
def place(folders: Folders) -> Path:
    made = folders.data / "models" / "ControlNetPreprocessor"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def ground(folders: Folders) -> Ground:
    return Ground(folders=folders)


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)).resize((120, 64))


def networks() -> dict[str, Callable[[], torch.nn.Module]]:
    return {
        "ControlNetHED": aux("hed", "ControlNetHED_Apache2"), "table5_pidinet": aux("pidi.model", "pidinet"),
        "5_model": aux("teed.ted", "TED"),
        "MTEED": aux("teed.ted", "TED"), "sk_model": lambda: aux("lineart", "Generator")(3, 1, 3),
        "mlsd_large_512_fp32": aux("mlsd.models.mbv2_mlsd_large", "MobileV2_MLSD_Large"),
    }  # fmt: skip


def put(place: Path, stem: str, prefix: str = "") -> torch.nn.Module:
    """A file with random weights, and the network that they are of."""
    torch.manual_seed(0)
    network = networks()[stem]().eval()
    save_file({prefix + key: value.contiguous() for key, value in network.state_dict().items()}, place / f"{stem}.safetensors")
    return network


def test_a_detector_draws_what_controlnet_aux_draws(place: Path, ground: Ground, scene: Image.Image):
    network = put(place, "ControlNetHED")
    padded = np.pad(np.asarray(scene), ((0, 0), (0, 8), (0, 0)), mode="edge")  # to multiples of 64
    for name, options in (("softedge_hed", {}), ("softedge_hedsafe", {"safe": True}), ("scribble_hed", {"scribble": True})):
        with torch.inference_mode():
            plain = aux("hed", "HEDdetector")(network)(padded, detect_resolution=SIDE, image_resolution=SIDE, output_type="np", **options)
        assert np.array_equal(np.asarray(make_map(name, scene, ground=ground, resolution=SIDE)), plain[:64, :120])


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("softedge_pidinet", "table5_pidinet"), ("t2ia_sketch_pidi", "table5_pidinet"), ("softedge_teed", "5_model"),
        ("softedge_anyline", "MTEED"), ("lineart_realistic", "sk_model"), ("mlsd", "mlsd_large_512_fp32"),
    ],
)  # fmt: skip
def test_each_detector_reads_its_file(name: str, stem: str, place: Path, ground: Ground, scene: Image.Image):
    put(place, stem, prefix="module.")  # as training leaves names
    made = make(name, scene, ground=ground, resolution=SIDE)
    assert made.image.size == (120, 64)
    assert make(name, scene, ground=ground, resolution=SIDE).cached


def test_a_file_for_another_network_is_refused(place: Path, ground: Ground, scene: Image.Image):
    put(place, "5_model")
    (place / "5_model.safetensors").rename(place / "table5_pidinet.safetensors")
    with pytest.raises(ModelFault, match="another network"):
        make("softedge_pidinet", scene, ground=ground)
    (place / "table5_pidinet.safetensors").write_bytes(b"not at all")
    with pytest.raises(ModelFault, match="cannot be read"):
        make("softedge_pidinet", scene, ground=ground)


def depth_anything(folder: Path) -> Any:
    layers = ["stage1", "stage2", "stage3", "stage4"]
    backbone = Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14, out_features=layers,
        reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, head_hidden_size=8,
        patch_size=14,
    )  # fmt: skip
    torch.manual_seed(1)
    model = DepthAnythingForDepthEstimation(config).eval()
    model.save_pretrained(folder)
    DPTImageProcessor(size={"height": 28, "width": 28}, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(folder)
    return model


def test_depth_is_the_models_brought_to_black_and_white(place: Path, ground: Ground, scene: Image.Image):
    folder = place / "Depth-Anything-V2-Small-hf"
    model = depth_anything(folder)
    made = np.asarray(make_map("depth_anything_v2", scene, ground=ground, resolution=SIDE))[:, :, 0]
    assert (made.min(), made.max()) == (0, 255)
    padded = np.pad(np.asarray(scene), ((0, 0), (0, 8), (0, 0)), mode="edge")
    given = DPTImageProcessor.from_pretrained(folder)(images=Image.fromarray(padded), return_tensors="pt")
    with torch.inference_mode():
        plain = model(**given).predicted_depth[None]
    values = torch.nn.functional.interpolate(plain, (64, 128), mode="bicubic")[0, 0, :, :120].numpy()
    assert np.corrcoef(values.ravel(), made.ravel())[0, 1] > 0.999, "near is white"


def test_metres_are_turned_around(place: Path, ground: Ground, scene: Image.Image):
    folder = place / "Depth-Anything-V2-Small-hf"
    model = depth_anything(folder)
    with torch.no_grad():
        model.head.conv3.weight.mul_(3e7)  # untrained, it gives next to nothing
    model.save_pretrained(folder)
    near = np.asarray(make_map("depth_anything_v2", scene, ground=ground, resolution=SIDE)).astype(int)
    model.config.depth_estimation_type = "metric"
    model.save_pretrained(folder)
    far = np.asarray(make_map("depth_anything_v2", scene, ground=Ground(folders=ground.folders), resolution=SIDE)).astype(int)
    assert np.corrcoef(near.ravel(), far.ravel())[0, 1] < -0.5


def test_surfaces_of_midas(place: Path, ground: Ground, scene: Image.Image):
    folder = place / "dpt-hybrid-midas"
    config = DPTConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, is_hybrid=False,
    )  # fmt: skip
    torch.manual_seed(2)
    DPTForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    surfaces = np.asarray(make_map("normal_map", scene, ground=ground, resolution=SIDE, a=0))
    lengths = np.linalg.norm(surfaces.astype(float) / 127.5 - 1, axis=2)
    assert abs(lengths - 1).max() < 0.03, "directions have length 1"
    assert (np.asarray(make_map("normal_map", scene, ground=ground, resolution=SIDE, a=1))[:, :, 1] >= 126).mean() > 0.9, (
        "all is background"
    )
    assert make_map("depth_midas", scene, ground=ground, resolution=SIDE).size == (120, 64)


def test_segments_have_the_colours_of_ade20k(place: Path, ground: Ground, scene: Image.Image):
    folder = place / "upernet-convnext-small"
    layers = ["stage1", "stage2", "stage3", "stage4"]
    backbone = ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], out_features=layers)
    config = UperNetConfig(
        backbone_config=backbone, hidden_size=8, num_labels=150, auxiliary_in_channels=8, auxiliary_channels=8, pool_scales=[1, 2]
    )
    torch.manual_seed(3)
    UperNetForSemanticSegmentation(config).save_pretrained(folder)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    made = make_map("seg_ufade20k", scene, ground=ground, resolution=SIDE)
    palette = {tuple(colour) for colour in aux("util", "ade_palette")()}
    colours = {colour for _, colour in made.getcolors() or []}
    assert len(colours) > 1
    assert colours <= palette


def test_numbers_that_are_none_are_no_map(place: Path, ground: Ground, scene: Image.Image):
    folder = place / "Depth-Anything-V2-Small-hf"
    model = depth_anything(folder)
    with torch.no_grad():
        model.head.conv3.bias.fill_(float("nan"))
    model.save_pretrained(folder)
    with pytest.raises(BlankPicture, match="depth_anything_v2"):
        make("depth_anything_v2", scene, ground=ground, resolution=SIDE)


def test_two_detectors_stay_and_a_changed_file_is_read_again(place: Path, ground: Ground):
    loaded: list[str] = []

    def take(name: str) -> str:
        path = place / name
        if not path.exists():
            path.write_text("1")
        return ground.take(name, (path,), lambda: loaded.append(name) or name)

    for name in ("a", "b", "a", "c", "a", "b"):
        assert take(name) == name
    assert loaded == ["a", "b", "c", "b"], "the one that rested longest went"
    (place / "b").touch()
    os.utime(place / "b", ns=(1, 1))
    take("b")
    assert loaded[-1] == "b"
    assert len(loaded) == 5
    assert ground.release()
    assert not ground.release()


def test_people_are_drawn_where_they_stand():
    body = [[0.5, 0.2, 1], [0.5, 0.4, 1], *[[0, 0, 0]] * 16]
    flat = [value for point in body for value in point]
    pose = {"people": [{"pose_keypoints_2d": flat}], "canvas_width": 200, "canvas_height": 100}
    canvas = draw(pose)
    assert canvas.shape == (100, 200, 3)
    assert tuple(canvas[20, 100]) == (255, 0, 0), "the nose"
    assert canvas[30, 100].any(), "the neck between them"
    assert canvas[:, :80].max() == 0
    pixels = [[100, 20, 1], [100, 40, 1], *[[0, 0, 0]] * 16]
    same = draw({**pose, "people": [{"pose_keypoints_2d": [value for point in pixels for value in point]}]})
    assert np.array_equal(same, canvas), "in pixels as in shares of the canvas"
    assert draw(pose, body=False).max() == 0
