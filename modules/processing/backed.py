"""A pipeline call with the backend that the settings name, as far as it can stand in, and what is told about that.

Knows settings and loaded models; `modules.backends` knows the rest. Start reading at `backed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from modules.backends.backing import GIB, Wish
from modules.backends.table import EAGER
from modules.processing.slot import LoadedModel
from modules.request import ResolvedRequest

KEY = "Backend"  # in the parameters text, where a backend had a part in the picture


@contextmanager
def backed(model: LoadedModel, network: Any, settings: Mapping[str, Any], notes: list[str], infotext: dict[str, object]) -> Iterator[None]:
    """Inside, the network's calls are answered by the backend of the settings. To be entered before all other hooks on the network.

    notes, infotext: take, when the call is over, why eager answered, and the backend's name where it did.
    """
    wish = _wish(settings)
    if model.backing is None or wish.name == EAGER:
        yield
        return
    with model.backing.standing_in(network, wish) as use:
        try:
            yield
        finally:
            if use is not None:
                notes += use.notes
                infotext |= {KEY: use.name} if use.answered else {}


def untold(resolved: ResolvedRequest) -> dict[str, object]:
    """The parameters text of a batch before any backend had a part in it: the setting alone tells nothing about the picture."""
    return {} if _wish(resolved.settings).name == EAGER else {KEY: None}


def _wish(settings: Mapping[str, Any]) -> Wish:
    return Wish(
        name=str(settings.get("backend", EAGER)),
        background=bool(settings.get("backend_in_background", True)),
        most_bytes=float(settings.get("backend_cache_gb", 20)) * GIB,
    )
