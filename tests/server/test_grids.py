"""X/Y/Z grids over A1111's routes and /api/v2, with the real queue and store and a runner that draws."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from PIL import Image
from starlette.testclient import TestClient

from modules.app import App, build
from modules.flags import Flags
from modules.grids.asked import GridAsked
from modules.grids.records import GRID
from modules.jobs import Jobs
from modules.request import GenerationRequest
from modules.server import create
from tests.browser.drawing_runner import drawing
from tests.server.conftest import LOCAL

RUNNER = "tests.browser.drawing_runner:build"
SMALL: dict[str, Any] = {"prompt": "a circle", "width": 64, "height": 64, "steps": 2, "seed": 3}
ARGS: list[Any] = [1, "1-3", [], 9, "", ["Euler", "LMS"], 4, "1, 2", [], False, True, True]


def started(data: Path) -> App:
    made = build(Flags(data_dir=str(data)))
    made.jobs.stop()
    made = dataclasses.replace(made, jobs=Jobs(made.folders, {}, runner=RUNNER))
    made.start()
    return made


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    made = started(tmp_path_factory.mktemp("grids"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def client(app: App) -> Iterator[TestClient]:
    with TestClient(create(app), base_url=LOCAL) as made:
        yield made


def pixels(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")


def until(found: Callable[[], Any], timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not found():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a1111s_script_answers_main_grid_sub_grids_and_cells(client: TestClient) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={**SMALL, "script_name": "x/y/Z PLOT", "script_args": ARGS})
    assert answer.status_code == 200, answer.text
    data = answer.json()
    info = json.loads(data["info"])
    assert len(data["images"]) == len(info["infotexts"]) == 1 + 2 + 12
    assert info["index_of_first_image"] == 1
    sizes = [pixels(image).size for image in data["images"]]
    assert sizes == [(6 * 64, 2 * 64), (3 * 64, 2 * 64), (3 * 64, 2 * 64), *[(64, 64)] * 12]
    main = pixels(data["images"][0])
    for x, seed in enumerate((1, 2, 3)):
        assert main.crop((x * 64, 64, x * 64 + 64, 128)).tobytes() == drawing(seed).tobytes()
    assert 'Script: X/Y/Z plot, X Type: Seed, X Values: 1-3, Fixed X Values: "1, 2, 3"' in info["infotexts"][0]
    assert "Z Type" not in info["infotexts"][1]
    assert "Script" not in info["infotexts"][3]


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        ([4, "1-x", []], 422, "no whole number"),
        ([4, "0", []], 422, "must lie between"),
        ([9, "", ["Eulr"]], 400, "Sampler not found"),
        ([7, "dog, cat", []], 422, "did not find 'dog'"),
        ([11, "nothing here", []], 422, "sd_model_checkpoint"),
        ([500, "1", []], 422, "counted from 0"),
        ([4, "", []], 422, "has no values"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_queued(client: TestClient, app: App, args: list[Any], status: int, words: str) -> None:
    before = app.jobs.list(limit=1000)
    answer = client.post("/sdapi/v1/txt2img", json={**SMALL, "script_name": "x/y/z plot", "script_args": args})
    assert answer.status_code == status
    assert words in answer.text
    assert len(app.jobs.list(limit=1000)) == len(before)


def test_the_script_is_listed_with_a1111s_arguments_and_only_grids_run_it(client: TestClient) -> None:
    assert "x/y/z plot" in client.get("/sdapi/v1/scripts").json()["img2img"]
    rows = [row for row in client.get("/sdapi/v1/script-info").json() if row["name"] == "x/y/z plot" and not row["is_img2img"]]
    labels = [arg["label"] for arg in rows[0]["args"]]
    assert len(labels) == 18
    assert labels[:4] == ["X type", "X values", "X values", "Y type"]
    assert rows[0]["args"][0]["choices"][11] == "Checkpoint name"
    refused = client.post("/api/v2/jobs", json={"kind": "txt2img", "request": {**SMALL, "script_name": "X/Y/Z plot"}})
    assert refused.status_code == 422
    assert "/api/v2/grids" in refused.json()["detail"]


def grid(*axes: tuple[Any, str], **request: Any) -> dict[str, Any]:
    rows = [{"type": kind, "values": values} for kind, values in axes]
    return {"kind": "txt2img", "request": {**SMALL, **request}, "axes": rows}


def test_a_grid_as_a_resource(client: TestClient, app: App) -> None:
    body = grid(("Seed", "21-23"), ("CFG Scale", "1-3 [2]"), prompt="a resource")
    plan = client.post("/api/v2/grids/plan", json=body).json()
    assert (plan["pictures"], plan["made"], plan["width"], plan["height"], plan["files"]) == (6, 0, 192, 128, 1)
    made = client.post("/api/v2/grids", json=body, headers={"Idempotency-Key": "one"})
    assert made.status_code == 201
    found = made.json()
    assert made.headers["Location"].endswith(f"/api/v2/grids/{found['id']}")
    assert client.post("/api/v2/grids", json=body, headers={"Idempotency-Key": "one"}).status_code == 200
    other = grid(("Seed", "1"), prompt="a resource")
    assert client.post("/api/v2/grids", json=other, headers={"Idempotency-Key": "one"}).status_code == 422
    app.jobs.wait(found["id"], 30)
    done = client.get(f"/api/v2/grids/{found['id']}").json()
    assert (done["state"], done["ended"], done["fraction"], done["shape"]) == ("done", 6, 1.0, [3, 2, 1])
    assert [(cell["x"], cell["y"], cell["state"]) for cell in done["items"]] == [(x, y, "done") for y in range(2) for x in range(3)]
    assert client.get(done["items"][4]["picture"]["file"]).headers["content-type"] == "image/png"
    assert client.get(done["items"][4]["thumbnail"]).status_code == 200
    page, table = client.get(done["report"]), client.get(done["report"], params={"form": "csv"})
    assert page.text.count("<img src=") == 6
    address = page.text.partition('<img src="')[2].partition('"')[0]
    assert client.get(urljoin(done["report"], address)).status_code == 200
    assert len(table.text.splitlines()) > 6
    assert [Path(path).suffix for path in done["files"]] == [".csv", ".html"]
    assert [item["id"] for item in client.get("/api/v2/grids").json()["items"]].count(found["id"]) == 1
    again = client.post("/api/v2/grids/plan", json=body).json()
    assert (again["pictures"], again["made"]) == (0, 6)
    redrawn = client.post(f"/api/v2/grids/{found['id']}/draw").json()
    assert app.jobs.wait(redrawn["id"], 30).state == "done"
    assert client.post(f"/api/v2/grids/{found['id']}/cancel").status_code == 409
    job = done["items"][0]["job"]
    assert client.get(f"/api/v2/grids/{job}").status_code == 404, "a cell is no grid"


def test_axes_are_listed_in_order_with_their_choices(client: TestClient) -> None:
    items = client.get("/api/v2/grids/axes", params={"kind": "img2img"}).json()["items"]
    assert items[9]["label"] == "Sampler"
    assert "Euler a" in items[9]["choices"]
    assert {"cfg_rescale", "control_units[0].weight", "lora_weight"} <= {item["name"] for item in items}
    assert client.post("/api/v2/grids", json=grid(("Stepps", "1"))).status_code == 422
    assert "Steps" in client.post("/api/v2/grids/plan", json=grid(("Stepps", "1"))).json()["detail"]


def test_progress_and_interrupt_speak_of_the_whole_grid(client: TestClient, app: App) -> None:
    body = grid(("Seed", "31-36"), prompt="slowly a circle", steps=6)
    found = client.post("/api/v2/grids", json=body).json()
    until(lambda: app.jobs.group(found["id"])[0].get("done", 0) >= 1 and app.jobs.group(found["id"])[1])
    told = client.get("/sdapi/v1/progress").json()
    assert told["state"]["job_count"] == 6
    assert 0.1 < told["progress"] < 1
    polled = client.post("/internal/progress", json={"id_task": found["id"]}).json()
    assert (polled["active"], polled["queued"], polled["completed"]) == (True, False, False)
    assert 0.1 < polled["progress"] < 1
    assert client.post("/sdapi/v1/interrupt").json() == {}
    ended = app.jobs.wait(found["id"], 30)
    assert ended.state == "canceled"
    assert ended.result is not None
    assert [picture["kind"] for picture in ended.result["pictures"]] == ["grid"], "drawn with what there is"
    state = client.get(f"/api/v2/grids/{found['id']}").json()
    made = [cell for cell in state["items"] if cell["picture"]]
    assert 0 < len(made) < 6
    assert "cells were not made" in " ".join(state["warnings"])
    # Begun again, only what is missing is made.
    plan = client.post("/api/v2/grids/plan", json=body).json()
    assert plan["made"] == len([cell for cell in made if cell["state"] == "done"])
    second = client.post("/api/v2/grids", json=body).json()
    assert app.jobs.wait(second["id"], 30).state == "done"
    assert len(app.jobs.members(second["id"])) == 6 - plan["made"]


def test_one_cell_that_fails_leaves_a_blank_and_is_told(client: TestClient, app: App) -> None:
    found = client.post("/api/v2/grids", json=grid(("Prompt S/R", "circle, please fail"))).json()
    ended = app.jobs.wait(found["id"], 30)
    assert ended.state == "done"
    state = client.get(f"/api/v2/grids/{found['id']}").json()
    assert [cell["state"] for cell in state["items"]] == ["done", "failed"]
    assert "1 of 2 cells could not be made: prompt: asks" in state["warnings"][0]
    all_fail = client.post("/api/v2/grids", json=grid(("Steps", "2-3"), prompt="please fail")).json()
    failed = app.jobs.wait(all_fail["id"], 30)
    assert failed.state == "failed"
    assert "No cell of the grid could be made" in (failed.fault or {})["message"]


def test_a_grid_that_was_killed_goes_on_after_a_restart_and_makes_nothing_twice(tmp_path: Path) -> None:
    app = started(tmp_path)
    asked = GridAsked.from_data({"axes": [{"type": "Seed", "values": "1-5"}], "options": {"draw_legend": False}})
    job = app.submit_grid(GenerationRequest(**{**SMALL, "prompt": "slowly", "steps": 4}), asked)
    until(lambda: app.jobs.group(job.id)[0].get("done", 0) >= 2 and app.jobs.group(job.id)[1] is not None)
    os.kill(int(app.jobs.worker()["pid"]), signal.SIGKILL)
    app.stop()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs").rglob("*.png")}
    app = started(tmp_path)
    try:
        done = app.jobs.wait(job.id, 30)
        assert done.state == "done"
        assert done.kind == GRID
        assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
        assert sorted(one.attempts for one in app.jobs.members(job.id))[:4] == [1, 1, 1, 1]
        assert len([*(tmp_path / "outputs" / "txt2img-images").rglob("*.png")]) == 5
        whole = Image.open((done.result or {})["pictures"][0]["path"])
        for n in range(5):
            assert whole.crop((n * 64, 0, n * 64 + 64, 64)).tobytes() == drawing(n + 1).tobytes()
    finally:
        app.stop()
