"""What parts on the CPU beside a device take of main memory: the forecast against counted tensors."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.hardware import policies
from modules.hardware.live import Live, tensors_of
from modules.processing.batch import decode
from modules.processing.memory_book import MemoryBook
from modules.processing.memory_main import MainNeed, main_need
from modules.processing.slot import Slot
from modules.processing.tracing import walked
from modules.weights.held import held_bytes
from tests.model.conftest import Studio
from tests.model.test_memory_plan import resolved, studio_of

BOTH = ("text_encoder", "vae")


@dataclass
class Placed:
    """A small model in bfloat16 whose VAE and text encoders calculate in float32, as beside a device; and what is known of it."""

    studio: Studio
    book: MemoryBook
    model: Any

    def need(self, policy: str = "resident", on_cpu: tuple[str, ...] = BOTH, **request: Any) -> MainNeed:
        found = main_need(self.book.counting, resolved(self.studio, **request), policy, on_cpu, "bfloat16", "bfloat16")
        assert found is not None
        return found


@pytest.fixture(scope="module", params=["sd15", "flux"])
def placed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Placed:
    base = tmp_path_factory.mktemp(request.param)
    studio = studio_of(base, request.param)
    slot = Slot(
        lambda pipeline: policies.place(pipeline, "resident", "cpu", wished=BOTH, numbers="float32"),
        lambda pipeline: policies.lift(pipeline, "resident"), "bfloat16", lambda: 2**40,
    )  # fmt: skip
    model = slot.take(resolved(studio).checkpoint, lambda *said, **facts: None)
    return Placed(studio, MemoryBook(base / "book.json", walk=walked), model)


def test_the_forecast_is_near_what_is_counted(placed: Placed):
    vae, encoders = placed.model.pipeline.vae, [encoder for _, encoder in placed.model.encoder.text_encoders.values()]
    for width, height, count in ((64, 64, 1), (128, 64, 2)):
        latents = torch.zeros(count, vae.config.latent_channels, height // 8, width // 8, dtype=torch.bfloat16)
        gc.collect()
        with Live([latents, *tensors_of(vae)]) as live:
            decode(placed.model, latents)
        told = placed.need(width=width, height=height, batch_size=count)
        assert told.work_bytes["decode"] == pytest.approx(live.peak_bytes, rel=0.1), (width, height, count)
    assert told.weights_bytes == pytest.approx(held_bytes(vae) + sum(map(held_bytes, encoders)), rel=0.01)
    placed.model.encoder.forget()
    gc.collect()
    with Live([tensor for encoder in encoders for tensor in tensors_of(encoder)]) as live:
        placed.model.encoder.conditions(["a cat"], [""], 1, "cpu")
    assert told.work_bytes["text"] == pytest.approx(live.peak_bytes, rel=0.25), "what is read is kept beside"


def test_it_follows_the_policy_and_what_is_asked(placed: Placed):
    large = {"width": 2048, "height": 2048}
    whole, spared = placed.need(**large), placed.need("tiled", **large)
    assert spared.work_bytes["decode"] < whole.work_bytes["decode"], "in tiles"
    assert spared.work_bytes["text"] == whole.work_bytes["text"] > 0
    assert placed.need(on_cpu=()).peak_bytes == 0
    text = placed.need("encoders-on-cpu", ())
    assert (text.work_bytes["decode"], text.work_bytes["text"] > 0, text.weights_bytes > 0) == (0, True, True)


def test_nobody_forecasts_what_is_not_known(placed: Placed, tmp_path: Path):
    nothing = MemoryBook(tmp_path / "none.json")
    assert main_need(nothing.counting, resolved(placed.studio), "resident", BOTH, "bfloat16", "bfloat16") is None
