"""`Family`: the record that describes one kind of model. Facts and two functions, no state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.weights.model_folder import ModelFolder


@dataclass(frozen=True, kw_only=True)
class Match:
    """Whether a file is of a family, and why or why not. native_px: the side of its training pictures."""

    fits: bool
    why: str
    native_px: int = 512


@dataclass(frozen=True, kw_only=True)
class Family:
    """id: "sd"; title: for people; cell_px: pixels a latent cell covers; multiple_of_px: sizes are rounded down to it.

    detect(folder) -> Match reads descriptions only. load(path, dtype) -> a diffusers text-to-image pipeline, eval mode, on the CPU.
    """

    id: str
    title: str
    cell_px: int
    multiple_of_px: int
    detect: Callable[[ModelFolder], Match]
    load: Callable[[Path, str], Any]
