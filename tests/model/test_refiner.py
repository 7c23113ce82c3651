"""The refiner: a run gone on with by another network, against a loop over the two networks written by hand, bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from safetensors.torch import save_file

from modules.hardware import policies
from modules.processing.latent import packed, unpacked
from modules.processing.passes import StepHooks
from modules.processing.refiner import unshifted
from modules.processing.slot import LoadedModel, Slot
from modules.request import Checkpoint, Network, RefinerPass
from modules.samplers.build import build_scheduler, seeded
from tests.model import tiny
from tests.model.two_models import NEGATIVE, PROMPT, SIDE, Build, Stage, checkpoint_of, request

CFG, CELLS = 4.0, SIDE // 8
MODELS: dict[str, Build] = {
    "sd15": lambda f: tiny.sd15(f),
    "sd15 other": lambda f: tiny.sd15(f, seed=1),
    "sd15 v": lambda f: tiny.sd15(f, seed=2, prediction="v_prediction"),
    "sd2": lambda f: tiny.sd2(f, seed=3),
    "sdxl": lambda f: tiny.sdxl(f),
    "sdxl other": lambda f: tiny.sdxl(f, seed=1),
    "sdxl refiner": lambda f: tiny.sdxl_refiner(f),
    "sd3": lambda f: tiny.sd3(f),
    "sd3 other": lambda f: tiny.sd3(f, seed=1),
    "flux": lambda f: tiny.flux(f),
    "flux other": lambda f: tiny.flux(f, guidance=False, seed=1),
}
PAIRS = [
    ("sd15", "sd15 other"), ("sd15", "sd2"), ("sdxl", "sdxl other"), ("sdxl", "sdxl refiner"), ("sdxl refiner", "sdxl"),
    ("sd3", "sd3 other"), ("flux", "flux other"),
]  # fmt: skip
Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Checkpoint]:
    base, found = tmp_path_factory.mktemp("refiner"), dict[str, Checkpoint]()

    def build(name: str) -> Checkpoint:
        if name not in found:
            found[name] = checkpoint_of(MODELS[name](base / name.replace(" ", "-")))
        return found[name]

    return build


def refined(first: Checkpoint, second: Checkpoint, at: float, sampler: str = "Euler", **changes: Any) -> Any:
    return request(first, sampler, refiner=RefinerPass(checkpoint=second, switch_at=at), **changes)


def predictor(model: LoadedModel, distilled: float) -> Predict:
    """The guided answer of a model's network, as its own pipeline would ask it."""
    pipe: Any = model.pipeline
    told = {"device": torch.device("cpu"), "num_images_per_prompt": 1}
    guided = {**told, "do_classifier_free_guidance": True, "negative_prompt": NEGATIVE}
    kind = type(pipe).__name__
    if kind == "FluxPipeline":
        return _flux(pipe, distilled, told)
    if kind == "StableDiffusionPipeline":
        words = torch.cat(pipe.encode_prompt(PROMPT, **guided)[::-1])
        return lambda x, t: _mixed(pipe.unet(torch.cat([x, x]), t, encoder_hidden_states=words, return_dict=False)[0])
    if kind == "StableDiffusion3Pipeline":
        prompt, negative, pooled, without = pipe.encode_prompt(PROMPT, None, None, **guided)
        both = {"encoder_hidden_states": torch.cat([negative, prompt]), "pooled_projections": torch.cat([without, pooled])}
        return lambda x, t: _mixed(pipe.transformer(torch.cat([x, x]), timestep=t.expand(2), **both, return_dict=False)[0])
    prompt, negative, pooled, without = pipe.encode_prompt(prompt=PROMPT, **guided)
    size = [float(SIDE), float(SIDE), 0.0, 0.0]
    ids = [[*size, 2.5], [*size, 6.0]] if pipe.config.get("requires_aesthetics_score") else [[*size, SIDE, SIDE]] * 2
    added = {"text_embeds": torch.cat([without, pooled]), "time_ids": torch.tensor(ids)}
    both = {"encoder_hidden_states": torch.cat([negative, prompt]), "added_cond_kwargs": added}
    return lambda x, t: _mixed(pipe.unet(torch.cat([x, x]), t, **both, return_dict=False)[0])


def _flux(pipe: Any, distilled: float, told: dict[str, Any]) -> Predict:
    length = 512 if pipe.transformer.config.guidance_embeds else 256
    own = {"img_ids": pipe._prepare_latent_image_ids(1, CELLS // 2, CELLS // 2, "cpu", torch.float32), "return_dict": False}
    if pipe.transformer.config.guidance_embeds:
        own["guidance"] = torch.tensor([distilled])
    texts = [pipe.encode_prompt(text, None, max_sequence_length=length, **told) for text in (PROMPT, NEGATIVE)]

    def predict(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        prompt, negative = (
            pipe.transformer(x, timestep=t.expand(1) / 1000, encoder_hidden_states=w, pooled_projections=p, txt_ids=i, **own)[0]
            for w, p, i in texts
        )
        return negative + CFG * (prompt - negative)

    return predict


def _mixed(answer: torch.Tensor) -> torch.Tensor:
    negative, prompt = answer.chunk(2)
    return negative + CFG * (prompt - negative)


def by_hand(stage: Stage, first: Checkpoint, second: Checkpoint, turn: int, sampler: str = "Euler", distilled: float = 3.5) -> torch.Tensor:
    """Latents of 4 steps, the second network asked from call `turn` on."""
    models = [stage.slot.take(one, lambda *a, **k: None, keep=3) for one in (first, second)]
    flux, sd3 = first.family == "flux", first.family == "sd3"
    scheduler = build_scheduler(sampler, "Automatic", models[0].scheduler_config)
    scheduler.generators = seeded([5])
    noise = torch.randn((1, 16 if flux or sd3 else 4, CELLS, CELLS), generator=scheduler.generators[0])
    if flux:
        config = scheduler.config
        sequence = (config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift)
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / 4, 4), mu=calculate_shift(CELLS * CELLS // 4, *sequence))
    else:
        scheduler.set_timesteps(4)
    with torch.inference_mode():
        predict = [predictor(one, distilled) for one in models]
        x = packed(noise) if flux else noise if sd3 else noise * scheduler.init_noise_sigma
        for n, t in enumerate(scheduler.timesteps):
            seen = x if flux or sd3 else scheduler.scale_model_input(x, t)
            x = scheduler.step(predict[n >= turn](seen, t), t, x, return_dict=False)[0]
    return unpacked(x, CELLS, CELLS) if flux else x


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_refined_run_equals_a_loop_over_the_two_networks(stage: Stage, model: Any, first: str, second: str) -> None:
    ours = stage.latents(refined(model(first), model(second), 0.45, distilled_cfg_scale=3.5 if first == "flux" else None))
    theirs = by_hand(stage, model(first), model(second), 2)
    assert ours.model.checkpoint == model(second)
    assert torch.equal(ours.latents, theirs)


@pytest.mark.parametrize("sampler", ["DPM++ 2M", "UniPC", "Heun"])
def test_the_sampler_goes_on_with_what_it_remembers(stage: Stage, model: Any, sampler: str) -> None:
    at = 0.45 if sampler != "Heun" else 0.3
    ours = stage.latents(refined(model("sd15"), model("sd15 other"), at, sampler)).latents
    times = build_scheduler(sampler, "Automatic", stage.slot.take(model("sd15"), lambda *a, **k: None, keep=3).scheduler_config)
    times.set_timesteps(4)
    turn = next(n for n, t in enumerate(times.timesteps) if (999 - round(float(t))) / 1000 >= at)
    assert torch.equal(ours, by_hand(stage, model("sd15"), model("sd15 other"), turn, sampler))
    assert 0 < turn < len(times.timesteps)


@pytest.mark.parametrize("pair", [("sd15", "sd15 other"), ("sdxl", "sdxl refiner"), ("sd3", "sd3 other")])
def test_at_1_the_first_model_is_alone_and_at_0_the_refiner(stage: Stage, model: Any, pair: tuple[str, str]) -> None:
    first, second = map(model, pair)
    stage.taken.clear()
    never = stage.latents(refined(first, second, 1.0))
    assert stage.taken == [first.model_name]
    assert torch.equal(never.latents, stage.latents(request(first)).latents)
    at_once = stage.latents(refined(first, second, 0.0))
    assert torch.equal(at_once.latents, stage.latents(request(second)).latents)


def test_the_switch_can_be_counted_in_steps(stage: Stage, model: Any) -> None:
    found = refined(model("sd15"), model("sd15 other"), 0.75, settings={"refiner_switch_by_sample_steps": True})
    assert torch.equal(stage.latents(found).latents, by_hand(stage, model("sd15"), model("sd15 other"), 3))


def test_a_batch_equals_its_singles_and_parts_joined_by_and_count(stage: Stage, model: Any) -> None:
    texts = {"prompt": "a red apple AND a [cat:dog:0.6] :0.5", "negative_prompt": ""}
    batch = stage.latents(refined(model("sd15"), model("sd15 other"), 0.45, batch_size=2, **texts)).latents
    singles = [stage.latents(refined(model("sd15"), model("sd15 other"), 0.45, seed=5 + n, **texts)).latents for n in range(2)]
    assert torch.allclose(batch, torch.cat(singles), atol=0.02)
    plain = stage.latents(refined(model("sd15"), model("sd15 other"), 0.45, prompt="a red apple", negative_prompt="")).latents
    assert (singles[0] - plain).abs().max() > 0.01


def test_a_refiner_that_predicts_velocity_answers_as_one_that_predicts_noise(stage: Stage, model: Any) -> None:
    """From the first step on, the run is that of the refiner alone but for rounding."""
    ours = stage.latents(refined(model("sd15"), model("sd15 v"), 0.0)).latents
    alone = stage.latents(request(model("sd15 v"))).latents
    assert torch.allclose(ours, alone, atol=2e-3)
    assert not torch.allclose(ours, stage.latents(request(model("sd15"))).latents, atol=0.1)


def test_an_end_asked_for_after_the_switch_gives_what_is_believed_then(stage: Stage, model: Any) -> None:
    done: list[int] = []
    hooks = StepHooks(stop=lambda: done[-1] >= 3, step=lambda n, of: done.append(n))
    found = stage.latents(refined(model("sd15"), model("sd15 other"), 0.45), hooks)
    assert found.partial
    assert found.model.checkpoint == model("sd15 other")
    again = stage.latents(refined(model("sd15"), model("sd15 other"), 0.45))
    assert not again.partial
    network = stage.slot.take(model("sd15"), lambda *a, **k: None, keep=3).pipeline.unet
    assert not network._diffusers_hook.hooks


def test_the_picture_is_decoded_by_the_model_that_ended_the_run(stage: Stage, model: Any) -> None:
    at_once = stage.batch(refined(model("sdxl"), model("sdxl refiner"), 0.0)).images[0]
    assert at_once.tobytes() == stage.batch(request(model("sdxl refiner"))).images[0].tobytes()


def test_shifting_is_undone() -> None:
    for shift in (1.0, 3.0, 6.0):
        for share in (0.1, 0.5, 1.0):
            assert unshifted(shift * share / (1 + (shift - 1) * share), shift) == pytest.approx(share)


def test_one_that_is_the_first_model_itself_changes_nothing(stage: Stage, model: Any) -> None:
    found = refined(model("sd15"), model("sd15"), 0.3)
    assert torch.equal(stage.latents(found).latents, stage.latents(dataclasses.replace(found, refiner=None)).latents)


def lora(path: Path, model: LoadedModel) -> Network:
    """One that changes how the middle of the network reads the text."""
    name = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    rows, columns = model.pipeline.unet.get_submodule(name).weight.shape
    tensors = {f"unet.{name}.lora_A.weight": torch.ones(2, columns), f"unet.{name}.lora_B.weight": torch.ones(rows, 2)}
    save_file({key: value * 0.05 for key, value in tensors.items()}, path)
    return Network(name=path.stem, path=str(path), sha256="0", te=1.0, unet=1.0)


def test_loras_go_on_in_a_refiner_that_they_fit_and_the_others_are_named(stage: Stage, model: Any, tmp_path: Path) -> None:
    one = lora(tmp_path / "mark.safetensors", stage.slot.take(model("sd15"), lambda *a, **k: None, keep=3))
    both = stage.latents(refined(model("sd15"), model("sd15 other"), 0.0, networks=(one,)))
    assert torch.equal(both.latents, stage.latents(request(model("sd15 other"), networks=(one,))).latents)
    assert not torch.equal(both.latents, stage.latents(request(model("sd15 other"))).latents)
    found = stage.latents(refined(model("sd15"), model("sd2"), 0.0, networks=(one,)))
    assert torch.equal(found.latents, stage.latents(request(model("sd2"))).latents)
    assert ["mark was not made for sd2" in warning for warning in found.warnings] == [True]


def test_offloading_goes_on_in_a_run_whose_model_was_set_aside(stage: Stage, model: Any) -> None:
    careful = Stage()
    careful.slot = Slot(
        lambda p: p.enable_model_cpu_offload(device="cpu"),
        policies.POLICIES.get("medvram").lift,
        "float32",
        lambda: 2**40,
        aside=policies.aside,
    )
    asked = refined(model("sd15"), model("sd15 other"), 0.45)
    for _ in range(2):
        assert torch.allclose(careful.latents(asked).latents, stage.latents(asked).latents, atol=0.01)
