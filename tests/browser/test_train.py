"""The Train tab with the starter model: pictures are dropped, captioned, cropped and trained; the LoRA is used; sessions are managed."""

from __future__ import annotations

import base64
import re
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import ready
from tests.browser.driving import RESULT_MS, ask, generate, set_number, shown_infotext, wait_until
from tests.browser.servers import Server
from tests.browser.test_caption import DROP
from tests.processing.pictures import data_of

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
DISCS = ((200, 30, 30), (30, 60, 200), (40, 150, 60))
STEPS = 20
SETTINGS = {
    "max_train_steps": str(STEPS), "save_every": "10", "sample_every": "10", "network_dim": "4", "trigger_word": "zorb",
    "sample_prompts": "zorb --s 4",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_sessions(real: Server) -> None:
    """None of another test's."""
    for row in ask(real, "api/v2/train/sessions")["items"]:
        request = urllib.request.Request(f"{real.url}/api/v2/train/sessions/{row['name']}", method="DELETE")
        urllib.request.urlopen(request, timeout=60).close()


def disc(colour: tuple[int, int, int], left: int = 20) -> bytes:
    image = Image.new("RGB", (160, 128), (250, 214, 60))
    ImageDraw.Draw(image).ellipse((left, 30, left + 68, 98), fill=colour)
    return data_of(image)


def drop(page: Page, files: dict[str, bytes]) -> None:
    page.evaluate(DROP, ["#dr_train .dr-train-body", [(name, base64.b64encode(data).decode()) for name, data in files.items()]])


def train_tab(page: Page) -> Page:
    page.get_by_role("tab", name="Train", exact=True).click()
    expect(page.locator("#dr_train .dr-train-bar")).to_be_visible()
    return page


def new_session(page: Page, name: str) -> None:
    page.locator("[data-do=train-new]").first.click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".dr-train-pictures")).to_be_visible()


def step(page: Page, name: str) -> None:
    page.locator(f".dr-train-step[data-step={name}]").click()


def settings_are_kept(page: Page, values: dict[str, str]) -> None:
    for name, value in values.items():
        page.fill(f".dr-train-settings [name={name}]", value)
    expect(page.locator(".dr-train-settings .dr-train-saved")).to_have_text("Settings are saved")


@pytest.mark.slow
def crop_by_keys(page: Page) -> None:
    """Arrows move the frame, with Shift they change its size, with Alt by a pixel; the frame ends where it began."""
    frame, left = page.locator("#train_crop .dr-train-box"), "one => Number.parseFloat(one.style.left)"
    frame.focus()
    size = page.locator("#train_crop .dr-train-size")
    begun = frame.evaluate(left)
    page.keyboard.press("ArrowLeft")
    assert frame.evaluate(left) < begun
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Alt+ArrowRight")
    assert abs(frame.evaluate(left) - begun - 100 / 160) < 0.01
    page.keyboard.press("Alt+ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    expect(size).to_have_text("125 × 125 of 160 × 128")
    page.get_by_label("Shape").select_option("")
    page.get_by_label("Shape").select_option("1")
    page.locator("[data-do=train-crop-whole]").click()
    page.get_by_label("Shape").select_option("1")
    expect(size).to_have_text("128 × 128 of 160 × 128")


def test_from_pictures_to_a_lora_in_a_prompt(real: Server, open_page: Open):
    page = train_tab(open_page(real))
    expect(page.locator(".dr-train-none")).to_contain_text("Teach a model something it has never seen")
    new_session(page, "disc")
    drop(page, {f"{n}.png": disc(colour, 10 + 30 * n) for n, colour in enumerate(DISCS)} | {"torn.png": b"nothing"})
    expect(page.locator(".dr-train-report")).to_contain_text("torn.png")
    expect(page.locator(".dr-train-card")).to_have_count(4)
    for _ in range(2):  # the second click means it
        page.get_by_label("Remove torn.png").click()
    expect(page.locator(".dr-train-card")).to_have_count(3)

    page.get_by_role("button", name="Caption all").click()
    captions = page.locator(".dr-train-card textarea")
    expect(captions.first).to_have_value(re.compile("on a yellow background"), timeout=RESULT_MS)
    captions.first.fill("a red disc, on yellow")
    page.get_by_label("2.png: choose what is used").click()
    page.get_by_label("Shape").select_option("1")
    expect(page.locator("#train_crop .dr-train-size")).to_have_text("128 × 128 of 160 × 128")
    crop_by_keys(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".dr-train-cropped")).to_have_count(1)
    for key, focused in (("Control+ArrowDown", 1), ("Alt+ArrowDown", 2), ("Control+ArrowUp", 1)):
        (captions.first if focused == 1 and key == "Control+ArrowDown" else page.locator(":focus")).press(key)
        expect(captions.nth(focused)).to_be_focused()
    page.select_option("#train_tool", "add_front")
    page.fill("#train_tag", "zorb")
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(captions.first).to_have_value("zorb, a red disc, on yellow")

    step(page, "settings")
    settings_are_kept(page, SETTINGS)
    page.get_by_role("button", name="Go to training").click()
    page.get_by_role("button", name="Start training").click()
    expect(page.locator(".dr-train-plot svg .dr-plot-line")).to_be_visible(timeout=RESULT_MS)
    expect(page.locator(".dr-train-title .dr-job-state")).to_have_text("Done", timeout=RESULT_MS)
    expect(page.locator(".dr-train-strip li span")).to_have_text(["10", "20"])
    page.wait_for_function("[...document.querySelectorAll('.dr-train-sample img')].every((one) => one.naturalWidth > 0)")
    expect(page.locator(".dr-train-facts")).to_contain_text(f"{STEPS} / {STEPS}")
    page.locator(".dr-train-plot").focus()
    page.keyboard.press("Home")
    expect(page.locator(".dr-train-read")).to_contain_text("Step 1 · loss")

    page.reload()
    ready(page)
    page.get_by_role("tab", name="Train", exact=True).click()
    expect(page.locator(".dr-train-title h2")).to_have_text("disc")
    page.get_by_role("button", name="Try disc.safetensors").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("<lora:disc:1>, zorb")
    set_number(page, "txt2img_steps", 4)
    generate(page)
    assert "Lora hashes" in shown_infotext(page)

    page.get_by_role("tab", name="Train", exact=True).click()
    page.get_by_role("button", name="Compare steps").click()
    axis = page.locator("#txt2img_script_container .dr-xyz-row").first
    expect(axis.locator("select")).to_have_value("Prompt S/R")
    expect(axis.locator("input[type=text]")).to_have_value("<lora:disc:1>, <lora:disc-000010:1>")
    expect(page.locator("#txt2img_script_container .dr-xyz-line")).to_contain_text("2 pictures, ")


def test_sessions_are_cloned_packed_taken_in_renamed_and_deleted(real: Server, open_page: Open, tmp_path: Path):
    page = train_tab(open_page(real))
    new_session(page, "one")
    drop(page, {"a.png": disc(DISCS[0])})
    expect(page.locator(".dr-train-card")).to_have_count(1)
    step(page, "settings")
    page.fill(".dr-train-settings [name=learning_rate]", "1e9")
    expect(page.locator("[data-field=learning_rate] [role=alert]")).to_contain_text("between 0 and 100")
    settings_are_kept(page, {"learning_rate": "0.002"})
    page.locator(".dr-train-methods label", has_text="Textual inversion").click()
    expect(page.locator("[data-field=num_vectors]")).to_be_visible()
    expect(page.locator("[data-field=network_dim]")).to_have_count(0)
    page.get_by_role("button", name="All sessions").click()
    row = page.locator(".dr-train-row[data-name=one]")
    expect(row).to_contain_text("Textual inversion")
    expect(row).to_contain_text("1 picture")

    row.get_by_role("button", name="More").click()
    row.get_by_role("button", name="Clone").click()
    row.get_by_label("Name of the copy").fill("two")
    row.get_by_role("button", name="Clone").click()
    expect(page.locator(".dr-train-row[data-name=two]")).to_contain_text("1 picture")
    row.get_by_role("button", name="More").click()
    with page.expect_download() as saved:
        row.get_by_text("Export zip").click()
    packed = tmp_path / "three.zip"
    saved.value.save_as(packed)
    with zipfile.ZipFile(packed) as found:
        assert {Path(name).name for name in found.namelist()} >= {"config.toml", "a.png"}
    page.set_input_files("#train_zip", packed)
    expect(page.locator(".dr-train-title h2")).to_have_text("three")
    expect(page.locator(".dr-train-card")).to_have_count(1)
    page.get_by_role("button", name="All sessions").click()

    three = page.locator(".dr-train-row[data-name=three]")
    three.get_by_role("button", name="More").click()
    three.get_by_role("button", name="Rename").click()
    three.get_by_label("New name").fill("four")
    three.get_by_role("button", name="Rename").click()
    four = page.locator(".dr-train-row[data-name=four]")
    four.get_by_role("button", name="More").click()
    four.get_by_role("button", name="Delete").click()
    expect(four).to_contain_text("Delete four with 1 picture")
    four.get_by_role("button", name="Delete").click()
    expect(four).to_have_count(0)
    names = wait_until(lambda: {one["name"] for one in ask(real, "api/v2/train/sessions")["items"]})
    assert {"one", "two"} <= names
    assert "four" not in names


@pytest.mark.slow
def test_pictures_of_a_folder_are_trained_paused_resumed_and_stopped(real: Server, open_page: Open):
    holiday = real.data / "holiday"
    holiday.mkdir()
    for n, colour in enumerate(DISCS):
        (holiday / f"{n}.png").write_bytes(disc(colour))
    page = open_page(real)
    page.route("**/api/v2/train/options", with_two_devices)
    train_tab(page)
    new_session(page, "walk")
    for folder, told in (("/etc", "must lie inside the data folder"), ("nowhere", "there is no such folder")):
        page.get_by_label("Folder in the data folder").fill(folder)
        page.locator("#train_folder button").click()
        expect(page.locator("#train_message [role=alert]")).to_contain_text(told)
    page.get_by_label("Folder in the data folder").fill("holiday")
    page.locator("#train_folder button").click()
    expect(page.locator(".dr-train-card")).to_have_count(3)

    step(page, "settings")
    expect(page.locator("[name=resolution]")).to_have_attribute("placeholder", "128, the model's own")
    page.get_by_text("Learning", exact=True).click()
    expect(page.locator("[data-field=num_processes]")).to_be_visible()
    settings_are_kept(page, {"max_train_steps": "100000", "save_every": "100000"})  # it cannot end by itself
    page.get_by_role("button", name="Go to training").click()
    page.get_by_role("button", name="Start training").click()
    state = page.locator(".dr-train-title .dr-job-state")
    for act, told in (("Pause", "Paused"), ("Resume", "Training"), ("Stop and save", "Stopped")):
        if act != "Resume":
            expect(page.locator(".dr-train-plot svg .dr-plot-line")).to_be_visible(timeout=RESULT_MS)
        page.get_by_role("button", name=act, exact=True).click()
        expect(state).to_contain_text(told, timeout=RESULT_MS)
    expect(page.get_by_role("button", name="Resume", exact=True)).to_be_enabled()
    assert ask(real, "api/v2/train/sessions/walk")["step"] > 0


def with_two_devices(route: Route) -> None:
    """What the server can be asked for, as a machine with two devices tells it."""
    answer = route.fetch()
    route.fulfill(response=answer, json={**answer.json(), "devices": 2})
