"""A1111's lists of models, and /internal/models: pages, details, pictures, notes, the bin."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from modules.app import App
from modules.folders import Folders
from modules.library import Library
from modules.server import create
from tests.library.weight_files import EMBEDDING, LORA, VAE, write_safetensors
from tests.server.conftest import LOCAL

XL_LORA = {
    name.replace("down_blocks_1", "down_blocks_2"): (dtype, [2048 if n == 768 else n for n in shape])
    for name, (dtype, shape) in LORA.items()
}


@pytest.fixture
def models(folders: Folders) -> Path:
    """A models folder with a few files of each kind."""
    base = folders.models
    write_safetensors(
        base / "Lora" / "ink.safetensors", LORA, {"ss_output_name": "ink_v2", "ss_tag_frequency": '{"a": {"cat": 3}}', "ss_epoch": "5"}
    )
    write_safetensors(base / "Lora" / "xl" / "glow.safetensors", XL_LORA)
    write_safetensors(base / "embeddings" / "easy.safetensors", EMBEDDING)
    write_safetensors(base / "embeddings" / "xl.safetensors", {"clip_l": ("F16", [2, 768]), "clip_g": ("F16", [2, 1280])})
    write_safetensors(base / "VAE" / "soft.safetensors", VAE)
    (base / "Stable-diffusion").mkdir()
    (base / "Stable-diffusion" / "old.ckpt").write_bytes(b"PK\x03\x04")
    return base


@pytest.fixture
def library(folders: Folders, models: Path) -> Iterator[Library]:
    made = Library(folders)
    end = time.monotonic() + 20
    made.refresh()
    while made.unread() and time.monotonic() < end:
        time.sleep(0.01)
    yield made
    made.close()


@pytest.fixture
def client(make_app: Callable[..., App]) -> Iterator[TestClient]:
    with TestClient(create(make_app()), base_url=LOCAL) as made:
        yield made


def listed(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/internal/models", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def test_loras_have_a1111s_rows(client: TestClient, models: Path):
    rows = {row["name"]: row for row in client.get("/sdapi/v1/loras").json()}
    assert rows["ink"] == {
        "name": "ink", "alias": "ink_v2", "path": str(models / "Lora" / "ink.safetensors"),
        "metadata": {"ss_output_name": "ink_v2", "ss_tag_frequency": {"a": {"cat": 3}}, "ss_epoch": "5"},
    }  # fmt: skip
    assert (rows["glow"]["alias"], rows["glow"]["metadata"]) == ("glow", {})


def test_vaes_modules_and_hypernetworks_have_a1111s_rows(client: TestClient, models: Path):
    soft = {"model_name": "soft.safetensors", "filename": str(models / "VAE" / "soft.safetensors")}
    assert client.get("/sdapi/v1/sd-vae").json() == [soft]
    assert client.get("/sdapi/v1/sd-modules").json() == [soft]
    assert client.get("/sdapi/v1/hypernetworks").json() == []


def test_embeddings_are_parted_by_the_checkpoint_in_force(client: TestClient):
    found = client.get("/sdapi/v1/embeddings").json()
    assert found["loaded"] == {"easy": {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 768, "vectors": 3}}
    assert list(found["skipped"]) == ["xl"]


@pytest.mark.parametrize(
    ("route", "listing", "file", "tensors"),
    [
        ("refresh-loras", "loras", "Lora/new.safetensors", LORA),
        ("refresh-vae", "sd-vae", "VAE/new.safetensors", VAE),
        ("refresh-embeddings", "embeddings", "embeddings/new.safetensors", EMBEDDING),
    ],
)
def test_refreshing_finds_what_was_put_there(client: TestClient, models: Path, route: str, listing: str, file: str, tensors: Any):
    write_safetensors(models / file, tensors)
    assert '"new' not in client.get(f"/sdapi/v1/{listing}").text
    assert client.post(f"/sdapi/v1/{route}").text == "null"
    assert '"new' in client.get(f"/sdapi/v1/{listing}").text


def test_a_page_of_a_list(client: TestClient):
    answer = client.get("/internal/models", params={"kind": "lora", "limit": 1, "offset": 2}).json()
    assert (answer["total"], answer["unread"], answer["counts"]["lora"], answer["counts"]["refused"]) == (
        4,
        0,
        4,
        1,
    )  # two of the program's
    [row] = answer["rows"]  # behind two of the program's own
    assert (row["name"], row["title"], row["precision"], row["insert"]) == ("glow", "xl/glow.safetensors", "fp16", "<lora:glow:1>")
    assert "XL" in row["family"]
    assert [r["name"] for r in listed(client, kind="lora", offset=3)] == ["ink"]
    assert [r["name"] for r in listed(client, search="ink_v2")] == ["ink"]
    [refused] = listed(client, kind="refused")
    assert "Convert it on the Models tab" in refused["refusal"]
    assert refused["insert"] == ""


@pytest.mark.parametrize(("query", "words"), [({"kind": "nonsense"}, "kind"), ({"limit": 100_000}, "limit"), ({"offset": -1}, "offset")])
def test_a_list_there_is_not_is_422(client: TestClient, query: dict[str, Any], words: str):
    answer = client.get("/internal/models", params=query)
    assert answer.status_code == 422
    assert words in answer.text


def test_one_model_says_everything_and_keeps_notes(client: TestClient, models: Path):
    key = listed(client, search="ink")[0]["id"]
    notes = {"activation text": "ink wash", "preferred weight": 0.7, "description": "Soft.\nMore."}
    assert client.post(f"/internal/models/{key}/notes", json=notes).json()["activation text"] == "ink wash"
    found = client.get(f"/internal/models/{key}").json()
    assert found["notes"]["preferred weight"] == 0.7
    assert found["metadata"]["ss_epoch"] == "5"
    assert found["parameters"] == sum(n for n in (4 * 768, 640 * 4, 1))
    row = listed(client, search="ink")[0]
    assert (row["insert"], row["activation"], row["hint"]) == ("<lora:ink:0.7>", "ink wash", "Soft.")
    assert json.loads((models / "Lora" / "ink.json").read_text())["notes" if "notes" in notes else "description"] == "Soft.\nMore."
    answer = client.post(f"/internal/models/{key}/notes", json={"vae": "x"})
    assert (answer.status_code, answer.json()["error"]) == (422, "RequestFault")
    digest = client.post(f"/internal/models/{key}/hash").json()
    assert digest["hash"] == digest["content_sha256"][:12]


def test_thumbnails_are_pictures_and_nothing_else(client: TestClient, models: Path):
    Image.new("RGB", (1000, 500), "green").save(models / "Lora" / "ink.preview.png")
    row = listed(client, search="ink")[0]
    assert row["preview"] is True
    answer = client.get(f"/internal/models/{row['id']}/thumbnail")
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (400, 200)
    other = listed(client, search="glow")[0]
    assert other["preview"] is False
    assert client.get(f"/internal/models/{other['id']}/thumbnail").status_code == 404


def test_removing_asks_twice_and_can_be_undone(client: TestClient, models: Path):
    path = models / "Lora" / "ink.safetensors"
    row = listed(client, search="ink")[0]
    for body in ({}, {"title": "glow.safetensors"}):
        assert client.post(f"/internal/models/{row['id']}/remove", json=body).status_code == 422
    assert path.exists()
    place = client.post(f"/internal/models/{row['id']}/remove", json={"title": row["title"]}).json()["place"]
    assert not path.exists()
    assert listed(client, search="ink") == []
    assert client.post(f"/internal/models/{row['id']}/remove", json={"title": row["title"]}).status_code == 404
    assert client.post("/internal/models/restore", json={"place": "/etc"}).status_code == 422
    assert client.post("/internal/models/restore", json={"place": place}).json() == {"ok": True}
    assert listed(client, search="ink")[0]["id"] == row["id"]
    assert path.exists()


def test_the_programs_own_model_is_not_removed(client: TestClient):
    row = next(r for r in listed(client, kind="checkpoint") if r["name"] == "darkroom-starter")
    answer = client.post(f"/internal/models/{row['id']}/remove", json={"title": row["title"]})
    assert answer.status_code == 422
    assert "belongs to the program" in answer.json()["errors"]


@pytest.mark.parametrize("call", ["GET nobody", "GET nobody/thumbnail", "POST nobody/notes", "POST nobody/hash", "POST nobody/remove"])
def test_a_model_nobody_knows_is_404(client: TestClient, call: str):
    method, path = call.split(" ")
    options = {"json": {}} if method == "POST" else {}
    assert client.request(method, f"/internal/models/{path}", **options).status_code == 404


def test_refreshing_all_lists(client: TestClient, models: Path):
    write_safetensors(models / "Lora" / "late.safetensors", LORA)
    assert client.post("/internal/models/refresh", json={}).json() == {"ok": True}
    assert [r["name"] for r in listed(client, search="late")] == ["late"]
