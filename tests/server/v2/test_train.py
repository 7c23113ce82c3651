"""/api/v2/train over the real App and queue; only the training itself is a stand-in."""

from __future__ import annotations

import dataclasses
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from darkroom_client import Client, Conflict, NotFound
from modules.app import App, build
from modules.flags import Flags
from modules.jobs import Jobs
from modules.knobs import knobs_of
from modules.request.train import TrainConfig
from modules.server import create
from modules.server.rules import least_role
from modules.users import USER

SESSIONS = "/api/v2/train/sessions"
SMALL = {"max_train_steps": 20}  # and the starter's own size


def png(colour: str, size: tuple[int, int] = (160, 128)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return data.getvalue()


class Api:
    """Asks and checks the status."""

    def __init__(self, app: App, client: TestClient) -> None:
        self.app = app
        self.client = client

    def __call__(self, method: str, path: str, status: int = 200, **asked: Any) -> Any:
        answer = self.client.request(method, f"{SESSIONS}/{path}" if path else SESSIONS, **asked)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.headers["content-type"].endswith("json") else answer.content

    def made(self, name: str, **config: Any) -> str:
        """A session with two pictures."""
        self("POST", "", 201, json={"name": name, "preset": "lora-cpu", "config": {**SMALL, **config}})
        files = [("files", ("a.png", png("red"))), ("files", ("a.txt", b"a red thing")), ("files", ("10_cat/b.png", png("blue")))]
        assert self("POST", f"{name}/pictures", 201, files=files)["captions"] == 1
        return name


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    app = build(Flags(data_dir=str(tmp_path_factory.mktemp("train"))))
    app.jobs.stop()
    app = dataclasses.replace(app, jobs=Jobs(app.folders, {}, train_runner="tests.server.v2.train_backend:build", train_idle_s=30.0))
    app.start(lanes=("train",))
    with TestClient(create(app), base_url="http://127.0.0.1:7860") as client:
        yield Api(app, client)
    app.stop()


def until(what: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_every_field_of_a_configuration_is_told(api: Api) -> None:
    told = api.client.get("/api/v2/train/options").json()
    assert {row["name"] for row in told["fields"]} == set(knobs_of(TrainConfig)) - {"session"}
    assert "lora-cpu" in {row["name"] for row in told["presets"]}
    assert api.client.get("/api/v2/choices/captioners").json()["fields"] == ["captioner"]


def test_a_session_is_made_changed_copied_packed_and_removed(api: Api) -> None:
    name = api.made("my cat".replace(" ", "_"))
    changed = api("PATCH", name, json={"config": {"network_dim": 4}, "name": "tom"})
    assert (changed["config"]["network_dim"], changed["config"]["max_train_steps"], changed["name"]) == (4, 20, "tom")
    assert api("POST", "tom/clone", 201, json={"name": "tim"})["pictures"] == 2
    packed = api("GET", "tom/export")
    taken = api("POST", "jim/import", 201, content=packed)
    assert (taken["pictures"], taken["config"]["network_dim"]) == (2, 4)
    api("POST", "jim/import", 422, content=packed)
    api("POST", "joe/import", 422, content=b"no zip")
    rows = {row["name"]: row["total_bytes"] for row in api("GET", "")["items"]}
    assert rows.keys() >= {"tom", "tim", "jim"}
    api("POST", "tom/pictures", 201, files=[("files", ("c.png", png("green")))])
    assert api("GET", "tom")["total_bytes"] == rows["tom"] + len(png("green"))
    for one in ("tom", "tim", "jim"):
        assert api("DELETE", one)["name"] == one
        api("GET", one, 404)
    assert not list((api.app.folders.cache / "train").glob("*"))


def test_pictures_are_listed_captioned_cropped_and_removed(api: Api) -> None:
    name = api.made("pics")
    rows = api("GET", f"{name}/pictures")
    assert (rows["total"], [row["file"] for row in rows["items"]]) == (2, ["10_cat/b.png", "a.png"])
    assert (rows["items"][0]["repeats"], rows["items"][0]["bucket"], rows["items"][1]["caption"]) == (10, [144, 112], "a red thing")
    assert [row["file"] for row in api("GET", f"{name}/pictures", params={"search": "red"})["items"]] == ["a.png"]
    crop = {"x": 10, "y": 0, "width": 100, "height": 100}
    row = api("PATCH", f"{name}/pictures/10_cat/b.png", json={"caption": "blue", "crop": crop})
    assert (row["caption"], row["crop"], row["crop_by"]) == ("blue", crop, "hand")
    api("PATCH", f"{name}/pictures/a.png", 422, json={"crop": {**crop, "width": 5000}})
    assert api("GET", f"{name}/pictures/10_cat/b.png") == png("blue")
    assert Image.open(io.BytesIO(api("GET", f"{name}/pictures/10_cat/b.png/thumbnail"))).format == "WEBP"
    assert api("POST", f"{name}/captions", json={"tool": "add_front", "put": "zork"})["tags"][0] == {"tag": "zork", "count": 2}
    assert api("POST", f"{name}/captions", json={"tool": "undo"})["changed"] == 2
    api("POST", f"{name}/captions", 422, json={"tool": "sing"})
    cropped = api("POST", f"{name}/crop", json={})["changed"][0]
    assert cropped["crop_by"] == "smart"
    assert cropped["crop_reason"]
    assert api("PATCH", f"{name}/pictures/10_cat/b.png", json={"crop": None, "caption": None})["crop"] is None
    api("DELETE", f"{name}/pictures/a.png")
    assert api("GET", f"{name}/pictures")["total"] == 1


def test_pictures_of_this_server_are_taken_by_folder_input_and_id(api: Api) -> None:
    name = api("POST", "", 201, json={"name": "taken"})["name"]
    place = api.app.folders.data / "holiday"
    place.mkdir()
    (place / "sea.png").write_bytes(png("teal"))
    (place / "sea.txt").write_text("the sea")
    reference = api.app.inputs.put(png("pink"), "inputs")
    taken = api("POST", f"{name}/pictures/take", 201, json={"folder": "holiday", "inputs": [reference], "texts": ["a pink wall"]})
    assert (len(taken["pictures"]), taken["captions"]) == (2, 2)
    assert {row["caption"] for row in api("GET", f"{name}/pictures")["items"]} == {"the sea", "a pink wall"}
    for wrong in ({"folder": "../.."}, {"folder": "nowhere"}, {"inputs": ["input:nothing"]}, {"pictures": ["nothing"]}):
        api("POST", f"{name}/pictures/take", 422, json=wrong)


@pytest.mark.parametrize(
    "file", ["../config.toml", "..%2Fconfig.toml", "a.txt", "none.png", "%2e%2e/%2e%2e/x.png", "../../other/pictures/a.png"]
)
def test_only_pictures_of_the_session_are_handed_out(api: Api, file: str) -> None:
    if "safe" not in {row["name"] for row in api("GET", "")["items"]}:
        api.made("safe")
    for method, body in (("GET", None), ("PATCH", {"caption": "x"}), ("DELETE", None)):
        answer = api.client.request(method, f"{SESSIONS}/safe/pictures/{file}", json=body)
        assert answer.status_code in (404, 405), (method, answer.text)
    assert (api.app.folders.models / "train" / "safe" / "config.toml").is_file()


def test_what_is_not_there_is_not_found(api: Api) -> None:
    for method, rest, body in (
        ("GET", "", None), ("PATCH", "", {"config": {}}), ("DELETE", "", None), ("GET", "/export", None), ("GET", "/pictures", None),
        ("POST", "/clone", {"name": "x"}), ("POST", "/examine", None), ("POST", "/crop", {}), ("POST", "/captions", {"tool": "sort"}),
        ("POST", "/start", None), ("POST", "/stop", None), ("POST", "/pause", None), ("GET", "/metrics", None), ("GET", "/samples", None),
        ("GET", "/samples/000001-0.png", None), ("POST", "/tryit", None),
    ):  # fmt: skip
        api(method, f"nobody{rest}", 404, json=body)
    api("GET", "..", 404)


def test_what_is_wrong_is_told_before_anything_is_queued_with_its_line(api: Api) -> None:
    name = api.made("wrong", resolution=100)
    lines = (api.app.folders.models / "train" / name / "config.toml").read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if text.startswith("resolution ="))
    report = api("POST", f"{name}/examine")
    assert (report["ok"], report["field"], report["line"]) == (False, "resolution", line)
    told = api("POST", f"{name}/start", 422)
    assert f"line {line} of {name}/config.toml" in told["detail"]
    api("PATCH", name, json={"config": {"resolution": 0, "checkpoint": "no such model"}})
    assert {row["bucket"] for row in api("GET", f"{name}/pictures")["items"]} == {None}, "no model says a size"
    assert "checkpoint" in api("POST", f"{name}/start", 422)["errors"][0]["place"]
    api("PATCH", name, json={"config": {"checkpoint": ""}})
    bad = [("files", ("broken.png", b"\x89PNG no")), ("files", ("dot.png", png("red", (1, 1))))]
    api("POST", f"{name}/pictures", 201, files=bad)
    told = api("POST", f"{name}/start", 422)["detail"]
    assert "broken.png" in told
    assert "dot.png" in told
    api("POST", "", 422, json={"name": "../up"})
    api("POST", "", 422, json={"name": "x", "config": {"netwrk_dim": 4}})
    api("POST", "", 422, json={"name": "x", "preset": "none"})
    api("PATCH", name, 422, json={"config": {"min_timestep": 900, "max_timestep": 100}})
    assert api.app.jobs.list(lane="train") == []


def test_a_config_that_a_person_broke_is_told_and_the_rest_still_works(api: Api) -> None:
    name = api.made("broken")
    (api.app.folders.models / "train" / name / "config.toml").write_text("resolution = = 4\n")
    assert "line" in api("GET", name)["broken"]
    assert not api("POST", f"{name}/examine")["ok"]
    assert "config.toml" in api("POST", f"{name}/start", 422)["detail"]


def test_a_training_runs_pauses_goes_on_stops_and_is_tried(api: Api) -> None:
    name = api.made("run", max_train_steps=400, trigger_word="zork", sample_prompts=["zork on a table"])
    job = api("POST", f"{name}/start", 201)
    assert (job["kind"], job["lane"]) == ("train", "train")
    until(lambda: api("GET", f"{name}/metrics")["last"] > 3)
    seen = api("GET", f"{name}/metrics", params={"after": 1})
    assert seen["points"][0]["step"] == 2
    assert (seen["state"], seen["of"]) == ("running", 400)
    for method, rest in (("POST", "/start"), ("DELETE", ""), ("DELETE", "/pictures/a.png")):
        api(method, f"{name}{rest}", 409)
    api("POST", f"{name}/pause")
    until(lambda: api("GET", name)["state"] == "paused")
    assert api.app.jobs.get(job["id"]).attempts == 0
    again = api("POST", f"{name}/start", 200)
    assert again["id"] == job["id"]
    until(lambda: api("GET", name)["state"] == "running")
    api("POST", f"{name}/stop")
    until(lambda: api("GET", name)["state"] == "stopped")
    assert 0 < api("GET", name)["step"] < 400
    sample = api("GET", f"{name}/samples")["items"][-1]
    assert sample["text"] == "zork on a table"
    assert api.client.get(sample["url"]).headers["content-type"] == "image/png"
    api("POST", f"{name}/stop", 409)
    api("POST", f"{name}/tryit", 422)
    step = api("GET", name)["step"]
    api("PATCH", name, json={"config": {"max_train_steps": step + 2}})
    job = api("POST", f"{name}/start", 201)
    assert api.app.jobs.wait(job["id"], 30).state == "done"
    assert (api("GET", name)["state"], api("GET", name)["outputs"][0]["insert"]) == ("done", f"<lora:{name}:1>")
    trial = api("POST", f"{name}/tryit", json={"weight": 0.7})
    assert (trial["prompt"], trial["width"]) == (f"<lora:{name}:0.7>, zork", 128)
    assert (api.app.folders.models / "Lora" / f"{name}.safetensors").read_bytes() == b"weights"


def test_the_python_client_does_all_of_it(api: Api) -> None:
    client = Client("http://127.0.0.1:7860", http=api.client)
    session = client.make_train_session("by_client", preset="lora-cpu", trigger_word="zork", **SMALL)
    assert client.send_train_pictures(session, [("a.png", png("red")), ("a.txt", b"red")])["captions"] == 1
    assert client.caption_train_picture(session, "a.png", "a red wall")["caption"] == "a red wall"
    assert client.examine_training(session)["ok"]
    client.change_train_session(session, max_train_steps=5)
    assert client.wait(client.start_training(session), 30).state == "done"
    assert [point["step"] for point in client.train_metrics(session, 3).points] == [4, 5]
    assert client.train_session(session).outputs[0].insert == "<lora:by_client:1>"
    assert client.try_training(session, weight=0.5).prompt == "<lora:by_client:0.5>, zork"
    copy = client.import_train_session("by_zip", client.export_train_session(session))
    assert (copy.step, copy.of) == (5, 5)
    assert client.clone_train_session(session, "by_clone").state == "new"
    assert {"by_client", "by_zip", "by_clone"} <= {one.name for one in client.train_sessions()}
    assert client.remove_train_session(copy) == "by_zip"
    with pytest.raises(Conflict):
        client.stop_training(session)
    with pytest.raises(NotFound):
        client.pause_training("by_zip")


def test_users_may_train_and_guests_not() -> None:
    for method in ("GET", "POST", "PATCH", "DELETE"):
        assert least_role(method, "/api/v2/train/sessions/x/pictures/a.png") == USER
