"""The page in another language: a localization file reaches every word of the frame of every tab, those that scripts draw too; and it is
mirrored for languages from right to left."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.browser.conftest import ready
from tests.browser.driving import generate, idle, set_number, type_prompt, wait_for_text
from tests.browser.servers import Server

pytestmark = pytest.mark.browser
# Every text there can be is in this file: it stands between two marks.
EVERY_WORD = """
const other = (text) => (typeof text === "string" && /\\p{L}/u.test(text) && !text.includes("⟦") ? `⟦${text}⟧` : undefined);
window.localization = new Proxy({}, {
  get: (_, text) => other(text),
  ownKeys: () => ["Generate"],
  getOwnPropertyDescriptor: (_, text) => other(text) && { value: other(text), configurable: true, enumerable: true, writable: true },
});
"""
# What can be seen, is no name, message or text of a person, and was left as it was; [] when all of it is in the other language.
LEFT = """(tab) => {
  const raw = "script, style, textarea, pre, code, [data-raw], .dr-board-list, .dr-cards, .dr-history, .thumbnail-item";
  const panel = document.querySelector(`#${tab}`);
  const nodes = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const left = [];
  let count = 0;
  for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
    const place = node.parentElement;
    if (!/\\p{L}/u.test(node.data) || place.closest(raw) || !place.checkVisibility()) continue;
    if (!node.data.includes("⟦")) left.push(node.data.trim());
    else if (panel?.contains(place)) count += 1;
  }
  return [left, count];
}"""
DONE = f"(tab) => {{ const [left, count] = ({LEFT})(tab); return left.length === 0 && count > 3; }}"


def test_a_localization_reaches_every_word_of_every_tab(real: Server, open_page: Callable[..., Page]):
    def answer(route: Route) -> None:
        route.fulfill(content_type="text/javascript", body=EVERY_WORD)

    page = open_page(real)
    page.route("**/internal/localization.js*", answer)
    page.reload(wait_until="domcontentloaded")
    ready(page)
    tabs = page.evaluate("[...document.querySelectorAll('button[role=tab]')].map((tab) => tab.id).filter((id) => id.startsWith('tab_'))")
    assert len(tabs) >= 11
    for button in tabs:
        page.locator(f"#{button}").click()
        tab = button.removesuffix("-button")
        try:
            page.wait_for_function(DONE, arg=tab)
        except PlaywrightTimeout:
            assert (tab, page.evaluate(LEFT, tab)) == (tab, [[], "at least 4"])


FROM_THE_RIGHT = "window.localization = { Prompt: 'בקשה' }; window.localization_rtl = true;"
LEFT_EDGES = "ids => ids.map((id) => document.querySelector(id).getBoundingClientRect().left)"


def test_a_language_from_right_to_left(stand_in: Server, open_page: Callable[..., Page]):
    """The page is mirrored; pictures, sliders and what people write are not, and nothing is wider than the window."""

    def answer(route: Route) -> None:
        route.fulfill(content_type="text/javascript", body=FROM_THE_RIGHT)

    page = open_page(stand_in)
    page.route("**/internal/localization.js*", answer)
    page.reload(wait_until="domcontentloaded")
    ready(page)
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    form, results = page.evaluate(LEFT_EDGES, ["#txt2img_settings", "#txt2img_results"])
    assert form > results
    expect(page.locator("#txt2img_steps input[type=range]")).to_have_css("direction", "ltr")
    expect(page.locator("#txt2img_steps")).to_have_css("direction", "rtl")
    box = page.locator("#txt2img_prompt textarea")
    for words, direction in (("תפוח אדום (גדול:1.2)", "rtl"), ("a red apple (large:1.2)", "ltr")):
        type_prompt(page, words)
        expect(box).to_have_css("direction", direction)
        expect(page.locator("#txt2img_prompt .dr-colours")).to_have_css("direction", direction)
    set_number(page, "txt2img_batch_size", 3)
    generate(page)
    wait_for_text(page, "large:1.2")
    idle(page)
    page.locator("#txt2img_gallery .media-button").click()
    before, after = page.evaluate(LEFT_EDGES, ["#lightboxModal .dr-prev", "#lightboxModal .dr-next"])
    assert before > after
    page.keyboard.press("ArrowLeft")  # onwards
    expect(page.locator("#lightboxModal .dr-place")).to_have_text("2 / 3")
    page.keyboard.press("Escape")
    tabs = page.locator("#tabs > .tab-wrapper > [role=tablist] > [role=tab]").evaluate_all("all => all.map((e) => e.dataset.tabId)")
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        for tab in tabs:
            page.evaluate("tab => darkroom.showTab(tab)", tab)
            page.wait_for_function("tab => document.body.dataset.tab === tab", arg=tab)
            assert (tab, page.evaluate("document.documentElement.scrollWidth")) == (tab, width)
