"""GET and POST /sdapi/v1/options: A1111's form, the round trip, and what may be set."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from modules.app import App
from modules.settings import Settings
from tests.server.conftest import LOCAL

OPTIONS = "/sdapi/v1/options"


def options(client: TestClient) -> dict[str, Any]:
    return client.get(OPTIONS).json()


def set_to(client: TestClient, **values: Any) -> None:
    answer = client.post(OPTIONS, json=values)
    assert (answer.status_code, answer.text) == (200, "null")


def test_options_are_flat_and_complete(client: TestClient) -> None:
    found = options(client)
    assert set(found) >= {*Settings().to_data(), "sd_checkpoint_hash", "sd_vae", "CLIP_stop_at_last_layers"}
    assert found["sd_model_checkpoint"].startswith("darkroom-starter [")
    assert len(found["sd_checkpoint_hash"]) == 64
    assert found["sd_model_checkpoint"].endswith(f"[{found['sd_checkpoint_hash'][:10]}]")
    assert "forge_preset" not in found


def test_whole_numbers_with_a_default_come_as_floats(client: TestClient) -> None:
    raw = client.get(OPTIONS).text
    assert '"jpeg_quality":80.0' in raw
    assert '"samples_save":true' in raw


def test_the_whole_dict_sent_back_changes_nothing(client: TestClient, app: App) -> None:
    before = app.settings.current
    set_to(client, **options(client))
    assert app.settings.current == before
    assert not app.folders.config_file.exists()


def test_one_edit_in_the_whole_dict_is_the_one_change(client: TestClient, app: App) -> None:
    """Open WebUI reads everything, edits the model, and sends everything back."""
    whole = options(client)
    set_to(client, **{**whole, "samples_format": "webp", "jpeg_quality": 70})
    changed = {name: value for name, value in options(client).items() if value != whole[name]}
    assert changed == {"samples_format": "webp", "jpeg_quality": 70.0}
    assert json.loads(app.folders.config_file.read_text()) == {"samples_format": "webp", "jpeg_quality": 70}


@pytest.mark.parametrize("how", ["title", "model_name", "hash", "sha256"])
def test_a_model_is_chosen_by_any_name_it_has(client: TestClient, app: App, how: str) -> None:
    [model] = client.get("/sdapi/v1/sd-models").json()
    set_to(client, sd_model_checkpoint=model[how])
    assert options(client)["sd_model_checkpoint"] == model["title"]
    set_to(client, sd_model_checkpoint=None)
    set_to(client, **{**options(client), "sd_checkpoint_hash": "of the model before"})


def test_a_model_that_is_gone_does_not_hide_the_options(client: TestClient, app: App) -> None:
    app.settings.set({"sd_model_checkpoint": "gone"})
    found = options(client)
    assert (found["sd_model_checkpoint"], found["sd_checkpoint_hash"]) == ("gone", "")
    set_to(client, **found)
    set_to(client, sd_model_checkpoint="darkroom-starter")
    assert app.settings.current.sd_model_checkpoint.startswith("darkroom-starter [")


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"sd_model_checkpoint": "nobody"}, "sd_model_checkpoint", "model 'nobody' not found"),
        ({"sd_model_checkpoint": 5}, "sd_model_checkpoint", "must be text"),
        ({"sd_model_checkpoint": "x" * 1_000_000}, "sd_model_checkpoint", "must be text"),
        ({"nothing_known": 1}, "nothing_known", "no option of that name"),
        ({"samples_format": "gif"}, "samples_format", "must be one of"),
        ({"jpeg_quality": 0}, "jpeg_quality", "between"),
        ({"jpeg_quality": "high"}, "jpeg_quality", "a number"),
        ({"sd_hypernetwork": "other"}, "sd_hypernetwork", "cannot change it yet"),
        ({"CLIP_stop_at_last_layers": 13}, "CLIP_stop_at_last_layers", "between"),
        ({"sd_noise_schedule": "Zero Terminal SNR"}, "sd_noise_schedule", "cannot change it yet"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_set_is_named(client: TestClient, app: App, values: dict[str, Any], field: str, words: str) -> None:
    """Nothing of the whole dict is set then."""
    answer = client.post(OPTIONS, json={"grid_save": False, **values})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", field]
    assert words in answer.json()["errors"]
    assert app.settings.current == Settings()


def test_values_are_taken_laxly_and_what_asks_for_nothing_passes(client: TestClient, app: App) -> None:
    set_to(client, jpeg_quality="75", samples_save="false", n_rows=2.0)
    set_to(client, nothing_known=None, sd_vae=None, api_useragent="x", CLIP_stop_at_last_layers=1.0)
    current = app.settings.current
    assert (current.jpeg_quality, current.samples_save, current.n_rows) == (75, False, 2)
    assert options(client)["n_rows"] == 2.0


def test_flags_are_shown_without_their_secrets(make_api: Any) -> None:
    client = TestClient(make_api(api_auth="bot:hunter2", port=7999), base_url=LOCAL)
    answer = client.get("/sdapi/v1/cmd-flags", auth=("bot", "hunter2"))
    assert answer.json()["port"] == 7999
    assert "hunter2" not in answer.text
