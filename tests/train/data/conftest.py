"""Sessions with real picture files, made in code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.folders import Folders
from modules.request.train import TrainConfig
from modules.train.sessions import Session

Draw = Callable[..., Path]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """An empty session of its own."""
    return Session.create(Folders.at(data=tmp_path, models=tmp_path / "models"), "cats")


@pytest.fixture
def draw(session: Session) -> Draw:
    """draw("a.png", (64, 48), caption="a cat"): a picture of noise in the session, another one for each name."""

    def make(name: str, size: tuple[int, int] = (64, 64), caption: str | None = "a cat", mode: str = "RGB", **options: object) -> Path:
        path = session.paths.pictures / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(size, name).convert(mode).save(path, **options)
        if caption is not None:
            path.with_suffix(".txt").write_text(caption, encoding="utf-8")
        return path

    return make


def noise(size: tuple[int, int], seed: str) -> Image.Image:
    """RGB noise, coarse enough to survive JPEG."""
    values = np.random.default_rng(list(seed.encode())).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)


def config(**values: object) -> TrainConfig:
    """A small one: 64 pixels, buckets in steps of 16."""
    small: dict[str, object] = {"resolution": 64, "bucket_reso_steps": 16, "min_bucket_reso": 32, "max_bucket_reso": 128}
    return TrainConfig.from_data({**small, **values})
