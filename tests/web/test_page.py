"""The built page, over HTTP and without a browser: what it is made of, and what its events answer."""

from __future__ import annotations

import gzip
import json
import re
import time
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi.testclient import TestClient

from modules import web
from modules.folders import PROGRAM
from modules.server.create import GZIP_LEVEL
from modules.web.form import CHECKPOINT, NAMES
from modules.web.page import ASSETS, LATE, QUEUE_LOOK_S, SCRIPTS, STYLES, build_page
from tests.web.conftest import wait_for_page
from tests.web.fake_app import LARGE, STARTER, fake_app, fake_server
from tests.web.test_form import form

TABS = [
    "txt2img",
    "img2img",
    "img2img",
    "Sketch",
    "Inpaint",
    "Inpaint sketch",
    "Inpaint upload",
    "Batch",
    "Extras",
    "PNG Info",
    "History",
    "Models",
]
OWN = (128, 128, 20, 7.0)  # of the starter model: width, height, steps, CFG scale, as both forms hold them
NOTHING = {"__type__": "update", "props": {"__type__": "update"}}  # an HTML component that stays as it is
A1111_IDS = {
    "txt2img_prompt", "txt2img_neg_prompt", "txt2img_generate", "txt2img_interrupt", "txt2img_skip", "txt2img_gallery", "txt2img_steps",
    "txt2img_sampling", "txt2img_scheduler", "txt2img_cfg_scale", "txt2img_width", "txt2img_height", "txt2img_batch_count",
    "txt2img_batch_size", "txt2img_seed", "txt2img_random_seed", "txt2img_reuse_seed", "txt2img_styles", "tab_txt2img", "txt2img_toprow",
    "setting_sd_model_checkpoint", "txt2img_res_switch_btn", "html_info_txt2img",
    "txt2img_hr", "txt2img_hr-checkbox", "txt2img_hr_finalres", "txt2img_hr_upscaler", "txt2img_hires_steps", "txt2img_denoising_strength",
    "txt2img_hr_scale", "txt2img_hr_resize_x", "txt2img_hr_resize_y", "txt2img_subseed_show", "txt2img_subseed", "txt2img_subseed_strength",
    "txt2img_random_subseed", "txt2img_reuse_subseed", "txt2img_seed_resize_from_w", "txt2img_seed_resize_from_h", "txt2img_enable",
    "txt2img_checkpoint", "txt2img_switch_at", "tab_img2img", "img2img_toprow", "img2img_prompt", "img2img_neg_prompt", "img2img_generate",
    "mode_img2img", "img2img_img2img_tab", "img2img_img2img_sketch_tab", "img2img_inpaint_tab", "img2img_inpaint_sketch_tab",
    "img2img_inpaint_upload_tab", "img2img_batch_tab", "img2img_batch_input_dir", "img2img_batch_output_dir",
    "img2img_batch_inpaint_mask_dir", "img2img_batch_use_png_info", "img2img_batch_png_info_dir", "img2img_batch_png_info_props",
    "resize_mode", "img2img_scale", "img2img_scale_resolution_preview", "img2img_detect_image_size_btn", "img2img_denoising_strength",
    "img2img_image_cfg_scale", "img2img_mask_blur", "img2img_mask_alpha", "img2img_mask_mode", "img2img_inpainting_fill",
    "img2img_inpaint_full_res", "img2img_inpaint_full_res_padding", "img2img_gallery", "html_info_img2img",
}  # fmt: skip


@pytest.fixture(scope="module")
def config(page: TestClient) -> dict[str, Any]:
    found = page.get("/config")
    assert found.status_code == 200
    return found.json()


class Events:
    """Calls the page's events as the browser does."""

    def __init__(self, page: TestClient, config: dict[str, Any]) -> None:
        self._page, self._config = page, config
        self._ids = {c["props"].get("elem_id"): c["id"] for c in config["components"]}

    def __call__(self, elem_id: str, event: str, data: list[Any]) -> list[Any]:
        target = [self._ids[elem_id], event]
        number = next(d["id"] for d in self._config["dependencies"] if target in d["targets"] and d["backend_fn"])
        answer = self._page.post("/gradio_api/run/predict", json={"fn_index": number, "data": data, "session_hash": "test"})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@pytest.fixture
def events(page: TestClient, config: dict[str, Any]) -> Events:
    return Events(page, config)


@pytest.fixture
def jobs(page: TestClient) -> Any:
    return page.app_under_test.jobs


def wait(jobs: Any, job_id: str) -> Any:
    end = time.monotonic() + 20
    while not jobs.get(job_id).finished:
        assert time.monotonic() < end, "the job did not finish"
        time.sleep(0.01)
    return jobs.get(job_id)


def test_the_page_is_only_a_view(config: dict[str, Any]):
    assert {c["type"] for c in config["components"]}.isdisjoint({"state", "timer", "browserstate"})
    assert config["connect_heartbeat"] is False
    for dependency in config["dependencies"]:
        assert dependency["queue"] is False
        assert dependency["api_visibility"] == "private"
        assert dependency["cancels"] == []
        assert not dependency["types"]["generator"]
    assert config["analytics_enabled"] is False
    assert config["footer_links"] == []


def test_places_and_names_are_a1111s(config: dict[str, Any]):
    assert {c["props"].get("elem_id") for c in config["components"]} >= A1111_IDS
    found = [c["props"]["label"] for c in config["components"] if c["type"] == "tabitem"]
    assert [label for label in found if label in TABS] == TABS


def test_sizes_start_at_the_models_own(config: dict[str, Any]):
    starts = {c["props"].get("elem_id"): c["props"].get("value") for c in config["components"]}
    assert starts["txt2img_width"] == starts["txt2img_height"] == STARTER.native_px
    assert starts["setting_sd_model_checkpoint"] == STARTER.title


def test_gradios_queue_looks_for_events_seldom(app: Any, monkeypatch: pytest.MonkeyPatch):
    """It would a thousand times a second, which keeps a twentieth of a core busy while nobody asks for anything."""
    built: list[Any] = []
    mount = gr.mount_gradio_app
    monkeypatch.setattr(gr, "mount_gradio_app", lambda outer, blocks, **rest: built.append(blocks) or mount(outer, blocks, **rest))
    build_page(app)
    assert {"sleep_when_free", "progress_update_sleep_when_free"} <= vars(gr.Blocks()._queue).keys(), "Gradio's own names for it"
    queue = built[0]._queue
    assert (queue.sleep_when_free, queue.progress_update_sleep_when_free) == (QUEUE_LOOK_S, QUEUE_LOOK_S)


def test_every_control_can_be_changed(config: dict[str, Any]):
    kinds = {"slider", "dropdown", "textbox", "checkbox", "number", "image"}
    assert not [c["props"]["elem_id"] for c in config["components"] if c["type"] in kinds and c["props"].get("interactive") is False]


def test_the_gallery_has_no_way_out(config: dict[str, Any]):
    gallery = next(c for c in config["components"] if c["type"] == "gallery")
    assert gallery["props"]["buttons"] == ["download", "fullscreen"]


def test_the_payload_is_small(page: TestClient):
    body = page.get("/").content
    packed = len(gzip.compress(body, GZIP_LEVEL))
    print(f"page: {len(body)} bytes, {packed} packed")
    assert len(body) < 1_000_000
    assert packed < 142_000


def test_scripts_of_the_other_tabs_come_in_one_piece(page: TestClient):
    body = page.get("/").text
    for address, parts in LATE.items():
        [named] = set(re.findall(re.escape(address) + r"\?[0-9a-f]{12}", body))
        answer = page.get(f"/{named}")
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
        assert answer.headers["content-type"].startswith("text/css" if address.endswith(".css") else "text/javascript")
        for name in parts:
            assert (ASSETS / name).read_text(encoding="utf-8") in answer.text
            assert name in (*SCRIPTS, *STYLES)


def test_our_own_files_name_no_other_host():
    for name in (*SCRIPTS, "style.css", "starting.html", "favicon.svg"):
        text = (ASSETS / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]{2,}", text), name


def test_the_theme_asks_no_font_server(page: TestClient):
    css = page.get("/theme.css").text
    assert "http" not in re.sub(r"http://www\.w3\.org", "", css)
    assert "safelight" not in css or "system-ui" in css


def test_generate_makes_one_job_a_key(events: Events, jobs: Any):
    first = json.loads(events("txt2img_generate", "click", ["key-1", *form()])[0])
    again = json.loads(events("txt2img_generate", "click", ["key-1", *form()])[0])
    other = json.loads(events("txt2img_generate", "click", ["key-2", *form()])[0])
    assert first == again == {"key": "key-1", "id": first["id"], "jobs": [{"id": first["id"], "key": "key-1"}]}
    assert other["id"] != first["id"]
    job = wait(jobs, first["id"])
    assert (job.owner, job.request["seed"], job.request["override_settings"]) == ("local", 42, {CHECKPOINT: STARTER.title})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "steps: must lie between"),
        ({"sampler_name": "<img src=x onerror=alert(1)>"}, "&lt;img src=x onerror=alert(1)&gt;"),
        ({CHECKPOINT: "gone [1234567890]"}, "there is no sd_model_checkpoint"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_box(events: Events, changes: dict[str, Any], words: str):
    ticket, message = events("txt2img_generate", "click", ["key-bad", *form(**changes)])
    assert json.loads(ticket) == {"key": "key-bad", "fault": True}
    assert 'role="alert"' in message
    assert words in message
    assert "<img" not in message


def test_the_result_is_the_file_itself(events: Events, jobs: Any, page: TestClient):
    ticket = json.loads(events("txt2img_generate", "click", ["key-files", *form(prompt="please warn <b>", batch_size=2, n_iter=1)])[0])
    job = wait(jobs, ticket["id"])
    gallery, info, message = events("txt2img_fetch", "click", [json.dumps({"ids": [ticket["id"]]})])
    shown = [entry["image"] for entry in gallery["value"]]
    assert [entry["path"] for entry in shown] == [p["path"] for p in job.result["pictures"]]
    assert gallery["selected_index"] == 0
    served = page.get(shown[0]["url"].replace("http://127.0.0.1", ""))
    assert served.content == Path(shown[0]["path"]).read_bytes()
    assert info.count("<article") == 2
    assert "please warn &lt;b&gt;" in info
    assert "A &lt;warning&gt; in plain words." in message
    assert events("txt2img_fetch", "click", [json.dumps({"ids": [ticket["id"]], "again": True})])[2] == NOTHING


def test_files_that_are_gone_are_said(events: Events, jobs: Any):
    ticket = json.loads(events("txt2img_generate", "click", ["key-gone", *form(batch_size=2, n_iter=1)])[0])
    Path(wait(jobs, ticket["id"]).result["pictures"][0]["path"]).unlink()
    gallery, _, message = events("txt2img_fetch", "click", [json.dumps({"ids": [ticket["id"]]})])
    assert len(gallery["value"]) == 1
    assert "1 of 2 files were moved or deleted" in message


def test_a_failed_job_shows_its_fault(events: Events, jobs: Any):
    ticket = json.loads(events("txt2img_generate", "click", ["key-fail", *form(prompt="please fail")])[0])
    wait(jobs, ticket["id"])
    _, _, message = events("txt2img_fetch", "click", [json.dumps({"ids": [ticket["id"]]})])
    assert "asks &lt;b&gt;for&lt;/b&gt; a failure; ask for something else" in message


def test_an_unknown_job_changes_nothing(events: Events):
    assert events("txt2img_fetch", "click", [json.dumps({"ids": ["nothing"]})]) == [{"__type__": "update"}, NOTHING, NOTHING]


def test_only_pictures_are_served(page: TestClient):
    app = page.app_under_test
    app.settings.set({"jpeg_quality": 90})
    for path in (app.folders.config_file, PROGRAM / "launch.py", Path("/etc/hostname")):
        assert page.get(f"/gradio_api/file={path}").status_code == 403, path


def test_a_chosen_checkpoint_is_stored_and_moves_the_size(events: Events, page: TestClient):
    settings = page.app_under_test.settings
    dropdown, width, height, *_ = events("setting_sd_model_checkpoint", "input", [LARGE.title, *OWN, *OWN])
    assert (dropdown["value"], width, height) == (LARGE.title, LARGE.native_px, LARGE.native_px)
    assert settings.current.sd_model_checkpoint == LARGE.title
    _, width, height, *_ = events("setting_sd_model_checkpoint", "input", [STARTER.title, 768, 1024, 20, 7.0, *OWN])
    assert width == height == {"__type__": "update"}, "a size that the person chose stays"
    *_, notice = events("setting_sd_model_checkpoint", "input", ["no such <i>model</i>", 768, 1024, 20, 7.0, *OWN])
    assert "no such &lt;i&gt;" in notice or "there is no" in notice
    assert settings.current.sd_model_checkpoint == STARTER.title


def test_opening_the_page_brings_it_up_to_date(events: Events, page: TestClient, config: dict[str, Any]):
    """Another program changed the checkpoint since the browser remembered the form."""
    app = page.app_under_test
    app.settings.set({CHECKPOINT: LARGE.title})
    app.library.reasons = {"models/<b>": "no <weights>"}
    dropdown, width, height, *others = events("refresh_sd_model_checkpoint", "click", ["darkroom-starter", *OWN, *OWN])
    assert (dropdown["value"], width, height) == (LARGE.title, 1024, 1024)
    notices, menus = others[6], others[7:]
    assert [value for _, value in menus[0]["choices"]] == ["Night"]
    assert "models/&lt;b&gt; cannot be used as a model: no &lt;weights&gt;" in notices
    app.settings.set({CHECKPOINT: ""})
    app.library.reasons = {}


def test_no_model_at_all_teaches(events: Events, page: TestClient):
    library = page.app_under_test.library
    rows, library.known = library.known, []
    try:
        assert "Put one into models/Stable-diffusion" in events("refresh_sd_model_checkpoint", "click", [None, *OWN, *OWN])[9]
    finally:
        library.known = rows


def test_styles_go_into_the_prompt(events: Events):
    assert events("txt2img_style_apply", "click", ["a cat", "", ["Night", "Gone"]]) == ["a cat at night", "daylight", ["Gone"]]


def test_reading_parameters_from_the_prompt_box(events: Events):
    text = "a pear\nSteps: 9, Sampler: Euler, CFG scale: 3, Seed: 77, Size: 256x128"
    *values, message = events("txt2img_paste", "click", [text])
    filled = dict(zip(NAMES, values, strict=True))
    assert (filled["prompt"], filled["steps"], filled["sampler_name"], filled["seed"], filled["width"]) == ("a pear", 9, "Euler", "77", 256)
    assert message == ""


def test_an_empty_prompt_box_takes_the_latest_picture(events: Events, jobs: Any):
    ticket = json.loads(events("txt2img_generate", "click", ["key-latest", *form(prompt="the latest one", seed="99")])[0])
    wait(jobs, ticket["id"])
    *values, _ = events("txt2img_paste", "click", [""])
    assert dict(zip(NAMES, values, strict=True))["seed"] == "99"


def test_png_info_reads_the_file_as_it_is(events: Events, page: TestClient, jobs: Any):
    ticket = json.loads(events("txt2img_generate", "click", ["key-info", *form(prompt="<script>alert(1)</script>", seed="31")])[0])
    path = Path(wait(jobs, ticket["id"]).result["pictures"][0]["path"])
    uploaded = page.post("/gradio_api/upload", files={"files": (path.name, path.read_bytes(), "image/png")}).json()[0]
    upload = {"path": uploaded, "meta": {"_type": "gradio.FileData"}}
    (shown,) = events("pnginfo_image", "change", [upload])
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script" not in shown
    *values, _message, _shown = events("txt2img_tab_from_pnginfo", "click", [upload])
    filled = dict(zip(NAMES, values, strict=True))
    assert (filled["prompt"], filled["seed"], filled["steps"]) == ("<script>alert(1)</script>", "31", 12)


@pytest.mark.parametrize(("content", "words"), [(b"no picture at all", "image"), (b"", "image")])
def test_png_info_refuses_what_is_no_picture(events: Events, page: TestClient, content: bytes, words: str):
    uploaded = page.post("/gradio_api/upload", files={"files": ("x.png", content, "image/png")}).json()[0]
    (shown,) = events("pnginfo_image", "change", [{"path": uploaded, "meta": {"_type": "gradio.FileData"}}])
    assert 'role="alert"' in shown
    assert words in shown


@pytest.mark.parametrize("named", ["own", "/etc/hostname", "http://198.51.100.7/x.png", "http://127.0.0.1:1/x.png", "file:///etc/hostname"])
def test_a_client_can_only_name_what_it_uploaded(events: Events, page: TestClient, named: str, tmp_path: Path):
    """Neither as a picture nor inside any other value: Gradio looks for files in all of them."""
    secret = tmp_path / "secret.png"
    secret.write_text("not for you")
    file = {"path": str(secret) if named == "own" else named, "meta": {"_type": "gradio.FileData"}}
    cache = page.app_under_test.folders.cache
    before = set(cache.rglob("*"))
    for elem_id, event, data in (("pnginfo_image", "change", [file]), ("txt2img_style_apply", "click", ["", "", [file]])):
        with pytest.raises(AssertionError, match="Only files"):
            events(elem_id, event, data)
    assert set(cache.rglob("*")) == before


@pytest.mark.parametrize("prefix", ["", "/sd"])
def test_below_a_path_of_a_proxy(data_dir: Path, prefix: str):
    """--subpath sd, with a proxy that takes the path off and with one that leaves it on."""
    app = fake_app(data_dir)
    api = fake_server(app)
    api.root_path = "/sd"
    web.mount(api, app)
    with TestClient(api, base_url="http://127.0.0.1") as client:
        wait_for_page(client)
        assert '"root":"http://127.0.0.1/sd"' in client.get(f"{prefix}/").text
        for path in ("config", "theme.css", "internal/jobs"):
            assert client.get(f"{prefix}/{path}").status_code == 200, path
