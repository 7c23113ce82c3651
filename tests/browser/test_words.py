"""The page in another language: a localization file reaches every word of the frame of every tab, those that scripts draw too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.browser.conftest import ready
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
