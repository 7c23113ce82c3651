"""How a tunnel stands, as plain data for the terminal, the API and the page. Knows nothing about how it came so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

OFF, STARTING, OPEN, WAITING, FAILED, EXPIRED = "off", "starting", "open", "waiting", "failed", "expired"
ENDED = frozenset({OFF, FAILED, EXPIRED})


@dataclass(frozen=True, kw_only=True)
class State:
    """state: OFF, STARTING, OPEN, WAITING (it died and is started again), FAILED (it will not be), EXPIRED.

    name: of the tunnel, "" before the first; address: public, "" unless OPEN; restarts: since it was asked for; since_s, expires_s:
    seconds since 1970, None for not; message: what went wrong, for a person; lines: what the program said at last, without secrets.
    """

    state: str = OFF
    name: str = ""
    address: str = ""
    restarts: int = 0
    since_s: float | None = None
    expires_s: float | None = None
    message: str = ""
    lines: tuple[str, ...] = ()

    @property
    def on(self) -> bool:
        """There is a tunnel, or there will be one again."""
        return self.state not in ENDED

    def to_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "lines": list(self.lines)}
