"""`darkroom_client.Client` against the live server: jobs, pictures, models, what goes wrong; and the example of its README."""

from __future__ import annotations

import inspect
import io
import re
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from darkroom_client import (
    AsyncClient,
    Client,
    Conflict,
    DarkroomError,
    Invalid,
    JobFailed,
    NotFound,
    NotSignedIn,
    TimedOut,
    Unreachable,
    records,
)
from tests.browser.servers import free_port
from tests.clients.serving import Serving, serving, until
from tests.house.tree import ROOT
from tests.library.picture_files import write_picture

APPLE: dict[str, Any] = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "seed": 7}
FOLDER = ROOT / "clients" / "python"


def png(side: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_job_from_its_submission_to_its_picture(client: Client, tmp_path: Path) -> None:
    job = client.txt2img(**APPLE, batch_size=2)
    assert (job.kind, job.title, job.request["steps"]) == ("txt2img", "a red apple", 2)
    done = client.wait(job, 30)
    assert (done.state, done.finished, [p.seed for p in done.pictures]) == ("done", True, [7, 8])
    saved = client.save(done.pictures[0], tmp_path / "apple.png")
    with Image.open(saved) as image:
        assert (image.size, image.info["parameters"]) == ((64, 64), done.pictures[0].parameters)
    assert list(tmp_path.iterdir()) == [saved]


def test_events_are_told_once_in_order_with_progress_between(client: Client) -> None:
    job = client.txt2img(**{**APPLE, "prompt": "slow", "steps": 8})
    told = list(client.events(job, previews="inline"))
    numbers = [event.id for event in told if event.id is not None]
    assert numbers == list(range(1, len(numbers) + 1))
    assert told[-1].type == "done"
    assert [e.data["seed"] for e in told if e.type == "picture"] == [7]
    progress = [e.data for e in told if e.type == "progress"]
    assert any(p["preview"] and p["preview"].startswith("data:image/jpeg;base64,") for p in progress)
    assert [p["fraction"] for p in progress] == sorted(p["fraction"] for p in progress)
    assert [e.type for e in client.events(job)] == [e.type for e in told if e.id is not None]  # afterwards, from the beginning


def test_the_same_key_is_the_same_job_and_another_request_is_refused(client: Client) -> None:
    first = client.txt2img(**APPLE, key="once")
    assert client.txt2img(**APPLE, key="once").id == first.id
    with pytest.raises(Invalid, match="another request"):
        client.txt2img(**{**APPLE, "steps": 3}, key="once")


def test_jobs_are_held_moved_released_copied_and_canceled(client: Client) -> None:
    held = client.txt2img(**APPLE, when={"held": True})
    other = client.txt2img(**APPLE, when={"held": True, "priority": 2})
    assert [job.id for job in client.jobs(state="queued", limit=1)] == [other.id, held.id]  # two pages
    assert client.change_job(held, priority=5).priority == 5
    assert client.job(held.id).position == 1
    assert client.release(held).held is False
    assert client.hold(other).held is True
    done = client.wait(held, 30)
    copy = client.wait(client.duplicate(done), 30)
    assert [p.seed for p in copy.pictures] == [p.seed for p in done.pictures]
    assert client.cancel(other).state == "canceled"
    with pytest.raises(Conflict):
        client.cancel(other)


def test_a_running_job_is_stopped_and_the_queue_paused(client: Client) -> None:
    slow = client.txt2img(**{**APPLE, "prompt": "slow", "steps": 500})
    until(lambda: client.job(slow).state == "running")
    assert client.pause_queue().paused
    try:
        waiting = client.txt2img(**APPLE)
        client.cancel(slow)
        assert client.wait(slow, 30).state == "canceled"
        with pytest.raises(TimedOut) as caught:
            client.wait(waiting, 0)
        assert caught.value.job == waiting.id
        assert client.queue().device == {"waiting": 1, "running": []}
    finally:
        client.resume_queue()
    assert client.wait(waiting, 30).state == "done"


@pytest.mark.parametrize("sent", ["bytes", "file", "picture", "upload"])
def test_every_way_to_give_a_picture(client: Client, tmp_path: Path, sent: str) -> None:
    (tmp_path / "a.png").write_bytes(png())
    made = client.wait(client.txt2img(**APPLE), 30).pictures[0] if sent == "picture" else None
    source = {"bytes": png(), "file": tmp_path / "a.png", "picture": made, "upload": client.upload(png()).reference}[sent]
    job = client.img2img("a pear", [source], mask=png(), steps=2, width=64, height=64)
    assert job.request["init_images"][0].startswith("input:")
    assert client.wait(job, 30).pictures[0].width == 64


def test_captions(client: Client) -> None:
    job = client.wait(client.caption([png()]), 30)
    assert [caption.caption for caption in job.captions] == ["a red apple"]


def test_a_job_that_fails_says_why(client: Client) -> None:
    job = client.txt2img(**{**APPLE, "prompt": "fail"})
    with pytest.raises(JobFailed, match="Try another sampler") as caught:
        client.wait(job, 30)
    assert (caught.value.kind, caught.value.state) == ("blank_picture", "failed")
    assert client.wait(job, 30, check=False).fault is not None


def test_pictures_are_searched_marked_binned_and_put_back(client: Client, live: Serving) -> None:
    folder = live.app.folders.outputs / "txt2img-images" / "found"
    for n in range(5):
        write_picture(folder / f"{n}.png", at_s=1_600_000_000 + n, prompt=f"zebra {n}", seed=n)
    until(lambda: len(list(client.pictures(search="zebra"))) == 5)
    found = list(client.pictures(search="zebra", limit=2, sort="oldest"))
    assert [picture.name for picture in found] == [f"{n}.png" for n in range(5)]
    detail = client.picture(found[3])
    assert (detail.prompt, detail.items["Seed"], detail.request["seed"]) == ("zebra 3", "3", 3)
    assert client.fetch(found[3]) == (folder / "3.png").read_bytes()
    assert client.mark(found[3]).favourite
    assert [p.id for p in client.pictures(favourites=True)] == [found[3].id]
    assert not client.mark(found[3], False).favourite
    binned = client.remove_picture(found[0])
    assert binned.place in [b.place for b in client.bin()]
    with pytest.raises(NotFound):
        client.picture(found[0])
    assert client.restore_picture(binned).id == found[0].id
    job = client.wait(client.txt2img(**APPLE, save_images=True), 30)
    until(lambda: [p.job for p in client.pictures(job=job.id)] == [job.id])


def test_models_and_choices(client: Client) -> None:
    [starter] = client.models(kind="checkpoint", search="darkroom-starter")
    assert (starter.family, client.model_hash(starter).hash) == ("sd15", client.model(starter.id).hash)
    assert client.refresh_models()["checkpoint"] >= 1
    assert "Euler a" in [choice.value for choice in client.choices("samplers")]
    assert client.choice_names()["samplers"] == ["sampler_name"]
    with pytest.raises(NotFound, match="did you mean samplers"):
        client.choices("sampler")


def test_what_the_server_refuses_names_the_field(client: Client) -> None:
    with pytest.raises(Invalid) as caught:
        client.txt2img("x", steps=0, stepps=3)
    places = {wrong.place[-1]: wrong for wrong in caught.value.errors}
    assert caught.value.status == 422
    assert set(places) == {"steps", "stepps"}
    assert "did you mean steps" in places["stepps"].message
    with pytest.raises(NotFound):
        list(client.events("nothing"))


def test_credentials(tmp_path: Path) -> None:
    with serving(tmp_path, api_auth="ann:secret") as guarded:
        with Client(guarded.url) as stranger, pytest.raises(NotSignedIn):
            stranger.queue()
        with Client(guarded.url, user="ann", password="wrong") as stranger, pytest.raises(NotSignedIn):
            list(stranger.events("x"))
        with Client(guarded.url, user="ann", password="secret") as ann:
            assert ann.txt2img(**APPLE, when={"held": True}).owner == "ann"


def test_waiting_outlasts_a_restart_of_the_server(tmp_path: Path) -> None:
    port = free_port()
    with Client(f"http://127.0.0.1:{port}") as patient:
        with serving(tmp_path, port=port):
            job = patient.txt2img(**APPLE, when={"held": True})
            events = patient.events(job)
            first = next(events)
        with serving(tmp_path, port=port):
            patient.release(job)
            rest = list(events)
            assert patient.wait(job, 30).state == "done"
    numbers = [event.id for event in [first, *rest] if event.id is not None]
    assert numbers == list(range(1, len(numbers) + 1))


def test_nobody_there(client: Client) -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as alone, pytest.raises(Unreachable, match="does not answer"):
        alone.cancel("x")
    with pytest.raises(ValueError, match="no address"):
        Client("127.0.0.1:7860")
    with pytest.raises(DarkroomError, match="another server"):
        client.fetch("http://example.com/x.png")


def test_the_example_of_the_readme(
    live: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    example = text.split("```python\n")[1].split("```")[0]
    assert len([line for line in example.splitlines() if line.strip()]) == 9
    monkeypatch.chdir(tmp_path)
    exec(compile(example.replace("http://127.0.0.1:7860", live.url), "README.md", "exec"), {})
    assert "apple-0.png" in capsys.readouterr().out
    with Image.open(tmp_path / "apple-0.png") as image:
        assert image.size == (512, 512)


def test_the_async_client_has_the_same_methods() -> None:
    def methods(cls: type) -> dict[str, list[str]]:
        public = {name: value for name, value in vars(cls).items() if callable(value) and not name.startswith("_")}
        return {name: list(inspect.signature(value).parameters) for name, value in public.items()}

    assert methods(AsyncClient) == methods(Client)


@pytest.fixture(scope="module")
def shapes(live: Serving) -> dict[str, Any]:
    return httpx.get(f"{live.url}/openapi.json").json()["components"]["schemas"]


@pytest.mark.parametrize(
    ("record", "schema"),
    [
        ("Job", "JobItem"), ("JobDetail", "JobDetail"), ("JobPicture", "JobPicture"), ("Progress", "Progress"), ("Result", "JobResult"),
        ("Caption", "JobCaption"), ("Fault", "JobFault"), ("Picture", "PictureItem"), ("PictureDetail", "PictureDetail"),
        ("BinnedPicture", "BinnedPicture"), ("Model", "ModelFile"), ("ModelDetail", "ModelDetail"), ("ModelNotes", "ModelNotes"),
        ("ModelHash", "ModelHash"), ("Choice", "Choice"), ("Input", "Input"), ("QueueState", "QueueState"),
    ],
)  # fmt: skip
def test_records_are_what_the_server_describes(shapes: dict[str, Any], record: str, schema: str) -> None:
    described = shapes[schema]
    fields = records._fields(getattr(records, record))
    assert set(fields) == set(described["properties"])
    for name, (kind, _) in fields.items():
        optional = any(part.get("type") == "null" for part in described["properties"][name].get("anyOf", ()))
        assert (type(None) in getattr(kind, "__args__", ())) == optional or record == "ModelDetail", name


def test_the_package_needs_httpx_alone() -> None:
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [re.split(r"[<>=]", need)[0] for need in project["dependencies"]] == ["httpx"]
    imported = {
        word
        for file in (FOLDER / "src").rglob("*.py")
        for word in re.findall(r"^\s*(?:from|import) (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert not {"modules", "pydantic", "requests", "starlette"} & imported
