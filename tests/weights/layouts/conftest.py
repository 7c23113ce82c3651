"""The tiny models of every layout, each built and written as a single file once for all tests here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modules.weights import layouts
from tests.model import tiny


@dataclass(frozen=True)
class Sample:
    """folder: in the diffusers layout; single: the same model written by us; layout: its id."""

    folder: Path
    single: Path
    layout: str


SAMPLES: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "sd15": ("sd1", "sd15", {}),
    "sd15-v": ("sd1", "sd15", {"prediction": "v_prediction"}),
    "sd15-inpainting": ("sd1", "sd15", {"variant": "inpainting"}),
    "sd15-pix2pix": ("sd1", "sd15", {"variant": "instruct-pix2pix"}),
    "sd2-768": ("sd2", "sd2", {"variant": "768", "prediction": "v_prediction", "zero_snr": True}),
    "sdxl": ("sdxl", "sdxl", {}),
    "sdxl-inpainting": ("sdxl", "sdxl", {"variant": "inpainting"}),
    "sdxl-refiner": ("sdxl-refiner", "sdxl_refiner", {}),
    "sd3": ("sd3", "sd3", {}),
    "sd3.5-medium": ("sd3", "sd3", {"variant": "3.5-medium"}),
    "sd3.5-large-without-t5": ("sd3", "sd3", {"variant": "3.5-large", "t5": False}),
    "flux-dev": ("flux", "flux", {}),
    "flux-schnell": ("flux", "flux", {"guidance": False}),
}


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Sample]:
    """sample(name): one of `SAMPLES`."""
    root = tmp_path_factory.mktemp("layouts")
    made: dict[str, Sample] = {}

    def get(name: str) -> Sample:
        if name not in made:
            layout, builder, options = SAMPLES[name]
            folder = tiny.BUILDERS[builder](root / name, **options)
            single = root / f"{name}.safetensors"
            layouts.write(folder, single, layout)
            made[name] = Sample(folder, single, layout)
        return made[name]

    return get
