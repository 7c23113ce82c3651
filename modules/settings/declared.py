"""`Settings`: all groups together, and the check of values that come from outside."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from modules.faults import RequestFault, UnknownName
from modules.knobs import coerce, knobs_of
from modules.settings.computing import Computing
from modules.settings.controlling import Controlling
from modules.settings.elsewhere import Elsewhere
from modules.settings.extending import Extending
from modules.settings.guests import Guests
from modules.settings.interrogating import Interrogating
from modules.settings.models import Models
from modules.settings.painting import Painting
from modules.settings.queueing import Queueing
from modules.settings.sampling import SamplerSettings
from modules.settings.saving import Saving
from modules.settings.showing import Showing


@dataclass(frozen=True, kw_only=True)
class Settings(
    Extending, Showing, Painting, SamplerSettings, Saving, Models, Guests, Interrogating, Controlling, Elsewhere, Computing, Queueing
):
    """Every setting with its default. A run sees a frozen copy with its own overrides laid over."""

    def overlay(self, values: dict[str, Any]) -> Settings:
        """A copy with these values. Raises UnknownName or RequestFault naming the setting."""
        return dataclasses.replace(self, **check(values, self))

    def to_data(self) -> dict[str, Any]:
        """Every setting by name. Values are plain, so a shallow copy of lists does; every cell of a grid asks for one."""
        return {name: list(value) if isinstance(value, list) else value for name, value in vars(self).items()}


HERE_ONLY = ("extra_models_dirs", "extra_picture_dirs")  # lead to any folder of this machine


def check(values: dict[str, Any], current: Settings, *, anywhere: bool = False) -> dict[str, Any]:
    """The values in their settings' types. Raises UnknownName or RequestFault naming the setting.

    A folder for pictures may only be changed to one inside the data folder, since requests come from other machines too; a
    folder elsewhere is written into config.json by hand. anywhere: it may, as whoever asks is at this machine.
    """
    knobs = knobs_of(Settings)
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in knobs:
            raise UnknownName("setting", key, knobs)
        checked[key] = coerce(knobs[key], value)
        if anywhere or checked[key] == getattr(current, key):
            continue
        if key in HERE_ONLY:
            raise RequestFault(key, "can be changed only at the machine that the program runs on, as it leads to any folder there")
        if key.startswith("outdir_") and not _stays_inside(checked[key]):
            raise RequestFault(key, "must be a folder inside the data folder; to use another one, write it into config.json", got=value)
    return checked


def _stays_inside(folder: str) -> bool:
    path = PurePath(folder)
    return not (path.is_absolute() or path.drive or ".." in path.parts or folder.startswith(("/", "\\", "~")))
