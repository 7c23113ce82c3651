"""Switching extensions on and off: one setting, A1111's `disabled_extensions`. Start reading at `switch`."""

from __future__ import annotations

from collections.abc import Sequence

from modules.faults import UnknownName
from modules.plugins.places import Extension
from modules.settings import SettingsStore


def named(extensions: Sequence[Extension], name: str) -> Extension:
    """The extension of that name, or of the folder of that name; any case. Raises UnknownName."""
    wanted = name.strip().lower()
    for one in extensions:
        if wanted == one.folder.name.lower():
            return one
    for one in extensions:
        if wanted == one.name:
            return one
    raise UnknownName("name", name[:200], [one.folder.name for one in extensions])


def switch(settings: SettingsStore, folder: str, *, on: bool) -> None:
    """From the next job on; the page when it is built anew. folder: the name of its folder."""
    others = [name for name in settings.current.disabled_extensions if name != folder]
    settings.set({"disabled_extensions": others if on else [*others, folder]})
