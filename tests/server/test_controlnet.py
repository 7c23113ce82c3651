"""/controlnet and alwayson_scripts.ControlNet: the extension's shapes and words, over maps that a worker process really makes."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from modules.app import App, build
from modules.faults import RequestFault
from modules.flags import Flags
from modules.jobs import Jobs
from modules.request.control import CONTROL, CROP, FILL
from modules.server import create
from modules.server.fields import read
from modules.settings import Settings
from tests.processing.pictures import data_of
from tests.server.conftest import LOCAL

BACKEND = "tests.server.map_backend:build"
SHA = "input:" + "a" * 64


def square() -> Image.Image:
    image = Image.new("RGB", (96, 64), (30, 60, 90))
    ImageDraw.Draw(image).rectangle((30, 20, 60, 44), fill=(250, 240, 20))
    return image


SQUARE = base64.b64encode(data_of(square())).decode()


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    made = build(Flags(data_dir=str(tmp_path_factory.mktemp("maps"))))
    made.jobs.stop()
    made = dataclasses.replace(made, jobs=Jobs(made.folders, {}, runner=BACKEND))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def maps(worker: App) -> Iterator[TestClient]:
    with TestClient(create(worker), base_url=LOCAL) as client:
        yield client


def detect(client: TestClient, status: int = 200, **body: Any) -> Any:
    answer = client.post("/controlnet/detect", json={f"controlnet_{name}": value for name, value in body.items()})
    assert answer.status_code == status, answer.text
    return answer.json()


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


# ---- Lists ---------------------------------------------------------------------------------------------------------


def test_lists_have_the_extensions_shapes(maps: TestClient):
    assert maps.get("/controlnet/version").json() == {"version": 3}
    assert maps.get("/controlnet/settings").json() == {"control_net_unit_count": 3}
    [title] = maps.get("/controlnet/model_list?update=true").json()["model_list"]
    assert re.fullmatch(r"darkroom-starter-canny \[[0-9a-f]{8}\]", title)
    told = maps.get("/controlnet/module_list").json()
    assert told["module_list"][0] == "none"
    assert list(told["module_detail"]) == told["module_list"]
    canny = told["module_detail"]["canny"]
    assert canny["model_free"] is False
    assert canny["sliders"][1] == {"name": "Low Threshold", "value": 100, "min": 0, "max": 256, "step": 1}
    assert told["module_detail"]["reference_only"]["model_free"] is True
    shown = maps.get("/controlnet/module_list?alias_names=true").json()["module_list"]
    assert "invert (from white bg & black line)" in shown
    assert "invert" not in shown


def test_control_types_begin_with_all(maps: TestClient):
    kinds = maps.get("/controlnet/control_types").json()["control_types"]
    assert next(iter(kinds)) == "All"
    assert all(set(kind) == {"module_list", "model_list", "default_option", "default_model"} for kind in kinds.values())
    assert kinds["Canny"]["default_option"] == "canny"
    assert kinds["Canny"]["default_model"].startswith("darkroom-starter-canny")
    assert kinds["Depth"]["default_model"] == "None"
    assert (kinds["Tile"]["default_option"], kinds["All"]["default_option"]) == ("tile_resample", "none")


def test_clients_find_it_among_the_scripts(maps: TestClient):
    told = maps.get("/sdapi/v1/scripts").json()
    assert all({"controlnet", "controlnet m2m"} <= set(told[task]) for task in ("txt2img", "img2img"))
    rows = {row["name"]: row for row in maps.get("/sdapi/v1/script-info").json() if not row["is_img2img"]}
    assert rows["controlnet"]["is_alwayson"]
    assert len(rows["controlnet"]["args"]) == 3
    assert not rows["controlnet m2m"]["is_alwayson"]
    answer = maps.post("/sdapi/v1/txt2img", json={"script_name": "ControlNet M2M"})
    assert answer.status_code == 422
    assert "does not" in answer.json()["errors"]


# ---- Maps ----------------------------------------------------------------------------------------------------------


def test_maps_are_made(maps: TestClient, worker: App):
    told = detect(maps, module="canny", input_images=[SQUARE, f"data:image/png;base64,{SQUARE}"], processor_res=128)
    assert set(told) == {"info", "images"}
    assert told["info"] == "Success"
    assert [opened(text).size for text in told["images"]] == [(192, 128)] * 2
    assert {colour for _, colour in opened(told["images"][0]).getcolors() or []} == {(0, 0, 0), (255, 255, 255)}
    [job] = worker.jobs.list(limit=1)
    assert job.priority == 1, "it goes before pictures that wait"
    [first, again] = (job.result or {})["maps"]
    assert (first["cached"], again["cached"]) == (False, True)
    assert first["text"].startswith("map in ")
    assert again["text"] == "map known already"


def test_an_older_name_of_the_pictures_is_understood(maps: TestClient):
    told = detect(maps, module="invert (from white bg & black line)", images=[SQUARE])
    assert opened(told["images"][0]).getpixel((0, 0)) == (225, 195, 165)
    assert opened(detect(maps, images=[SQUARE])["images"][0]).tobytes() == square().tobytes(), "none is the picture itself"


@pytest.mark.parametrize(
    ("body", "words", "also"),
    [
        ({"module": "cany"}, "Module not available", "cany"),
        ({"module": 7}, "Module not available", "7"),
        ({"module": "clip_vision"}, "Module not supported", "take an IP-Adapter"),
        ({"module": "ip-adapter_clip_h"}, "Module not supported", "no picture"),
        ({"module": "inpaint_only+lama"}, "Module not supported", "take inpaint_only"),
        ({"module": "canny", "input_images": []}, "No image selected", "controlnet_input_images"),
        ({"module": "inpaint_only", "input_images": [SQUARE]}, "Preprocessor inpaint_only requires `controlnet_masks` param.", "0 masks"),
        ({"module": "softedge_hed", "input_images": [SQUARE]}, "Module not available", "ControlNetHED.safetensors, about 29 MB"),
        ({"module": "canny", "input_images": ["nonsense!"]}, "Invalid encoded image", "controlnet_input_images"),
    ],
)  # fmt: skip
def test_refusals_have_the_extensions_words(body: dict[str, Any], words: str, also: str, maps: TestClient):
    told = detect(maps, 422, **body)
    assert told["detail"] == words
    assert also in told["errors"]


def test_poses_are_drawn(maps: TestClient):
    body = [100, 20, 1, 100, 40, 1, *[0] * 48]
    pose = {"people": [{"pose_keypoints_2d": body, "face_keypoints_2d": None}], "canvas_width": 200, "canvas_height": 100}
    told = maps.post("/controlnet/render_openpose_json", json=[pose]).json()
    assert told["info"] == "Success"
    drawn = opened(told["images"][0])
    assert (drawn.size, drawn.getpixel((100, 20)), drawn.getpixel((10, 10))) == ((200, 100), (255, 0, 0), (0, 0, 0))
    assert maps.post("/controlnet/render_openpose_json", json=[]).json() == {"info": "No pose data detected."}
    for wrong in ({**pose, "canvas_width": 10**6}, {**pose, "people": [{"pose_keypoints_2d": [1, 2]}]}, {"people": 3}, "pose"):
        answer = maps.post("/controlnet/render_openpose_json", json=[wrong])
        assert answer.status_code == 422
        assert "pose_data[0]" in answer.text


# ---- Units of a body -------------------------------------------------------------------------------------------------


def units(*sent: Any, title: str = "ControlNet", **body: Any) -> list[dict[str, Any]]:
    """The units of a body; pictures are kept under the name of what was sent."""
    asked = read({"alwayson_scripts": {title: {"args": list(sent)}}, **body}, "txt2img", lambda picture, _: f"kept {picture}", Settings())
    assert asked.request.alwayson_scripts == {}
    return asked.request.control_units


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("b64", None), ({"image": "b64", "mask": "m"}, "kept m"), (["b64", "m"], "kept m"), ([{"image": "b64", "mask": None}], None),
        (["b64"], None),
    ],
)  # fmt: skip
def test_pictures_come_in_many_forms(image: Any, mask: str | None):
    [unit] = units({"enabled": True, "image": image, "module": "canny", "model": "x"})
    assert (unit["image"], unit["mask"]) == ("kept b64", mask)


def test_other_names_and_numbers_are_understood():
    [unit] = units({
        "enabled": True, "input_image": "b64", "mask_image": "m", "lowvram": True, "guidance": 0.8, "resize_mode": 2, "control_mode": 2,
        "something": "else", "weight": "0.5",
    }, title="CONTROLNET")  # fmt: skip
    assert (unit["image"], unit["mask"], unit["low_vram"], unit["guidance_end"]) == ("kept b64", "kept m", True, 0.8)
    assert (unit["resize_mode"], unit["control_mode"], unit["weight"]) == (FILL, CONTROL, 0.5)
    [unit] = units({"enabled": True, "image": "", "resize_mode": "Scale to Fit (Inner Fit)", "model": None, "module": "None"})
    assert (unit["image"], unit["resize_mode"], unit["model"], unit["module"]) == (None, CROP, "None", "none")


def test_units_of_both_ways_stand_together():
    found = units({"enabled": True, "module": "depth"}, control_units=[{"module": "canny", "image": "b64"}])
    assert [(unit["module"], unit["enabled"]) for unit in found] == [("canny", True), ("depth", True)]
    assert found[0]["image"] == "kept b64"
    assert units() == []


def test_a_unit_that_nobody_switched_on_is_told_about():
    body = {"alwayson_scripts": {"ControlNet": {"args": [{"module": "canny", "image": "b64"}]}}}
    asked = read(body, "txt2img", lambda picture, _: SHA, Settings())
    assert not asked.request.control_units[0]["enabled"]
    assert asked.notes == ("ControlNet unit 0 has no enabled: true, so it changed nothing.",)


@pytest.mark.parametrize(
    ("unit", "place"),
    [
        ({"weight": 3}, r"control_units\[1\]\.weight"),
        ({"guidance_start": 0.8, "guidance_end": 0.2}, r"control_units\[1\]\.guidance_start"),
        ({"image": ["a", "b", "c"]}, r"control_units\[1\]\.image"), ("canny", r"control_units\[1\]: must be an object"),
        ({"control_mode": "mine"}, r"control_units\[1\]\.control_mode"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_unit(unit: Any, place: str):
    with pytest.raises(RequestFault, match=place):
        units({"enabled": True}, unit)


def test_there_is_a_limit():
    with pytest.raises(RequestFault, match="the most is 10"):
        units(*[{"enabled": True}] * 11)
    with pytest.raises(RequestFault, match="must be a list of units"):
        read({"alwayson_scripts": {"controlnet": {"args": 3}}}, "txt2img", lambda picture, _: SHA, Settings())


def test_a_unit_without_a_picture_is_refused_before_it_is_queued(maps: TestClient):
    answer = maps.post("/sdapi/v1/txt2img", json={"steps": 1, "alwayson_scripts": {"ControlNet": {"args": [{"enabled": True}]}}})
    assert answer.status_code == 422
    assert "control_units[0]" in answer.json()["errors"]
