"""Components that work on the CPU beside a device: where they lie, what travels, and that the picture is the same, bit for bit.

There is no second device here: "cpu" stands for it where something is computed, "meta" where it matters where things lie.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.hooks import CpuOffload

from modules.hardware import bench as benches
from modules.hardware import policies
from modules.hardware.bench import Bench
from modules.hardware.choice import beside_the_device, pick
from modules.hardware.detect import Device
from modules.hardware.plan import Need, Work, choose, peak
from modules.hardware.policies import Part
from modules.hardware.policies.on_cpu import OnCpu
from tests.hardware.conftest import picture

IDS = torch.ones((1, 8), dtype=torch.long)
WISHES = {"vae": ("vae",), "text": ("text_encoder",), "both": ("text_encoder", "vae")}
RUN = ("resident", "tiled", "encoders", "medvram", "streamed", "encoders-on-cpu", "vae-on-cpu", "streamed-vae-on-cpu")


def hooked(pipeline: Any) -> set[str]:
    """Which components work on the CPU for good."""
    return {name for name in ("unet", "vae", "text_encoder") if isinstance(getattr(getattr(pipeline, name), "_hf_hook", None), OnCpu)}


def answers(pipeline: Any) -> list[torch.Tensor]:
    """What text encoder, VAE both ways and the whole pipeline say."""
    with torch.inference_mode():
        pixels = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
        latent = pipeline.vae.encode(pixels.to(pipeline.vae.dtype)).latent_dist.mode()
        told = pipeline.text_encoder(IDS, output_hidden_states=True)
        return [told.last_hidden_state, told.hidden_states[-1], latent, pipeline.vae.decode(latent).sample, picture(pipeline)]


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("policy", RUN)
def test_the_answers_are_those_of_the_resident_model(tiny: Any, policy: str, wish: str):
    plain = answers(tiny)
    away = {name for name in ("vae", "text_encoder") if policies.is_on_cpu(name, policy, WISHES[wish])}
    policies.place(tiny, policy, "cpu", wished=WISHES[wish])
    assert hooked(tiny) == away
    tiny.vae.disable_tiling()  # tiles see less of their surroundings, and kernels round otherwise for another number of pictures
    tiny.vae.disable_slicing()
    for _ in range(2):  # model offloading is set anew by each call of the pipeline
        assert all(torch.equal(one, other) for one, other in zip(answers(tiny), plain, strict=True))
        assert hooked(tiny) == away
    policies.lift(tiny, policy)
    assert hooked(tiny) == set()
    assert not any(hasattr(part, "_hf_hook") or hasattr(part, "_old_forward") for part in tiny.vae.modules())
    assert "enable_model_cpu_offload" not in vars(tiny)
    assert all(torch.equal(one, other) for one, other in zip(answers(tiny), plain, strict=True))


def test_only_the_rest_goes_to_the_device(tiny: Any):
    """Also for a moment nothing else does: a large text encoder may be larger than the device."""
    pipeline = copy.deepcopy(tiny)
    moved: list[str] = []
    for name in ("unet", "vae", "text_encoder"):
        part = getattr(pipeline, name)
        vars(part)["to"] = lambda *told, own=part.to, name=name, **more: (moved.append(f"{name} {told[0]}"), own(*told, **more))[1]
    policies.place(pipeline, "resident", "meta", wished=("vae", "text_encoder"))
    assert {name: getattr(pipeline, name).device.type for name in ("unet", "vae", "text_encoder")} == {
        "unet": "meta", "vae": "cpu", "text_encoder": "cpu",
    }  # fmt: skip
    assert [one for one in moved if not one.startswith("unet")] == ["vae cpu", "text_encoder cpu"]
    assert pipeline.config["vae"][1] == "AutoencoderKL", "the pipeline still knows what it is made of"


def test_a_pipeline_still_knows_its_device_under_model_offloading(tiny: Any):
    tiny.enable_model_cpu_offload(device="cpu")
    tiny.remove_all_hooks()
    policies.place(tiny, "medvram", "cpu", wished=("vae",))
    hook = tiny.unet._hf_hook
    assert isinstance(hook, CpuOffload)
    hook.execution_device = torch.device("meta")
    tiny.text_encoder._hf_hook.execution_device = torch.device("meta")
    assert tiny._execution_device.type == "meta", "not the CPU, where the VAE works"
    policies.lift(tiny, "medvram")


def test_what_comes_from_a_device_goes_back_there(tiny: Any):
    """A tensor of the meta device cannot be copied to the CPU: so a module is asked that says where its input was when it ran."""

    class Noting(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, Any]:
            seen.append((x.device.type, x.dtype))
            return {"made": x * 2, "count": 3}

    class FromAfar(torch.Tensor):
        """Says that it lies elsewhere until it is moved."""

        @property
        def device(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
            return torch.device("meta")

        def to(self, *where: Any, **told: Any) -> Any:
            return torch.Tensor.to(self.as_subclass(torch.Tensor), *where, **told)

    seen: list[tuple[str, torch.dtype]] = []
    hook, module = OnCpu("float32", door=True), Noting()
    given, _ = hook.pre_forward(module, torch.ones(2).to(torch.float16).as_subclass(FromAfar))
    made = hook.post_forward(module, module(*given))
    assert seen == [("cpu", torch.float32)]
    assert (made["made"].device.type, made["made"].dtype, made["count"]) == ("meta", torch.float16, 3)


def test_half_precision_is_calculated_in_full_and_kept_as_it_was(tiny: Any):
    exact = answers(tiny)
    half = copy.deepcopy(tiny)
    for name in ("unet", "vae", "text_encoder"):
        getattr(half, name).to(torch.bfloat16)
    weights = {key: tensor.clone() for key, tensor in half.vae.state_dict().items()} | dict(half.text_encoder.state_dict())

    def asked() -> list[torch.Tensor]:
        with torch.inference_mode():
            latent = exact[2].to(torch.bfloat16)
            return [half.text_encoder(IDS).last_hidden_state, half.vae.decode(latent).sample]

    rough = asked()
    policies.place(half, "resident", "cpu", wished=("vae", "text_encoder"), numbers="float32")
    better = asked()
    full = copy.deepcopy(half.text_encoder)
    policies.lift(half, "resident")
    assert [one.dtype for one in better] == [torch.bfloat16] * 2, "as the network wants them"
    assert (half.vae.dtype, half.text_encoder.dtype) == (torch.bfloat16, torch.bfloat16)
    assert all(torch.equal(tensor, weights[key]) for key, tensor in (half.vae.state_dict() | half.text_encoder.state_dict()).items())
    with torch.inference_mode():
        rounded = full.float()(IDS).last_hidden_state
    assert torch.equal(better[0], rounded.to(torch.bfloat16)), "rounded once, at the end"
    for coarse, fine, true in zip(rough, better, (rounded, exact[3]), strict=True):
        assert (fine.float() - true).abs().mean() <= (coarse.float() - true).abs().mean()


def test_a_call_that_fails_half_way_leaves_the_weights(tiny: Any):
    half = copy.deepcopy(tiny)
    half.vae.to(torch.bfloat16)
    policies.place(half, "resident", "cpu", wished=("vae",))
    with pytest.raises(RuntimeError), torch.inference_mode():
        half.vae.decode(torch.ones((1, 3, 4, 4), dtype=torch.bfloat16))  # one channel too few
    policies.lift(half, "resident")
    assert {tensor.dtype for tensor in half.vae.parameters()} == {torch.bfloat16}


def test_aside_frees_the_device_although_the_vae_has_a_hook(tiny: Any):
    pipeline = copy.deepcopy(tiny)
    moves: list[str] = []
    policies.place(pipeline, "resident", "cpu", wished=("vae",))
    vars(pipeline)["to"] = moves.append
    policies.aside(pipeline)
    assert moves == ["cpu"]


PARTS = {"text_encoder": Part(500, 40), "unet": Part(3400, 60), "vae": Part(320, 10)}
NEED = Need(
    key="model", parts=PARTS,
    works=(
        Work(stage="text", component="text_encoder", bytes=30, spared_bytes=30),
        Work(stage="sample", component="unet", bytes=300, spared_bytes=300),
        Work(stage="decode", component="vae", bytes=2000, spared_bytes=900),
    ),
)  # fmt: skip


def test_what_works_on_the_cpu_is_not_counted():
    assert peak(NEED, "resident") == 4220 + 2000
    assert peak(NEED.on("cuda", ("vae",)), "resident") == 3900 + 300
    assert peak(NEED.on("cuda", ("text_encoder",)), "resident") == 3720 + 2000
    assert peak(NEED.on("cuda", ("text_encoder", "vae")), "medvram") == 3400 + 300
    assert peak(NEED, "encoders-on-cpu") == 3720 + 900
    assert peak(NEED, "vae-on-cpu") == 3400 + 300
    assert peak(NEED, "streamed-vae-on-cpu") == 120 + 300
    assert NEED.on("cuda") is NEED
    assert NEED.on("cuda", ("vae",)).key != NEED.key, "what is learnt of the one says nothing about the other"


def test_slow_decoding_comes_before_no_memory():
    rungs = policies.ladder("cuda")
    taken = {room: choose(NEED, rungs, room).policy for room in (9000, 4650, 3750, 1200, 500, 1)}
    assert taken == {
        9000: "resident", 4650: "encoders", 3750: "medvram", 1200: "streamed", 500: "streamed-vae-on-cpu", 1: "streamed-vae-on-cpu",
    }  # fmt: skip
    long_texts = replace(NEED, works=(replace(NEED.works[0], bytes=1500, spared_bytes=1500), *NEED.works[1:]))
    assert choose(long_texts, rungs, 4650).policy == "encoders-on-cpu", "reading them takes more than a layer at a time saves"
    assert choose(NEED, policies.ladder("directml"), 3800).policy == "vae-on-cpu", "which has no offloading"


def test_number_types_of_the_cpu_beside_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert beside_the_device("bfloat16", 2.0) == "bfloat16"
    assert beside_the_device("bfloat16", 1.1) == "float32"
    assert beside_the_device(None, None) == "float32"
    card = Device(kind="cuda", torch_name="cpu", name="Card", memory_bytes=0)
    cpu = Device(kind="cpu", torch_name="cpu", name="Processor", memory_bytes=0, dtypes=("float32", "bfloat16"))
    measured: list[str] = []
    monkeypatch.setattr(benches, "probe", lambda with_kernels: [card, cpu])
    monkeypatch.setattr(benches, "with_dtypes", lambda device, cache: device)
    monkeypatch.setattr(benches, "with_gain", lambda device, cache: measured.append(device.kind) or 1.5)
    bench = Bench(card, "float16", "float16", "resident", on_cpu=("vae",))
    assert [bench.cpu_numbers(), bench.cpu_numbers()] == ["bfloat16"] * 2
    assert measured == ["cpu"], "once"


def test_the_bench_places_what_is_wished(tiny: Any, monkeypatch: pytest.MonkeyPatch):
    card = Device(kind="directml", torch_name="cpu", name="Card", memory_bytes=0)
    bench = Bench(card, "float32", "float32", "resident", on_cpu=("vae",))
    monkeypatch.setattr(Bench, "cpu_numbers", lambda self: "float32")
    bench.place(tiny)
    assert hooked(tiny) == {"vae"}
    bench.policy = "tiled"  # stepped down meanwhile: it is lifted as it was placed
    bench.lift(tiny)
    assert hooked(tiny) == set()
    bench.place(tiny)
    assert hooked(tiny) == {"vae"}
    bench.lift(tiny)


def test_only_all_means_that_the_device_is_not_used():
    devices = [replace(Device(kind=kind, torch_name=kind, name=kind, memory_bytes=0)) for kind in ("cuda", "cpu")]
    assert pick(devices, {"use_cpu": ["vae", "interrogate"]})[0].kind == "cuda"
    assert pick(devices, {"use_cpu": ["vae", "all"]})[0].kind == "cpu"
