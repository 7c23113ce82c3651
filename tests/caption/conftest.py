"""One tiny model a kind, made once; pictures of mixed sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.caption.installed import describe
from modules.caption.loading import Captioner, load
from tests.caption.tiny import MAKERS
from tests.caption.tiny_told import TOLD

SIZES = ((40, 60), (64, 33), (17, 90), (128, 128))


@pytest.fixture(scope="session")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the tiny model of a kind."""
    base, made = tmp_path_factory.mktemp("captioners"), dict[str, Path]()

    def make(kind: str) -> Path:
        if kind not in made:
            made[kind] = {**MAKERS, **TOLD}[kind](base / f"tiny-{kind}")
        return made[kind]

    return make


@pytest.fixture(scope="session")
def captioner_of(model_of: Callable[[str], Path]) -> Callable[[str], Captioner]:
    """The tiny model of a kind, loaded by our code."""
    made: dict[str, Captioner] = {}

    def make(kind: str) -> Captioner:
        if kind not in made:
            made[kind] = load(describe(model_of(kind)), device="cpu", dtype="float32")
        return made[kind]

    return make


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Four pictures of noise, no two of one size."""
    return [Image.fromarray(np.random.default_rng(n).integers(0, 255, (*size, 3), dtype=np.uint8)) for n, size in enumerate(SIZES)]
