"""Step film: how a picture came to be, as an animated WebP beside it.

A native guest at `step`, `before_save` and `picture_saved`. The predicted ends of the steps become colours by the linear map that fits
the last one to the finished picture best, so that it needs no decoder and works for every family.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image

from modules.folders import write_atomic
from modules.hooks import Finished, Guest, Run, Step, Texts
from modules.knobs import Knob
from modules.request import Picture

SUFFIX = "-steps.webp"
END_MS = 1500


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """every: steps between two frames."""

    enabled: Annotated[bool, Knob("Enable")] = False
    every: Annotated[int, Knob("Every so many steps", 1, 100, ui=(1, 10), step=1)] = 1
    frame_ms: Annotated[int, Knob("Time of a frame", 20, 2000, step=20, help="Milliseconds.")] = 120
    longest_px: Annotated[int, Knob("Longer side", 64, 2048, step=64, help="Of the film, in pixels.")] = 512


class StepFilm(Guest):
    """Off by default. Pictures that are not saved have no film."""

    name = "step film"
    title = "Step film"
    knobs = Knobs

    def __init__(self) -> None:
        self._frames: list[torch.Tensor] = []
        self._ready: bytes | None = None

    def takes_part(self, args: tuple[Any, ...]) -> bool:
        return bool(args[0])

    def before_batch(self, run: Run, texts: Texts) -> None:
        self._frames, self._ready = [], None

    def step(self, run: Run, step: Step) -> None:
        _, every, _, _ = run.args[self.name]
        if step.number % every == 0 or step.number in (1, step.total):
            self._frames.append((step.latents if step.clean is None else step.clean).detach().float().cpu())

    def before_save(self, run: Run, finished: Finished) -> None:
        size = run.resolved.batch_size
        if not self._frames or any(len(frame) != size for frame in self._frames):
            run.warn("There is no film of the steps: the sampler makes the pictures of this batch one at a time.")
            return
        _, _, frame_ms, longest = run.args[self.name]
        rows = [frame[finished.index % size] for frame in self._frames]
        self._ready = film(rows, finished.image.convert("RGB"), frame_ms, longest)

    def picture_saved(self, run: Run, picture: Picture) -> None:
        ready, self._ready = self._ready, None
        if ready is not None and picture.saved:
            path = Path(picture.path)
            write_atomic(path.with_name(path.stem + SUFFIX), ready)


def film(latents: list[torch.Tensor], image: Image.Image, frame_ms: int, longest: int) -> bytes:
    """An animated WebP: each latent (C, h, w) in colours, then the picture itself."""
    last = latents[-1]
    small = np.asarray(image.resize((last.shape[2], last.shape[1]), Image.Resampling.BOX), np.float64).reshape(-1, 3)
    fit = np.linalg.lstsq(_rows(last), small, rcond=None)[0]
    scale = min(1.0, longest / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    frames = [Image.fromarray((_rows(one) @ fit).clip(0, 255).astype(np.uint8).reshape(one.shape[1], one.shape[2], 3)) for one in latents]
    frames = [frame.resize(size, Image.Resampling.BICUBIC) for frame in frames]
    into = io.BytesIO()
    times = [*[frame_ms] * len(frames), END_MS]
    frames[0].save(into, "WEBP", save_all=True, append_images=[*frames[1:], image.resize(size)], duration=times, loop=0, quality=80)
    return into.getvalue()


def _rows(latent: torch.Tensor) -> np.ndarray:
    """(C, h, w) -> (h * w, C + 1): values of each place, and 1."""
    flat = latent.flatten(1).T.numpy().astype(np.float64)
    return np.concatenate([flat, np.ones((len(flat), 1))], 1)
