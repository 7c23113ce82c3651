"""What parts on the CPU beside a device take of main memory: the forecast against counted tensors."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.hardware.live import Live, tensors_of
from modules.processing.batch import decode
from modules.processing.memory_book import MemoryBook
from modules.processing.memory_main import MainNeed, main_need
from modules.processing.tracing import walked
from modules.weights.held import held_bytes
from tests.model.conftest import Studio
from tests.model.test_memory_plan import ASKED, NOTHING_BESIDE, resolved, studio_of

BOTH = ("text_encoder", "vae")
ON_CPU = NOTHING_BESIDE | {"parts_on_cpu": "VAE and text encoders"}


def placed(base: Path, family: str) -> tuple[Studio, Any]:
    """A small model in bfloat16 on a device of which only the name is not the CPU's, its VAE and encoders beside it in float32."""
    studio = studio_of(base, family)
    bench = studio.runner._bench
    bench.device = replace(bench.device, kind="directml")
    bench.dtype = bench.vae_dtype = studio.runner._slot._dtype = "bfloat16"
    bench._numbers = "float32"
    studio.make(**ASKED, width=64, height=64, override_settings=ON_CPU)
    assert studio.runner._slot.present is not None
    return studio, studio.runner._slot.present


def need(book: MemoryBook, studio: Studio, policy: str = "resident", **request: Any) -> MainNeed:
    found = main_need(book.counting, resolved(studio, **request), policy, BOTH, "bfloat16", "bfloat16")
    assert found is not None
    return found


@pytest.mark.parametrize("family", ["sd15", "flux"])
def test_the_forecast_is_within_a_tenth_of_what_is_counted(family: str, tmp_path: Path):
    studio, model = placed(tmp_path, family)
    book = MemoryBook(tmp_path / "book.json", walk=walked)
    vae, encoders = model.pipeline.vae, [encoder for _, encoder in model.encoder.text_encoders.values()]
    weights = held_bytes(vae) + sum(map(held_bytes, encoders))
    for width, height, count in ((64, 64, 1), (128, 64, 2)):
        latents = torch.zeros(count, vae.config.latent_channels, height // 8, width // 8, dtype=torch.bfloat16)
        gc.collect()
        with Live([latents, *tensors_of(vae)]) as live:
            decode(model, latents)
        told = need(book, studio, width=width, height=height, batch_size=count)
        assert told.weights_bytes == pytest.approx(weights, rel=0.01)
        assert told.work_bytes["decode"] == pytest.approx(live.peak_bytes, rel=0.1), (width, height, count)
    model.encoder.forget()
    gc.collect()
    with Live([tensor for encoder in encoders for tensor in tensors_of(encoder)]) as live:
        model.encoder.conditions(["a cat"], [""], 1, "cpu")
    assert told.work_bytes["text"] == pytest.approx(live.peak_bytes, rel=0.25), "what is read is kept beside"


def test_it_follows_the_policy_and_what_is_asked(tmp_path: Path):
    studio = studio_of(tmp_path, "sd15")
    book = MemoryBook(tmp_path / "book.json", walk=walked)
    large = {"width": 1024, "height": 1024}
    whole, spared = need(book, studio, **large), need(book, studio, "tiled", **large)
    assert spared.work_bytes["decode"] < whole.work_bytes["decode"], "in tiles"
    assert spared.work_bytes["text"] == whole.work_bytes["text"] > 0
    nothing = main_need(book.counting, resolved(studio), "resident", (), "bfloat16", "bfloat16")
    assert nothing is not None
    assert nothing.peak_bytes == 0
    text = main_need(book.counting, resolved(studio), "encoders-on-cpu", (), "bfloat16", "bfloat16")
    assert text is not None
    assert (text.work_bytes["decode"], text.work_bytes["text"] > 0, text.weights_bytes > 0) == (0, True, True)
    assert main_need(MemoryBook(tmp_path / "none.json").counting, resolved(studio), "resident", BOTH, "bfloat16", "bfloat16") is None
