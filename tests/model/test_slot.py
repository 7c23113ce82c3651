"""The slot: models that wait in memory, models that are let go, and memory that comes back."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path

import numpy as np
import psutil
import pytest

from modules.families import identify
from modules.folders import PROGRAM
from modules.processing.slot import Slot
from modules.request import Checkpoint
from modules.weights import model_folder
from tests.model.plain import tiny_stable_diffusion

STARTER = PROGRAM / "models" / "Stable-diffusion" / "darkroom-starter"
PLENTY = 2**50


def checkpoint(folder: Path) -> Checkpoint:
    family, match = identify(model_folder.read(folder))
    return Checkpoint(
        title=folder.name,
        model_name=folder.name,
        path=str(folder),
        family=family.id,
        sha256=folder.name,
        native_px=match.native_px,
        variant=match.variant,
        prediction=match.prediction,
    )


class Bench:
    """Counts what is placed and lifted."""

    def __init__(self, room: int = PLENTY) -> None:
        self.placed = self.lifted = 0
        self.slot = Slot(self._place, self._lift, "float32", lambda: room)

    def _place(self, _pipeline: object) -> None:
        self.placed += 1

    def _lift(self, _pipeline: object) -> None:
        self.lifted += 1


@pytest.fixture
def two(tmp_path: Path) -> tuple[Checkpoint, Checkpoint]:
    a, b = (tiny_stable_diffusion(tmp_path / name, STARTER / "tokenizer", seed=n) for n, name in enumerate(("a", "b")))
    return checkpoint(a), checkpoint(b)


def quiet(*_: object, **__: object) -> None:
    """Nobody listens."""


def test_the_same_model_is_not_loaded_again(two: tuple[Checkpoint, Checkpoint]):
    bench = Bench()
    assert bench.slot.take(two[0], quiet) is bench.slot.take(two[0], quiet)
    assert (bench.placed, bench.lifted) == (1, 0)


def test_a_model_that_waits_in_memory_needs_no_disk(two: tuple[Checkpoint, Checkpoint]):
    bench = Bench()
    first = bench.slot.take(two[0], quiet, keep=2)
    bench.slot.take(two[1], quiet, keep=2)
    shutil.rmtree(two[0].path)
    assert bench.slot.take(two[0], quiet, keep=2) is first
    assert bench.slot.title == two[0].title
    assert (bench.placed, bench.lifted) == (3, 2)


def test_by_default_one_model_is_kept(two: tuple[Checkpoint, Checkpoint]):
    bench = Bench()
    first = weakref.ref(bench.slot.take(two[0], quiet).pipeline)
    bench.slot.take(two[1], quiet)
    assert first() is None


def test_a_model_does_not_wait_where_memory_is_short(two: tuple[Checkpoint, Checkpoint]):
    bench = Bench(room=1000)
    first = weakref.ref(bench.slot.take(two[0], quiet, keep=2).pipeline)
    bench.slot.take(two[1], quiet, keep=2)
    assert first() is None


def test_release_lets_go_of_all(two: tuple[Checkpoint, Checkpoint]):
    bench = Bench()
    kept = [weakref.ref(bench.slot.take(c, quiet, keep=2).pipeline) for c in two]
    bench.slot.release()
    assert bench.slot.title is None
    assert [k() for k in kept] == [None, None]


def test_fifty_switches_leave_no_memory_behind(tmp_path: Path):
    """The process grows by less than 1 % of a model a switch. A heap that is finding its size levels off; a leak goes on."""
    for name in ("a", "b"):
        shutil.copytree(STARTER, tmp_path / name)
    models = [checkpoint(tmp_path / name) for name in ("a", "b")]
    slot, process = Bench().slot, psutil.Process()

    def growth() -> float:
        """Bytes a switch, over fifty."""
        sizes = list[int]()
        for n in range(50):
            slot.take(models[n % 2], quiet)
            sizes.append(process.memory_info().rss)
        return float(np.polyfit(range(40), sizes[10:], 1)[0])

    model_bytes = 4 * sum(
        p.numel() for m in ("unet", "vae", "text_encoder") for p in getattr(slot.take(models[1], quiet).pipeline, m).parameters()
    )
    grown = growth()
    if grown >= 0.01 * model_bytes:
        grown = growth()
    assert grown < 0.01 * model_bytes, f"{grown / model_bytes:.2%} of a model a switch"
