"""The Caption tab and the Interrogate buttons with the starter models: a picture is dropped, words come, a word shows where it looked."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from tests.browser.conftest import ready
from tests.browser.driving import RESULT_MS, ask, finished_jobs, idle, shown_infotext, wait_until
from tests.browser.servers import Server
from tests.caption import tiny
from tests.caption.tiny_tagger import wd
from tests.caption.tiny_told import finder
from tests.processing.pictures import data_of

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
DROP = """([id, files]) => {
  const transfer = new DataTransfer();
  const bytes = data => Uint8Array.from(atob(data), c => c.charCodeAt(0));
  for (const [name, data] of files) transfer.items.add(new File([bytes(data)], name, {type: 'image/png'}));
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    document.querySelector(id).dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
  }
}"""
PASTE = """data => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(data), c => c.charCodeAt(0))], 'pasted.png', {type: 'image/png'}));
  document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true, cancelable: true}));
}"""
HEARD = """() => {
  window.heard = [];
  const plain = window.darkroom.captionCards.heard;
  window.darkroom.captionCards.heard = (job, now) => {
    plain(job, now);
    for (const event of now.events) {
      if (event.type === 'words') window.heard.push(document.querySelector('.dr-cap-card .dr-cap-text').textContent);
    }
  };
}"""
AVERAGE = """image => {
  const canvas = Object.assign(document.createElement('canvas'), {width: image.naturalWidth, height: image.naturalHeight});
  canvas.getContext('2d').drawImage(image, 0, 0);
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return data.reduce((sum, value, n) => sum + (n % 4 === 2 ? value : 0), 0) / (data.length / 4);
}"""


def drawing(size: tuple[int, int] = (160, 120)) -> bytes:
    """A red disc on yellow, as a PNG."""
    image = Image.new("RGB", size, (250, 214, 60))
    ImageDraw.Draw(image).ellipse((50, 30, 110, 90), fill=(200, 30, 30))
    return data_of(image)


def drop(page: Page, place: str, *files: bytes) -> None:
    page.evaluate(DROP, [place, [(f"{n}.png", base64.b64encode(data).decode()) for n, data in enumerate(files)]])


def caption_tab(page: Page) -> Page:
    page.get_by_role("tab", name="Caption", exact=True).click()
    expect(page.locator("#caption_model")).to_have_value("darkroom-starter-captioner")
    return page


def test_a_dropped_picture_its_words_and_where_the_model_looked(real: Server, open_page: Open):
    page = caption_tab(open_page(real))
    expect(page.locator(".dr-cap-pictures .dr-cap-none")).to_contain_text("Drop a picture")
    page.evaluate(HEARD)
    drop(page, ".dr-cap-results", drawing())
    card = page.locator(".dr-cap-card[data-state=done]")
    expect(card).to_have_count(1, timeout=RESULT_MS)
    text = card.locator(".dr-cap-text").inner_text().strip()
    assert text.endswith("yellow background")
    heard = page.evaluate("window.heard")
    assert heard[-1].strip() == text
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(heard))
    plain = card.locator(".dr-cap-picture").evaluate(AVERAGE)
    card.locator(".dr-cap-word").last.click()
    expect(card.locator(".dr-cap-picture[data-heat]")).to_have_count(1, timeout=RESULT_MS)
    expect(card.locator(".dr-cap-word").last).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("document.querySelector('.dr-cap-picture[data-heat]').complete")
    mean = card.locator(".dr-cap-picture").get_attribute("src") or ""
    assert card.locator(".dr-cap-picture").evaluate(AVERAGE) != pytest.approx(plain, abs=0.5)
    card.get_by_label("Layer").select_option("1")
    expect(card.locator(".dr-cap-picture")).not_to_have_attribute("src", mean)
    with page.expect_download() as saved:
        card.get_by_text("Save PNG").click()
    with Image.open(saved.value.path()) as image:
        assert (image.format, image.size) == ("PNG", (160, 120))
    card.get_by_role("button", name="Send to prompt").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value(text)
    page.click("#txt2img_generate")
    assert shown_infotext(page).startswith(text)
    idle(page)
    page.fill("#txt2img_prompt textarea", "a red apple")
    caption_tab(page)
    card.get_by_role("button", name="Score against my prompt").click()
    expect(card).to_contain_text("Your prompt fits by", timeout=RESULT_MS)
    before = len(finished_jobs(real))
    card.get_by_role("button", name="Make it again").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value(text)
    wait_until(lambda: len(finished_jobs(real)) == before + 1, RESULT_MS / 1000)
    idle(page)
    assert shown_infotext(page).startswith(text)

    page.click("#txt2img_send_to_caption")
    expect(card).to_have_count(2, timeout=RESULT_MS)
    new = card.first
    new.get_by_role("button", name="Add to dataset").click()
    new.get_by_label("Name of the new session").fill("from captions")
    new.get_by_role("button", name="Add", exact=True).click()
    expect(new.locator(".dr-cap-dataset")).to_contain_text("Added to from_captions")
    words = new.locator(".dr-cap-text").inner_text().strip()
    assert [path.read_text() for path in (real.data / "models" / "train" / "from_captions").rglob("*.txt")] == [words]

    page.reload()
    ready(page)
    caption_tab(page)
    expect(page.locator(".dr-cap-card .dr-cap-text").last).to_have_text(text)


@pytest.fixture
def tiny_models(real: Server) -> Iterator[Path]:
    """The program's model folder with small models of several kinds in it, and an adapter, for the time of a test."""
    models = real.data / "models"
    made = [
        finder(models / "BLIP" / "tiny-finder"), tiny.blip(models / "BLIP" / "tiny-blip"), models / "taggers" / "wd-vit-tagger-v3",
        tiny.lora(models / "caption-adapters" / "tiny-lora"),
    ]  # fmt: skip
    wd(made[2])
    yield models
    for folder in made:
        shutil.rmtree(folder)


def test_places_tags_ways_of_writing_adapters_and_a_folder_that_is_searched(real: Server, open_page: Open, tiny_models: Path):
    page = open_page(real)
    page.get_by_role("tab", name="Caption", exact=True).click()
    done, latest = page.locator(".dr-cap-card[data-state=done]"), page.locator(".dr-cap-card").first

    def act(what: str) -> None:
        expect(page.request.post(f"{real.url}/internal/{what}", data={})).to_be_ok()

    def said(count: int) -> str:
        expect(done).to_have_count(count, timeout=RESULT_MS)
        return latest.locator(".dr-cap-text").inner_text().strip()

    # Florence-2 says where things are, and each can be seen alone.
    page.select_option("#caption_model", "tiny-finder")
    page.select_option("#caption_task select", "od")
    expect(page.locator("#caption_form [name=prompt]")).to_be_hidden()
    page.evaluate(PASTE, base64.b64encode(drawing()).decode())
    assert said(1) == "cat, dog"
    places = latest.locator(".dr-cap-place")
    expect(places).to_have_text([re.compile(r"cat\s*16, 24, 80, 72"), re.compile(r"dog\s*1, 2, 48, 4")])
    expect(latest.locator("svg polygon")).to_have_count(2)
    places.last.click()
    expect(latest.locator("svg g").first).to_be_hidden()
    expect(latest.locator("svg g").last).to_be_visible()

    # A tagger has its own controls, and none of those for writing.
    page.select_option("#caption_model", "wd-vit-tagger-v3")
    page.locator("#caption_tagging summary").click()
    page.locator("#caption_writing summary").click()
    expect(page.locator("#caption_form [name=num_beams]")).to_be_hidden()
    expect(page.locator("#caption_form [name=threshold]")).to_have_attribute("placeholder", "0.35")
    page.fill("#caption_form [name=threshold]", "0.05")
    page.select_option("#caption_form [name=tag_chances]", "true")
    page.fill("#caption_form [name=tag_skip]", "1girl")
    page.keyboard.press("Control+Enter")
    tags = said(2)
    assert re.fullmatch(r"(\([^,]+:0\.\d+\)(, )?)+", tags)
    assert "1girl" not in tags

    # A way of writing is kept beside the model; an adapter makes it say something else, but not by ONNX.
    page.select_option("#caption_model", "tiny-blip")
    page.fill("#caption_form [name=max_length]", "6")
    page.get_by_role("button", name="Save as…").click()
    page.fill("#caption_form [name=preset_name]", "short")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#caption_form [name=preset]")).to_have_value("short")
    assert json.loads((tiny_models / "BLIP" / "tiny-blip" / "generation_config.short.json").read_text())["max_new_tokens"] == 6
    page.click("#caption_run")
    plain = said(3)
    page.fill("#caption_form [name=adapter]", "tiny-lora")
    page.keyboard.press("Enter")
    assert said(4) != plain
    page.select_option("#caption_form [name=backend]", "onnx")
    page.click("#caption_run")
    expect(page.locator("#caption_message [role=alert]")).to_contain_text("the adapter tiny-lora needs the own weights of tiny-blip")
    act("queue/pause")  # the export itself is tested elsewhere, and takes a minute
    page.get_by_role("button", name="Export to ONNX").click()
    expect(page.locator("#caption_message [role=status]")).to_contain_text("tiny-blip is exported")
    (export,) = (job for job in ask(real, "internal/jobs")["jobs"] if "tiny-blip" in job["prompt"] and job["state"] == "queued")
    act(f"jobs/{export['id']}/cancel")
    act("queue/resume")

    # Pictures of a folder for a text.
    place = real.data / "colours"
    place.mkdir()
    for name, colour in (("blue", (30, 60, 220)), ("yellow", (250, 214, 60))):
        Image.new("RGB", (128, 96), colour).save(place / f"{name}.png")
    page.get_by_role("radio", name="Score").click()
    page.select_option("#caption_model", "darkroom-starter-scorer")
    expect(page.locator("#caption_form [name=adapter]")).to_be_hidden()
    page.fill("#caption_form [name=texts]", "a car on a blue background\na red apple on a yellow background")
    page.fill("#caption_form [name=search]", "colours")
    page.click("#caption_run")
    expect(page.locator(".dr-cap-ranked")).to_have_count(2, timeout=RESULT_MS)
    firsts = page.locator(".dr-cap-ranked ol > li:first-child")
    assert [text.split("\n")[0] for text in firsts.evaluate_all("rows => rows.map((row) => row.title)")] == ["blue.png", "yellow.png"]


def test_texts_are_compared_and_interrogate_fills_the_prompt_of_img2img(real: Server, open_page: Open):
    page = caption_tab(open_page(real))
    page.get_by_role("radio", name="Score").click()
    page.fill("#caption_form [name=texts]", "a car on a blue background\na red apple on a yellow background")
    drop(page, "#caption_drop", drawing(), data_of(Image.new("RGB", (60, 60), (30, 60, 220))))
    expect(page.locator(".dr-cap-fits")).to_have_count(2, timeout=RESULT_MS)
    expect(page.locator(".dr-cap-fits").first.locator("tr").first).to_contain_text("yellow background")
    expect(page.locator(".dr-cap-ranking .dr-cap-ranked")).to_have_count(2)
    page.locator("#tab_img2img-button").click()
    stage = ".dr-canvas[data-canvas=img2img] .dr-canvas-stage"
    expect(page.locator(stage)).to_be_visible()
    drop(page, stage, drawing())
    page.wait_for_function("window.darkroom.store.get('canvases', {}).img2img?.reference")
    page.click("#interrogate")
    page.wait_for_function("document.querySelector('#img2img_prompt textarea').value.includes('yellow background')", timeout=RESULT_MS)
    page.click("#deepbooru")
    expect(page.locator("#img2img_message [role=alert]")).to_contain_text("no tagger")


def test_a_folder_is_captioned_mended_and_undone(real: Server, open_page: Open):
    place: Path = real.data / "set"
    place.mkdir()
    for n in range(3):
        (place / f"{n}.png").write_bytes(drawing((160, 120 + n)))
    (place / "bad.png").write_bytes(b"nothing")
    page = caption_tab(open_page(real))
    page.get_by_role("tab", name="Folder", exact=True).click()
    page.fill("#caption_form [name=folder]", "set")
    page.click("#caption_run")
    expect(page.locator(".dr-cap-sum")).to_contain_text("3 captions", timeout=RESULT_MS)
    expect(page.locator(".dr-cap-faults")).to_contain_text("1 picture could not be used")
    box = page.get_by_label("Caption of 1.png")
    assert (place / "1.txt").read_text() == box.input_value() != ""
    box.fill("mended by hand")
    box.blur()
    expect(page.locator(".dr-cap-rows li", has=box).locator(".dr-cap-mark")).to_have_text("edited")
    assert (place / "1.txt").read_text() == "mended by hand"
    expect(page.locator(".dr-cap-tag").first).to_be_attached()
    page.get_by_role("button", name="Undo this run").click()
    expect(page.locator("#caption_message")).to_contain_text("3 captions taken back")
    assert not [*place.glob("*.txt")]
