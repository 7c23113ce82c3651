"""What a batch may ask of the worker, beside the model that it begins with. Made by the runner for one job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from modules.control.loading import Nets
from modules.control.maps.ground import Ground
from modules.folders import Folders
from modules.processing.slot import LoadedModel
from modules.request import Checkpoint, Network, ResolvedRequest, SideFile
from modules.upscale.enlarge import Upscaling


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A model as a pass needs it; vae, parts, networks as in `ResolvedRequest`. meanwhile: another one is in the middle of its run."""

    checkpoint: Checkpoint
    vae: SideFile | None = None
    parts: Mapping[str, SideFile] = field(default_factory=dict[str, SideFile])
    networks: tuple[Network, ...] = ()
    meanwhile: bool = False

    @classmethod
    def first(cls, resolved: ResolvedRequest) -> Wanted:
        """That of the first pass."""
        return cls(checkpoint=resolved.checkpoint, vae=resolved.vae, parts=resolved.parts, networks=resolved.networks)

    @property
    def paths(self) -> dict[str, Path]:
        """component -> file, for what does not come from the checkpoint itself."""
        parts = {part: Path(file.path) for part, file in self.parts.items()}
        return parts | ({"vae": Path(self.vae.path)} if self.vae else {})


@dataclass(frozen=True, kw_only=True)
class Tools:
    """take: that model on the device with exactly these LoRAs; another one leaves it. upscaling: the upscalers of the worker.

    open: the picture of an input reference. keep(image, number in the batch, suffix): save a picture that is not a result.
    nets: the control networks in memory; ground: what preprocessors work with.
    """

    take: Callable[[Wanted], LoadedModel]
    upscaling: Callable[[], Upscaling]
    open: Callable[[str], Image.Image]
    keep: Callable[[Image.Image, int, str], None]
    nets: Nets = field(default_factory=Nets)
    ground: Ground = field(default_factory=lambda: Ground(folders=Folders.at()))
