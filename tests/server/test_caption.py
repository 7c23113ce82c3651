"""POST /sdapi/v1/interrogate: A1111's shape and words, over jobs that are really done by a worker process."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from modules.app import App, build
from modules.flags import Flags
from modules.jobs import Jobs
from modules.server import create
from tests.caption.conftest import model_of
from tests.caption.tiny_tagger import wd
from tests.processing.folder_trial import make
from tests.processing.pictures import data_of, noise
from tests.server.conftest import LOCAL

ONE_SERVER = True

__all__ = ["model_of"]
ROUTE = "/sdapi/v1/interrogate"
BACKEND = "tests.processing.caption_backend:build"
YELLOW = base64.b64encode(data_of(Image.new("RGB", (96, 64), (250, 214, 60)))).decode()


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, model_of: Callable[[str], Path]) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("captions")
    for kind in ("git", "blip-vqa", "blip-itm"):
        shutil.copytree(model_of(kind), folder / "models" / "BLIP" / f"tiny-{kind}")
    shutil.copytree(model_of("blip"), folder / "models" / "BLIP" / "pickled")
    (folder / "models" / "BLIP" / "pickled" / "model.safetensors").rename(folder / "models" / "BLIP" / "pickled" / "pytorch_model.bin")
    made = build(Flags(data_dir=str(folder)))
    made.jobs.stop()
    made = dataclasses.replace(made, jobs=Jobs(made.folders, {}, runner=BACKEND))
    made.settings.set({"interrogate_captioner": "darkroom-starter-captioner", "interrogate_scorer": "darkroom-starter-scorer"})
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def live_client(worker: App) -> Iterator[TestClient]:
    with TestClient(create(worker), base_url=LOCAL) as client:
        yield client


def ask(client: TestClient, status: int = 200, **body: Any) -> Any:
    answer = client.post(ROUTE, json={"image": YELLOW, **body})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_clip_answers_a_caption_with_words(live_client: TestClient):
    answer = ask(live_client, model="clip")
    assert set(answer) == {"caption"}
    caption, *words = answer["caption"].split(", ")
    assert len(words) >= 2
    assert ask(live_client) == answer, "clip is the default, and its answer does not change"
    assert ask(live_client, model="darkroom-starter-captioner", num_beams=1)["caption"] == caption


@pytest.mark.parametrize("prefix", ["data:image/png;base64,", ""])
def test_every_captioner_is_a_model(prefix: str, live_client: TestClient):
    names = live_client.get(ROUTE).json()
    assert names == ["clip", "tiny-git", "darkroom-starter-captioner"]
    said = {name: ask(live_client, image=prefix + YELLOW, model=name)["caption"] for name in names}
    assert len(set(said.values())) == 3
    assert "yellow background" in said["darkroom-starter-captioner"]
    assert ask(live_client, model="TINY-GIT", max_length=4)["caption"] != said["tiny-git"]


def test_more_than_a1111_asks_for(live_client: TestClient):
    assert ask(live_client, model="tiny-blip-vqa", question="what is it ?")["caption"]
    texts = ["a 3d heart on a black background", "a 3d heart on a yellow background"]
    assert ask(live_client, model="darkroom-starter-scorer", texts=texts)["caption"] == texts[1]
    assert ask(live_client, model="darkroom-starter-captioner", prompt="a flat")["caption"].startswith("a flat ")


@pytest.mark.parametrize("body", [{}, {"image": None}, {"image": None, "model": "nothing"}])
def test_no_picture_is_a_404(body: dict[str, Any], live_client: TestClient):
    answer = live_client.post(ROUTE, json={"model": "clip", **body})
    assert (answer.status_code, answer.json()["error"], answer.json()["detail"]) == (404, "HTTPException", "Image not found")


@pytest.mark.parametrize("model", ["deepdanbooru", "deepbooru", "nothing", "blip-image-captioning-base", "pickled", "../../etc", "x" * 400])
def test_an_unknown_model_is_a_404_that_says_what_there_is(model: str, live_client: TestClient):
    answer = ask(live_client, 404, model=model)
    assert answer["detail"] == "Model not found"
    told = {"blip-image-captioning-base": "models download Salesforce/blip-image-captioning-base", "pickled": "a pickle"}
    told |= dict.fromkeys(("deepdanbooru", "deepbooru"), "there is no tagger here")
    assert told.get(model, "clip, tiny-git, darkroom-starter-captioner") in answer["errors"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"num_beams": 11}, "num_beams"),
        ({"model": 3}, "model"),
        ({"model": "tiny-blip-vqa"}, "can answer questions, but not write captions"),
        ({"num_return_sequences": "many"}, "num_return_sequences"),
        ({"texts": "a"}, "texts: must be a list"),
        ({"texts": [1], "model": "darkroom-starter-scorer"}, "texts"),
        ({"image": 5}, "image"),
        ({"image": "input:" + "0" * 64}, "image"),
        ({"image": "not base64!"}, "Invalid encoded image"),
        ({"image": base64.b64encode(b"no picture").decode()}, "Invalid encoded image"),
        ({"image": base64.b64encode(data_of(noise(mode="RGBA"))[:300]).decode()}, "Invalid encoded image"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], told: str, live_client: TestClient):
    answer = ask(live_client, 422, **body)
    assert told in json.dumps(answer)


def test_a_captioner_that_breaks_while_it_is_loaded_is_a_failed_job(live_client: TestClient, worker: App):
    folder = worker.folders.models / "BLIP" / "late"
    shutil.copytree(worker.folders.models / "BLIP" / "tiny-git", folder)
    (folder / "processor_config.json").write_text("{}")
    answer = ask(live_client, 500, model="late")
    assert "late could not be loaded" in answer["errors"]
    shutil.rmtree(folder)


def test_the_schema_names_every_field(live_client: TestClient):
    body = live_client.get("/openapi.json").json()["paths"][ROUTE]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["image"]
    assert {"image", "model", "prompt", "question", "texts", "num_beams", "temperature", "precision"} <= set(body["properties"])
    assert not {"images", "image_names", "batch_size"} & set(body["properties"])


def test_the_job_stays_with_its_events(live_client: TestClient, worker: App):
    ask(live_client, model="darkroom-starter-captioner", num_beams=1)
    job = worker.jobs.list(states=("done",), limit=1)[0]
    events = worker.jobs.events(job.id)
    words = "".join(event.data["text"] for event in events if event.type == "words")
    (caption,) = [event.data for event in events if event.type == "caption"]
    assert (job.kind, job.lane) == ("caption", "device")
    assert words.strip() == caption["caption"] == (job.result or {})["captions"][0]["caption"]


# ---- The Caption tab ---------------------------------------------------------------------------------------------------


def reference_of(client: TestClient, image: Image.Image) -> str:
    answer = client.post("/internal/inputs", content=data_of(image))
    assert answer.status_code == 200, answer.text
    return answer.json()["reference"]


def follow(client: TestClient, worker: App, body: dict[str, Any]) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """(job, every event told, the last answer)."""
    sent = client.post("/internal/captions", json=body)
    assert sent.status_code == 200, sent.text
    job = sent.json()["id"]
    worker.jobs.wait(job, 60)
    events: list[dict[str, Any]] = []
    while True:
        now = client.get(f"/internal/captions/{job}/heard", params={"after": events[-1]["number"] if events else 0}).json()
        events += now["events"]
        if not now["events"]:
            return job, events, now


def test_the_tab_hears_words_then_asks_where_the_model_looked(live_client: TestClient, worker: App):
    reference = reference_of(live_client, Image.new("RGB", (96, 64), (250, 214, 60)))
    asked = {"images": [reference], "model": "darkroom-starter-captioner", "num_beams": 1, "batch_size": 1, "show_input": True}
    _, events, now = follow(live_client, worker, asked)
    entry = now["result"]["captions"][0]
    assert "".join(event["data"]["text"] for event in events if event["type"] == "words").strip() == entry["caption"]
    assert events[-1]["data"]["caption"] == entry["caption"]
    assert (entry["seen"]["width"], entry["seen"]["mean"]) == (128, [0.5, 0.5, 0.5])
    seen = live_client.get(f"/internal/inputs/{entry['seen']['picture'].removeprefix('input:')}")
    assert Image.open(io.BytesIO(seen.content)).size == (128, 128)
    job, _, now = follow(live_client, worker, {"images": [reference], "model": asked["model"], "caption": entry["caption"]})
    heat = now["result"]["captions"][0]["attention"]
    assert heat["words"] == entry["caption"].split()
    assert (heat["layers"], heat["heads"], heat["grid"]) == (2, 4, [8, 8])
    route = f"/internal/captions/{job}/0/heat.png"
    overlays = [live_client.get(route, params={"word": word, "layer": layer}).content for word in (1, 2) for layer in (-1, 0)]
    assert {Image.open(io.BytesIO(data)).size for data in overlays} == {(96, 64)}
    assert len(set(overlays)) == 4
    alone = Image.open(io.BytesIO(live_client.get(route, params={"word": 1, "overlay": False}).content))
    assert (alone.mode, alone.size, alone.getextrema()[1]) == ("L", (8, 8), 255)
    for params, status in (({"word": 99}, 422), ({"layer": 9}, 422), ({"opacity": 2}, 422)):
        assert live_client.get(route, params=params).status_code == status
    assert live_client.get(route.replace("/0/", "/3/")).status_code == 404


def test_heat_maps_come_over_a1111s_route_too_and_kinds_without_say_why(live_client: TestClient):
    answer = ask(live_client, model="darkroom-starter-captioner", attention=True, num_return_sequences=2)
    assert len(answer["candidates"]) == 2
    maps = [Image.open(io.BytesIO(base64.b64decode(one))) for one in answer["attention"]["maps"]]
    assert len(maps) == len(answer["attention"]["words"]) == len(answer["caption"].split())
    question = ask(live_client, model="tiny-blip-vqa", question="what is it ?", attention=True)
    assert question["attention"]["words"] == ["what", "is", "it", "?"], "the question's words look at the picture"
    told = ask(live_client, 422, model="darkroom-starter-scorer", texts=["a cat"], attention=True)
    assert "never look at places" in json.dumps(told)
    fits = ask(live_client, model="tiny-blip-itm", texts=["a cat", "a dog"], attention=True)
    assert [*fits["attention"]["words"]] == fits["caption"].split()
    assert {fit["text"] for fit in fits["fits"]} == {"a cat", "a dog"}


def test_what_is_here_and_ways_of_writing(live_client: TestClient, worker: App):
    here = live_client.get("/internal/captions").json()
    rows = {row["name"]: row for row in here["models"]}
    assert rows["tiny-git"]["heat"]
    assert not rows["darkroom-starter-scorer"]["heat"]
    assert rows["darkroom-starter-captioner"]["writing"]["max_length"] == 40
    assert [row["name"] for row in here["refused"]] == ["pickled"]
    saved = live_client.post("/internal/captions/presets", json={"model": "tiny-git", "name": "short", "max_length": 2, "num_beams": 1})
    assert saved.json() == {"file": "generation_config.short.json", "presets": ["short"]}
    assert live_client.get("/internal/captions/presets", params={"model": "tiny-git", "name": "short"}).json()["max_length"] == 2
    assert ask(live_client, model="tiny-git", preset="short") == ask(live_client, model="tiny-git", max_length=2, num_beams=1)
    assert "did you mean short" in json.dumps(ask(live_client, 422, model="tiny-git", preset="shorts"))
    for body in ({"model": "tiny-git", "name": "../x"}, {"model": "", "name": "x"}, {"model": "tiny-git", "name": 5}):
        assert live_client.post("/internal/captions/presets", json=body).status_code == 422
    removed = live_client.post("/internal/captions/presets/remove", json={"model": "tiny-git", "name": "short"})
    assert removed.json() == {"presets": []}
    assert live_client.post("/internal/captions/presets/remove", json={"model": "tiny-git", "name": ""}).status_code == 422


def test_a_folder_is_captioned_looked_through_mended_and_undone(live_client: TestClient, worker: App):
    place = worker.folders.data / "set"
    (bad,) = make(place, 5, 1)
    (place / "picture 0.txt").write_text("a cat, mine")
    folder = "/internal/caption-folders"
    sent = live_client.post(folder, json={"folder": "set", "model": "tiny-git", "num_beams": 1, "max_length": 3, "suffix": ", mine"})
    assert sent.json()["pictures"] == 5
    job = sent.json()["id"]
    worker.jobs.wait(job, 60)
    state = live_client.get(f"{folder}/{job}").json()
    assert [state[name] for name in ("state", "captioned", "skipped", "failed", "undone")] == ["done", 3, 1, 1, False]
    assert state["faults"][0]["name"] == bad
    assert state["per_second"] > 0

    def rows(**params: Any) -> list[dict[str, Any]]:
        return live_client.get(f"{folder}/{job}/rows", params=params).json()["rows"]

    assert len(rows()) == 5
    assert [row["name"] for row in rows(show="faults")] == [bad]
    assert [row["text"] for row in rows(show="skipped")] == ["a cat, mine"]
    assert [row["name"] for row in rows(search="cat 0")] == ["picture 0.png"]
    assert len(rows(offset=4)) == 1
    assert {"tag": "mine", "count": 4} in live_client.get(f"{folder}/{job}/tags").json()
    assert {"tag": "cat", "count": 1} in live_client.get(f"{folder}/{job}/tags", params={"by": "words"}).json()
    assert live_client.get(f"{folder}/{job}/thumbnail", params={"name": "picture 1.png"}).headers["content-type"] == "image/webp"
    for name in (bad, "../../config.json", "none.png"):
        assert live_client.get(f"{folder}/{job}/thumbnail", params={"name": name}).status_code == 404
    edited = live_client.post(f"{folder}/{job}/rows", json={"name": "picture 0.png", "text": "by hand"})
    assert edited.json()["edited"]
    assert (place / "picture 0.txt").read_text() == "by hand"
    for body in ({"name": bad, "text": "x"}, {"name": "none.png", "text": "x"}, {"name": "picture 0.png", "text": 5}):
        assert live_client.post(f"{folder}/{job}/rows", json=body).status_code == 422
    (place / "picture 2.txt").write_text("somebody else's")
    assert live_client.post(f"{folder}/{job}/undo").json() == {"undone": 3, "changed": ["picture 2.png"]}
    assert {path.name: path.read_text() for path in place.glob("*.txt")} == {
        "picture 0.txt": "a cat, mine", "picture 2.txt": "somebody else's",
    }  # fmt: skip
    assert live_client.post(f"{folder}/{job}/undo").status_code == 409
    assert live_client.get(f"{folder}/none").status_code == 404
    request = {"folder": "set", "model": "tiny-git", "existing": "overwrite", "num_beams": 1, "max_length": 2}
    again = live_client.post("/api/v2/jobs", json={"kind": "caption_folder", "request": request})
    assert again.status_code == 201, again.text
    ended = worker.jobs.wait(again.json()["id"], 60)
    assert (ended.result or {})["captioned"] == 4
    assert live_client.post(folder, json={"folder": "../.."}).status_code == 422


def test_deepdanbooru_is_answered_by_a_tagger(worker: App, live_client: TestClient):
    place = worker.folders.models / "taggers"
    wd(place / "wd-vit-tagger-v3")
    try:
        assert live_client.get(ROUTE).json()[:2] == ["clip", "deepdanbooru"]
        answer = ask(live_client, model="deepdanbooru")
        names = [name for group in ("general", "character") for name, _ in answer["tags"][group]]
        escaped = [name.replace("_", " ") if name not in ("o_o", "^_^") else name for name in sorted(names)]
        assert answer["caption"] == ", ".join(name.replace("(", r"\(").replace(")", r"\)") for name in escaped)
        assert ask(live_client, model="wd14-vit-v3", threshold=0.99, character_threshold=1)["caption"].count(",") < len(names)
        rows = {row["name"]: row for row in live_client.get("/api/v2/captioners").json()["items"]}
        assert rows["wd-vit-tagger-v3"]["does"] == ["caption", "tags"]
    finally:
        shutil.rmtree(place)


def test_captioners_are_listed_and_exports_refused(live_client: TestClient):
    told = live_client.get("/api/v2/captioners").json()
    rows = {row["name"]: row for row in told["items"]}
    assert (rows["tiny-git"]["exports"], rows["tiny-git"]["onnx"], rows["tiny-blip-vqa"]["exports"]) == (True, [], False)
    assert "pickled" in told["refused"]
    for body, words in (
        ({"model": "tiny-blip-vqa"}, "has no ONNX form here"),
        ({"model": "nobody"}, "there is no model of that name"),
        ({"model": "tiny-git", "precision": "int4"}, "precision"),
    ):
        answer = live_client.post("/api/v2/captioners/export", json=body)
        assert answer.status_code == 422
        assert words in answer.text
