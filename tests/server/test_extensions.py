"""/internal/extensions: what the tab is told, who may do what from where, and that what takes long is followed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from modules.app import App
from modules.compat.shelf import Scripts
from modules.faults import RequestFault
from modules.server import create
from modules.server.extensions import Errand
from tests.server.conftest import LOCAL

SCRIPT = """
from modules import script_callbacks, scripts, shared

class Wheel(scripts.Script):
    def title(self): return "Wheel"
    def show(self, is_img2img): return scripts.AlwaysVisible

def settings():
    shared.opts.add_option("wheel_size", shared.OptionInfo(3, "Size", None, {"minimum": 1, "maximum": 9}))
    shared.opts.add_option("wheel_kind", shared.OptionInfo("a", "Kind", None, lambda: {"choices": ["a", "b"]}))

script_callbacks.on_ui_settings(settings)
"""
HERE = ("127.0.0.1", 50000)
Open = Callable[..., TestClient]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source" / "Wheel" / "scripts").mkdir(parents=True)
    (tmp_path / "source" / "Wheel" / "scripts" / "wheel.py").write_text(SCRIPT)
    return tmp_path / "source" / "Wheel"


@pytest.fixture
def opened(make_app: Callable[..., App]) -> Iterator[Open]:
    clients: list[TestClient] = []

    def make(address: tuple[str, int] = HERE, host: str = LOCAL, **flags: Any) -> TestClient:
        app = make_app(**flags)
        app = dataclasses.replace(app, scripts=Scripts(app.folders, app.flags.to_data(), app.settings, app.library))
        client = TestClient(create(app), base_url=host, client=address)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


def row(client: TestClient, name: str = "Wheel") -> dict[str, Any]:
    return next(one for one in client.get("/internal/extensions").json()["extensions"] if one["folder"] == name)


def done(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    """What became of something that takes long."""
    answer = client.post(f"/internal/extensions/{path}", json=body)
    assert answer.status_code == 200, answer.text
    end = time.monotonic() + 30
    while (errand := client.get("/internal/extensions/errand").json())["busy"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    return errand


def test_an_extension_is_installed_switched_and_removed(opened: Open, source: Path):
    client = opened()
    assert done(client, "install", source=str(source))["notes"] == ["Wheel is installed."]
    found = row(client)
    assert (found["enabled"], found["grade"], found["builtin"], found["origin"]) == (True, "A", False, None)
    assert client.post("/internal/extensions/switch", json={"name": "wheel", "on": False}).json() == {"ok": True}
    assert row(client)["off"] == "it is switched off in the settings"
    place = client.post("/internal/extensions/remove", json={"name": "Wheel"}).json()["place"]
    assert [one["name"] for one in client.get("/internal/extensions").json()["bin"]] == ["Wheel"]
    assert client.post("/internal/extensions/restore", json={"place": place}).json() == {"name": "Wheel"}
    assert "already" in done(client, "install", source=str(source))["fault"]


def test_options_of_extensions_are_options(opened: Open, source: Path):
    client = opened()
    done(client, "install", source=str(source))
    kinds = {one["key"]: (one["kind"], one["value"]) for one in row(client)["options"]}
    assert kinds == {"wheel_size": ("number", 3), "wheel_kind": ("choice", "a")}
    for key, value, status in (("wheel_size", 5, 200), ("wheel_size", 10, 422), ("wheel_kind", "z", 422), ("samples_format", "png", 422)):
        assert client.post("/internal/extensions/options", json={"key": key, "value": value}).status_code == status
    whole = client.get("/sdapi/v1/options").json()
    assert (whole["wheel_size"], whole["wheel_kind"]) == (5, "a")
    assert client.post("/sdapi/v1/options", json={**whole, "wheel_kind": "b"}).status_code == 200
    assert client.get("/sdapi/v1/options").json() == {**whole, "wheel_kind": "b"}


def test_options_survive_a_change_of_settings(opened: Open, source: Path, make_app: Callable[..., App]):
    client = opened()
    done(client, "install", source=str(source))
    client.post("/internal/extensions/options", json={"key": "wheel_size", "value": 7})
    client.post("/sdapi/v1/options", json={"samples_format": "webp"})
    config = json.loads(make_app().folders.config_file.read_text())
    assert (config["wheel_size"], config["samples_format"]) == (7, "webp")


@pytest.mark.parametrize(
    ("address", "host", "flags"),
    [
        (("10.0.0.7", 1), LOCAL, {}),
        (HERE, "http://10.0.0.3:7860", {"listen": True, "insecure_no_auth": True}),
        (HERE, LOCAL, {"server_name": "0.0.0.0", "insecure_no_auth": True}),
    ],
)
@pytest.mark.parametrize("path", ["install", "setup", "check", "update"])
def test_nothing_is_installed_from_elsewhere(
    opened: Open, source: Path, address: tuple[str, int], host: str, flags: dict[str, Any], path: str
):
    client = opened(address, host, **flags)
    answer = client.post(f"/internal/extensions/{path}", json={"source": str(source), "name": "Wheel"})
    assert answer.status_code == 403
    assert "--enable-insecure-extension-access" in answer.json()["errors"]
    assert client.get("/internal/extensions").json()["installs"]


def test_the_flag_opens_it(opened: Open, source: Path):
    client = opened(("10.0.0.7", 1), LOCAL, listen=True, insecure_no_auth=True, enable_insecure_extension_access=True)
    assert done(client, "install", source=str(source))["fault"] == ""


def test_starting_again_needs_somebody_who_starts_it(opened: Open):
    assert opened().post("/internal/extensions/restart").status_code == 409


def test_one_thing_at_a_time():
    errand = Errand()
    errand.begin("first", lambda say: time.sleep(0.3) or [])
    with pytest.raises(RequestFault, match="first"):
        errand.begin("second", lambda say: [])


def test_the_words_of_the_page(opened: Open, make_app: Callable[..., App]):
    folder = make_app().folders.data / "localizations"
    folder.mkdir(parents=True)
    (folder / "Probe.json").write_text(json.dumps({"Seed": "</script>", "rtl": True}))
    client = opened()
    assert client.get("/internal/localization.js").text == "window.localization = {}; window.localization_rtl = false;"
    assert "Probe" in client.get("/internal/extensions").json()["languages"]
    assert client.post("/sdapi/v1/options", json={"localization": "Probe"}).status_code == 200
    answer = client.get("/internal/localization.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.text == 'window.localization = {"Seed": "</script>"}; window.localization_rtl = true;'
