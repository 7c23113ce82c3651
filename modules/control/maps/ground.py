"""What preprocessors work with in a worker: folders, device, the detectors that are loaded and the maps that were made last.

Belongs to whoever owns the device. Start reading at `Ground.take`.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from modules.folders import Folders

KEPT_DETECTORS = 2
KEPT_MAPS = 16
T = TypeVar("T")


@dataclass(kw_only=True)
class Made:
    """A map. image: RGB; pose: the people found, as OpenPose writes them; seconds: it took; cached: it was there already."""

    image: Image.Image
    pose: dict[str, Any] | None = None
    seconds: float = 0.0
    cached: bool = False


@dataclass(kw_only=True)
class Ground:
    """device: torch's name. kept_maps: how many maps are remembered, 0 for none."""

    folders: Folders
    device: str = "cpu"
    kept_maps: int = KEPT_MAPS
    _detectors: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict[Hashable, Any])
    _maps: OrderedDict[Hashable, Made] = field(default_factory=OrderedDict[Hashable, Made])

    def take(self, name: str, files: tuple[Path, ...], load: Callable[[], T]) -> T:
        """A detector, loaded only if it is not there; a file that changed is loaded again. Raises what `load` raises."""
        key = (name, tuple((path, _stamp(path)) for path in files), self.device)
        if key not in self._detectors:
            while len(self._detectors) >= KEPT_DETECTORS:
                self._detectors.popitem(last=False)
            self._detectors[key] = load()
        self._detectors.move_to_end(key)
        return self._detectors[key]

    def known(self, key: Hashable) -> Made | None:
        """A map that was made of the same."""
        made = self._maps.get(key)
        if made is not None:
            self._maps.move_to_end(key)
        return made

    def keep(self, key: Hashable, made: Made) -> None:
        """Remember a map; the oldest goes."""
        self._maps[key] = made
        while len(self._maps) > self.kept_maps:
            self._maps.popitem(last=False)

    def release(self) -> bool:
        """Let go of the detectors; their memory goes back to torch. False when there were none."""
        held = bool(self._detectors)
        self._detectors.clear()
        gc.collect()
        return held


def _stamp(path: Path) -> int:
    file = next(iter(sorted(path.glob("*.safetensors"))), path) if path.is_dir() else path
    return file.stat().st_mtime_ns
