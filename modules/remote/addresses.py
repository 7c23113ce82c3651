"""This machine's own addresses, as other machines in the same network reach it.

Knows network cards; asks nobody. Start reading at `own_addresses`.
"""

from __future__ import annotations

import ipaddress
import socket

import psutil

# Cards of containers and virtual machines on this machine: nobody in the flat reaches them.
INNER = ("docker", "br-", "veth", "virbr", "vmnet", "vbox", "lxc", "cni", "flannel", "podman", "vethernet")
SHOWN = 4


def own_addresses(host: str) -> list[str]:
    """IP addresses (home networks first, four at most) where a server that listens on `host` can be met from other machines.

    host: an address or a name; 0.0.0.0 and :: stand for every card. Empty when only this machine reaches it.
    """
    name = host.strip("[]")
    try:
        given = ipaddress.ip_address(name)
    except ValueError:
        return [] if name.lower().rstrip(".") == "localhost" else [name]
    if given.is_loopback:
        return []
    return [name] if not given.is_unspecified else _of_cards()


def _of_cards() -> list[str]:
    up = {card for card, about in psutil.net_if_stats().items() if about.isup}
    found: list[ipaddress.IPv4Address] = []
    for card, rows in psutil.net_if_addrs().items():
        if card not in up or card.lower().startswith(INNER):
            continue
        found += [ipaddress.IPv4Address(row.address) for row in rows if row.family == socket.AF_INET]
    usable = [address for address in dict.fromkeys(found) if not (address.is_loopback or address.is_link_local)]
    return [str(address) for address in sorted(usable, key=_rank)][:SHOWN]


def _rank(address: ipaddress.IPv4Address) -> int:
    """Home networks, other private ones, the rest."""
    if str(address).startswith("192.168."):
        return 0
    return 1 if address.is_private else 2
