"""The upscalers of a worker: the list as it is on the disk now, with the tiles of the settings, over the one shelf of loaded networks.

Start reading at `upscaling_for`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.folders import Folders
from modules.upscale.enlarge import Upscaling
from modules.upscale.network import Tiles, Watch
from modules.upscale.shelf import Shelf
from modules.upscale.table import upscaler_files, upscalers


def upscaling_for(folders: Folders, shelf: Shelf, settings: Mapping[str, Any], watch: Watch | None = None) -> Upscaling:
    """What `modules.upscale.enlarge` needs for one run. settings: of the run; watch: who sees progress and may stop it."""
    return Upscaling(
        rows=upscalers(upscaler_files(folders)[0]),
        shelf=shelf,
        tiles=Tiles(size_px=settings["ESRGAN_tile"], overlap_px=settings["ESRGAN_tile_overlap"]),
        watch=watch or Watch(),
    )
