"""What is asked of a tunnel: from the command line, A1111's names for it included. Secrets stay out of every `repr`.

Knows flags; knows nothing about programs and processes. Start reading at `asked_of`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from modules.faults import SetupFault
from modules.flags import Flags

LOOPBACK = "127.0.0.1"
OWN_COMMAND = "command"
NGROK = "ngrok"
EVERYWHERE = frozenset({"", "0.0.0.0", "::", "localhost", "::1", LOOPBACK})  # where 127.0.0.1 or localhost leads to the server
NGROK_OPTIONS = frozenset({"authtoken", "authtoken_from_env", "domain", "url"})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """port, host: where this server answers on this machine; tls: it speaks https there. address: a name of one's own, "" for any.

    server: of the tunnel's other end, "" for the program's own choice; program: the file to run, "" to look for it; command: the
    person's own command line; token: of an account with the tunnel's makers; subpath: under which the page is served, "" for none.
    minutes: after which the tunnel is closed, 0 for never.
    """

    port: int
    host: str = LOOPBACK
    tls: bool = False
    address: str = ""
    server: str = ""
    program: str = ""
    subpath: str = ""
    command: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    minutes: float = 0

    @property
    def url(self) -> str:
        """This server as a program on this machine reaches it."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{name}:{self.port}"


def asked_of(flags: Flags, name: str | None = None, minutes: float | None = None) -> Asked:
    """What the command line says of a tunnel. name: another one than it opens at the start, which gets none of what was said for that.

    Raises SetupFault for --ngrok-options that cannot be read.
    """
    asked = Asked(
        port=flags.port,
        host=LOOPBACK if flags.host in EVERYWHERE else flags.host,
        tls=bool(flags.tls_certfile),
        subpath=(flags.subpath or "").strip("/"),
        command=flags.tunnel_command or "",
        minutes=(flags.tunnel_expires or 0) if minutes is None else minutes,
    )
    name = name or flags.tunnel_name
    if name == NGROK:
        asked = _of_ngrok(asked, flags)
    if name != flags.tunnel_name:
        return asked
    return replace(
        asked,
        address=flags.tunnel_address or asked.address,
        server=(flags.tunnel_server or "").rstrip("/"),
        program=flags.tunnel_program or "",
        token=flags.tunnel_token or asked.token,
    )


def _of_ngrok(asked: Asked, flags: Flags) -> Asked:
    """--ngrok TOKEN and --ngrok-options, as A1111 takes them."""
    options = _options(flags.ngrok_options)
    address = options.get("url") or options.get("domain") or ""
    return replace(asked, token=flags.ngrok or options.get("authtoken") or "", address=str(address))


def _options(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SetupFault("""--ngrok-options takes JSON, as {"domain": "my-name.ngrok.app"}.""")
    if strange := sorted(set(found) - NGROK_OPTIONS):
        raise SetupFault(
            f"--ngrok-options: {strange[0]} is not known here; what is: {', '.join(sorted(NGROK_OPTIONS))}. "
            "Other options of ngrok go into its own configuration file, or into --tunnel-command."
        )
    return found
