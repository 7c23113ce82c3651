"""One upscaling network from a safetensors file: loaded through spandrel, run tile by tile.

Which architecture a file holds is found by spandrel from names and shapes of its weights. Start reading at `load`, then `Network.run`.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from modules.faults import BlankPicture, Cancelled, ModelFault, OutOfMemory
from modules.pixels.tiles import Assembly, Tiling
from modules.upscale.halting import halting
from modules.weights.header import read

if TYPE_CHECKING:
    import torch

WHOLE_PX = 1 << 20  # a tile that no picture reaches
LEAST_TILE_PX = 64
EXTRA = "spandrel_extra_arches==0.2.0"


def _nothing(done: int, total: int) -> None:
    """Progress that nobody watches."""


def _never() -> bool:
    return False


Box = tuple[int, int, int, int]
Elsewhere = Callable[[int], "np.ndarray | None"]


def _all_here(network: Network, image: Image.Image, boxes: Sequence[Box]) -> Elsewhere:
    """Nobody helps."""
    return lambda number: None


@dataclass(frozen=True)
class Watch:
    """How a long run speaks with its caller. step(done, total): tiles of the present pass; stopped(): asked before each layer.

    others(network, picture, boxes): called before a pass; gives what is asked for each tile, by its number: the tile as `Network.tile` made
    it elsewhere, None when it is to be made here.
    """

    step: Callable[[int, int], None] = _nothing
    stopped: Callable[[], bool] = _never
    others: Callable[[Network, Image.Image, Sequence[Box]], Elsewhere] = _all_here


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """size_px: side of a tile in the picture before enlarging, 0 for none. overlap_px: what neighbours share at least."""

    size_px: int = 192
    overlap_px: int = 8

    def over(self, image: Image.Image, size_px: int) -> Tiling:
        """The tiles of one picture, size_px a side."""
        overlap = max(0, min(self.overlap_px, size_px // 2))
        return Tiling(image.size, (size_px, size_px), overlap, border=overlap // 4)


@dataclass(kw_only=True)
class Network:
    """A loaded network. scale: what one run multiplies both sides by. channels: 3, or 1 for one that takes each channel alone.

    wants_whole: its results suffer from tiles, so they are only taken when memory runs out. precision: why it is not the one asked for.
    path: its file.
    """

    name: str
    scale: int
    channels: int
    wants_whole: bool
    descriptor: Any
    precision: str = ""
    path: Path | None = None

    @property
    def exact(self) -> bool:
        """It works in float32, so that no tile can change how the following ones are made."""
        import torch

        return self.descriptor.dtype == torch.float32

    def run(self, image: Image.Image, tiles: Tiles, watch: Watch, notes: list[str]) -> Image.Image:
        """The RGB picture, `scale` times as large. notes: takes what a person should know (a changed precision, smaller tiles).

        Raises Cancelled, OutOfMemory when not even the smallest tile fits, BlankPicture for NaN in float32.
        """
        import torch

        wanted_px = WHOLE_PX if self.wants_whole else max(tiles.size_px or WHOLE_PX, LEAST_TILE_PX)
        size_px = wanted_px
        while True:
            try:
                result = self._assembled(image, tiles.over(image, size_px), watch)
                break
            except (torch.OutOfMemoryError, MemoryError) as error:
                size_px = min(size_px, max(image.size))
                if size_px <= LEAST_TILE_PX:
                    raise OutOfMemory(f"{self.name} does not fit into memory, not even in small tiles. Close other programs.") from error
                size_px = max(size_px // 2, LEAST_TILE_PX)
            _free()
        if size_px != wanted_px:
            notes.append(f"{self.name}: memory ran out, so it worked in tiles of {size_px} px.")
        if self.precision:
            notes.append(self.precision)
        return result

    def _assembled(self, image: Image.Image, tiling: Tiling, watch: Watch) -> Image.Image:
        assembly = Assembly(tiling.scaled(self.scale))
        total, elsewhere = len(tiling.boxes), watch.others(self, image, tiling.boxes)
        with halting(getattr(self.descriptor, "model", None), watch.stopped):
            for done, box in enumerate(tiling.boxes):
                if watch.stopped():
                    raise Cancelled
                found = elsewhere(done)
                assembly.add(self.tile(np.asarray(image.crop(box), np.float32)) if found is None else found)
                watch.step(done + 1, total)
        return assembly.image()

    def tile(self, pixels: np.ndarray) -> np.ndarray:
        """float32 (h, w, 3) 0 to 255 -> the same, enlarged."""
        import torch

        values = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        result = self._call(values)
        if not bool(torch.isfinite(result).all()):
            if self.descriptor.dtype == torch.float32:
                raise BlankPicture(f"{self.name} gives no numbers for this picture. Its file may be damaged: download it again.")
            self.precision = f"{self.name} gave no numbers in half precision; it worked in float32 instead."
            self.descriptor.to(dtype=torch.float32)
            return self.tile(pixels)
        return (result * 255).permute(1, 2, 0).numpy()

    def _call(self, values: torch.Tensor) -> torch.Tensor:
        """(1, 3, h, w) on the CPU, 0 to 1 -> (3, H, W) on the CPU, float32."""
        import torch

        parts = values.split(self.channels, 1)
        with torch.inference_mode():
            given = (self.descriptor(part.to(self.descriptor.device, self.descriptor.dtype)) for part in parts)
            return torch.cat([part.float().cpu() for part in given], 1)[0]


def opened(path: Path, *, extra: bool = False) -> Any:
    """spandrel's descriptor of the network in a safetensors file, on the CPU. extra: also architectures of spandrel_extra_arches, a
    package that is installed by hand since its networks are not free for every use.

    Raises ModelFault: not a safetensors file, damaged, or of no architecture that is known.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from spandrel import MAIN_REGISTRY, ModelLoader, UnsupportedModelError, canonicalize_state_dict

    read(path)
    registry, more = _with_extra() if extra else (MAIN_REGISTRY, True)
    try:
        return ModelLoader(registry=registry).load_from_state_dict(canonicalize_state_dict(load_file(path)))
    except UnsupportedModelError as error:
        hint = "" if more else f" CodeFormer needs one more package, whose licence forbids commerce: pip install {EXTRA}."
        raise ModelFault(
            f"{path.name} holds the weights of no {'network' if extra else 'upscaler'} that this version knows.{hint}"
        ) from error
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError, AssertionError) as error:
        raise ModelFault(f"{path.name} cannot be loaded ({next(_lines(error))}). Download it again.") from error


def _with_extra() -> tuple[Any, bool]:
    """(a registry with every architecture there is, whether the package of further ones is installed)."""
    from spandrel import MAIN_REGISTRY, ArchRegistry

    registry = ArchRegistry()
    registry.add(*MAIN_REGISTRY)
    if importlib.util.find_spec("spandrel_extra_arches") is None:
        return registry, False
    registry.add(*importlib.import_module("spandrel_extra_arches").EXTRA_REGISTRY)
    return registry, True


def load(path: Path, *, device: str = "cpu", dtype: str = "float32") -> Network:
    """The network of a safetensors file, ready on a device (torch's name), in dtype where it can be used, else in float32.

    Raises ModelFault: not a safetensors file, damaged, of no architecture that spandrel knows, or made for something else.
    """
    import torch
    from spandrel import ImageModelDescriptor, ModelTiling

    descriptor = opened(path)
    if not isinstance(descriptor, ImageModelDescriptor) or descriptor.purpose not in ("SR", "Restoration"):
        raise ModelFault(f"{path.name} is a network for {descriptor.purpose}, not an upscaler.")
    if descriptor.input_channels not in (1, 3) or descriptor.output_channels != descriptor.input_channels:
        raise ModelFault(f"{path.name} takes {descriptor.input_channels} channels; only upscalers of grey and RGB pictures can be used.")
    half = {"float16": descriptor.supports_half, "bfloat16": descriptor.supports_bfloat16}
    precision = "" if half.get(dtype, True) else f"{path.stem} cannot work in {dtype}; it works in float32."
    descriptor.to(device=torch.device(device), dtype=torch.float32 if precision else getattr(torch, dtype)).train(False)
    return Network(
        name=path.stem, scale=descriptor.scale, channels=descriptor.input_channels, descriptor=descriptor,
        wants_whole=descriptor.tiling is not ModelTiling.SUPPORTED, precision=precision, path=path,
    )  # fmt: skip


def _lines(error: BaseException) -> Iterator[str]:
    yield from (line.strip()[:200] for line in str(error).splitlines() if line.strip())
    yield type(error).__name__


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
