"""The list of upscalers: A1111's three built-in ones and a row for every network file; and the latent modes of the hires pass.

Opens no file. Start reading at `upscalers`, which takes what `upscaler_files` (or the library) found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from modules.folders import Folders
from modules.registry import Registry

PLACES = ("ESRGAN", "RealESRGAN", "SwinIR", "DAT", "ScuNET", "BSRGAN")  # folders in models/, A1111's names
DEFAULT_SCALE = 4
NONE = "None"
_WEIGHTS = (".safetensors", ".sft")
_PICKLES = (".pth", ".pt", ".ckpt", ".bin")
_SCALE_IN_NAME = re.compile(r"(?<![a-z0-9])([1-8])x(?![a-z0-9])|(?<![0-9])x([1-8])(?![0-9])", re.IGNORECASE)
# File names under which well-known networks are published -> A1111's names for them, so that old parameters are understood.
A1111_NAMES = {
    "RealESRGAN_x4plus": "R-ESRGAN 4x+",
    "RealESRGAN_x4plus_anime_6B": "R-ESRGAN 4x+ Anime6B",
    "RealESRGAN_x2plus": "R-ESRGAN 2x+",
    "realesr-animevideov3": "R-ESRGAN AnimeVideo",
    "realesr-general-x4v3": "R-ESRGAN General 4xV3",
    "realesr-general-wdn-x4v3": "R-ESRGAN General WDN 4xV3",
    "ESRGAN": "ESRGAN_4x",
}


@dataclass(frozen=True, kw_only=True)
class Upscaler:
    """One row. Either a filter of Pillow's (resample), a network (path), or neither: the picture as it is.

    scale: what the list shows; a network's true one stands in its weights and is used when it runs.
    """

    name: str
    resample: Image.Resampling | None = None
    path: Path | None = None
    scale: int = DEFAULT_SCALE


@dataclass(frozen=True)
class LatentMode:
    """How a latent is enlarged: the arguments of torch.nn.functional.interpolate."""

    mode: str
    antialias: bool = False


# A1111's names in A1111's order.
LATENT_MODES: dict[str, LatentMode] = {
    "Latent": LatentMode("bilinear"),
    "Latent (antialiased)": LatentMode("bilinear", antialias=True),
    "Latent (bicubic)": LatentMode("bicubic"),
    "Latent (bicubic antialiased)": LatentMode("bicubic", antialias=True),
    "Latent (nearest)": LatentMode("nearest"),
    "Latent (nearest-exact)": LatentMode("nearest-exact"),
}


def upscalers(files: Iterable[tuple[str, Path]] = ()) -> Registry[Upscaler]:
    """None, Lanczos, Nearest, then a row for each (name, file). A name met again gets its folder's name in front.

    A1111's name of a well-known file finds it too. Latent modes are not in it: they enlarge no pictures.
    """
    rows: Registry[Upscaler] = Registry("upscaler")
    rows.add(NONE, Upscaler(name=NONE))
    rows.add("Lanczos", Upscaler(name="Lanczos", resample=Image.Resampling.LANCZOS))
    rows.add("Nearest", Upscaler(name="Nearest", resample=Image.Resampling.NEAREST))
    for name, path in files:
        free = next((n for n in (name, f"{path.parent.name}/{name}", str(path)) if n not in rows), None)
        if free is None:
            continue  # the same file twice
        alias = A1111_NAMES.get(path.stem)
        aliases = (alias,) if alias and alias not in rows and alias.casefold() != free.casefold() else ()
        rows.add(free, Upscaler(name=free, path=path, scale=scale_in_name(path.stem)), aliases=aliases)
    return rows


def scale_in_name(stem: str) -> int:
    """The factor that a file's name speaks of (4x-UltraSharp, RealESRGAN_x2plus), else 4. Only for lists."""
    found = _SCALE_IN_NAME.search(stem)
    return int(found[1] or found[2]) if found else DEFAULT_SCALE


def upscaler_files(folders: Folders) -> tuple[list[tuple[str, Path]], dict[Path, str]]:
    """((name, file) for every network file in the upscaler folders, {file: why it cannot be used}). Sorted by name."""
    found: dict[Path, str] = {}
    refused: dict[Path, str] = {}
    for base in (base for place in PLACES for base in folders.model_folders(place)):
        for folder, _, names in os.walk(base):
            for path in (Path(folder, name) for name in sorted(names) if not name.startswith(".")):
                ending = path.suffix.lower()
                if ending in _WEIGHTS:
                    found[path] = path.stem
                elif ending in _PICKLES:
                    refused[path] = f"{path.name} is a pickle, which can run code when it is opened. Convert it on the Models tab."
    return sorted(((name, path) for path, name in found.items()), key=lambda row: (row[0].casefold(), row[1])), refused
