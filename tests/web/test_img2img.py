"""What the canvases hand over becomes the pictures of a request; batches; the page's event and its routes."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image, PngImagePlugin

from modules.faults import RequestFault
from modules.pixels.sketch import mask_of, painted_over, sketch_to_inpaint
from modules.web.form_fields import IMG2IMG
from modules.web.painted import begin_of, pictures_of
from modules.web.picture_batch import entries_of, natural, request_data, same_seed
from tests.web.test_form import img2img
from tests.web.test_page import Events

GREY, RED = (90, 90, 90), (255, 0, 0, 255)


def png(image: Image.Image, **text: str) -> bytes:
    chunk = PngImagePlugin.PngInfo()
    for key, value in text.items():
        chunk.add_itxt(key, value)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=chunk)
    return buffer.getvalue()


def picture(size: tuple[int, int] = (40, 20)) -> Image.Image:
    return Image.new("RGB", size, GREY)


def layer(size: tuple[int, int] = (20, 10), box: tuple[int, int, int, int] = (0, 0, 10, 10)) -> Image.Image:
    """Half of it painted red, half the picture's size."""
    made = Image.new("RGBA", size)
    made.paste(RED, box)
    return made


def runs(app: Any, begin: dict[str, Any], **options: Any) -> dict[str, Any]:
    return pictures_of(app, begin, **{"transparency": 0, "blur": 0, "inverted": False, **options})


# ---- pixels ----------------------------------------------------------------------------------------------------------


def test_a_small_layer_fits_the_picture_and_a_mask_is_black_or_white():
    mask = mask_of(layer(), (40, 20))
    assert mask.size == (40, 20)
    assert {value for _, value in mask.getcolors() or ()} == {0, 255}
    assert (mask.getpixel((2, 10)), mask.getpixel((38, 10))) == (255, 0)
    half = Image.new("RGBA", (4, 4), (1, 2, 3, 127))
    assert mask_of(half, (4, 4)).getbbox() is None


def test_painting_over_leaves_the_rest_as_it_is():
    over = painted_over(picture(), layer((40, 20), (0, 0, 20, 20)))
    assert (over.mode, over.size) == ("RGB", (40, 20))
    assert (over.getpixel((5, 5)), over.getpixel((30, 5))) == (RED[:3], GREY)


def test_an_inpaint_sketch_has_a_fainter_mask():
    begin, mask = sketch_to_inpaint(picture(), layer((40, 20), (0, 0, 20, 20)), transparency=40, blur=0)
    assert (mask.getpixel((5, 5)), mask.getpixel((30, 5))) == (153, 0)
    assert begin.getpixel((30, 5)) == GREY
    red = begin.getpixel((5, 5))
    assert isinstance(red, tuple)
    assert red[0] == pytest.approx(90 + (255 - 90) * 0.6, abs=1)


# ---- canvases --------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(app: Any) -> dict[str, str]:
    put = app.inputs.put
    return {"image": put(png(picture())), "layer": put(png(layer())), "mask": put(png(Image.new("L", (40, 20), 255)))}


def test_each_sub_tab_gives_what_it_holds(app: Any, kept: dict[str, str]):
    assert runs(app, {"mode": "img2img", **kept}) == {"init_images": [kept["image"]], "mask": None}
    assert runs(app, {"mode": "inpaint_upload", **kept}) == {"init_images": [kept["image"]], "mask": kept["mask"]}
    sketch = runs(app, {"mode": "sketch", **kept})
    assert sketch["mask"] is None
    assert app.inputs.open(sketch["init_images"][0]).getpixel((2, 10)) == RED[:3]
    inpaint = runs(app, {"mode": "inpaint", **kept})
    assert inpaint["init_images"] == [kept["image"]]
    mask = app.inputs.open(inpaint["mask"]).convert("L")
    assert (mask.size, mask.getpixel((2, 10)), mask.getpixel((38, 10))) == ((40, 20), 255, 0)
    both = runs(app, {"mode": "inpaint_sketch", **kept}, transparency=50)
    assert app.inputs.open(both["init_images"][0]).getpixel((38, 10)) == GREY
    assert app.inputs.open(both["mask"]).convert("L").getpixel((2, 10)) == 128


@pytest.mark.parametrize(
    ("mode", "without", "field"),
    [
        ("img2img", "image", "init_images"),
        ("inpaint", "layer", "mask"),
        ("inpaint_sketch", "layer", "mask"),
        ("inpaint_upload", "mask", "mask"),
    ],
)
def test_what_is_missing_is_said(app: Any, kept: dict[str, str], mode: str, without: str, field: str):
    with pytest.raises(RequestFault) as caught:
        runs(app, {"mode": mode, **kept, without: None})
    assert caught.value.field == field
    assert " yet; " in caught.value.why


def test_nothing_masked_may_be_turned_around(app: Any, kept: dict[str, str]):
    assert runs(app, {"mode": "inpaint", **kept, "layer": None}, inverted=True)["init_images"] == [kept["image"]]
    erased = app.inputs.put(png(Image.new("RGBA", (20, 10))))
    with pytest.raises(RequestFault, match="nothing is painted"):
        runs(app, {"mode": "inpaint", **kept, "layer": erased})


@pytest.mark.parametrize("text", ["", None, "{", "[]", '{"mode": "../etc"}', "7"])
def test_what_no_script_of_ours_wrote_is_refused(text: Any):
    with pytest.raises(RequestFault):
        begin_of(text)


# ---- batches ---------------------------------------------------------------------------------------------------------


def values(**changes: Any) -> dict[str, Any]:
    return dict(zip(IMG2IMG.names, img2img(**changes), strict=True))


@pytest.fixture
def folder(app: Any) -> Path:
    place = app.folders.data / "in"
    place.mkdir()
    for n in (10, 2, 1):
        text = f"tree {n}\nNegative prompt: fog\nSteps: 5, Sampler: Euler, CFG scale: 3, Seed: {n}, Size: 64x64"
        (place / f"p{n}.png").write_bytes(png(picture((8 + n, 8)), parameters=text))
    (place / "notes.txt").write_text("no picture")
    return place


FOLDER = {"mode": "batch", "source": "folder"}


def test_a_folder_is_taken_in_the_order_people_expect(app: Any, folder: Path):
    assert [e.name for e in entries_of(app, FOLDER, values(batch_input_dir="in"))] == ["p1.png", "p2.png", "p10.png"]
    assert [e.name for e in entries_of(app, FOLDER, values(batch_input_dir=str(folder)))] == ["p1.png", "p2.png", "p10.png"]
    assert natural(Path("a2")) < natural(Path("a10"))


@pytest.mark.parametrize("named", ["..", "/etc", "in/../..", "nowhere", ""])
def test_folders_elsewhere_are_refused(app: Any, folder: Path, named: str):
    with pytest.raises(RequestFault) as caught:
        entries_of(app, FOLDER, values(batch_input_dir=named))
    assert caught.value.field == "batch_input_dir"


def test_uploads_keep_their_names_and_order(app: Any, kept: dict[str, str]):
    begin = {
        "mode": "batch",
        "source": "upload",
        "files": [{"name": "../b.png", "reference": kept["image"]}, {"name": "a.png", "reference": kept["mask"]}],
    }
    assert [(e.name, e.picture) for e in entries_of(app, begin, values())] == [("b.png", kept["image"]), ("a.png", kept["mask"])]
    with pytest.raises(RequestFault):
        entries_of(app, {**begin, "files": []}, values())


def test_masks_by_name_one_for_all_and_missing(app: Any, folder: Path):
    masks = app.folders.data / "masks"
    masks.mkdir()
    (masks / "p2.png").write_bytes(png(Image.new("L", (8, 8), 255)))
    form = values(batch_input_dir="in", batch_mask_dir="masks")
    first, second, _ = entries_of(app, FOLDER, form)
    assert request_data(app, first, {}, form)["mask"] == request_data(app, second, {}, form)["mask"] is not None
    (masks / "p10.png").write_bytes(png(Image.new("L", (8, 8), 0)))
    assert request_data(app, second, {}, form)["mask"]
    with pytest.raises(RequestFault, match="holds no mask named p1"):
        request_data(app, first, {}, form)


def test_pictures_tell_their_own_parameters(app: Any, folder: Path):
    form = values(batch_input_dir="in", batch_use_png_info=True, batch_png_info_props=["Prompt", "Seed", "Steps"])
    entry = entries_of(app, FOLDER, form)[1]
    data = request_data(app, entry, {"prompt": "oil painting", "negative_prompt": "x", "seed": 7, "steps": 20, "cfg_scale": 7.0}, form)
    assert (data["prompt"], data["negative_prompt"], data["seed"], data["steps"], data["cfg_scale"]) == (
        "oil painting tree 2",
        "x",
        2,
        5,
        7.0,
    )


def test_results_are_named_after_their_pictures(app: Any, folder: Path):
    form = values(batch_input_dir="in", batch_output_dir="out/here")
    entry = entries_of(app, FOLDER, form)[0]
    named = request_data(app, entry, {"n_iter": 1, "batch_size": 1}, form)["override_settings"]
    assert (named["outdir_img2img_samples"], named["samples_filename_pattern"], named["save_to_dirs"]) == ("out/here", "p1", False)
    assert named["save_images_add_number"] is False
    assert request_data(app, entry, {"n_iter": 2, "batch_size": 1}, form)["override_settings"]["save_images_add_number"] is True
    onto_itself = values(batch_input_dir="in", batch_output_dir="in")
    assert request_data(app, entry, {}, onto_itself)["override_settings"]["save_images_add_number"] is True, "the pictures themselves stay"


def test_a_batch_shares_one_seed():
    assert same_seed("a") == same_seed("a") != same_seed("b")
    assert 0 <= same_seed("a") < 4294967294


# ---- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def events(page: TestClient) -> Events:
    return Events(page, page.get("/config").json())


def put(page: TestClient, image: Image.Image) -> str:
    return page.post("/internal/inputs", content=png(image)).json()["reference"]


def test_a_picture_goes_up_and_comes_back(page: TestClient):
    sent = page.post("/internal/inputs", content=png(picture((3000, 30))))
    assert sent.status_code == 200
    assert (sent.json()["width"], sent.json()["height"]) == (3000, 30)
    digest = sent.json()["reference"].removeprefix("input:")
    small = Image.open(io.BytesIO(page.get(f"/internal/inputs/{digest}?side=300").content))
    assert small.size == (300, 3)
    assert page.get(f"/internal/inputs/{'0' * 64}").status_code == 422
    assert page.get("/internal/inputs/config.json").status_code == 422
    assert page.post("/internal/inputs", content=b"no picture").status_code == 422
    both = page.post("/internal/inputs/painted", json={"image": put(page, picture()), "layer": put(page, layer())}).json()
    assert (both["width"], both["height"]) == (40, 20)


def submit(events: Events, key: str, begin: dict[str, Any], **changes: Any) -> tuple[dict[str, Any], str]:
    ticket, message = events("img2img_generate", "click", [key, *img2img(begin=json.dumps(begin), **changes)])
    return json.loads(ticket), message


def test_generate_queues_the_picture_and_its_mask(events: Events, page: TestClient):
    begin = {"mode": "inpaint", "image": put(page, picture()), "layer": put(page, layer())}
    ticket, message = submit(events, "i-1", begin, prompt="a hat", mask_blur=2, image_cfg_scale=1.5)
    assert message == ""
    asked = page.app_under_test.jobs.get(ticket["id"]).request
    assert (asked["prompt"], asked["init_images"], asked["mask_blur_x"]) == ("a hat", [begin["image"]], 2)
    assert asked["mask"].startswith("input:")
    assert asked["image_cfg_scale"] is None, "only editing models have one"
    assert submit(events, "i-1", begin)[0]["id"] == ticket["id"]


def test_generate_without_a_picture_says_so(events: Events):
    ticket, message = submit(events, "i-2", {"mode": "img2img", "image": None})
    assert ticket == {"key": "i-2", "fault": True}
    assert "drop one on the canvas" in message
    ticket, message = submit(events, "i-3", {"mode": "img2img", "error": "could not be sent; try again"})
    assert "could not be sent" in message


def test_a_batch_is_a_job_a_picture(events: Events, page: TestClient):
    place = page.app_under_test.folders.data / "batch"
    place.mkdir()
    for n in range(3):
        (place / f"{n}.png").write_bytes(png(picture((16 + n, 16))))
    (place / "broken.png").write_bytes(b"no picture")
    ticket, message = submit(events, "b-1", FOLDER, batch_input_dir="batch", steps=1)
    assert (ticket["batch"], ticket["of"], len(ticket["jobs"])) == (True, 4, 3)
    assert "next" not in ticket
    assert "broken.png was left out" in message
    asked = [page.app_under_test.jobs.get(job["id"]).request for job in ticket["jobs"]]
    assert len({a["init_images"][0] for a in asked}) == 3
    assert {a["seed"] for a in asked} == {same_seed("b-1")}
    rest, _ = submit(events, "b-1", {**FOLDER, "from": 2}, batch_input_dir="batch", steps=1)
    assert [job["id"] for job in rest["jobs"]] == [ticket["jobs"][2]["id"]], "asking again gives the same jobs"
    end = time.monotonic() + 20
    while not all(page.app_under_test.jobs.get(job["id"]).finished for job in ticket["jobs"]):
        assert time.monotonic() < end
        time.sleep(0.02)
    gallery, info, _ = events("img2img_fetch", "click", [json.dumps({"ids": [job["id"] for job in ticket["jobs"]]})])
    assert len(gallery["value"]) == info.count("<article") == 3


def test_a_batch_of_wrong_forms_is_refused_as_a_whole(events: Events, page: TestClient):
    place = page.app_under_test.folders.data / "wrong"
    place.mkdir()
    (place / "0.png").write_bytes(png(picture()))
    ticket, message = submit(events, "b-2", FOLDER, batch_input_dir="wrong", steps=0)
    assert ticket["fault"]
    assert "steps: must lie between" in message


def finished(events: Events, page: TestClient, key: str) -> Any:
    from tests.web.test_form import form

    ticket = json.loads(events("txt2img_generate", "click", [key, *form(batch_size=1, n_iter=1, steps=1)])[0])
    jobs = page.app_under_test.jobs
    end = time.monotonic() + 20
    while not jobs.get(ticket["id"]).finished:
        assert time.monotonic() < end
        time.sleep(0.02)
    return jobs.get(ticket["id"])


def test_upscaling_a_finished_picture(events: Events, page: TestClient):
    from tests.web.test_form import form

    job = finished(events, page, "u-1")
    wanted = json.dumps({"key": "u-2", "source": f"{job.id}/0"})
    ticket, message = events("txt2img_upscale_run", "click", [wanted, *form(prompt="another one", hr_scale=3, seed="-1", steps=9)])
    assert message == ""
    asked = page.app_under_test.jobs.get(json.loads(ticket)["id"]).request
    assert (asked["prompt"], asked["seed"], asked["steps"], asked["enable_hr"], asked["hr_scale"]) == ("a cat", 42, 1, True, 3)
    stored = page.app_under_test.inputs.path(asked["firstpass_image"]).read_bytes()
    assert stored == Path(job.result["pictures"][0]["path"]).read_bytes()
    ticket, message = events("txt2img_upscale_run", "click", [json.dumps({"key": "u-3", "source": f"{job.id}/7"}), *form()])
    assert "single picture" in message


def test_kept_and_zipped_pictures(events: Events, page: TestClient):
    job = finished(events, page, "k-1")
    picture_file = Path(job.result["pictures"][0]["path"])
    answer = page.post("/internal/keep", json={"pictures": [f"{job.id}/0"]})
    assert answer.json()["files"] == [picture_file.name]
    place = page.app_under_test.folders.data / "log" / "images"
    assert (place / picture_file.name).read_bytes() == picture_file.read_bytes()
    page.post("/internal/keep", json={"pictures": [f"{job.id}/0"]})
    rows = (place / "log.csv").read_text().splitlines()
    assert rows[0] == "prompt,seed,width,height,sampler,cfgs,steps,filename,negative_prompt"
    assert rows[1].startswith("a cat,42,256,128,Euler,5.5,1,")
    assert len(list(place.glob("*.png"))) == 1, "the same picture is not written twice"
    packed = zipfile.ZipFile(io.BytesIO(page.get("/internal/zip", params={"pictures": [f"{job.id}/0"]}).content))
    assert packed.read(picture_file.name) == picture_file.read_bytes()
    assert page.get("/internal/zip", params={"pictures": [f"{job.id}/5"]}).status_code == 404
    assert page.get("/internal/zip", params={"pictures": ["nothing/0"]}).status_code == 404


def test_a_sent_picture_brings_its_size(events: Events):
    text = "a pear\nSteps: 9, Sampler: Euler, CFG scale: 3, Seed: 77, Size: 256x128"
    *found, _ = events("img2img_fill", "click", [json.dumps({"text": text, "width": 640, "height": 320})])
    filled = dict(zip(IMG2IMG.names, found, strict=True))
    assert (filled["prompt"], filled["width"], filled["height"], filled["seed"]) == ("a pear", 640, 320, "77")
    *found, _ = events("img2img_fill", "click", [json.dumps({"width": 64, "height": 96})])
    filled = dict(zip(IMG2IMG.names, found, strict=True))
    assert (filled["width"], filled["height"]) == (64, 96)
    assert filled["prompt"] == {"__type__": "update"}
