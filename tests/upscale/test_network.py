"""Networks from files: the same pixels as spandrel's own call, no seams from tiles, every bad file told apart, memory and NaN handled."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from spandrel import ModelLoader

from modules.faults import BlankPicture, Cancelled, ModelFault, OutOfMemory
from modules.upscale.network import Network, Tiles, Watch, load
from modules.upscale.shelf import Shelf
from tests.upscale.networks import tiny


def picture(size: tuple[int, int] = (90, 70)) -> Image.Image:
    return Image.effect_noise(size, 70).convert("RGB").resize(size)


def run(network: Network, image: Image.Image, tiles: Tiles | None = None, watch: Watch | None = None) -> tuple[Image.Image, list[str]]:
    notes: list[str] = []
    return network.run(image, tiles or Tiles(), watch or Watch(), notes), notes


class Pretended:
    """A descriptor that enlarges by repeating pixels, runs out of memory above a size and gives NaN in half precision."""

    def __init__(self, *, largest_px: int = 10_000, dtype: torch.dtype = torch.float32, nan_in: tuple[torch.dtype, ...] = ()) -> None:
        self.device = torch.device("cpu")
        self.largest_px, self.dtype, self.nan_in = largest_px, dtype, nan_in
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        assert values.dtype == self.dtype
        self.shapes.append(tuple(values.shape[2:]))
        if max(values.shape[2:]) > self.largest_px:
            raise torch.OutOfMemoryError("too large")
        result = values.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return result * float("nan") if self.dtype in self.nan_in else result

    def to(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


def pretended(descriptor: Pretended, *, wants_whole: bool = False) -> Network:
    return Network(name="Pretended", scale=2, channels=3, wants_whole=wants_whole, descriptor=descriptor)


def test_the_same_pixels_as_spandrels_own_call(tmp_path: Path) -> None:
    path = tiny(tmp_path / "net.safetensors")
    image = picture()
    values = torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1)[None] / 255
    direct = ModelLoader().load_from_state_dict(load_file(path)).eval()(values)[0]
    wanted = np.rint((direct * 255).permute(1, 2, 0).numpy())
    result, notes = run(load(path), image, Tiles(size_px=0))
    assert result.size == (180, 140)
    assert np.array_equal(np.asarray(result), wanted)
    assert notes == []


@pytest.mark.parametrize("size_px", [64, 80])
def test_tiles_leave_no_seam(tmp_path: Path, size_px: int) -> None:
    """With an overlap that holds what the network sees, tiles give what the whole gives, to a rounding."""
    network = load(tiny(tmp_path / "net.safetensors"))
    image = picture((150, 130))
    whole, _ = run(network, image, Tiles(size_px=0))
    tiled, _ = run(network, image, Tiles(size_px=size_px, overlap_px=16))
    assert np.abs(np.asarray(whole).astype(int) - np.asarray(tiled)).max() <= 1


def test_a_grey_network_takes_each_channel_alone(tmp_path: Path) -> None:
    network = load(tiny(tmp_path / "grey.safetensors", channels=1))
    image = picture((40, 30))
    swapped = Image.merge("RGB", image.split()[::-1])
    result, _ = run(network, image)
    assert result.size == (80, 60)
    assert run(network, swapped)[0].tobytes() == Image.merge("RGB", result.split()[::-1]).tobytes()


def test_half_precision_where_it_can(tmp_path: Path) -> None:
    path = tiny(tmp_path / "net.safetensors")
    half = load(path, dtype="bfloat16")
    assert half.descriptor.dtype == torch.bfloat16
    image = picture()
    difference = np.abs(np.asarray(run(half, image)[0]).astype(int) - np.asarray(run(load(path), image)[0]))
    assert 0 < difference.max() <= 6


def _broken(folder: Path) -> dict[str, tuple[Path, str]]:
    good = tiny(folder / "good.safetensors").read_bytes()
    files = {"cut": good[: len(good) // 2], "empty": b"", "pickle": b"\x80\x02}q\x00."}
    for name, data in files.items():
        (folder / f"{name}.safetensors").write_bytes(data)
    save_file({"a.weight": torch.zeros(3)}, folder / "stranger.safetensors")
    tiny(folder / "four.safetensors", channels=4)
    weights = load_file(folder / "good.safetensors")
    weights["body.2.weight"] = torch.zeros(2, 2)
    save_file(weights, folder / "bent.safetensors")
    words = {
        "cut": "cut off", "empty": "is empty", "pickle": "pickle.safetensors", "stranger": "no upscaler that this version knows",
        "four": "4 channels", "bent": "bent.safetensors", "missing": "cannot be read",
    }  # fmt: skip
    return {name: (folder / f"{name}.safetensors", text) for name, text in words.items()}


@pytest.mark.parametrize("kind", ["cut", "empty", "pickle", "stranger", "four", "bent", "missing"])
def test_every_bad_file_is_a_fault_with_its_name(tmp_path: Path, kind: str) -> None:
    path, words = _broken(tmp_path)[kind]
    with pytest.raises(ModelFault, match=words):
        load(path)


def test_memory_that_runs_out_means_smaller_tiles() -> None:
    descriptor = Pretended(largest_px=80)
    image = picture((200, 100))
    result, notes = run(pretended(descriptor), image, Tiles(size_px=0))
    assert result.tobytes() == image.resize((400, 200), Image.Resampling.NEAREST).tobytes()
    assert notes == ["Pretended: memory ran out, so it worked in tiles of 64 px."]
    assert max(descriptor.shapes[-1]) <= 80


def test_memory_that_never_suffices_is_a_fault() -> None:
    with pytest.raises(OutOfMemory, match="does not fit into memory"):
        run(pretended(Pretended(largest_px=8)), picture((200, 100)))


def test_a_network_that_wants_the_whole_gets_it() -> None:
    descriptor = Pretended()
    run(pretended(descriptor, wants_whole=True), picture((300, 200)), Tiles(size_px=64))
    assert descriptor.shapes == [(200, 300)]


def test_nan_in_half_precision_is_done_again_in_float32() -> None:
    descriptor = Pretended(dtype=torch.float16, nan_in=(torch.float16,))
    image = picture((20, 10))
    result, notes = run(pretended(descriptor), image)
    assert result.tobytes() == image.resize((40, 20), Image.Resampling.NEAREST).tobytes()
    assert "float32 instead" in notes[0]
    with pytest.raises(BlankPicture, match="gives no numbers"):
        run(pretended(Pretended(nan_in=(torch.float32,))), image)


def test_progress_and_stop() -> None:
    seen: list[tuple[int, int]] = []
    network = pretended(Pretended())
    run(network, picture((128, 64)), Tiles(size_px=64, overlap_px=0), Watch(step=lambda done, total: seen.append((done, total))))
    assert seen == [(1, 2), (2, 2)]
    stop = threading.Event()
    watch = Watch(step=lambda *_: stop.set(), stopped=stop.is_set)
    descriptor = Pretended()
    with pytest.raises(Cancelled):
        run(pretended(descriptor), picture((256, 64)), Tiles(size_px=64, overlap_px=0), watch)
    assert len(descriptor.shapes) == 1


def test_a_network_ends_between_two_layers(tmp_path: Path) -> None:
    """Not only between tiles: here there is but one."""
    network = load(tiny(tmp_path / "tiny.safetensors"))
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        run(network, picture((64, 64)), Tiles(size_px=0), Watch(stopped=stopped))
    assert len(asked) == 4
    made, _ = run(network, picture((64, 64)), Tiles(size_px=0))
    assert made.size == (128, 128), "nothing of it stays"


def test_the_shelf_keeps_two_and_sees_changed_files(tmp_path: Path) -> None:
    paths = [tiny(tmp_path / f"{n}.safetensors", seed=n) for n in range(3)]
    shelf = Shelf()
    first = shelf.get(paths[0])
    assert shelf.get(paths[0]) is first
    shelf.get(paths[1])
    assert shelf.get(paths[0]) is first
    shelf.get(paths[2])
    assert len(shelf) == 2
    assert shelf.get(paths[0]) is first, "the one used last stays"
    tiny(paths[0], scale=3)
    assert shelf.get(paths[0]).scale == 3
    shelf.release()
    assert len(shelf) == 0
