"""The tunnels that are known: which program each is, its documented command line, how its address stands in what it says.

One row a tunnel; knows nothing about running them. Start reading at `Client`, then `CLIENTS`.

Sources: ngrok.com/docs/agent/cli, developers.cloudflare.com (quick tunnels, tunnel run parameters), the bin/lt.js of localtunnel 2.0.2,
tailscale.com/docs/reference/tailscale-cli (funnel, serve), gradio.tunneling.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from modules.registry import Registry
from modules.remote.asked import NGROK, OWN_COMMAND, Asked

ADDRESS, SERVER, TOKEN, TLS, HOST = "--tunnel-address", "--tunnel-server", "--tunnel-token", "--tls-certfile", "--server-name"
_URL = re.compile(r"https?://[^\s\"'<>|\\^`{}]+")
_QUICK = re.compile(r"https://(?!api\.)[a-z0-9-]+\.trycloudflare\.com")
_NET = re.compile(r"https?://[\w.-]+\.ts\.net(?::\d+)?")
_GRADIO = re.compile(r"https://[\w.-]+\.gradio\.live")
_YOURS = re.compile(r"your url is: (https?://\S+)")


@dataclass(frozen=True, kw_only=True)
class Client:
    """words: what it is, for people. programs: names to look for on PATH; through: words by which another program runs it, when none is
    there. arguments: what follows. address: the public address that a line of its output gives, else None.

    said: what a line tells a person, "" for nothing. hopeless: a piece of its output after which trying again does not help -> what
    does. takes: which flags mean something to it. token_name: the environment's name for the token. drops: names in the environment
    that it would take for orders. public: the whole internet reaches it. install: how one gets the program.
    """

    words: str
    programs: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    arguments: Callable[[Asked], list[str]]
    address: Callable[[str, Asked], str | None]
    said: Callable[[str], str] = str.strip
    hopeless: tuple[tuple[str, str], ...] = ()
    takes: frozenset[str] = frozenset()
    lacks: Callable[[Asked], str] = lambda asked: ""
    token_name: str = ""
    drops: tuple[str, ...] = ()
    public: bool = True
    install: str = ""


def _found(pattern: re.Pattern[str]) -> Callable[[str, Asked], str | None]:
    def search(line: str, asked: Asked) -> str | None:
        match = pattern.search(line)
        return match[match.lastindex or 0].rstrip("/.,") if match else None

    return search


# ---- ngrok ------------------------------------------------------------------------------------------------------------


def _ngrok(asked: Asked) -> list[str]:
    plain = asked.host == "127.0.0.1" and not asked.tls
    own = ["--url", asked.address if "://" in asked.address else f"https://{asked.address}"] if asked.address else []
    return ["http", str(asked.port) if plain else asked.url, "--log", "stdout", "--log-format", "json", *own]


def _record(line: str) -> dict[str, Any]:
    """A line of ngrok's log."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _ngrok_address(line: str, asked: Asked) -> str | None:
    record = _record(line)
    url = record.get("url")
    return url.rstrip("/") if record.get("msg") == "started tunnel" and isinstance(url, str) else None


def _ngrok_said(line: str) -> str:
    record = _record(line)
    if not record:
        return line.strip()
    return str(record.get("err") or record.get("msg") or "") if str(record.get("lvl", ""))[:4] in ("eror", "erro", "crit") else ""


# ---- cloudflared ------------------------------------------------------------------------------------------------------


def _cloudflared(asked: Asked) -> list[str]:
    """Without a token a quick tunnel, with one the tunnel of an account, whose way leads where its page at Cloudflare says."""
    if asked.token or asked.address:
        return ["tunnel", "--no-autoupdate", "run"]
    return ["tunnel", "--no-autoupdate", "--url", asked.url, *(["--no-tls-verify"] if asked.tls else [])]


def _cloudflared_address(line: str, asked: Asked) -> str | None:
    if asked.address:
        return _as_address(asked.address) if "Registered tunnel connection" in line else None
    match = _QUICK.search(line)
    return match[0] if match else None


def _cloudflared_lacks(asked: Asked) -> str:
    return "" if asked.address or not asked.token else "A tunnel of your own does not say its address: add --tunnel-address https://NAME."


def _as_address(text: str) -> str:
    return (text if "://" in text else f"https://{text}").rstrip("/")


# ---- the others -------------------------------------------------------------------------------------------------------


def _localtunnel(asked: Asked) -> list[str]:
    words = ["--port", str(asked.port)]
    if asked.server:
        words += ["--host", asked.server]
    if asked.address:
        words += ["--subdomain", (urlsplit(asked.address).hostname or asked.address).partition(".")[0]]
    return [*words, *(["--local-https", "--allow-invalid-cert"] if asked.tls else [])]


def _tailscale(what: str) -> Callable[[Asked], list[str]]:
    return lambda asked: [what, f"https+insecure://127.0.0.1:{asked.port}" if asked.tls else str(asked.port)]


def _command_address(line: str, asked: Asked) -> str | None:
    """The first https address of another machine; with --tunnel-address the first whose host ends with it."""
    ending = (urlsplit(_as_address(asked.address)).hostname or "") if asked.address else ""
    for match in _URL.finditer(line):
        host = urlsplit(match[0]).hostname or ""
        ours = host == ending or host.endswith(f".{ending}") if ending else host not in ("localhost", "127.0.0.1", "::1")
        if match[0].startswith("https://") and ours:
            return match[0].rstrip("/.,)")
    return None


def _command_lacks(asked: Asked) -> str:
    why = '--tunnel-command needs a command line with {port} in it, as "ssh -R 80:localhost:{port} HOST".'
    return "" if "{port}" in asked.command else why


CLIENTS: Registry[Client] = Registry("tunnel")
CLIENTS.add(
    NGROK,
    Client(
        words="ngrok",
        programs=("ngrok",),
        arguments=_ngrok,
        address=_ngrok_address,
        said=_ngrok_said,
        hopeless=(
            ("ERR_NGROK_4018", "ngrok asks for an account: set NGROK_AUTHTOKEN to the token of your page at dashboard.ngrok.com."),
            ("ERR_NGROK_105", "ngrok does not know this token. Copy it again from dashboard.ngrok.com."),
            ("ERR_NGROK_107", "ngrok does not take this token any more. Copy it again from dashboard.ngrok.com."),
        ),
        takes=frozenset({ADDRESS, TOKEN, TLS, HOST}),
        token_name="NGROK_AUTHTOKEN",
        install="Get ngrok at https://ngrok.com/download, make an account there and set NGROK_AUTHTOKEN to its token.",
    ),
)
CLIENTS.add(
    "cloudflared",
    Client(
        words="Cloudflare Tunnel",
        programs=("cloudflared",),
        arguments=_cloudflared,
        address=_cloudflared_address,
        takes=frozenset({ADDRESS, TOKEN, TLS, HOST}),
        lacks=_cloudflared_lacks,
        token_name="TUNNEL_TOKEN",
        install="Get cloudflared at https://github.com/cloudflare/cloudflared/releases, or with brew or winget; it needs no account.",
    ),
)
CLIENTS.add(
    "localtunnel",
    Client(
        words="localtunnel",
        programs=("lt",),
        through=("npx", "--no-install", "localtunnel"),
        arguments=_localtunnel,
        address=_found(_YOURS),
        hopeless=(("npx canceled", "localtunnel is not installed. Install it with: npm install -g localtunnel (it needs Node.js)."),),
        takes=frozenset({ADDRESS, SERVER, TLS}),
        # It takes every name in the environment that is also one of its options.
        drops=("PORT", "HOST", "SUBDOMAIN", "LOCAL_HOST", "LOCAL_HTTPS", "LOCAL_CERT", "LOCAL_KEY", "LOCAL_CA", "OPEN", "PRINT_REQUESTS"),
        install="Install Node.js and then localtunnel, with: npm install -g localtunnel",
    ),
)
for _name, _what, _words in (("tailscale", "funnel", "Tailscale Funnel"), ("tailscale-serve", "serve", "Tailscale, your own devices only")):
    CLIENTS.add(
        _name,
        Client(
            words=_words,
            programs=("tailscale", "/Applications/Tailscale.app/Contents/MacOS/Tailscale"),
            arguments=_tailscale(_what),
            address=_found(_NET),
            takes=frozenset({TLS}),
            public=_what == "funnel",
            install="Get Tailscale at https://tailscale.com/download and sign in with: tailscale up",
        ),
    )
CLIENTS.add(
    "gradio",
    Client(
        words="Gradio's share server",
        programs=("python",),
        arguments=lambda asked: ["-m", "modules.web.share", str(asked.port)],
        address=_found(_GRADIO),
        install="It is fetched by Gradio itself when it is used for the first time.",
    ),
)
CLIENTS.add(
    OWN_COMMAND,
    Client(
        words="a command of your own",
        arguments=lambda asked: [],
        address=_command_address,
        takes=frozenset({ADDRESS, TLS, HOST}),
        lacks=_command_lacks,
        install="Check the first word of --tunnel-command.",
    ),
    aliases=("URL-command",),
)
CLIENTS.freeze()
