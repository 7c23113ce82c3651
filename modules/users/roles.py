"""Roles, and who sees what: the one place that decides both, for the API and for the page.

Which role a route needs stands in `modules/server/rules.py`. Start reading at `Viewer`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modules.faults import NotAllowed

GUEST, USER, ADMIN = ROLES = ("guest", "user", "admin")  # each may do what the ones before it may
LOCAL = "local"  # owner of jobs when nobody was asked for a name


@dataclass(frozen=True)
class Viewer:
    """Who asks. name: None when nobody was asked for one, which is everybody at this machine, as admin."""

    name: str | None = None
    role: str = ADMIN

    def may(self, least: str) -> bool:
        """This role is `least` or more."""
        return ROLES.index(self.role) >= ROLES.index(least)

    def sees(self, owner: str) -> bool:
        """Jobs and pictures of this owner may be shown to, and stopped by, whoever asks. Guests have their own and no others."""
        return self.may(USER) or owner == self.owner

    @property
    def owner(self) -> str:
        """Whose the jobs are that this person submits."""
        return self.name or LOCAL

    @property
    def only(self) -> str | None:
        """The one owner whose jobs a list may hold; None: all of them."""
        return None if self.may(USER) else self.owner


def viewer_of(request: Any) -> Viewer:
    """Who asks, from a request of Starlette's or of Gradio's that has passed the server's guard."""
    state = getattr(getattr(request, "request", None) or request, "state", None)
    return Viewer(getattr(state, "user", None), getattr(state, "role", ADMIN))


def require(request: Any, least: str, what: str) -> Viewer:
    """Who asks, when the role suffices. what: for the sentence, as "change settings". Raises NotAllowed."""
    viewer = viewer_of(request)
    require_role(viewer, least, what)
    return viewer


def require_role(viewer: Viewer, least: str, what: str) -> None:
    """Raises NotAllowed when the viewer's role does not suffice."""
    if not viewer.may(least):
        raise NotAllowed(f"Your role here is {viewer.role}; to {what} takes the role {least}. An administrator can change it.", needs=least)
