"""How the page follows the jobs it asked for, in Chromium over the stand-in App."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.driving import generate, idle, submitted, type_prompt, wait_for_text, wait_until
from tests.browser.servers import Server

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
# The form is sent once the first poll is answered, and that answer is read once the page knows its job.
CROSSED = """(() => {
  const plain = window.fetch;
  let polled;
  const first = new Promise((done) => { polled = done; });
  window.fetch = async (address, options) => {
    if (String(address).includes("run/predict") && window.crossing) await first;
    const answer = await plain(address, options);
    if (window.crossing && String(address).includes("internal/progress")) {
      polled();
      while (!JSON.parse(localStorage.getItem("darkroom.jobs"))[0].id) await new Promise((done) => { setTimeout(done, 10); });
      window.crossing = false;
    }
    return answer;
  };
})();"""


def test_a_look_from_before_the_request_arrived_loses_nothing(stand_in: Server, open_page: Open, browser: Browser):
    context = browser.new_context()
    context.add_init_script(CROSSED)
    try:
        page = open_page(stand_in, context=context)
        type_prompt(page, "crossed on the way")
        page.evaluate("window.crossing = true")
        generate(page)
        wait_for_text(page, "crossed on the way")
        assert page.evaluate("window.crossing") is False
    finally:
        context.close()


def test_a_double_click_makes_one_job(stand_in: Server, open_page: Open):
    page = open_page(stand_in)
    before = len(submitted(stand_in))
    type_prompt(page, "once only")
    page.dblclick("#txt2img_generate")
    wait_for_text(page, "once only")
    assert len(submitted(stand_in)) == before + 1
    generate(page)  # a later click is a wish of its own
    wait_until(lambda: len(submitted(stand_in)) == before + 2)
    idle(page)
