"""A job on another machine: its files go there, its pictures come home, and whatever goes wrong is said. Without Ray; real processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.cluster import sending
from modules.cluster.post import Post, Stale
from modules.cluster.version import identity
from modules.faults import RequestFault, SetupFault
from tests.cluster.line import Head, head_at, post_at


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    post = post_at(tmp_path)
    yield post
    post._end()


@pytest.fixture
def head(tmp_path: Path, post: Post) -> Head:
    head = head_at(tmp_path, post)
    head.hear("idle")
    return head


def model(tmp_path: Path, data: bytes = b"weights") -> Path:
    path = tmp_path / "here" / "models" / "Stable-diffusion" / "pear.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_pictures_come_home_and_files_go_there_once(head: Head, tmp_path: Path):
    path = model(tmp_path)
    head.job("one", colour=200, pictures=2, model={"path": str(path)})
    event = head.hear("event")
    done = head.hear("done")
    assert (done["state"], done["fault"]) == ("done", None)
    result = done["result"]
    assert result["read"] == "weights"
    assert result["model"]["path"] == str(path), "paths of the other machine stay there"
    assert event["data"] == result["pictures"][0]
    for index, picture in enumerate(result["pictures"]):
        assert Path(picture["path"]).parent == head.folders.outputs
        assert Image.open(picture["path"]).getpixel((0, 0)) == (200, index, 7)
        assert picture["pid"] != os.getpid()
    there = [p for p in (tmp_path / "there").rglob("*") if p.is_file() and p.suffix in (".png", ".safetensors")]
    assert [p.name for p in there] == ["pear.safetensors"], "nothing else is left there"
    head.hear("idle")
    head.line.calls.clear()
    head.job("two", model={"path": str(path)})
    head.hear("done")
    assert "put" not in head.line.calls, "the file was there"


def test_a_shared_disk_is_used_where_it_holds_the_same(tmp_path: Path, post: Post):
    head = head_at(tmp_path, post, shared=True)
    head.hear("idle")
    path = model(tmp_path)
    head.job("one", model={"path": str(path)})
    assert head.hear("done")["result"]["read"] == "weights"
    assert "put" not in head.line.calls
    seen = post.sees(post._token, {str(path): {"": "0" * 64}, str(tmp_path): {"lost": "0" * 64}})
    assert seen == [], "other contents, or nothing"


def test_a_picture_made_before_is_not_made_again(head: Head):
    head.job("one", pictures=1)
    [first] = head.hear("done")["result"]["pictures"]
    head.hear("idle")
    head.job("one", made=(first,), attempts=2, pictures=2)
    pictures = head.hear("done")["result"]["pictures"]
    assert pictures[0] == first, "with the path that it has here"
    assert [p["index"] for p in pictures] == [0, 1]


def test_a_job_is_stopped_while_its_files_travel(head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sending, "PIECE_BYTES", 10)
    begun = threading.Event()

    def slowly(*_: Any) -> None:
        begun.set()
        time.sleep(0.05)

    head.line.before["put"] = slowly
    head.job("one", model={"path": str(model(tmp_path, b"x" * 100_000))})
    assert begun.wait(20)
    head.order(do="interrupt", job="one")
    assert head.hear("done")["state"] == "canceled"
    head.hear("idle")
    head.line.before.clear()
    head.job("two")
    assert head.hear("done")["state"] == "done"


def test_a_running_job_is_stopped(head: Head):
    head.job("one", steps=2000, step_s=0.02)
    head.hear("progress")
    head.order(do="interrupt", job="one")
    assert head.hear("done")["state"] == "canceled"


def test_a_file_that_is_gone_fails_its_job_alone(head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = model(tmp_path)
    head.line.before["make_room"] = lambda *_: path.unlink(missing_ok=True)
    head.job("one", model={"path": str(path)})
    done = head.hear("done")
    assert done["state"] == "failed"
    assert "cannot be read" in done["fault"]["message"]
    head.hear("idle")
    head.job("two")
    assert head.hear("done")["state"] == "done"


def test_the_end_of_the_worker_is_said(head: Head):
    head.job("one", steps=5, die_at=2)
    assert "exit 9" in head.hear("ended")["message"]


def test_silence_of_the_other_side_ends_the_bridge(head: Head):
    head.line.cut = True
    assert "did not answer" in head.hear("ended")["message"]


def test_another_version_is_refused_by_name(tmp_path: Path, post: Post, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("modules.cluster.bridge.identity", lambda: "0.0.9 (abc)")
    head = head_at(tmp_path, post)
    assert "another version of the program" in head.hear("ended")["message"]
    assert isinstance(head.fault, SetupFault)


def test_a_head_that_starts_again_finds_the_worker_as_it_was(head: Head, tmp_path: Path, post: Post):
    head.job("one", steps=2000, step_s=0.02)
    head.hear("progress")
    pid = post._process.pid if post._process else 0
    second = head_at(tmp_path, post)
    assert second.hear("ready")["device"]["name"] == "sleeper"
    second.hear("idle")
    assert isinstance(_ended(head), Stale), "the first leads it no more"
    second.job("two")
    done = second.hear("done")
    assert (done["job"], done["state"]) == ("two", "done"), "nothing is heard of the job of before"
    assert post._process is not None
    assert post._process.pid == pid, "the worker is the same, its model still loaded"
    assert [p.name for p in head.folders.outputs.iterdir()] == ["two-0.png"]


def _ended(head: Head) -> Any:
    if head.fault is None:
        head.hear("ended")
    return head.fault


def test_a_head_that_died_while_a_picture_was_on_its_way(head: Head, tmp_path: Path, post: Post):
    """The worker waits for an answer that never comes; the next head must not wait for it."""
    asked = threading.Event()

    def silent(*_: Any) -> None:
        asked.set()
        threading.Event().wait()

    head.line.before["fetch"] = silent
    head.job("one")
    assert asked.wait(20)
    second = head_at(tmp_path, post)
    second.hear("idle")
    second.job("two")
    assert second.hear("done")["state"] == "done"


def test_a_worker_that_died_meanwhile_is_started_again(tmp_path: Path, head: Head, post: Post):
    assert post._process is not None
    os.kill(post._process.pid, signal.SIGKILL)
    head.hear("ended")
    second = head_at(tmp_path, post)
    second.hear("idle")
    second.job("two")
    assert second.hear("done")["state"] == "done"


def test_nobody_listens_for_long_and_it_ends(tmp_path: Path):
    over = threading.Event()
    post = post_at(tmp_path, linger_s=0.5, ended=over.set)
    head = head_at(tmp_path, post)
    head.hear("idle")
    process = post._process
    assert process is not None
    assert not over.is_set(), "somebody listens"
    head.line.cut = True
    assert over.wait(20)
    assert process.poll() is not None


def test_a_damaged_picture_is_not_saved(head: Head, post: Post, monkeypatch: pytest.MonkeyPatch):
    fetch = post.fetch
    monkeypatch.setattr(post, "fetch", lambda token, path: fetch(token, path)[:-1] + b"?")
    head.job("one")
    done = head.hear("done")
    assert done["state"] == "failed"
    assert "damaged" in done["fault"]["message"]
    assert not head.folders.outputs.exists() or not list(head.folders.outputs.iterdir())


def test_files_outside_its_folder_cannot_be_fetched(head: Head, post: Post, tmp_path: Path):
    (tmp_path / "secret.txt").write_text("secret")
    with pytest.raises(RequestFault, match="inside its folder"):
        post.fetch(post._token, str(tmp_path / "secret.txt"))
    with pytest.raises(Stale):
        post.fetch("another token", "x")


def test_a_piece_comes_home_and_goes_to_the_worker_that_leads(head: Head, tmp_path: Path):
    head.order(do="jobs", jobs=[{"id": "a.1", "kind": "x", "resolved": {"colour": 9}, "attempts": 1, "made": [], "piece": 1}])
    result = head.hear("done")["result"]
    own = Path(result["images"][0]["path"])
    assert own.is_relative_to(head.folders.job_files)
    assert Image.open(own).getpixel((0, 0)) == (9, 1, 7)
    head.hear("idle")
    head.job("b", takes=1)
    assert head.hear("lend")["end"] == 2
    head.order(do="lent", job="b", number=1)
    head.order(do="piece", job="b", number=1, result=result)
    led = head.hear("done")["result"]
    assert led["colour"] == [9, 1, 7]
    assert Path(led["path"]).is_relative_to(tmp_path / "there")
    assert not own.exists()


NEXT = {"settings": {}, "control": ()}


def ahead(head: Head, path: Path) -> None:
    head.order(do="ahead", next={"kind": "txt2img", "resolved": {**NEXT, "model": {"path": str(path)}}})


def test_files_of_the_next_job_go_over_while_one_is_computed(head: Head, tmp_path: Path):
    path = model(tmp_path)
    head.job("one", foresees=True)
    ahead(head, path)
    assert head.hear("done")["result"]["next"] == "weights", "with the path there"
    head.hear("idle")
    head.line.calls.clear()
    head.job("two", model={"path": str(path)})
    assert head.hear("done")["result"]["read"] == "weights"
    assert "put" not in head.line.calls


def test_what_there_is_no_room_for_waits_for_its_job(head: Head, tmp_path: Path):
    asked = threading.Event()
    head.line.before["could_hold"] = lambda *_: asked.set()
    ahead(head, model(tmp_path, b"x" * 10_000_001))
    assert asked.wait(20)
    head.job("one")
    head.hear("done")
    assert {"make_room", "put"}.isdisjoint(head.line.calls)


def test_the_job_that_begins_has_the_line_for_itself(head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sending, "PIECE_BYTES", 10)
    begun, go_on = threading.Event(), threading.Event()
    senders: list[str] = []

    def held(*_: Any) -> None:
        senders.append(threading.current_thread().name)
        begun.set()
        assert go_on.wait(20)

    head.line.before["put"] = held
    path = model(tmp_path, b"x" * 1000)
    ahead(head, path)
    assert begun.wait(20)
    head.job("one")
    head.hear("done")
    go_on.set()
    head.hear("idle")
    head.job("two", model={"path": str(path)})
    assert len(head.hear("done")["result"]["read"]) == 1000
    assert senders.count("ahead") == 1, "the rest went with its own job"


def test_what_lies_there_is_told(head: Head, tmp_path: Path):
    head.job("one", model={"path": str(model(tmp_path))})
    head.hear("done")
    head.hear("idle")
    told = head.hear("about")["about"]
    assert (told["held_bytes"], told["budget_bytes"]) == (len(b"weights"), 10_000_000)
    assert told["free_bytes"] > 0
    assert told["version"] == identity()
