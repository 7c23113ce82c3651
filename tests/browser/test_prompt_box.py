"""The prompt boxes: counters that follow the typing, and keys that edit."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.screenshots import DESKTOP, PHONE, opened
from tests.browser.servers import Server

BOX = "#txt2img_prompt textarea"


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_counters_follow(browser: Browser, real: Server, viewport: dict[str, int]) -> None:
    page = opened(browser, real, viewport, "light")
    counter, negative = page.locator("#txt2img_token_counter"), page.locator("#txt2img_negative_token_counter")
    expect(counter).to_have_text("0/75")
    page.fill(BOX, "apple BREAK apple")
    expect(counter).to_have_text("76/150")
    page.fill("#txt2img_neg_prompt textarea", "apple")
    expect(negative).to_have_text("1/75")
    expect(counter).to_be_in_viewport()
    edge = counter.bounding_box()
    assert edge is not None
    assert edge["x"] + edge["width"] <= viewport["width"]
    page.context.close()


# Text, selection, keys -> text, selection.
EDITS: tuple[tuple[str, tuple[int, int], list[str], str, str], ...] = (
    ("a red apple", (3, 3), ["Control+ArrowUp"], "a (red:1.1) apple", "red"),
    ("a red apple", (3, 3), ["Control+ArrowUp", "Control+ArrowDown", "Control+ArrowDown"], "a (red:0.9) apple", "red"),
    ("a red apple", (3, 3), ["Control+ArrowUp", "Control+ArrowDown"], "a red apple", "red"),
    ("a red apple", (2, 11), ["Control+ArrowDown", "Control+z"], "a red apple", "red apple"),
    ("a, (b c:1.2), d", (6, 6), ["Control+ArrowUp"], "a, (b c:1.3), d", "b c"),
    ("<lora:ink:1> x", (4, 4), ["Control+ArrowUp"], "<lora:ink:1.05> x", ""),
    ("<lora:ink> x", (4, 4), ["Control+ArrowDown", "Control+ArrowDown"], "<lora:ink:0.9> x", ""),
    ("a, b b, c", (4, 4), ["Alt+ArrowRight"], "a, c, b b", "b b"),
    ("a, b b,c", (4, 4), ["Alt+ArrowLeft"], "b b, a,c", "b b"),
)


def test_keys_edit(browser: Browser, real: Server) -> None:
    page = opened(browser, real, DESKTOP, "light")
    box = page.locator(BOX)
    for text, selected, keys, result, chosen in EDITS:
        page.fill(BOX, text)
        box.evaluate("(box, [from, to]) => { box.focus(); box.setSelectionRange(from, to); }", list(selected))
        for key in keys:
            page.keyboard.press(key)
        expect(box).to_have_value(result)
        assert box.evaluate("box => box.value.slice(box.selectionStart, box.selectionEnd)") == chosen, (text, keys)
    page.context.close()
