"""The page on screens of other sizes, light and dark."""

from __future__ import annotations

import pytest

from tests.browser.conftest import ready
from tests.browser.driving import made_file
from tests.browser.servers import Server
from tests.browser.test_manners import Open

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440])
def test_every_width_without_sideways_scrolling(stand_in: Server, open_page: Open, scheme: str, width: int):
    page = open_page(stand_in, viewport={"width": width, "height": 844}, color_scheme=scheme)
    made_file(stand_in, page, "wide word " + "w" * 300)
    for tab in ("txt2img", "PNG Info"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(int(part) for part in background.removeprefix("rgb(").removesuffix(")").split(",")[:3]) < 200
    assert dark == (scheme == "dark"), background


MEASURED = """() => {
  const box = (id) => document.getElementById(id).getBoundingClientRect();
  const wide = [...document.querySelectorAll("#tabs textarea, #tabs input:not([type=range])")].filter((one) => one.checkVisibility());
  const tabs = [...document.querySelectorAll("#tabs > .tab-wrapper > [role=tablist] > [role=tab]")];
  return {
    beside: box("txt2img_neg_prompt").top === box("txt2img_prompt").top, widest: Math.max(...wide.map((one) => one.offsetWidth)),
    lastTab: Math.round(tabs.at(-1).getBoundingClientRect().right), same: box("txt2img_prompt").height - box("txt2img_neg_prompt").height,
  };
}"""
OVER = """() => {
  const column = document.getElementById("img2img_actions_column").getBoundingClientRect();
  const tools = [...document.querySelectorAll("#img2img_generate_box > *")];
  return Math.max(...tools.map((one) => one.getBoundingClientRect().right)) - column.right;
}"""


def test_wide_screens_have_no_endless_lines_and_narrow_ones_all_tabs(stand_in: Server, open_page: Open):
    page = open_page(stand_in, viewport={"width": 2560, "height": 1440})
    found = page.evaluate(MEASURED)
    assert found["beside"]
    assert found["same"] == 0
    assert found["widest"] <= 1100
    page.set_viewport_size({"width": 768, "height": 1024})
    found = page.evaluate(MEASURED)
    assert not found["beside"]
    assert found["lastTab"] <= 768
    page.set_viewport_size({"width": 1440, "height": 900})
    page.locator("#tab_img2img-button").click()
    page.locator("#interrogate").wait_for()
    assert page.evaluate(OVER) <= 0.5


def test_on_a_phone_the_picture_comes_right_after_generate(stand_in: Server, open_page: Open):
    page = open_page(stand_in, viewport={"width": 390, "height": 844}, has_touch=True)
    names = ("txt2img_prompt", "txt2img_generate", "txt2img_gallery", "txt2img_sampling")
    tops = [page.locator(f"#{name}").bounding_box() for name in names]
    heights = [box["y"] for box in tops if box]
    assert heights == sorted(heights)
    assert len(heights) == 4
    assert heights[2] < 844 * 5 / 8, "the gallery begins on the first screen"


def test_light_and_dark_can_be_chosen(stand_in: Server, open_page: Open):
    page = open_page(stand_in, color_scheme="light")
    page.get_by_role("button", name="Light / dark").click()
    assert page.evaluate("document.body.classList.contains('dark')")
    page.reload(wait_until="domcontentloaded")
    ready(page)
    assert page.evaluate("document.body.classList.contains('dark')")
