"""Memory policies: the decisions, the calls on a made-up pipeline, and what can be run of them on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from diffusers.hooks.group_offloading import _is_group_offload_enabled as is_group_offloaded

from modules.hardware import policies
from modules.hardware.policies import Part
from tests.hardware.conftest import picture


class Recorder:
    """Stands for a pipeline; writes down which of its methods were called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.vae: Any = self

    def __getattr__(self, name: str) -> Any:
        def call(*values: Any, **named: Any) -> None:
            self.calls.append(" ".join([name, *map(str, values), *(f"{k}={v}" for k, v in named.items())]))

        return call


SPARED = ["enable_slicing", "enable_tiling"]


@pytest.mark.parametrize(
    ("policy", "calls"),
    [
        ("resident", ["to cuda:1"]),
        ("tiled", ["to cuda:1", *SPARED]),
        ("attention", ["to cuda:1", "enable_attention_slicing", *SPARED]),
        ("medvram", ["enable_model_cpu_offload device=cuda:1", *SPARED]),
        ("lowvram", ["enable_sequential_cpu_offload device=cuda:1", *SPARED]),
    ],
)
def test_what_a_policy_asks_of_diffusers(policy: str, calls: list[str]):
    pipeline = Recorder()
    policies.place(pipeline, policy, "cuda:1")
    assert pipeline.calls == calls
    assert all(hasattr(StableDiffusionPipeline, c.split()[0]) or hasattr(AutoencoderKL, c.split()[0]) for c in calls)


def test_the_ladder_leads_from_fast_to_careful():
    assert policies.ladder("cuda") == [
        "resident", "tiled", "encoders", "encoders-on-cpu", "medvram", "vae-on-cpu", "streamed", "lowvram", "streamed-vae-on-cpu",
    ]  # fmt: skip
    assert policies.ladder("cpu") == ["resident", "tiled"]
    assert policies.ladder("mps") == ["resident", "tiled", "attention"]
    assert policies.ladder("directml") == ["resident", "tiled", "attention", "encoders-on-cpu", "vae-on-cpu"]
    assert [policies.after(p, "cuda") for p in policies.ladder("cuda")] == [*policies.ladder("cuda")[1:], None]
    assert policies.after("attention", "mps") is None


def test_what_lies_on_the_device_falls_down_the_ladder():
    parts = {"text_encoder": Part(500, 40), "unet": Part(3400, 60), "vae": Part(320, 10)}
    rows = [name for name in policies.ladder("cuda") if not policies.POLICIES.get(name).on_cpu]
    held = {name: [policies.POLICIES.get(name).held(parts, at) for at in parts] for name in rows}
    assert held["resident"] == held["tiled"] == [4220] * 3
    assert held["encoders"] == [3800, 3720, 3720]
    assert held["medvram"] == [500, 3400, 320]
    assert held["streamed"] == [80, 120, 20]
    assert held["lowvram"] == [40, 60, 10]


@pytest.mark.parametrize(
    ("kind", "flags", "policy", "said"),
    [
        ("cuda", {}, "resident", False),
        ("cuda", {"medvram": True}, "medvram", False),
        ("rocm", {"lowvram": True}, "lowvram", False),
        ("cpu", {"lowvram": True}, "tiled", True),
        ("mps", {"medvram": True}, "tiled", True),
    ],
)
def test_the_policy_to_begin_with(kind: str, flags: dict[str, Any], policy: str, said: bool):
    found, note = policies.first(kind, flags)
    assert found == policy
    assert bool(note) == said


@pytest.mark.parametrize("name", [name for name, policy in policies.POLICIES if policy.ran])
def test_every_policy_makes_the_picture_and_is_taken_off_again(tiny: Any, name: str):
    """On the CPU, where streams have no meaning; layers and parts are put in place and taken away all the same."""
    plain, policy = picture(tiny), policies.POLICIES.get(name)
    policies.place(tiny, name, "cpu")
    assert tiny.vae.use_tiling == policy.spares_vae
    spared = picture(tiny)
    assert plain.shape == spared.shape
    assert float((plain - spared).abs().max()) < 0.5  # tiles see less of their surroundings, the picture is the same one
    policies.lift(tiny, name)
    assert not tiny.vae.use_tiling
    assert not any(is_group_offloaded(part) or hasattr(part, "_hf_hook") for part in (tiny.unet, tiny.vae, tiny.text_encoder))
    assert torch.equal(picture(tiny), plain), "as if it had never been there"


def test_the_text_encoders_layers_visit_the_device(tiny: Any):
    ids = torch.ones((1, 8), dtype=torch.long)
    plain = tiny.text_encoder(ids).last_hidden_state
    policies.place(tiny, "encoders", "cpu")
    try:
        assert is_group_offloaded(tiny.text_encoder)
        assert not is_group_offloaded(tiny.unet)
        assert torch.equal(tiny.text_encoder(ids).last_hidden_state, plain)
    finally:
        policies.lift(tiny, "encoders")
