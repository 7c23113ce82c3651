"""The System tab's routes over a real App, store and worker process whose runner draws: figures, logs, the report, the benchmark."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from modules.app import build
from modules.flags import Flags
from modules.machine import doctor
from modules.machine.benchmark import PREFIX
from modules.server import create
from modules.server.web_log import OWN, open_log
from tests.server.conftest import LOCAL
from tests.server.walking import basic

PASSWORD = "correct-horse"


@pytest.fixture
def app(tmp_path: Path, starter_path: object) -> Iterator[Any]:
    made = build(Flags(data_dir=str(tmp_path), gradio_auth=f"me:{PASSWORD}", api_auth=f"me:{PASSWORD}"))
    yield made
    made.stop()


@pytest.fixture
def client(app: Any) -> TestClient:
    return TestClient(create(app), base_url=LOCAL, headers=basic("me", PASSWORD))


def until(ask: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + 60
    while not done(answer := ask()):
        if time.monotonic() > end:
            raise TimeoutError(answer)
        time.sleep(0.02)
    return answer


def test_what_is_there_is_told_before_any_worker_runs(client: TestClient, tmp_path: Path) -> None:
    found = client.get("/internal/system").json()
    assert found["machine"]["total"] > found["machine"]["used"] > 0
    assert found["folders"]["data"] == str(tmp_path)
    assert found["models"]["checkpoint"] == 1
    assert found["flags"][-1] != PASSWORD
    assert PASSWORD not in str(found)
    memory = client.get("/internal/system/memory", params={"span": "day"}).json()
    assert memory["samples"][0]["page"] > 0
    assert client.get("/internal/system/memory", params={"span": "week"}).status_code == 422
    usage = until(lambda: client.get("/internal/system/disk").json(), lambda told: told["usage"])["usage"]
    assert usage["models"][0]["name"] == "darkroom-starter"


def test_logs_by_level_words_and_mark_without_secrets(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "worker.log").write_text(f"ERROR the word {PASSWORD} is out\nfine\n")
    assert {row["name"] for row in client.get("/internal/system/logs").json()} >= {"worker"}
    told = client.get("/internal/system/logs/worker", params={"level": "error", "text": "WORD"}).json()
    assert [(line["level"], line["text"]) for line in told["lines"]] == [("error", "ERROR the word (hidden) is out")]
    assert client.get("/internal/system/logs/worker", params={"mark": told["mark"]}).json() == {"same": True, "mark": told["mark"]}
    for name in ("nothing", "..%2f..%2fconfig"):
        assert client.get(f"/internal/system/logs/{name}").status_code in (404, 422)
    assert client.get("/internal/system/logs/worker", params={"lines": 0}).status_code == 422


def test_the_report_is_made_beside_the_requests(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe_in_child", lambda: {"devices": [], "diagnoses": ["Driver too old."], "error": ""})
    monkeypatch.setattr(doctor, "_inventory", lambda flags: {"error": "models cannot be read"})
    assert client.get("/internal/system/doctor").json() == {"busy": False, "text": "", "problems": None}
    client.post("/internal/system/doctor")
    told = until(lambda: client.get("/internal/system/doctor").json(), lambda told: not told["busy"])
    assert told["problems"] >= 2
    assert "Driver too old." in told["text"].partition("## Problems")[2]
    assert "--gradio-auth (set)" in told["text"]
    assert PASSWORD not in told["text"]


def test_a_benchmark_is_two_jobs_and_its_result_stays(app: Any, client: TestClient) -> None:
    key = client.post("/internal/system/benchmarks").json()["key"]
    jobs = app.jobs.of_keys(PREFIX)
    assert [(job.key, job.resolved["n_iter"], job.resolved["width"]) for job in jobs] == [(key, 3, 128), (f"{key}-warm", 1, 128)]
    refused = client.post("/internal/system/benchmarks")
    assert refused.status_code == 422
    assert client.get("/internal/system/benchmarks").json()["running"]["state"] == "queued"
    store = app.jobs._store
    for job in reversed(jobs):
        store.claim()
        result = {"pictures": [{"kind": "sample"}] * 3, "seconds": {"total": 2.0, "sample": 1.5}}
        store.finish(job.id, "done", result=result, fault=None)
    found = client.get("/internal/system/benchmarks").json()
    assert found["running"] is None
    (row,) = found["results"]
    assert (row["job"], row["it_per_s"], row["pictures_per_s"], row["model"]) == (key, 40.0, 1.5, "darkroom-starter")
    assert set(row["versions"]) >= {"Darkroom", "torch", "diffusers"}
    assert client.post(f"/internal/system/benchmarks/{key}/forget").json() == {"ok": True}
    assert client.get("/internal/system/benchmarks").json()["results"] == []
    assert client.post(f"/internal/system/benchmarks/{key}/forget").status_code in (404, 422)


def test_a_benchmark_that_is_stopped_says_why_there_is_no_result(client: TestClient) -> None:
    client.post("/internal/system/benchmarks")
    assert client.post("/internal/system/benchmarks/stop").json() == {"ok": True}
    found = client.get("/internal/system/benchmarks").json()
    assert (found["running"], found["results"]) == (None, [])
    assert "stopped" in found["said"]
    assert client.post("/internal/system/benchmarks/stop").json() == {"ok": False}


def test_faults_stand_in_a_log_of_their_own_while_the_server_runs(tmp_path: Path) -> None:
    with open_log(tmp_path / "log"):
        logging.getLogger("modules.somewhere").error("that went wrong")
    logging.getLogger(OWN).warning("after the end")
    text = (tmp_path / "log" / "web.log").read_text()
    assert "begins" in text
    assert "ERROR modules.somewhere: that went wrong" in text
    assert "after the end" not in text


def test_what_can_compute_is_listed_for_programs(client: TestClient) -> None:
    found = client.get("/api/v2/computing").json()
    assert found["device"] == "cpu"
    assert {row["name"]: bool(row["why"]) for row in found["backends"]}["eager"] is False
    assert next(row for row in found["attentions"] if row["name"] == "sage")["why"]
    assert next(row for row in found["caches"] if row["name"] == "MagCache")["families"] == ["flux"]
    assert found["quantisers"][0]["psnr_db"] > 25
    labels = {row["value"]: row["label"] for row in client.get("/api/v2/choices/quantisers").json()["items"]}
    assert " dB, " in labels["fp8"]
