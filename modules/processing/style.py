"""The look of another picture in one run: what of it is prepared before the call, and what is set on the network during it.

The means lie in `modules.control`. Start reading at `prepared`, then `Style.wearing`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from modules.control.ip_adapter import worn
from modules.control.look import Look, can_look, looking_at
from modules.control.statistics import with_statistics_of
from modules.pixels.resizing import ResizeMode, resize
from modules.processing.latent import as_pixels, to_latent
from modules.request import ResolvedRequest, Styling
from modules.samplers.build import is_flow
from modules.samplers.levels import NoiseLevels
from modules.samplers.noise import PictureNoise

_TIMES = 1000


@dataclass(frozen=True, kw_only=True)
class Style:
    """asked: with a style picture. picture: RGB. adapter, encoder: files of an IP-Adapter, None without one. architecture: of the model.

    every_row: as in `Look`.
    """

    asked: Styling
    picture: Image.Image
    architecture: str
    adapter: Path | None = None
    encoder: Path | None = None
    every_row: bool = False

    def coloured(self, content: torch.Tensor, pipeline: Any) -> torch.Tensor:
        """The latent that a run begins with (B, C, h, w), in the colours and contrast of the style picture."""
        if self.asked.style_statistics == 0:
            return content
        return with_statistics_of(content, self._latent(pipeline, content.shape[-2:]), self.asked.style_statistics)

    @contextmanager
    def wearing(
        self, pipeline: Any, network: Any, scheduler_config: dict[str, Any], cells: tuple[int, int], seed: int
    ) -> Iterator[dict[str, Any]]:
        """Inside, runs of the pipeline see the style picture. Yields arguments that its call needs. cells: (h, w) of the run's latent."""
        if self.adapter is not None and self.encoder is not None:
            asked = self.asked
            kept: dict[str, Any] = {"style": asked.style_strength, "composition": asked.composition_strength}
            with worn(pipeline, self.adapter, self.encoder, architecture=self.architecture, **kept):
                yield {"ip_adapter_image": self.picture}
            return
        with looking_at(network, self._look(pipeline, network, scheduler_config, cells, seed)):
            yield {}

    def _look(self, pipeline: Any, network: Any, scheduler_config: dict[str, Any], cells: tuple[int, int], seed: int) -> Look | None:
        if self.asked.style_strength == 0 or not can_look(network):
            return None
        latent = self._latent(pipeline, cells)
        noise = PictureNoise([seed]).first((latent.shape[1], *cells))
        return Look(
            latent=latent, noise=noise, strength=self.asked.style_strength, noised=noising(scheduler_config), every_row=self.every_row
        )

    def _latent(self, pipeline: Any, cells: Any) -> torch.Tensor:
        """(1, C, h, w) of the style picture, cropped to the run's shape."""
        factor = pipeline.vae_scale_factor
        picture = resize(self.picture, (cells[1] * factor, cells[0] * factor), ResizeMode.CROP)
        return to_latent(pipeline.vae, as_pixels(picture, pipeline))


def prepared(resolved: ResolvedRequest, open_picture: Any, architecture: str) -> Style | None:
    """The style of a request. open_picture(reference) -> PIL picture."""
    if resolved.styling is None:
        return None
    files = {name: Path(file.path) for name, file in resolved.style_files.items()}
    picture = open_picture(resolved.styling.style_image).convert("RGB")
    return Style(asked=resolved.styling, picture=picture, architecture=architecture, every_row=resolved.steering.pag_scale > 0, **files)


def noising(config: dict[str, Any]) -> Any:
    """How a latent looks to the network at a timestep, of the model that this scheduler config belongs to."""
    if is_flow(config):
        return lambda latent, noise, time: latent + (noise - latent) * (time / _TIMES)
    levels = NoiseLevels.of_model(config)

    def noised(latent: torch.Tensor, noise: torch.Tensor, time: float) -> torch.Tensor:
        sigma = levels.sigma(time)
        return (latent + sigma * noise) / math.sqrt(1 + sigma**2)

    return noised
