"""Jobs followed over HTTP: long poll, streams that are cut off and taken up again, WebSockets, and the feed over all jobs."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import websockets
from websockets.sync.client import connect

from modules.server.v2 import following
from tests.server.test_serve import Served, free_port, start
from tests.server.v2.job_server import APPLE, JobServer, events_of, job_server, until

__all__ = ["free_port", "start"]
STREAM = {"Accept": "text/event-stream"}
SERVICE_RESTART = 1012  # of RFC 6455's registry; the server library says it, before our own 1001
STORY = ["queued", "running", "picture", "picture", "done"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobServer]:
    with job_server(tmp_path_factory.mktemp("events")) as made:
        yield made


def story(events: list[dict[str, Any]]) -> list[str]:
    """State or type of each kept event: {"type", "data"} or a JobEvent."""
    return [e["data"].get("state", e["type"]) if e["type"] == "state" else e["type"] for e in events]


def stream(
    server: JobServer, path: str, stop: Callable[[list[dict[str, Any]]], bool] = lambda _: False, **asked: Any
) -> list[dict[str, Any]]:
    """What a stream says until it ends, or until `stop` says that the connection is cut."""
    said: list[dict[str, Any]] = []
    headers = {**STREAM, **asked.pop("headers", {})}
    with server.http.stream("GET", f"/api/v2/{path}", headers=headers, **asked) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        for event in events_of(answer.iter_lines()):
            said.append(event)
            if stop(said):
                break
    return said


def kept(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events with an id, as JobEvents."""
    assert all(int(e["id"]) == e["data"]["id"] and e["event"] == e["data"]["type"] for e in said if "id" in e)
    return [e["data"] for e in said if "id" in e]


def test_a_stream_tells_all_with_progress_and_previews_and_ends_with_the_job(server: JobServer) -> None:
    job = server.slow()
    said = stream(server, f"jobs/{job.id}/events")
    assert said[0] == {"retry": "2000"}
    assert story(kept(said)) == STORY
    assert said[-1]["event"] == "done"
    progress = [e["data"] for e in said if e.get("event") == "progress"]
    fractions = [p["fraction"] for p in progress]
    assert len(fractions) > 1
    assert fractions == sorted(fractions)
    [preview] = {p["preview"].split("?")[0] for p in progress if p["preview"]}
    assert preview == f"/api/v2/jobs/{job.id}/preview"
    assert server.http.get(preview).status_code == 404  # it does not run any more
    assert server.http.get(f"/api/v2/jobs/{job.id}/events", headers={**STREAM, "Last-Event-ID": "5"}).status_code == 204


def test_previews_are_shown_as_they_are_asked_for(server: JobServer) -> None:
    job = server.slow(pictures=1, steps=100)
    shown = stream(
        server, f"jobs/{job.id}/events", lambda said: bool(said[-1].get("data", {}).get("preview")), params={"previews": "inline"}
    )
    told = shown[-1]
    assert base64.b64decode(told["data"]["preview"].removeprefix("data:image/jpeg;base64,")).startswith(b"\xff\xd8")
    assert server.http.get(f"/api/v2/jobs/{job.id}/preview").content.startswith(b"\xff\xd8")
    said = stream(server, f"jobs/{job.id}/events", lambda said: len(said) > 5, params={"previews": "none"})
    assert [e["data"]["preview"] for e in said if e.get("event") == "progress"].count(None) > 0
    assert {e["data"]["preview"] for e in said if e.get("event") == "progress"} == {None}
    polled = server.get(f"jobs/{job.id}/events", params={"previews": "inline"})
    assert polled["progress"]["preview"].startswith("data:image/jpeg;base64,")
    server.app.jobs.cancel(job.id)
    said = stream(server, f"jobs/{job.id}/events", params={"progress": False})
    assert "progress" not in {e.get("event") for e in said}


@pytest.mark.parametrize("cut_after", [1, 2, 3, 4])
def test_a_stream_that_is_cut_off_goes_on_behind_the_last_event(server: JobServer, cut_after: int) -> None:
    job = server.slow(steps=8)
    first = kept(stream(server, f"jobs/{job.id}/events", lambda said: len(kept(said)) == cut_after))
    assert [e["id"] for e in first] == list(range(1, cut_after + 1))
    rest = kept(stream(server, f"jobs/{job.id}/events?after=0", headers={"Last-Event-ID": str(first[-1]["id"])}))
    assert [e["id"] for e in first + rest] == [1, 2, 3, 4, 5]
    assert story(first + rest) == STORY


def test_a_number_that_lies_ahead_does_not_hold_the_end_back(server: JobServer) -> None:
    job = server.slow(steps=2)
    said = kept(stream(server, f"jobs/{job.id}/events", params={"after": 900}))
    assert said[-1]["type"] == "done"


def test_while_nothing_happens_the_connection_is_kept_alive(server: JobServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "QUIET_S", 0.05)
    with server.paused():
        job = server.slow()
        said = stream(server, f"jobs/{job.id}/events", lambda said: len(said) > 4)
    assert [e.get("comment") for e in said[2:]] == ["still here"] * 3


def test_a_long_poll_wakes_for_the_next_event(server: JobServer) -> None:
    with server.paused():
        job = server.slow(steps=2)
        assert server.get(f"jobs/{job.id}/events") == {
            **server.get(f"jobs/{job.id}/events"), "last": 1, "state": "queued", "finished": False, "position": 1, "progress": None,
        }  # fmt: skip
        assert server.get(f"jobs/{job.id}/events", params={"after": 1, "wait_s": 0.05})["events"] == []
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(server.get(f"jobs/{job.id}/events", params={"after": 1, "wait_s": 60})))
        asking.start()
        server.app.jobs.resume()
        asking.join(30)
    [answer] = answers
    assert story(answer["events"])[0] == "running"
    after, told = 0, list[dict[str, Any]]()
    while not told or told[-1]["type"] != "done":
        answer = server.get(f"jobs/{job.id}/events", params={"after": after, "wait_s": 60})
        after, told = answer["last"], told + answer["events"]
    assert story(told) == STORY
    assert server.get(f"jobs/{job.id}/events", params={"after": after, "wait_s": 60}) == {**answer, "events": []}


def test_a_hundred_polls_wait_side_by_side(server: JobServer) -> None:
    with server.paused():
        job = server.slow(steps=1)
        answers: list[str] = []

        def poll() -> None:
            answers.append(server.get(f"jobs/{job.id}/events", params={"after": 1, "wait_s": 60})["events"][0]["data"]["state"])

        threads = [threading.Thread(target=poll) for _ in range(100)]
        for thread in threads:
            thread.start()
        server.app.jobs.cancel(job.id)
        for thread in threads:
            thread.join(60)
    assert answers == ["canceled"] * 100


@pytest.mark.parametrize("wrong", [{"after": -1}, {"wait_s": 61}, {"wait_s": "nan"}, {"previews": "all"}, {"until": 1}])
def test_wrong_questions_are_refused(server: JobServer, wrong: dict[str, Any]) -> None:
    job = server.slow(steps=1)
    assert server.get(f"jobs/{job.id}/events", 422, params=wrong)["errors"]
    assert server.get("jobs/nobody/events", 404)["kind"] == "unknown_job"
    assert server.http.get("/api/v2/jobs/nobody/events", headers=STREAM).status_code == 404


def test_a_websocket_tells_the_same_and_is_closed_in_order(server: JobServer) -> None:
    job = server.slow()
    told: list[dict[str, Any]] = []
    address = server.url.replace("http", "ws") + f"/api/v2/jobs/{job.id}/ws"
    with connect(f"{address}?previews=inline") as socket:
        socket.send("whatever a client says")
        told += [json.loads(message) for message in socket]
        assert socket.close_code == 1000
    events = [message["data"] for message in told if message["id"] is not None]
    assert [e["id"] for e in events] == [1, 2, 3, 4, 5]
    assert story(events) == STORY
    assert any(m["type"] == "progress" and (m["data"]["preview"] or "").startswith("data:") for m in told)
    with connect(f"{address}?after=3") as socket:
        assert [json.loads(message)["id"] for message in socket] == [4, 5]
    with connect(f"{address}?after=5") as socket:
        assert list(socket) == []


def test_a_websocket_of_nothing_is_refused(server: JobServer) -> None:
    address = server.url.replace("http", "ws") + "/api/v2/jobs/nobody/ws"
    with pytest.raises(websockets.InvalidStatus) as caught, connect(address):
        pass
    assert caught.value.response.status_code == 404


def test_the_feed_tells_of_all_jobs_and_of_the_queue_each_event_once(server: JobServer) -> None:
    last = server.get("events")["last"]
    with server.paused():
        ids = [server.slow(steps=1, pictures=1).id for _ in range(3)]
        first = kept(stream(server, "events", lambda said: len(said) == 3, params={"after": last}))
        assert first[0]["data"] == {"paused": True}
        assert first[0]["job"] is None
    for job in ids:
        until(lambda job=job: server.app.jobs.get(job).finished)
    server.app.jobs.pause()
    rest = kept(
        stream(
            server,
            "events",
            lambda said: said[-1].get("data", {}).get("data") == {"paused": True},
            headers={"Last-Event-ID": str(first[-1]["id"])},
        )
    )
    server.app.jobs.resume()
    told = [e for e in first + rest if e["job"] in ids]
    numbers = [e["id"] for e in first + rest]
    assert numbers == sorted(set(numbers))
    for job in ids:
        of_job = [e["number"] for e in told if e["job"] == job]
        assert of_job == list(range(1, len(of_job) + 1))
        assert [e["type"] for e in told if e["job"] == job][-1] == "done"
    polled = server.get("events", params={"after": last, "limit": 1000})
    assert [e["id"] for e in polled["events"]][: len(numbers)] == numbers
    assert server.get("events", params={"after": polled["last"], "wait_s": 0.05}) == {"events": [], "last": polled["last"]}


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
def test_a_server_that_stops_ends_streams_and_sockets_in_order(start: Callable[..., Served]) -> None:
    served = start()
    url = served.url.rstrip("/")
    httpx.post(f"{url}/api/v2/queue/pause").raise_for_status()
    job = httpx.post(f"{url}/api/v2/jobs", json=APPLE).raise_for_status().json()
    began: set[str] = set()
    ended: list[tuple[str, int]] = []

    def follow(path: str) -> None:
        said: list[dict[str, Any]] = []
        with httpx.stream("GET", f"{url}/api/v2/{path}", headers=STREAM, timeout=60) as answer:
            for event in events_of(answer.iter_lines()):
                said.append(event)
                if kept(said):
                    began.add(path)
        ended.append((path, len(kept(said))))

    def listen() -> None:
        with connect(url.replace("http", "ws") + f"/api/v2/jobs/{job['id']}/ws") as socket:
            socket.recv()
            began.add("ws")
            with pytest.raises(websockets.ConnectionClosed):
                socket.recv()
            ended.append(("ws", socket.close_code or 0))

    paths = [f"jobs/{job['id']}/events", "events?after=0"]
    threads = [*(threading.Thread(target=follow, args=(path,)) for path in paths), threading.Thread(target=listen)]
    for thread in threads:
        thread.start()
    until(lambda: began == {*paths, "ws"})
    status, rest, _ = served.end(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    assert (status, "Traceback" in rest) == (0, False), rest
    assert dict(ended) == {paths[0]: 1, paths[1]: 2, "ws": SERVICE_RESTART}
