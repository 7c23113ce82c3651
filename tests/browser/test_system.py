"""The System tab in Chromium over the real App with a runner that draws: what it tells, the logs, the report, the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.drawing_runner import drawing_server
from tests.browser.servers import Server

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
HOSTILE = "<img src=x onerror=\"alert('log')\">"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("system")
    (data / "log").mkdir()
    (data / "log" / "web.log").write_text(f"ordinary line\nERROR {HOSTILE} password=geheim\n")
    with drawing_server(data) as made:
        yield made


def test_the_machine_its_logs_and_a_benchmark(server: Server, open_page: Open) -> None:
    page = open_page(server)
    page.get_by_role("tab", name="System").click()
    machine = page.locator("[data-part=machine]")
    expect(machine).to_contain_text("Main memory")
    expect(page.locator("[data-part=memory] polyline, [data-part=memory] circle").first).to_be_attached()
    expect(page.locator("[data-part=disk]")).to_contain_text("darkroom-starter")
    expect(page.locator("[data-part=versions]")).to_contain_text("torch")
    ways = page.locator("[data-part=computing]")
    expect(ways).to_contain_text("ONNX Runtime")
    expect(ways.locator("tr", has=page.locator("b", has_text="fp8")).first).to_contain_text("dB")

    plot = page.locator("[data-part=memory] .dr-sys-plot")
    plot.focus()
    page.keyboard.press("End")
    expect(page.locator(".dr-sys-read")).to_contain_text("Whole machine")

    log = page.get_by_role("log")
    page.locator("[data-log=name]").select_option("web")
    expect(log).to_contain_text("ordinary line")
    expect(log).to_contain_text(f"ERROR {HOSTILE} password=(hidden)")
    page.locator("[data-log=level]").select_option("error")
    expect(log).not_to_contain_text("ordinary line")
    page.locator("[data-log=text]").fill("nowhere")
    expect(page.locator(".dr-sys-logsaid")).to_have_text("No line fits.")
    page.locator("[data-log=text]").fill("")
    with (server.data / "log" / "web.log").open("a") as file:
        file.write("ERROR written while somebody looks\n")
    expect(log).to_contain_text("written while somebody looks")

    page.get_by_role("button", name="Run benchmark").click()
    expect(page.locator(".dr-sys-results")).to_contain_text("pictures/s")
    page.get_by_role("button", name="Forget this result").click()
    expect(page.locator(".dr-sys-results")).to_have_count(0)
