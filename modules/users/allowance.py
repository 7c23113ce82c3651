"""How much may be asked for: what the settings grant guests, and how often anybody may submit.

Knows roles and resolved requests; the App asks it before a job is queued. Start reading at `Allowance`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modules.faults import RequestFault, TooMany
from modules.request import ResolvedRequest
from modules.settings import Settings
from modules.users.rates import Rate
from modules.users.roles import GUEST, Viewer, require_role
from modules.users.store import Users

_MEGA = 1_000_000
WAIT_S = 30


@dataclass(frozen=True)
class Allowance:
    """users: None, nobody is a guest. rate: of --rate-limit-generate."""

    users: Users | None = None
    rate: Rate | None = None

    def is_guest(self, owner: str) -> bool:
        return self.users is not None and self.users.role_of(owner) == GUEST

    def require(self, owner: str, least: str, what: str) -> None:
        """The owner's role suffices. what: for the sentence, as "enlarge pictures". Raises NotAllowed."""
        if self.users is not None:
            require_role(Viewer(owner, self.users.role_of(owner)), least, what)

    def take(self, owner: str) -> None:
        """Count one job of this owner. Raises TooMany."""
        wait_s = self.rate.take(owner) if self.rate else 0
        if wait_s:
            raise TooMany("You have submitted as many jobs as this server takes for now.", retry_after_s=wait_s)

    def check(self, owner: str, resolved: ResolvedRequest, settings: Settings, unfinished: Callable[[], int]) -> None:
        """What guests may ask for. unfinished: how many jobs of this owner wait or run. Raises RequestFault, TooMany."""
        if not self.is_guest(owner):
            return
        width, height = largest(resolved)
        for field, asked, most, what in (
            ("n_iter", resolved.batch_size * resolved.n_iter, settings.guest_max_pictures, "pictures in one job"),
            ("steps", resolved.steps, settings.guest_max_steps, "steps"),
            ("width", width * height / _MEGA, settings.guest_max_megapixels, "megapixels a picture"),
        ):
            if asked > most:
                raise RequestFault(field, f"guests of this server have at most {most:g} {what}", got=round(asked, 2))
        if folders := [name for name in resolved.overrides if name.startswith("outdir_")]:
            raise RequestFault("override_settings", "guests of this server cannot choose where pictures go", got=folders[0])
        if unfinished() >= settings.guest_max_jobs:
            raise TooMany(
                f"You have {settings.guest_max_jobs} jobs waiting, as many as guests of this server may have.", retry_after_s=WAIT_S
            )


def largest(resolved: ResolvedRequest) -> tuple[int, int]:
    """Width and height in pixels of the largest pictures that a request makes."""
    sizes = [(resolved.width, resolved.height)]
    if resolved.hires is not None:
        sizes += [resolved.hires.to_px, (resolved.hires.width, resolved.hires.height)]
    return max(sizes, key=lambda size: size[0] * size[1])
