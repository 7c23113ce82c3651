"""The ways to this server from other machines: its addresses in the network, and the tunnel. Says them in the terminal.

Knows the room `remote` and whom `Access` lets in; routes are in `remote`, processes in the room. Start reading at `tunnel_of`.
"""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from modules.faults import Fault, NotAllowed
from modules.flags import Flags
from modules.remote import Tunnel, asked_of, in_words, own_addresses
from modules.server.access import Access


def tunnel_of(access: Access) -> Tunnel:
    """The server's tunnel, closed. Its address is a name of this server as long as it is open, and no longer."""
    added: set[str] = set()

    def opened(address: str) -> None:
        require_names(access)
        host = urlsplit(address).hostname or ""
        if host not in access.hosts:
            access.allow_host(host)
            added.add(host)
        draw(address)

    def closed(address: str) -> None:
        host = urlsplit(address).hostname or ""
        if host in added:
            added.discard(host)
            access.forget_host(host)

    return Tunnel(opened=opened, closed=closed, say=say)


def require_names(access: Access) -> None:
    """Raises NotAllowed while anything here is open to people without a name: a tunnel would show it to strangers."""
    if not access.protects_everything:
        raise NotAllowed(
            "A tunnel lets in whoever knows its address, and this server asks nobody for a name. Add a user first, which counts at once: "
            "python launch.py users add NAME",
            needs="a name",
        )


def open_tunnel(tunnel: Tunnel, flags: Flags) -> None:
    """The tunnel of the command line; without it the program goes on."""
    if flags.tunnel_name is None:
        return
    try:
        tunnel.start(flags.tunnel_name, asked_of(flags))
    except Fault as fault:
        say(f"{fault.message} The page goes on at its local address.")


def tell(url: str, bound: str, flags: Flags) -> None:
    """Say the addresses for other machines in the network, the first as a QR code too, where people look at a terminal."""
    if ways := ways_in(url, bound, flags):
        say(f"In your network: {'  '.join(ways)}")
        draw(ways[0])


def ways_in(url: str, bound: str, flags: Flags) -> list[str]:
    """Addresses of the page for other machines. url: for this machine; bound: the IP address that the server listens on."""
    scheme, below = urlsplit(url).scheme, (flags.subpath or "").strip("/")
    names = [f"[{name}]" if ":" in name else name for name in own_addresses(bound)]
    return [f"{scheme}://{name}:{urlsplit(url).port}/{below}".rstrip("/") for name in names]


def draw(address: str) -> None:
    """The address as a QR code, where the output is a terminal that can show one."""
    if sys.stdout.isatty() and "utf" in (sys.stdout.encoding or "").lower():
        say(in_words(address))


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
