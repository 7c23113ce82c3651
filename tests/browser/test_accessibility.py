"""Every tab for those who see little, hear the page read to them, or use no mouse: axe-core's rules, and what the Tab key reaches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.driving import generate, idle, type_prompt, wait_for_text
from tests.browser.servers import Server

pytestmark = pytest.mark.browser
AXE = Path(__file__).with_name("axe.min.js")
TABS = "#tabs > .tab-wrapper > [role=tablist] > [role=tab]"
GRAVE = ("serious", "critical")
COLOURS = ("color-contrast",)
# place: what is looked at; only: the rules, all of them when empty.
RUN = """async ({ place, only }) => {
  const found = await axe.run(place, { resultTypes: ["violations"], ...(only.length ? { runOnly: only } : {}) });
  const where = (nodes) => nodes.slice(0, 5).map((n) => `${n.target} ${n.html.slice(0, 160)}`);
  return found.violations.map(({ id, impact, nodes }) => ({ id, impact, where: where(nodes) }));
}"""
# What a pointer can work and a keyboard not: in sight, not in the order of the Tab key, and not in a group that arrow keys move through.
UNREACHED = """() => {
  const GROUPS = "[role=tablist], [role=listbox], [role=radiogroup], [role=menu], [role=grid], [role=tree], .dr-job";
  const WORKED = "button, a[href], input, select, textarea, summary, [data-do], [role=button], [role=slider], [contenteditable=true]";
  const large = (e) => e.getBoundingClientRect().width > 2;
  const shown = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const seen = (e) => shown(e) && large(e) && !e.closest("[aria-hidden=true], [inert]");
  const all = [...document.querySelectorAll(WORKED)].filter((e) => seen(e) && !e.disabled && !e.closest(GROUPS));
  return all.filter((e) => e.tabIndex < 0).map((e) => `${e.id} ${e.outerHTML.slice(0, 200)}`);
}"""


@pytest.fixture
def page(stand_in: Server, open_page: Callable[..., Page]) -> Page:
    """With a picture, and the rules loaded."""
    page = open_page(stand_in, reduced_motion="reduce")
    type_prompt(page, "a picture to look at")
    generate(page)
    wait_for_text(page, "a picture to look at")
    idle(page)
    page.add_style_tag(
        content="*, *::before, *::after { transition: none !important; animation: none !important; }"
    )  # no colour on its way
    page.evaluate(AXE.read_text(encoding="utf-8"))
    return page


def grave(page: Page, place: str = "body", only: tuple[str, ...] = ()) -> list[Any]:
    """What axe finds there now, of the two upper ranks. only: rules."""
    return [fault for fault in page.evaluate(RUN, {"place": place, "only": only}) if fault["impact"] in GRAVE]


@pytest.mark.slow
def test_no_tab_has_a_serious_fault_nor_what_opens_over_it(page: Page):
    """One page for all of it, as opening one takes longer than looking at it."""
    every_tab(page)
    page.locator("#tab_txt2img-button").click()
    what_opens_over_the_page(page)
    high_contrast(page)


def every_tab(page: Page) -> None:
    """No serious fault, light and dark, and all of it within reach of the keyboard."""
    found: dict[str, Any] = {}
    for tab in page.locator(TABS).evaluate_all("all => all.map((e) => e.id)"):
        page.locator(f"#{tab}").click()
        expect(page.locator(f"#{tab}")).to_have_attribute("aria-selected", "true")
        page.locator(f"#{tab.removesuffix('-button')} :is(button, input, [data-do])").first.wait_for(state="attached")
        page.wait_for_function(
            "tab => document.body.dataset.tab && document.getElementById(tab).dataset.tabId === document.body.dataset.tab", arg=tab
        )
        unreached = page.evaluate(UNREACHED)
        if unreached:
            found[f"{tab} by keyboard"] = unreached
        panel = (
            "body" if tab == "tab_txt2img-button" else f"#{tab.removesuffix('-button')}"
        )  # what stands around the tabs is looked at once
        for theme, only in (("light", ()), ("dark", COLOURS)):  # only colours differ
            page.evaluate("theme => document.body.classList.toggle('dark', theme === 'dark')", theme)
            if faults := grave(page, panel, only):
                found[f"{tab} {theme}"] = faults
    assert not found, "\n".join(f"{at}: {fault}" for at, faults in found.items() for fault in faults)


def what_opens_over_the_page(page: Page) -> None:
    """Menus, dialogs and the tour: no serious fault, opened and closed with keys, and the focus comes back."""
    page.locator("#txt2img_menu").focus()
    page.keyboard.press("Enter")
    menu = page.get_by_role("menu", name="More about this form")
    expect(menu.get_by_role("menuitem", name="Generate forever")).to_be_focused()
    assert grave(page) == []
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(page.locator("#txt2img_menu")).to_be_focused()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("Generate")
    groups = keys.locator("h3").all_inner_texts()
    assert {"Extras", "Caption", "Canvas", "ControlNet units", "Crop of a training picture"} <= set(groups)
    assert keys.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")
    assert all(keys.locator("section").nth(n).locator("dt").count() for n in range(len(groups)))
    assert grave(page) == []
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.locator("#txt2img_menu").press("Enter")
    page.get_by_role("menuitem", name="Presets…").press("Enter")
    presets = page.get_by_role("dialog", name="Presets of txt2img")
    presets.locator("summary").press("Enter")
    expect(presets.get_by_label("Sampling steps")).to_be_visible()
    assert grave(page) == []
    page.keyboard.press("Escape")
    page.locator("#dr_footer [data-do=tour]").press("Enter")
    expect(page.get_by_role("dialog", name="Tour, step 1 of 5")).to_be_visible()
    assert grave(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#dr_tour")).to_have_count(0)


def high_contrast(page: Page) -> None:
    """By choice, kept over a reload, or because the system asks for it: words stand out seven to one."""
    page.get_by_role("button", name="High contrast").click()
    rules = """async () => {
      const found = await axe.run(document, { runOnly: ["color-contrast-enhanced"] });
      return found.violations.flatMap((v) => v.nodes.map((n) => n.html.slice(0, 120)));
    }"""
    for theme in ("light", "dark"):
        page.evaluate("theme => document.body.classList.toggle('dark', theme === 'dark')", theme)
        assert page.evaluate(rules) == []
    page.evaluate("localStorage.removeItem('darkroom.contrast')")
    page.emulate_media(contrast="more")
    page.reload(wait_until="domcontentloaded")
    expect(page.locator("html")).to_have_attribute("data-contrast", "more")
