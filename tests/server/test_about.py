"""What the server says about itself, its scripts and extensions; ending and starting it again; cards of models; files by path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import FastAPI
from PIL import Image
from safetensors.torch import save_file
from starlette.testclient import TestClient

from modules.app import App, build
from modules.flags import Flags
from modules.folders import PROGRAM
from modules.server import create
from modules.server.power import KILL, RESTART, STOP
from modules.server.scripts import extension
from modules.settings import Settings
from tests.browser.servers import free_port
from tests.server.conftest import LOCAL

ONE_SERVER = True

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_every_setting_is_hinted_at(client: TestClient) -> None:
    found = client.get("/internal/quicksettings-hint").json()
    assert [row["name"] for row in found] == list(Settings().to_data())
    assert all(row["label"] for row in found)


def test_sysinfo_tells_about_the_machine_and_no_secrets(make_api: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(Path, "home", lambda: PROGRAM)
    client = TestClient(make_api(api_auth="bot:topsecret"), base_url=LOCAL, headers={"Authorization": "Basic Ym90OnRvcHNlY3JldA=="})
    plain = client.get("/internal/sysinfo")
    assert plain.headers["content-type"].startswith("text/plain")
    assert {"Platform", "Python", "Version", "Commandline", "RAM", "Packages", "Config"} <= set(plain.json())
    for told in (plain.text, client.get("/internal/sysinfo-download").text):
        assert "topsecret" not in told
        assert "hf_secret" not in told
        assert str(PROGRAM) not in told  # the home folder's name
    assert "attachment" not in plain.headers.get("content-disposition", "")
    for path in ("sysinfo?attachment=true", "sysinfo-download"):
        assert client.get(f"/internal/{path}").headers["content-disposition"].startswith("attachment; filename=")


def test_the_start_is_told_in_parts(client: TestClient) -> None:
    found = client.get("/internal/profile-startup").json()
    assert list(found["records"]) == ["program", "routes"]
    assert found["total"] == pytest.approx(sum(found["records"].values()), abs=0.01)


def test_soft_inpainting_is_among_the_scripts(client: TestClient) -> None:
    found = client.get("/sdapi/v1/scripts").json()
    assert "soft inpainting" in found["img2img"]
    assert "soft inpainting" not in found["txt2img"]
    soft = next(row for row in client.get("/sdapi/v1/script-info").json() if row["name"] == "soft inpainting")
    assert (soft["is_alwayson"], soft["is_img2img"], len(soft["args"])) == (True, True, 7)
    assert set(soft["args"][1]) == {"label", "value", "minimum", "maximum", "step", "choices"}


@pytest.mark.parametrize("packed", [False, True])
def test_an_extension_that_came_by_git(tmp_path: Path, packed: bool) -> None:
    git = tmp_path / "mine" / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "config").write_text('[core]\n\tbare = false\n[remote "origin"]\n\turl = https://me:secret@example.org/mine.git\n')
    if packed:
        (git / "packed-refs").write_text(f"# pack-refs\n{COMMIT} refs/heads/main\n")
    else:
        (git / "refs" / "heads" / "main").write_text(f"{COMMIT}\n")
        text = b"tree x\nauthor A <a@b> 1700000000 +0100\ncommitter A <a@b> 1700000001 +0100\n\nwords\n"
        (git / "objects" / COMMIT[:2]).mkdir(parents=True)
        (git / "objects" / COMMIT[:2] / COMMIT[2:]).write_bytes(zlib.compress(b"commit %d\0" % len(text) + text))
    found = extension(tmp_path / "mine", enabled=False)
    assert found is not None
    assert (found.name, found.remote, found.branch, found.commit_hash) == ("mine", "https://example.org/mine.git", "main", COMMIT)
    assert (found.commit_date, found.version, found.enabled) == (None if packed else 1_700_000_001, COMMIT[:8], False)


@pytest.mark.parametrize("head", ["", "ref: refs/heads/../../../secret", "ref: refs/heads/none", "nonsense"])
def test_a_folder_that_is_no_repository_is_left_out(tmp_path: Path, head: str) -> None:
    git = tmp_path / "mine" / ".git"
    git.mkdir(parents=True)
    (git / "HEAD").write_text(head)
    (git / "config").write_text("[core]\n")
    (tmp_path / "secret").write_text(COMMIT)
    assert extension(tmp_path / "mine") is None
    assert extension(tmp_path) is None


def test_the_server_is_not_stopped_without_the_flag(client: TestClient) -> None:
    for what in (STOP, KILL, RESTART):
        assert client.post(f"/sdapi/v1/server-{what}").status_code == 404


def test_the_server_is_stopped_after_its_answer(make_api: Callable[..., FastAPI]) -> None:
    api = make_api(api_server_stop=True)
    asked: list[str] = []
    api.state.power.end = asked.append
    client = TestClient(api, base_url=LOCAL)
    restart = client.post("/sdapi/v1/server-restart")
    assert (restart.status_code, restart.json()["error"], asked) == (501, "HTTPException", [])
    assert client.post("/sdapi/v1/server-stop").text == "Stopping."
    assert client.post("/sdapi/v1/server-kill").json() is None
    api.state.power.restartable = True
    assert client.post("/sdapi/v1/server-restart").json() is None
    assert asked == [STOP, KILL, RESTART]


def post(url: str) -> int:
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30) as answer:
        return answer.status


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/internal/ping", timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="another process takes the place of the first one only on POSIX")
def test_launch_py_starts_again_and_ends(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "launch.py", "--no-venv", "--skip-install", "--nowebui", "--api-server-stop", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--data-dir", str(tmp_path / "data")], cwd=PROGRAM, stdout=log, stderr=log)
        try:
            until(lambda: answers(url) or process.poll() is not None)
            assert post(f"{url}/sdapi/v1/server-restart") == 200
            until(lambda: (tmp_path / "log").read_text().count(f"Running at {url}/") == 2)
            until(lambda: answers(url))
            assert process.poll() is None
            assert post(f"{url}/sdapi/v1/server-stop") == 200
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def lora_app(tmp_path: Path) -> Any:
    """An App with a LoRA that has a picture beside it and one in itself."""
    folder = tmp_path / "models" / "Lora"
    folder.mkdir(parents=True)
    cover = json.dumps([PNG_BASE64])
    save_file(
        {"lora_unet_mid.alpha": torch.zeros(1)}, folder / "ink & <b>.safetensors", {"ss_output_name": "ink", "ssmd_cover_images": cover}
    )
    Image.new("RGB", (600, 400), (10, 200, 30)).save(folder / "ink & <b>.preview.png")
    Image.new("RGB", (8, 8)).save(folder / "private.png")
    made = build(Flags(data_dir=str(tmp_path)))
    made.library.refresh("lora")
    until(lambda: any(row.name == "ink & <b>" for row in made.library.rows("lora")))
    yield made
    made.stop()


PNG_BASE64 = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_cards_show_known_models_and_nothing_else(lora_app: App) -> None:
    client = TestClient(create(lora_app), base_url=LOCAL)
    [row] = lora_app.library.rows("lora", "ink")
    area, folder = "/sd_extra_networks", Path(row.path).parent
    for name in (row.path, str(folder / "ink & <b>.preview.png"), f"{folder / 'ink & <b>.preview.png'}?mtime=1"):
        thumb = client.get(f"{area}/thumb", params={"filename": name})
        assert (thumb.status_code, thumb.headers["content-type"]) == (200, "image/webp")
    for name in ("", "/etc/passwd", str(folder / "private.png"), f"{folder}/../Lora/private.png", "\x00", "a" * 3000):
        assert client.get(f"{area}/thumb", params={"filename": name}).status_code == 404
    told = client.get(f"{area}/metadata", params={"page": "Lora", "item": row.name}).json()
    assert json.loads(told["metadata"])["ss_output_name"] == "ink"
    assert client.get(f"{area}/metadata", params={"page": "lora", "item": "nobody"}).json() == {}
    assert client.get(f"{area}/metadata", params={"page": "etc", "item": row.name}).json() == {}
    cover = {"page": "lora", "item": row.name}
    assert client.get(f"{area}/cover-images", params=cover).headers["content-type"] == "image/png"
    assert client.get(f"{area}/cover-images", params={**cover, "index": 1}).status_code == 404
    html = client.get(f"{area}/get-single-card", params={"page": "lora", "tabname": "txt2img", "name": row.name}).json()["html"]
    assert "ink &amp; &lt;b&gt;" in html
    assert "<b>" not in html
    assert client.get(f"{area}/get-single-card", params={"page": "lora", "name": "nobody"}).status_code == 404


def test_files_are_shown_from_the_output_folders_and_extensions_only(client: TestClient, app: App) -> None:
    folders = app.folders
    picture = folders.outputs / "txt2img-images" / "a b.png"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(picture)
    scripts = folders.data / "extensions" / "mine" / "javascript"
    scripts.mkdir(parents=True)
    (scripts / "mine.js").write_text("1")
    for path in (str(picture), "outputs/txt2img-images/a b.png", f"{picture}?1"):
        answer = client.get(f"/file={path}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), path
    assert client.get("/file=extensions/mine/javascript/mine.js").headers["content-type"].startswith("text/javascript")
    (folders.data / "config.json").write_text("{}")
    (folders.outputs / "notes.txt").write_text("x")
    (folders.outputs / ".hidden").mkdir()
    (scripts / "mine.py").write_text("x")
    for source in (folders.outputs / ".hidden" / "a.png", folders.data / "a.png"):
        source.write_bytes(picture.read_bytes())
    (folders.outputs / "link.png").symlink_to(folders.data / "a.png")
    for path in (
        "config.json", str(folders.data / "config.json"), "outputs/notes.txt", "outputs/.hidden/a.png", "outputs/../a.png",
        "outputs/link.png", "extensions/mine/javascript/mine.py", "/etc/passwd", "launch.py", "", "%00", "outputs", "a" * 5000,
        "outputs/" + "x" * 300 + ".png",
    ):  # fmt: skip
        assert client.get(f"/file={path}").status_code == 404, path
