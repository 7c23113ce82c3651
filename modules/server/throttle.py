"""Wrong passwords: who must wait before the next try, and for how long.

Counted for each address, and for each name from an address. A name that is guessed at from many addresses leaves a new address
one try instead of several, never none: nobody can lock out the right user, who needs one. Knows names, addresses and the clock.
Start reading at `Throttle.wait_s`.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

FREE_FOR_A_NAME, FREE_FOR_AN_ADDRESS, NAME_UNDER_ATTACK = 5, 20, 50
LONGEST_WAIT_S, FORGOTTEN_AFTER_S = 300.0, 3600.0
KEPT = 10_000  # rows; the oldest go first
IPV6_SITE_BITS = 64


@dataclass
class _Count:
    wrong: int = 0
    last_s: float = 0.0


class Throttle:
    """Counts of wrong passwords. For the event loop of one server; no locks. clock: seconds, may start anywhere."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: OrderedDict[Hashable, _Count] = OrderedDict()

    def wait_s(self, address: str, name: str) -> float:
        """Seconds until this address may try a password of this name; 0: now."""
        site = site_of(address)
        free = FREE_FOR_A_NAME if self._of((name,)).wrong < NAME_UNDER_ATTACK else 1
        return max(self._left(self._of((site, name)), free), self._left(self._of(site), FREE_FOR_AN_ADDRESS))

    def begin(self, address: str, name: str) -> None:
        """A try begins, and counts as wrong until it proves right: many at once are no way around."""
        for key in _keys(address, name):
            count = self._of(key)
            count.wrong, count.last_s = count.wrong + 1, self._clock()
            self._counts[key] = count
            self._counts.move_to_end(key)
        while len(self._counts) > KEPT:
            self._counts.popitem(last=False)

    def right(self, address: str, name: str) -> None:
        """The try was right. What the address did to other names stays."""
        own, *others = _keys(address, name)
        self._counts.pop(own, None)
        for key in others:
            if key in self._counts:
                self._counts[key].wrong -= 1

    def _of(self, key: Hashable) -> _Count:
        count = self._counts.get(key)
        return count if count is not None and self._clock() - count.last_s < FORGOTTEN_AFTER_S else _Count()

    def _left(self, count: _Count, free: int) -> float:
        """1 s after the free tries, twice as long after each further one."""
        if count.wrong < free:
            return 0.0
        wait_s = min(LONGEST_WAIT_S, 2.0 ** min(count.wrong - free, 20))
        return max(0.0, count.last_s + wait_s - self._clock())


def site_of(address: str) -> str:
    """The part of an address that one household has: of IPv6 the first half, as its second half is free to choose."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, IPV6_SITE_BITS), strict=False))


def _keys(address: str, name: str) -> list[Hashable]:
    site = site_of(address)
    return [(site, name), site, (name,)]
