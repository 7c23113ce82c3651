"""The forecast with what stands beside a model: control networks, an IP-Adapter and LoRAs, against counted tensors."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionPipeline, T2IAdapter
from PIL import Image
from safetensors.torch import save_file

from modules.hardware.live import Live, tensors_of
from modules.hardware.plan import Need, Work, peak
from modules.hardware.policies import Part
from modules.processing.memory_beside import Beside, Steering
from modules.weights.held import held_bytes
from tests.model import tiny
from tests.model.conftest import Studio
from tests.model.test_control_runs import lay_adapter
from tests.model.test_memory_plan import ASKED, NOTHING_BESIDE, resolved, studio_of


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """A small random model with two ControlNets, a T2I-Adapter, and LoRAs as large as a fifth of it."""
    base = tmp_path_factory.mktemp("beside")
    models = base / "models"
    pipeline = StableDiffusionPipeline.from_pretrained(tiny.sd15(base / "plain"), local_files_only=True)
    nets = {"one": ControlNetModel.from_unet(pipeline.unet), "two": ControlNetModel.from_unet(pipeline.unet)}
    nets["adapter"] = T2IAdapter(channels=list(pipeline.unet.config.block_out_channels))
    (models / "ControlNet").mkdir(parents=True)
    (models / "Lora").mkdir()
    for name, net in nets.items():
        save_file(
            {key: value.contiguous().clone() for key, value in net.state_dict().items()}, models / "ControlNet" / f"{name}.safetensors"
        )
    for name, kind in (("beside", "lora"), ("within", "diff")):
        save_file(lora(pipeline.unet, kind), models / "Lora" / f"{name}.safetensors")
    lay_adapter(models, pipeline.unet)
    made = studio_of(base, "sd15")
    for kind in ("controlnet", "lora", "ip_adapter", "clip_vision"):
        made.library.refresh(kind)
    return made


def lora(unet: Any, kind: str) -> dict[str, torch.Tensor]:
    """Changes of every attention layer: low-rank ones, or whole ones."""
    found: dict[str, torch.Tensor] = {}
    for path, layer in unet.named_modules():
        if isinstance(layer, torch.nn.Linear) and ".attn" in path:
            rows, columns = layer.weight.shape
            name = f"lora_unet_{path.replace('.', '_')}"
            if kind == "lora":
                found |= {f"{name}.lora_down.weight": torch.ones(16, columns) / 1000, f"{name}.lora_up.weight": torch.ones(rows, 16) / 1000}
            else:
                found[f"{name}.diff"] = torch.ones(rows, columns) / 1000
    return found


def counted(studio: Studio, asked: dict[str, Any]) -> int:
    """Bytes of a run: the model's weights, and whatever else was alive at once, control networks and LoRAs among it."""
    model = studio.runner._slot.present
    assert model is not None
    model.encoder.forget()
    model.networks.clear()
    model.networks._held.clear()  # as if none had been read before
    studio.runner._nets.release()
    parts = [part for part in model.pipeline.components.values() if isinstance(part, torch.nn.Module)]
    gc.collect()
    with Live([tensor for part in parts for tensor in tensors_of(part)]) as live:
        studio.make(**asked)
    return sum(map(held_bytes, parts)) + live.peak_bytes


# The VAE decodes in tiles, so that drawing needs most.
TOLD: dict[str, Any] = {
    "width": 128, "height": 64, "batch_size": 4, "override_settings": NOTHING_BESIDE | {"memory_policy": "tiled"},
}  # fmt: skip
CASES: dict[str, tuple[tuple[str, ...], str]] = {
    "one ControlNet": (("one",), ""),
    "two ControlNets": (("one", "two"), ""),
    "two ControlNets and a LoRA": (("one", "two"), "<lora:beside:1>"),
    "a LoRA": ((), "<lora:beside:1>"),
    "a LoRA within the weights": ((), "<lora:within:1>"),
    "a T2I-Adapter": (("adapter",), ""),
    "an IP-Adapter": (("ip-adapter",), ""),
}


@pytest.fixture(scope="module")
def alone(studio: Studio) -> int:
    """What is counted without anything beside the model."""
    studio.make(**ASKED, width=64, height=64, override_settings=NOTHING_BESIDE)
    return counted(studio, {**ASKED, **TOLD})


@pytest.mark.parametrize("case", CASES)
def test_the_forecast_is_within_a_tenth_of_what_is_counted(studio: Studio, alone: int, case: str):
    models, word = CASES[case]
    picture = studio.inputs.put_picture(Image.linear_gradient("L").resize((64, 64)).convert("RGB"))
    units = [{"module": "ip-adapter-auto" if "ip" in name else "none", "model": name, "image": picture} for name in models]
    book = studio.runner._careful.book
    plain = book.counting.need(resolved(studio, **TOLD), "float32", "float32")
    asked = TOLD | {"control_units": units, "prompt": f"a red circle {word}"}
    need = book.counting.need(resolved(studio, **asked), "float32", "float32")  # walks through what is new, which is not to be counted
    assert plain is not None
    assert need is not None
    found = counted(studio, {**ASKED, **asked})
    forecast = peak(need.on("cpu"), "tiled")
    assert forecast == pytest.approx(found, rel=0.1)
    more = forecast - peak(plain, "tiled")
    if case != "an IP-Adapter":  # whose weights are let go of before the picture is decoded, on the CPU too
        assert more == pytest.approx(found - alone, rel=0.25), "and so is what stands beside the model alone"


def stretch(**more: Any) -> Work:
    return Work(**{"stage": "sample", "component": "unet", "bytes": 1100, "spared_bytes": 1100, **more})


def unit(**more: Any) -> Steering:
    """It hands over 30 bytes for each row."""
    return Steering(**{"hr_option": "Both", "weights_bytes": 500, "call": [(64, 90, 180)], "gives": [(64, 30, 60)], **more})


SEEN = 64 * 12  # what a unit sees, of so many pixels


def test_control_networks_are_asked_in_turn_and_their_sum_waits_for_the_network():
    def needs(*units: Steering, **more: Any) -> list[tuple[int, int]]:
        return [(work.bytes, work.beside_bytes) for work in Beside(units=units, **more).drawn(stretch(), 100, 64, 2)]

    assert needs() == [(1100, 0)]
    assert needs(unit()) == [(1100 + SEEN + 60, 500), (100 + SEEN + 180, 500)]
    assert needs(unit(), unit()) == [(1100 + 2 * SEEN + 60, 1000), (100 + 2 * SEEN + 180, 1000), (100 + 2 * SEEN + 60 + 180, 1000)]
    assert needs(unit(), unit(), separate=True)[0] == (1100 + 2 * SEEN + 60 + 120, 1000), "kept for the negative prompt's own call"
    assert needs(unit(brief=True)) == [(1100 + SEEN + 60, 0), (100 + SEEN + 180, 500)], "on the device only while it is asked"
    assert needs(unit(copies=10))[0] == (1100 + SEEN + 600, 500)
    assert needs(unit(inner=True), unit())[0] == (1100 + 2 * SEEN + 60 + 60 + 120, 1000), "other places: both sums, and kept for all steps"
    assert needs(unit(call=(), gives=())) == [(1100 + SEEN, 500), (100 + SEEN, 500)], "of one that is not known the weights alone"


def test_a_unit_counts_in_its_passes_alone():
    low = Beside(units=(unit(hr_option="Low res only"),), two_passes=True)
    assert len(low.drawn(stretch(), 100, 64, 2)) == 2
    assert low.drawn(stretch(stage="hires"), 100, 64, 2) == [stretch(stage="hires")]
    assert len(replace(low, two_passes=False).drawn(stretch(stage="hires"), 100, 64, 2)) == 2


def test_control_networks_are_not_on_the_device_while_it_decodes():
    parts = {"unet": Part(4000, 50), "vae": Part(300, 10)}
    works = (stretch(beside_bytes=700), Work(stage="decode", component="vae", bytes=1500, spared_bytes=200))
    need = Need(key="model", parts=parts, works=works, beside_bytes=10, main_bytes=720)
    assert peak(need.on("cuda"), "resident") == 4300 + 1100 + 700 + 10
    assert peak(replace(need, works=works[1:]).on("cuda"), "resident") == 4300 + 1500 + 10
    assert peak(need.on("cpu"), "resident") == 4300 + 1500 + 10 + 720, "main memory holds them all the time"
    assert peak(need.on("cuda"), "lowvram") == 50 + 1100 + 700 + 10, "no policy spreads them"
