"""What the Settings tab asks for: every setting with its declaration, changing, older versions, files, styles, defaults, who may what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.app import App
from modules.knobs import knobs_of
from modules.server import create
from modules.settings import Settings, SettingsStore, form_defaults
from modules.users import Allowance, Users
from modules.users.passwords import Passwords
from tests.server.conftest import LOCAL
from tests.upkeep import a1111_folder

AT = "/internal/settings"
GOOD = "long enough words"


def rows(client: TestClient) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for page in client.get(AT).json()["pages"] for row in page["rows"]}


def change(client: TestClient, **values: Any) -> Any:
    return client.post(AT, json={"values": values})


def test_every_setting_is_there_with_its_declaration(client: TestClient):
    found = rows(client)
    assert set(found) == set(knobs_of(Settings))
    assert found["jpeg_quality"] | {"help": ""} == {
        "key": "jpeg_quality", "label": "Quality for saved jpeg and webp images", "help": "", "kind": "int", "value": 80, "default": 80,
        "low": 1, "high": 100, "step": found["jpeg_quality"]["step"], "choices": None, "free": False, "long": False, "chars": None,
        "restart": False, "infotext": None, "here": False,
    }  # fmt: skip
    assert ["None", "None"] in found["localization"]["choices"]
    assert ["jpeg_quality", "Quality for saved jpeg and webp images"] in found["quicksettings_list"]["choices"]


def test_a_change_is_kept_and_answers_the_row(client: TestClient, app: App):
    answer = change(client, jpeg_quality=91).json()
    assert [(row["key"], row["value"], row["default"]) for page in answer["pages"] for row in page["rows"]] == [("jpeg_quality", 91, 80)]
    assert SettingsStore(app.folders.config_file).current.jpeg_quality == 91
    assert change(client, jpeg_quality=80).json()["pages"][0]["rows"][0]["value"] == 80


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"jpeg_quality": 0, "save_txt": True}, "jpeg_quality"), ({"sd_vae": "none.pt", "save_txt": True}, "sd_vae"),
        ({"quicksettings_list": ["nothing"]}, "quicksettings_list"), ({"outdir_save": "/elsewhere"}, "outdir_save"), ({"what": 1}, "what"),
    ],
)  # fmt: skip
def test_a_wrong_value_changes_nothing_and_names_its_setting(
    make_api: Callable[..., FastAPI], app: App, values: dict[str, Any], field: str
):
    with TestClient(make_api(), base_url=LOCAL, client=("203.0.113.7", 50000)) as client:
        answer = change(client, **values)
    assert answer.status_code == 422
    assert field in answer.text
    assert SettingsStore(app.folders.config_file).current == Settings()


def test_what_waits_for_a_restart_is_told_until_it_is_taken_back(client: TestClient):
    assert client.get(AT).json()["waiting"] == []
    assert change(client, control_net_models_path="/m").json()["waiting"] == ["control_net_models_path"]
    assert change(client, control_net_models_path="").json()["waiting"] == []


def test_the_bar_is_told_in_its_order(client: TestClient):
    change(client, quicksettings_list=["jpeg_quality", "sd_vae"])
    assert [row["key"] for row in client.get(f"{AT}/bar").json()["rows"]] == ["jpeg_quality", "sd_vae"]


def test_older_versions_are_looked_at_and_restored(client: TestClient, app: App):
    for quality in (90, 91, 92):
        change(client, jpeg_quality=quality)
    older = client.get(f"{AT}/older").json()["rows"]
    assert [row["changes"][0]["then"] for row in older] == [91, 90]
    wrong = client.post(f"{AT}/restore", json={"n": 2, "saved_s": older[0]["saved_s"] + 1})
    assert (wrong.status_code, app.settings.current.jpeg_quality) == (422, 92)
    assert client.post(f"{AT}/restore", json={"n": 2, "saved_s": older[1]["saved_s"]}).json() == {"ok": True}
    assert SettingsStore(app.folders.config_file).current.jpeg_quality == 90
    assert client.get(f"{AT}/older").json()["rows"][0]["changes"][0]["then"] == 92


def test_settings_as_a_file_there_and_back(client: TestClient):
    change(client, jpeg_quality=91, save_txt=True)
    file = client.get(f"{AT}/export").json()
    assert file["values"] == {"jpeg_quality": 91, "save_txt": True}
    change(client, jpeg_quality=80, save_txt=False)
    looked = client.post(f"{AT}/import", json={"file": file, "dry": True}).json()
    assert {(row["key"], row["now"], row["then"]) for row in looked["changes"]} == {("jpeg_quality", 80, 91), ("save_txt", False, True)}
    assert rows(client)["jpeg_quality"]["value"] == 80
    taken = client.post(f"{AT}/import", json={"file": {**file["values"], "n_rows": "many", "other": 1}}).json()
    assert {name for name, _ in taken["left"]} == {"n_rows", "other"}
    assert rows(client)["jpeg_quality"]["value"] == 91


def test_styles_are_added_changed_moved_back_and_deleted(client: TestClient, app: App):
    def save(**style: Any) -> int:
        return client.post("/internal/styles", json=style).status_code

    def names() -> list[str]:
        return [row["name"] for row in client.get("/internal/styles").json()["rows"]]

    assert [save(name=name, prompt="p", negative_prompt="") for name in ("a", "b", "c")] == [200] * 3
    assert save(name="a", prompt="q") == 422
    assert save(name="bb", prompt="q", was="b") == 200
    assert save(name="c", prompt="q", was="bb") == 422
    assert save(name="x", prompt="q", was="gone") == 422
    assert names() == ["a", "bb", "c"]
    assert client.post("/internal/styles/delete", json={"name": "a"}).status_code == 200
    assert save(name="a", prompt="p", negative_prompt="", place=0) == 200
    assert names() == ["a", "bb", "c"]
    assert app.folders.styles_file.read_text(encoding="utf-8-sig").splitlines() == ["name,prompt,negative_prompt", "a,p,", "bb,q,", "c,p,"]


def test_defaults_of_a_form_are_kept_and_given_back(client: TestClient, app: App):
    at = "/internal/form-defaults"
    assert client.get(at).json() == {"rows": []}
    looked = client.post(f"{at}/look", json={"tab": "txt2img", "values": {"steps": 31, "cfg_scale": 7.0, "init_images": ["x"]}}).json()
    assert [(row["name"], row["now"], row["value"]) for row in looked["rows"]] == [("steps", 20, 31)]
    assert client.post(at, json={"tab": "txt2img", "values": {"steps": 31}}).json() == {"ok": True}
    assert form_defaults.read(app.folders)["txt2img/Sampling steps/value"] == 31
    assert [row["key"] for row in client.get(at).json()["rows"]] == ["txt2img/Sampling steps/value"]
    assert client.post(at, json={"tab": "txt2img", "values": {"steps": 0}}).status_code == 422
    assert client.post(at, json={"tab": "train", "values": {}}).status_code == 422
    assert client.post(f"{at}/forget", json={}).json() == {"ok": True}
    assert client.get(at).json() == {"rows": []}


def test_folders_of_this_machine_are_for_people_at_it(make_api: Callable[..., FastAPI], tmp_path: Path):
    root = a1111_folder.build(tmp_path / "webui", pictures=1, models=1)
    with TestClient(make_api(listen=True, insecure_no_auth=True), base_url="http://10.0.0.9:7860", client=("10.0.0.7", 50000)) as far:
        assert far.get(AT).json()["here"]
        assert change(far, extra_picture_dirs=["/"]).status_code == 422
        assert change(far, jpeg_quality=70).status_code == 200
        assert far.post("/internal/imports/look", json={"folder": str(root)}).status_code == 403
        assert far.post("/internal/imports", json={"folder": str(root)}).status_code == 403
        assert far.get("/internal/imports").status_code == 403


def test_an_import_from_the_page(make_api: Callable[..., FastAPI], tmp_path: Path):
    root = a1111_folder.build(tmp_path / "webui", pictures=2, models=2)
    with TestClient(make_api(), base_url=LOCAL, client=("127.0.0.1", 50000)) as client:
        assert client.get(AT).json()["here"] == ""
        looked = client.post("/internal/imports/look", json={"folder": str(root)}).json()
        assert (looked["pictures"][0]["files"], looked["models"][0]["files"]) == (2, 2)
        made = client.post("/internal/imports", json={"folder": str(root), "models": "reference", "pictures": False}).json()
        assert made["counts"]["settings"] == 6
        assert rows(client)["jpeg_quality"]["value"] == 91
        assert client.get(AT).json()["waiting"] == ["extra_models_dirs"]
        assert [row["id"] for row in client.get("/internal/imports").json()["rows"]] == [made["id"]]
        assert made["job"] is None
        assert client.post("/internal/imports/undo", json={"id": made["id"]}).json() == {"left": []}
        assert rows(client)["jpeg_quality"]["value"] == 80


def test_only_administrators_change(app: App):
    users = Users(app.folders.users_file, Passwords(passes=1, memory_kib=32))
    for name in ("user", "guest"):
        users.add(name, GOOD, name)
    with TestClient(create(dataclasses.replace(app, allowance=Allowance(users))), base_url=LOCAL) as client:
        user, guest = ("user", GOOD), ("guest", GOOD)
        assert client.get(AT, auth=user).json()["changes"] is False
        assert client.post(AT, json={"values": {"save_txt": True}}, auth=user).status_code == 403
        assert client.post("/internal/styles", json={"name": "a"}, auth=user).status_code == 403
        assert client.get(f"{AT}/export", auth=user).status_code == 403
        assert client.get(AT, auth=guest).status_code == 403
