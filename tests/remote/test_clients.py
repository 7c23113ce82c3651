"""What is run for each tunnel, how its address is found in what it says, and what is said when it cannot be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from modules.faults import SetupFault, UnknownName
from modules.flags import Flags, parse
from modules.remote import CLIENTS, Asked, asked_of
from modules.remote.programs import command_of, environment_of
from tests.remote.stand_ins import CLOUDFLARED_LINES, NGROK_LINES, Bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path / "bin", monkeypatch)
    for name in ("ngrok", "cloudflared", "lt", "tailscale", "ssh", "npx", "mine"):
        made.put(name, "")
    return made


def words(bench: Bench, name: str, **asked: Any) -> str:
    """The command line, without the folder."""
    return " ".join(command_of(name, Asked(port=7860, **asked))).replace(f"{bench.folder}/", "")


@pytest.mark.parametrize(
    ("name", "asked", "command"),
    [
        ("ngrok", {}, "ngrok http 7860 --log stdout --log-format json"),
        ("ngrok", {"address": "me.ngrok.app"}, "ngrok http 7860 --log stdout --log-format json --url https://me.ngrok.app"),
        ("ngrok", {"tls": True}, "ngrok http https://127.0.0.1:7860 --log stdout --log-format json"),
        ("ngrok", {"host": "192.168.1.5"}, "ngrok http http://192.168.1.5:7860 --log stdout --log-format json"),
        ("cloudflared", {}, "cloudflared tunnel --no-autoupdate --url http://127.0.0.1:7860"),
        ("cloudflared", {"tls": True}, "cloudflared tunnel --no-autoupdate --url https://127.0.0.1:7860 --no-tls-verify"),
        ("cloudflared", {"token": "t", "address": "https://draw.example"}, "cloudflared tunnel --no-autoupdate run"),
        ("localtunnel", {}, "lt --port 7860"),
        ("localtunnel", {"server": "http://lt.example", "address": "me"}, "lt --port 7860 --host http://lt.example --subdomain me"),
        ("localtunnel", {"tls": True}, "lt --port 7860 --local-https --allow-invalid-cert"),
        ("tailscale", {}, "tailscale funnel 7860"),
        ("tailscale", {"tls": True}, "tailscale funnel https+insecure://127.0.0.1:7860"),
        ("tailscale-serve", {}, "tailscale serve 7860"),
        ("gradio", {}, f"{sys.executable} -m modules.web.share 7860"),
        ("URL-command", {"command": "ssh -R '80:localhost:{port}' nokey@host.example"}, "ssh -R 80:localhost:7860 nokey@host.example"),
    ],
)
def test_the_documented_command_lines(bench: Bench, name: str, asked: dict[str, Any], command: str) -> None:
    assert words(bench, CLIENTS.name_of(name) or "", **asked) == command


def test_a_program_elsewhere_and_npx(bench: Bench, tmp_path: Path) -> None:
    assert words(bench, "ngrok", program=str(bench.folder / "mine")).startswith("mine http 7860")
    (bench.folder / "lt").unlink()
    assert words(bench, "localtunnel") == "npx --no-install localtunnel --port 7860", "nothing is installed on the way"


@pytest.mark.parametrize("name", ["ngrok", "cloudflared", "localtunnel", "tailscale"])
def test_a_missing_program_says_how_to_get_it(bench: Bench, name: str) -> None:
    for path in bench.folder.iterdir():
        path.unlink()
    with pytest.raises(SetupFault, match=r"is not on this machine\. (Get|Install) .*"):
        command_of(name, Asked(port=7860))


@pytest.mark.parametrize(
    ("name", "asked", "why"),
    [
        ("tailscale", {"host": "192.168.1.5"}, "does not go with --server-name"),
        ("gradio", {"tls": True}, "does not go with --tls-certfile"),
        ("localtunnel", {"token": "x"}, "does not go with --tunnel-token"),
        ("cloudflared", {"token": "x"}, "add --tunnel-address"),
        ("command", {"command": "ssh host"}, "with {port} in it"),
        ("command", {"command": "ssh '{port}"}, "cannot be read"),
        ("command", {"command": "nothere {port}"}, "nothere is not on this machine"),
        ("ngrok", {"program": "nothere"}, "There is no program nothere"),
    ],
)
def test_what_a_program_cannot_do_is_refused(bench: Bench, name: str, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(SetupFault) as fault:
        command_of(name, Asked(port=7860, **asked))
    assert why in fault.value.message
    with pytest.raises(UnknownName, match="did you mean ngrok"):
        command_of("ngrock", Asked(port=7860))


@pytest.mark.parametrize(
    ("name", "lines", "address"),
    [
        ("ngrok", NGROK_LINES, "https://ab12-203-0-113-7.ngrok-free.app"),
        ("cloudflared", CLOUDFLARED_LINES, "https://random-words-here-1234.trycloudflare.com"),
        ("cloudflared", ['ERR failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": EOF'], None),
        ("localtunnel", ["your url is: https://brave-cat-12.loca.lt"], "https://brave-cat-12.loca.lt"),
        ("localtunnel", ["your url is: http://brave-cat-12.localhost:8099"], "http://brave-cat-12.localhost:8099"),
        ("tailscale", ["Available on the internet:", "", "https://studio.tail9f3a.ts.net/"], "https://studio.tail9f3a.ts.net"),
        ("tailscale", ["To enable, visit:", "https://login.tailscale.com/f/funnel?node=n"], None),
        ("gradio", ["https://0a1b2c3d4e.gradio.live"], "https://0a1b2c3d4e.gradio.live"),
        ("command", ["open http://127.0.0.1:7860 or https://x1.lhr.example/ now"], "https://x1.lhr.example"),
    ],
)
def test_the_address_in_documented_output(name: str, lines: list[str], address: str | None) -> None:
    found = [CLIENTS.get(name).address(line, Asked(port=7860)) for line in lines]
    assert next(filter(None, found), None) == address


def test_an_address_of_ones_own() -> None:
    own = Asked(port=7860, token="t", address="draw.example")
    cloudflared, command = CLIENTS.get("cloudflared"), CLIENTS.get("command")
    assert cloudflared.address("INF Registered tunnel connection connIndex=0", own) == "https://draw.example"
    assert cloudflared.address("INF Starting tunnel", own) is None
    at = Asked(port=7860, address="lhr.example")
    assert command.address("see https://docs.example and https://x1.lhr.example tunneled", at) == "https://x1.lhr.example"
    assert command.address("see https://notlhr.example", at) is None


def test_the_token_goes_by_the_environment_and_nothing_else_does() -> None:
    asked = Asked(port=7860, token="s3cret")
    assert environment_of(CLIENTS.get("ngrok"), asked, {"A": "1"}) == {"A": "1", "NGROK_AUTHTOKEN": "s3cret"}
    assert environment_of(CLIENTS.get("localtunnel"), Asked(port=7860), {"HOST": "studio", "A": "1"}) == {"A": "1"}
    assert "s3cret" not in repr(asked)


@pytest.mark.parametrize(
    ("line", "name", "wanted"),
    [
        ("--tunnel ngrok --tunnel-token T", "ngrok", {"token": "T"}),
        ("--ngrok T --ngrok-region eu", "ngrok", {"token": "T"}),
        ('--ngrok T --ngrok-options {"domain":"me.ngrok.app"}', "ngrok", {"token": "T", "address": "me.ngrok.app"}),
        ('--tunnel ngrok --ngrok-options {"authtoken":"T","authtoken_from_env":true}', "ngrok", {"token": "T"}),
        ("--share --port 7000", "gradio", {"port": 7000}),
        ("--tunnel-command lt{port} --tunnel-expires 90", "command", {"command": "lt{port}", "minutes": 90}),
        ("--tunnel URL-command --tunnel-command x{port}", "command", {"command": "x{port}"}),
        ("--tunnel localtunnel --tunnel-server http://lt.example/ --listen", "localtunnel", {"server": "http://lt.example"}),
        ("", None, {}),
    ],
)
def test_flags_a1111s_included(line: str, name: str | None, wanted: dict[str, Any]) -> None:
    flags = parse(line.split())
    assert flags.tunnel_name == name
    asked = asked_of(flags)
    assert {key: getattr(asked, key) for key in wanted} == wanted


def test_another_tunnel_gets_nothing_of_what_was_said_for_the_first() -> None:
    other = asked_of(Flags(tunnel="ngrok", tunnel_token="T", tunnel_address="me", tunnel_program="/x"), "localtunnel", 5)
    assert (other.token, other.address, other.program, other.minutes) == ("", "", "", 5)


@pytest.mark.parametrize("text", ["no json", "[1]", '{"circuit_breaker": 1}'])
def test_ngrok_options_that_cannot_be_followed(text: str) -> None:
    with pytest.raises(SetupFault, match="--ngrok-options"):
        asked_of(Flags(ngrok="T", ngrok_options=text))
