"""/api/v2/models and /api/v2/choices: pages and filters, one model, hashes, notes, previews; the lists that fields are chosen from."""

from __future__ import annotations

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
from modules.server.v2.choices import fields_by_list, lists_of
from tests.library.weight_files import EMBEDDING, LORA, VAE, write_safetensors

MODELS = "/api/v2/models"


@pytest.fixture
def models(folders: Folders) -> Path:
    base = folders.models
    for name in ("ink", "Glow", "sub/ink"):
        write_safetensors(base / "Lora" / f"{name}.safetensors", LORA, {"ss_output_name": "ink_v2", "ss_epoch": "5", "long": "x" * 3000})
    write_safetensors(base / "embeddings" / "easy.safetensors", EMBEDDING)
    write_safetensors(base / "VAE" / "soft.safetensors", VAE)
    (base / "Stable-diffusion").mkdir()
    (base / "Stable-diffusion" / "old.ckpt").write_bytes(b"PK\x03\x04")
    return base


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    return make_app()


@pytest.fixture
def library(folders: Folders, models: Path) -> Iterator[Library]:
    made = Library(folders)
    made.refresh()
    end = time.monotonic() + 20
    while made.unread() and time.monotonic() < end:
        time.sleep(0.01)
    yield made
    made.close()


def every(client: TestClient, **asked: Any) -> list[dict[str, Any]]:
    """All pages of a list, as one."""
    answer = client.get(MODELS, params=asked).json()
    found, total = answer["items"], answer["total"]
    while answer["next"]:
        answer = client.get(MODELS, params={**asked, "cursor": answer["next"]}).json()
        found += answer["items"]
    assert len(found) == total
    return found


def test_pages_and_filters(client: TestClient) -> None:
    titles = [model["title"] for model in every(client, kind="lora", limit=2)]
    assert titles[:3] == ["darkroom-starter-aperture.safetensors", "darkroom-starter-blueprint.safetensors", "Glow.safetensors"]
    assert set(titles[3:]) == {"ink.safetensors", "sub/ink.safetensors"}
    assert {model["kind"] for model in every(client)} >= {"lora", "embedding", "vae", "checkpoint"}
    assert [model["name"] for model in every(client, search="glow")] == ["Glow"]
    made_for_it = {model["name"] for model in every(client, family="sd15", kind="lora")}
    assert made_for_it == {"Glow", "ink", "darkroom-starter-aperture", "darkroom-starter-blueprint"}
    assert every(client, family="sdxl", kind="lora") == []
    [refused] = every(client, kind="refused")
    assert (refused["name"], bool(refused["refusal"])) == ("old", True)
    for asked in ({"kind": "cars"}, {"family": "sd9"}, {"limit": 0}, {"cursor": "x"}, {"more": 1}):
        answer = client.get(MODELS, params=asked)
        assert (answer.status_code, answer.json()["errors"][0]["place"][0]) == (422, "query"), asked


def test_one_model_its_words_and_hash(client: TestClient) -> None:
    [item] = every(client, search="glow")
    assert (item["insert"], item["thumbnail"], item["family"], item["architecture"]) == ("<lora:Glow:1>", None, None, "sd1")
    inserts = [model["insert"] for model in every(client, search="ink.safe")]
    assert len(set(inserts)) == 2  # two files of one name are told apart
    whole = client.get(f"{MODELS}/{item['id']}").json()
    assert (whole["metadata"]["ss_epoch"], len(whole["metadata"]["long"]) < 2100) == ("5", True)
    assert whole["path"].endswith("Glow.safetensors")
    digest = client.post(f"{MODELS}/{item['id']}/hash").json()
    assert digest["hash"] == digest["content_sha256"][:12] == client.get(f"{MODELS}/{item['id']}").json()["hash"]
    for path in ("nothing", "nothing/thumbnail"):
        assert client.get(f"{MODELS}/{path}").status_code == 404
    assert client.post(f"{MODELS}/nothing/hash").status_code == 404


def test_notes_are_kept_with_those_of_others(client: TestClient, models: Path) -> None:
    [item] = every(client, search="glow")
    beside = models / "Lora" / "Glow.json"
    beside.write_text(json.dumps({"notes": "old", "of another program": [1]}))
    changed = client.patch(f"{MODELS}/{item['id']}/notes", json={"activation_text": "glowing", "preferred_weight": 0.8}).json()
    assert changed == {
        "description": "", "notes": "old", "activation_text": "glowing", "negative_text": "", "sd_version": "", "preferred_weight": 0.8,
    }  # fmt: skip
    assert json.loads(beside.read_text())["of another program"] == [1]
    assert every(client, search="glow")[0]["insert"] == "<lora:Glow:0.8>"
    for body in ({"preferred_weight": 11}, {"notes": 3}, {"colour": "red"}, {"notes": "x" * 20_001}):
        assert client.patch(f"{MODELS}/{item['id']}/notes", json=body).status_code == 422, body


def test_a_preview_beside_a_model(client: TestClient, models: Path) -> None:
    Image.new("RGB", (600, 300), (9, 90, 200)).save(models / "Lora" / "Glow.preview.png")
    [item] = every(client, search="glow")
    small = client.get(item["thumbnail"])
    assert (small.status_code, small.headers["content-type"]) == (200, "image/webp")
    assert client.get(item["thumbnail"], headers={"If-None-Match": small.headers["etag"]}).status_code == 304


def test_new_files_are_found(client: TestClient, models: Path) -> None:
    write_safetensors(models / "Lora" / "fresh.safetensors", LORA)
    assert client.post(f"{MODELS}/refresh").json()["counts"]["lora"] == 6  # two of the program's
    assert len(every(client, search="fresh")) == 1


def test_every_list_that_a_knob_names_is_served(client: TestClient, app: App) -> None:
    assert set(fields_by_list()) <= set(lists_of(app))
    names = client.get("/api/v2/choices").json()["names"]
    assert names["samplers"] == ["sampler_name"]
    for name, fields in names.items():
        answer = client.get(f"/api/v2/choices/{name}")
        assert (answer.status_code, answer.json()["fields"]) == (200, fields), name
        values = [item["value"] for item in answer.json()["items"]]
        assert len(set(values)) == len(values), name
    assert client.get("/api/v2/choices/samplres").json()["detail"].startswith("list: there is no list of that name; did you mean samplers")


def test_choices_are_those_of_the_page(client: TestClient) -> None:
    def values(name: str) -> list[str]:
        return [item["value"] for item in client.get(f"/api/v2/choices/{name}").json()["items"]]

    assert "DPM++ 2M" in values("samplers")
    assert "Karras" in values("schedulers")
    assert values("upscalers")[:3] == ["None", "Lanczos", "Nearest"]
    assert values("hr_upscalers")[0] == "Latent"
    assert values("hr_samplers")[0] == "Use same sampler"
    assert values("vaes") == ["Automatic", "None", "soft.safetensors"]
    assert "samples_format" in values("settings")
