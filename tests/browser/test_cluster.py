"""The Cluster tab in Chromium: machines as a scout tells them, their workers, one that is lost and comes back. Without Ray."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from modules.cluster import roster as roster_module
from modules.cluster.hosts import Host
from tests.browser.drawing_runner import drawing_server
from tests.browser.servers import Server
from tests.browser.test_accessibility import AXE, grave

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
HOSTILE = "<img src=x onerror=alert(1)>"
ATTIC = Host(node="ab" * 28, name="attic", address="10.0.0.7", workers=1, cards=1, card="A100", memory_bytes=64 * 2**30)
CELLAR = Host(node="cd" * 28, name=HOSTILE, address="10.0.0.8", workers=1)
# A scout that says what stands in a file, again whenever that changes.
SCOUT = """
import pathlib, sys, time
sys.stdin.readline()
said = ""
while True:
    now = pathlib.Path(sys.argv[1]).read_text()
    if now != said and now.endswith("\\n"):
        sys.stdout.write(now)
        sys.stdout.flush()
        said = now
    time.sleep(0.05)
"""


def there(data: Path, *hosts: Host) -> None:
    (data / "scout.txt").write_text(json.dumps({"hosts": [host.to_data() for host in hosts]}) + "\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("cluster")
    there(data, ATTIC, CELLAR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roster_module, "SCOUT", ("-c", SCOUT, str(data / "scout.txt")))
        with drawing_server(data, cluster="10.0.0.1:6379") as made:
            yield made


def opened(page: Page) -> Page:
    page.locator("#tab_cluster-button").evaluate("button => button.click()")  # on a phone it may stand in the menu behind the others
    expect(page.locator("#dr_cluster [role=status]")).to_contain_text("2 machines, 3 workers")
    return page


def test_machines_and_their_workers(server: Server, open_page: Open) -> None:
    page = opened(open_page(server))
    expect(page.get_by_role("region", name="This machine")).to_contain_text("pencil")
    attic = page.get_by_role("region", name="attic")
    expect(attic).to_contain_text("10.0.0.7, 64 GiB")
    expect(attic.locator("dt", has_text="Loaded model").locator("xpath=following-sibling::dd[1]")).to_have_text("drawing")
    expect(page.get_by_role("region", name=HOSTILE)).to_contain_text("Ready")
    there(server.data, CELLAR)
    lost = page.get_by_role("region", name="Lost")
    expect(lost).to_contain_text("attic")
    there(server.data, ATTIC, CELLAR)
    expect(attic).to_contain_text("back again, lost once")
    expect(lost).to_have_count(0)
    page.get_by_role("tab", name="System").click()
    expect(page.locator("[data-part=machine]")).to_contain_text("pencil")
    expect(page.locator("[data-part=machine] .dr-sys-device")).to_have_count(1)


def test_on_a_phone_and_from_right_to_left_for_everybody(server: Server, open_page: Open) -> None:
    page = opened(open_page(server, viewport={"width": 390, "height": 844}))
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for direction in ("ltr", "rtl"):
        page.evaluate("(direction) => { document.documentElement.dir = direction; }", direction)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), direction
        assert grave(page, "#dr_cluster") == []
