"""/api/v2/pictures: pages that do not shift, one picture, files by parts, marks, the bin; and /api/v2/inputs."""

from __future__ import annotations

import hashlib
import io
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from modules.app import App
from modules.library.pictures import PLACES, SORTS, Wish
from modules.pixels.metadata import encode
from modules.server.v2.pictures import PLACE_TYPES
from tests.library.picture_files import write_picture

PICTURES = "/api/v2/pictures"


@pytest.fixture
def own(app: App) -> Path:
    return app.folders.outputs / "txt2img-images" / "2026-01-02"


@pytest.fixture
def five(own: Path) -> list[Path]:
    return [write_picture(own / f"{n}.png", at_s=1_700_000_000 + n // 2, prompt=f"apple {n}", seed=n) for n in range(5)]


def page(client: TestClient, **asked: Any) -> dict[str, Any]:
    """A page, once every file has been read."""
    end = time.monotonic() + 60
    while (told := (answer := client.get(PICTURES, params=asked)).json()).get("unread") or told.get("looking"):
        assert time.monotonic() < end, "the background did not come to an end"
        time.sleep(0.02)
    assert answer.status_code == 200, answer.text
    return told


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


def test_pages_make_the_list_and_do_not_shift(client: TestClient, app: App, own: Path, five: list[Path]) -> None:
    write_picture(own / "seedless.png", at_s=1_700_000_001, prompt="no seed").write_bytes(encode(Image.new("RGB", (9, 9)), "png"))
    for sort in SORTS:
        whole = page(client, sort=sort)
        assert (whole["total"], whole["next"], len(whole["items"])) == (6, None, 6), sort
        with app.pictures._index() as index:
            assert names(whole["items"]) == [row.name for row in index.page(Wish(sort=sort))], sort  # the page's own order
        first = page(client, sort=sort, limit=2)
        five[0].unlink()
        new = write_picture(own / "new.png", at_s=1_800_000_000, prompt="later", seed=-5)
        app.pictures.refresh(force=True)
        found, cursor = first["items"], first["next"]
        while cursor:
            following = page(client, sort=sort, limit=2, cursor=cursor)
            found, cursor = found + following["items"], following["next"]
        kept = [name for name in names(whole["items"]) if name != "0.png"]
        assert [name for name in names(found) if name not in ("0.png", "new.png")] == kept, sort
        assert len(set(names(found))) == len(found), sort
        new.unlink()
        write_picture(five[0], at_s=1_700_000_000, prompt="apple 0", seed=0)
        app.pictures.refresh(force=True)


def test_every_order_has_a_place() -> None:
    assert set(SORTS) == set(PLACES) == set(PLACE_TYPES)


def test_search_and_filters(client: TestClient, app: App, five: list[Path]) -> None:
    assert names(page(client, search="apple -3", sort="name")["items"]) == ["0.png", "1.png", "2.png", "4.png"]
    assert page(client, job="nothing")["items"] == []
    row = app.pictures.at(five[1])
    assert row is not None
    with app.pictures._index() as index, index._change() as db:
        db.execute("UPDATE pictures SET job = 'j1' WHERE id = ?", (row.id,))
    [item] = page(client, job="j1")["items"]
    assert (item["job"], item["seed"], item["prompt_start"], item["kind"]) == ("j1", 1, "apple 1", "txt2img")
    assert item["file"] == f"{PICTURES}/{item['id']}/file"


IMPOSSIBLE: list[dict[str, Any]] = [
    {"limit": 0}, {"limit": 201}, {"sort": "best"}, {"kind": "mine"}, {"since_s": "nan"}, {"search": "x" * 2001}, {"nonsense": "1"},
    {"cursor": "x"}, {"cursor": "W10"}, {"cursor": "WyJuYW1lIiwxLDIsM10"}, {"cursor": "WyJuZXdlc3QiLE5hTiwxXQ"},
]  # fmt: skip


def test_a_list_that_cannot_be_is_refused_by_name(client: TestClient) -> None:
    for asked in IMPOSSIBLE:
        answer = client.get(PICTURES, params=asked)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), asked
        assert answer.json()["errors"][0]["place"] == ["query", next(iter(asked))]


def test_a_cursor_of_another_order_is_refused(client: TestClient, five: list[Path]) -> None:
    cursor = page(client, limit=2)["next"]
    assert client.get(PICTURES, params={"cursor": cursor, "sort": "oldest"}).status_code == 422


def test_one_picture_with_its_text(client: TestClient, five: list[Path]) -> None:
    item = page(client, search="apple", sort="name")["items"][3]
    whole = client.get(f"{PICTURES}/{item['id']}").json()
    assert (whole["path"], whole["prompt"], whole["negative_prompt"], whole["problem"]) == (str(five[3]), "apple 3", "blurry", None)
    assert (whole["items"]["Seed"], whole["items"]["Sampler"]) == ("3", "Euler a")
    assert (whole["request"]["seed"], whole["request"]["sampler_name"]) == (3, "Euler a")
    assert whole["parameters"].startswith("apple 3\n")


def test_a_file_is_given_whole_in_parts_and_not_again(client: TestClient, five: list[Path]) -> None:
    file, data = page(client, sort="name")["items"][0]["file"], five[0].read_bytes()
    whole = client.get(file)
    assert (whole.content, whole.headers["content-type"], whole.headers["accept-ranges"]) == (data, "image/png", "bytes")
    assert 'filename="0.png"' in whole.headers["content-disposition"]
    head = client.head(file)
    assert (head.content, head.headers["content-length"], head.headers["etag"]) == (b"", str(len(data)), whole.headers["etag"])
    part = client.get(file, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, data[10:20], f"bytes 10-19/{len(data)}")
    etag, changed = whole.headers["etag"], whole.headers["last-modified"]
    assert client.get(file, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).content == data
    for known in ({"If-None-Match": etag}, {"If-None-Match": f'"x", W/{etag}'}, {"If-None-Match": "*"}, {"If-Modified-Since": changed}):
        answer = client.get(file, headers=known)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag), known
    for other in ({"If-None-Match": '"x"', "If-Modified-Since": changed}, {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}):
        assert client.get(file, headers=other).status_code == 200, other
    for wrong, status in (("bytes=99999-", 416), ("bytes=x", 400)):
        answer = client.get(file, headers={"Range": wrong})
        assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_a_changed_file_has_another_tag(client: TestClient, five: list[Path]) -> None:
    file = page(client, sort="name")["items"][0]["file"]
    etag = client.get(file).headers["etag"]
    write_picture(five[0], at_s=1_700_000_100, prompt="another picture altogether", seed=99)
    answer = client.get(file, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (200, five[0].read_bytes())


def test_thumbnails_are_small(client: TestClient, own: Path) -> None:
    own.mkdir(parents=True)
    own.joinpath("large.png").write_bytes(encode(Image.effect_noise((1600, 900), 60).convert("RGB"), "png"))
    item = page(client)["items"][0]
    small = client.get(item["thumbnail"])
    with Image.open(io.BytesIO(small.content)) as image:
        assert (small.headers["content-type"], max(image.size)) == ("image/webp", 400)
    assert client.get(item["thumbnail"], headers={"If-None-Match": small.headers["etag"]}).status_code == 304


def test_what_is_gone_or_broken_is_404(client: TestClient, five: list[Path]) -> None:
    items = page(client, sort="name")["items"]
    five[0].unlink()
    for path in (f"{PICTURES}/{items[0]['id']}", items[0]["file"], items[0]["thumbnail"], f"{PICTURES}/nothing"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["detail"]) == (404, "this picture is not there any more; look at the list again")
    five[1].write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    assert client.get(f"{PICTURES}/{items[1]['id']}").json()["problem"]
    assert client.get(items[1]["thumbnail"]).status_code == 404


def test_marks(client: TestClient, five: list[Path]) -> None:
    key = page(client)["items"][0]["id"]
    assert client.patch(f"{PICTURES}/{key}", json={"favourite": True}).json()["favourite"] is True
    assert [item["id"] for item in page(client, favourites=True)["items"]] == [key]
    assert client.patch(f"{PICTURES}/{key}", json={"favourite": False}).json()["favourite"] is False
    for body in ({}, {"favourite": None}, {"favourite": True, "name": "x"}, []):
        assert client.patch(f"{PICTURES}/{key}", json=body).status_code in (400, 422), body
    assert client.patch(f"{PICTURES}/nothing", json={"favourite": True}).status_code == 404


def test_into_the_bin_and_back(client: TestClient, five: list[Path]) -> None:
    item = page(client, sort="name")["items"][0]
    binned = client.delete(f"{PICTURES}/{item['id']}").json()
    assert (binned["name"], binned["path"], five[0].exists()) == ("0.png", str(five[0]), False)
    assert client.delete(f"{PICTURES}/{item['id']}").status_code == 404
    found = client.get("/api/v2/bin/pictures").json()
    assert (found["items"], found["total"], found["next"]) == ([binned], 1, None)
    write_picture(five[0], at_s=1, prompt="in the way")
    assert client.post(f"/api/v2/bin/pictures/{binned['place']}/restore").status_code == 409
    five[0].unlink()
    assert client.post(f"/api/v2/bin/pictures/{binned['place']}/restore").json()["id"] == item["id"]
    assert five[0].exists()
    for place in (binned["place"], "nothing", "..", "%00"):
        assert client.post(f"/api/v2/bin/pictures/{place}/restore").status_code == 404, place


def test_inputs_are_sent_once_and_named_by_what_they_hold(client: TestClient) -> None:
    data = encode(Image.new("RGB", (30, 20)), "png")
    sent = client.post("/api/v2/inputs", content=data, headers={"Content-Type": "image/png"}).json()
    digest = hashlib.sha256(data).hexdigest()
    assert sent == {"reference": f"input:{digest}", "width": 30, "height": 20} == client.post("/api/v2/inputs", content=data).json()
    back = client.get(f"/api/v2/inputs/{digest}")
    assert (back.content, back.headers["content-type"]) == (data, "image/png")
    assert client.get(f"/api/v2/inputs/{'0' * 64}").status_code == 404
    assert client.get("/api/v2/inputs/nothing").status_code == 422
    for wrong in (b"", b"hello"):
        answer = client.post("/api/v2/inputs", content=wrong)
        assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, ["body"])


def test_addresses_bear_the_prefix_of_a_proxy(make_app: Any, five: list[Path]) -> None:
    from modules.server import create

    with TestClient(create(make_app(subpath="draw")), base_url="http://127.0.0.1:7860") as proxied:
        item = proxied.get("/draw/api/v2/pictures").json()["items"][0]
        assert item["file"].startswith("/draw/api/v2/pictures/")
        assert proxied.get(item["file"]).status_code == 200
        assert proxied.get("/draw/api/v2/pictures/nothing").headers["content-type"] == "application/problem+json"
