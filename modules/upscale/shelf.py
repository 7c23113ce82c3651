"""The networks that are in memory. Belongs to whoever owns the device: the worker makes one and gives it to `enlarge.Upscaling`."""

from __future__ import annotations

import gc
from pathlib import Path

from modules.upscale.network import Network, load

KEPT = 2  # two upscalers can be blended


class Shelf:
    """Loaded networks by file, the ones used last. A file that changed is loaded again.

    device: torch's name ("cuda:0"); dtype: "float32", "float16" or "bfloat16", where a network can.
    """

    def __init__(self, *, device: str = "cpu", dtype: str = "float32") -> None:
        self.device = device
        self.dtype = dtype
        self._loaded: dict[Path, tuple[int, Network]] = {}

    def get(self, path: Path) -> Network:
        """The network of a file, from memory if it is there. Raises ModelFault."""
        stamp = path.stat().st_mtime_ns if path.is_file() else 0
        known = self._loaded.pop(path, None)
        if known is None or known[0] != stamp:
            while len(self._loaded) >= KEPT:
                self._loaded.pop(next(iter(self._loaded)))
            known = (stamp, load(path, device=self.device, dtype=self.dtype))
        self._loaded[path] = known
        return known[1]

    def release(self) -> None:
        """Forget all of them; their memory goes back to torch, and to the device with torch's own empty_cache."""
        self._loaded.clear()
        gc.collect()

    def __len__(self) -> int:
        return len(self._loaded)
