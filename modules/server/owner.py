"""Whose a job is that came over the API: the name that was asked for, else the door itself. Start reading at `owner_of`."""

from __future__ import annotations

from fastapi import Request

from modules.users import viewer_of

API = "api"  # owner of a program's jobs when nobody was asked for a name; the page's are LOCAL's


def owner_of(request: Request) -> str:
    """The owner of what this request submits."""
    return viewer_of(request).name or API
