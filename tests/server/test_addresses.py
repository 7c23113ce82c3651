"""Addresses in place of pictures: off until a setting says otherwise, and never a way into the network behind this machine."""

from __future__ import annotations

import base64
import contextlib
import io
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from modules.app import App
from modules.server import sent
from modules.server.errors import Refused
from modules.server.sent import BAD_ADDRESS, INVALID, LOCAL, NOT_ALLOWED, keep, reach_of, received
from modules.settings import Settings
from modules.upkeep.reach import Reach, is_public, public_address
from tests.server.fake_jobs import FakeJobs
from tests.upkeep.web import Page, Site

ONE_SERVER = True

PUBLIC, ELSEWHERE = "93.184.216.34", "1.1.1.1"
ON = Settings(api_enable_requests=True)
DOORS = [
    ("/sdapi/v1/img2img", lambda url: {"init_images": [url]}),
    ("/sdapi/v1/txt2img", lambda url: {"style_image": url}),
    ("/sdapi/v1/extra-single-image", lambda url: {"image": url}),
    ("/sdapi/v1/extra-batch-images", lambda url: {"imageList": [{"data": url, "name": "a"}]}),
    ("/sdapi/v1/png-info", lambda url: {"image": url}),
]


def png(side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


class Net:
    """A made-up internet: names with their addresses, and what answers there. dialled: every address that was connected to."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.names: dict[str, list[set[str]]] = {"pictures.example": [{PUBLIC}]}
        self.asked: list[str] = []
        self.dialled: list[tuple[str, int]] = []

    def resolve(self, host: str, port: int) -> set[str]:
        """Each time the next answer, the last one for ever: a name that changes its mind."""
        self.asked.append(host)
        answers = self.names.get(host)
        if answers is None:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def dial(self, address: tuple[str, int], timeout_s: float) -> socket.socket:
        self.dialled.append(address)
        return socket.create_connection(("127.0.0.1", self.site.port), timeout_s)

    def reach(self, settings: Settings = ON, **more: Any) -> Reach:
        real = reach_of(settings)
        return Reach(**{**vars(real), "resolve": self.resolve, "dial": self.dial, **more})


@pytest.fixture
def net() -> Iterator[Net]:
    site = Site()
    site.files["/a.png"] = Page(png())
    yield Net(site)
    site.close()


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        call()
    assert caught.value.status_code == sent.UNREADABLE
    return str(caught.value.detail)


@pytest.mark.parametrize(("route", "body"), DOORS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_door_refuses_addresses_until_they_are_allowed(
    client: TestClient, app: App, jobs: FakeJobs, route: str, body: Callable[[str], dict[str, Any]]
) -> None:
    for url in ("http://pictures.example/a.png", " HTTPS://pictures.example/a.png"):
        answer = client.post(route, json=body(url))
        assert (answer.status_code, answer.json()["detail"]) == (422, NOT_ALLOWED)
        assert "api_enable_requests" in answer.json()["errors"]
    app.settings.set({"api_enable_requests": True})
    answer = client.post(route, json=body("http://127.0.0.1/a.png"))
    assert (answer.status_code, answer.json()["detail"]) == (422, LOCAL)
    assert jobs.jobs == {}


def test_a_request_cannot_allow_it_to_itself(client: TestClient, app: App) -> None:
    allowing = {"api_enable_requests": True, "api_forbid_local_requests": False}
    body = {"init_images": ["http://127.0.0.1:1/a.png"], "override_settings": allowing, "override_settings_restore_afterwards": False}
    assert client.post("/sdapi/v1/img2img", json=body).json()["detail"] == NOT_ALLOWED
    picture = base64.b64encode(png()).decode()
    assert client.post("/sdapi/v1/img2img", json={**body, "init_images": [picture]}).status_code == 200
    assert client.post("/sdapi/v1/options", json=allowing).status_code == 200
    assert not app.settings.current.api_enable_requests
    assert app.settings.current.api_forbid_local_requests


def test_a_picture_is_fetched_from_the_very_address_that_was_checked(app: App, net: Net) -> None:
    settings = Settings(api_enable_requests=True, api_useragent="Somebody/1")
    reference = keep("http://pictures.example/a.png", "init_images", app.inputs, settings, net.reach(settings))
    assert app.inputs.open(reference).size == (8, 8)
    assert (net.asked, net.dialled) == (["pictures.example"], [(PUBLIC, 80)])
    [told] = net.site.told
    assert (told["Host"], told["User-Agent"]) == ("pictures.example", "Somebody/1")
    assert not {name.lower() for name in told} & {"authorization", "cookie", "referer"}


def test_keys_of_this_machine_are_shown_to_nobody(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    net.names["huggingface.co"] = [{PUBLIC}]
    received("http://huggingface.co/a.png", "image", ON, net.reach())
    assert "secret" not in str(net.site.told)


def test_a_name_that_changes_its_mind_is_asked_once(net: Net) -> None:
    """DNS rebinding: the first answer is public, every later one is this machine."""
    net.names["turning.example"] = [{PUBLIC}, {"127.0.0.1"}]
    assert received("http://turning.example/a.png", "image", ON, net.reach()) == png()
    assert net.dialled == [(PUBLIC, 80)]
    assert refusal(lambda: received("http://turning.example/a.png", "image", ON, net.reach())) == LOCAL
    assert net.dialled == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], [PUBLIC, "10.0.0.1"], [PUBLIC, "::1"], ["::ffff:192.168.0.1"], ["fe80::1%eth0"], ["fc00::1", "2606:2800:220:1::1"]],
    ids=str,
)
def test_a_name_with_one_private_address_is_refused(net: Net, addresses: list[str]) -> None:
    net.names["mixed.example"] = [set(addresses)]
    assert refusal(lambda: received("http://mixed.example/a.png", "image", ON, net.reach())) == LOCAL
    assert net.dialled == []


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST.", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "10.0.0.1", "172.16.0.1",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
        "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[ff02::1]", "224.0.0.1", "255.255.255.255",
        "198.18.0.1", "user@127.0.0.1", "pictures.example@127.0.0.1",
    ],
)  # fmt: skip
def test_no_spelling_leads_into_a_private_network(net: Net, host: str) -> None:
    net.names |= {"localhost": [{"127.0.0.1"}], "localhost.": [{"127.0.0.1"}]}
    for scheme in ("http", "https"):
        assert refusal(lambda s=scheme: received(f"{s}://{host}/a.png", "image", ON, net.reach())) == LOCAL
    assert net.dialled == []


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses_pass(address: str) -> None:
    assert public_address("a.example", 80, lambda _host, _port: {address}) == address


def test_an_old_way_of_writing_ipv4_as_ipv6_is_not_public() -> None:
    assert not is_public(ipaddress.ip_address("::8.8.8.8"))


@pytest.mark.parametrize(
    "place",
    ["http://127.0.0.1/a.png", "http://inside.example/a.png", "http://[::1]/", "http://pictures.example:22/a", "file:///etc/passwd"],
)
def test_a_redirect_is_checked_as_the_first_address_was(net: Net, place: str) -> None:
    net.names["inside.example"] = [{"192.168.0.7"}]
    net.site.files["/away"] = Page(b"", status=302, headers={"Location": place})
    assert refusal(lambda: received("http://pictures.example/away", "image", ON, net.reach())) == LOCAL
    assert net.dialled == [(PUBLIC, 80)]


def test_a_redirect_to_another_public_place_is_followed_and_a_ring_is_not(net: Net) -> None:
    net.names["other.example"] = [{ELSEWHERE}]
    net.site.files["/away"] = Page(b"", status=301, headers={"Location": "http://other.example/a.png"})
    net.site.files["/ring"] = Page(b"", status=302, headers={"Location": "/ring"})
    assert received("http://pictures.example/away", "image", ON, net.reach()) == png()
    assert refusal(lambda: received("http://pictures.example/ring", "image", ON, net.reach())) == BAD_ADDRESS


@pytest.mark.parametrize("port", [22, 25, 6379, 8080, 11434])
def test_only_the_webs_own_ports_are_asked(net: Net, port: int) -> None:
    assert refusal(lambda: received(f"http://pictures.example:{port}/a.png", "image", ON, net.reach())) == LOCAL
    assert net.dialled == []


def test_a_person_may_allow_their_own_network(net: Net) -> None:
    settings = Settings(api_enable_requests=True, api_forbid_local_requests=False)
    assert received("http://192.168.1.5:8188/a.png", "image", settings, net.reach(settings)) == png()
    assert net.dialled == [("192.168.1.5", 8188)]


@pytest.mark.parametrize(
    "url",
    [
        "http://", "http:///a.png", "http://nobody.example/a.png", "http://pictures.example/missing.png", "http://pictures.example:99999/",
        "http://[::1/", "http://pictures.example/a b\r\nX: y", "http://" + "a" * 5000 + "/", "http://ä.example/", "http://a..b/",
    ],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_refused_in_words(net: Net, url: str) -> None:
    assert refusal(lambda: received(url, "image", ON, net.reach())) in (BAD_ADDRESS, LOCAL)


def test_what_is_no_picture_is_no_picture_whatever_its_type_says(app: App, net: Net) -> None:
    net.site.files["/page"] = Page(b"<html>not a picture</html>", headers={"Content-Type": "image/png"})
    assert refusal(lambda: keep("http://pictures.example/page", "mask", app.inputs, ON, net.reach())) == BAD_ADDRESS
    assert refusal(lambda: keep(base64.b64encode(b"neither").decode(), "mask", app.inputs, ON)) == INVALID


def test_too_much_is_cut_off(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent, "MAX_BYTES", 100_000)
    monkeypatch.setattr(sent, "AT_ONCE", 10_000)
    net.site.files["/large"] = Page(bytes(5_000_000), length=False)
    assert refusal(lambda: received("http://pictures.example/large", "image", ON, net.reach())) == BAD_ADDRESS


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"], ids=["headers", "body"])
def test_bytes_that_trickle_are_cut_off_when_the_time_is_up(net: Net, head: bytes) -> None:
    """A byte now and then never lets the usual limit of silence begin."""
    over = threading.Event()

    def trickle(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            peer, _ = listener.accept()
            with peer:
                peer.sendall(head)
                while not over.wait(0.05):
                    peer.sendall(b"X" if head else b"H")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,), daemon=True)
        thread.start()
        began = time.monotonic()
        reach = net.reach(whole_s=0.4, dial=lambda _address, timeout_s: socket.create_connection(listener.getsockname(), timeout_s))
        assert refusal(lambda: received("http://pictures.example/a.png", "image", ON, reach)) == BAD_ADDRESS
        assert time.monotonic() - began < 20
        over.set()
        thread.join(10)
