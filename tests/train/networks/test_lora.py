"""LoRA on tiny models of every family: it learns, its file does elsewhere what it does here, and taken off it leaves no trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import ImageChops
from safetensors import safe_open

from modules.families import FAMILIES, kind_of
from modules.faults import ModelFault, RequestFault
from modules.processing.networks import Networks
from modules.request import Network
from modules.train.networks.recipes import recipe_of
from modules.train.trainee import SampleAsked
from modules.weights import header
from tests.train.networks.rig import MODELS, STEP, Built, answer, examples, shake, steps, trainee, weights

# Where plain diffusers reads diffusers' form alone: kohya's names of SD3 it passes over, of Flux it knows one width only.
NEEDS_ITS_OWN = ("sd3.5-medium", "flux")


def on(path: Path) -> Network:
    return Network(name=path.stem, path=str(path), sha256="", te=1.0, unet=1.0, rank=None)


def near(a: torch.Tensor, b: torch.Tensor, within: float) -> bool:
    return float((a - b).abs().max()) < within


@pytest.mark.parametrize("name", ["sd15", "sd2-768", "sdxl", "sd3.5-medium", "flux"])
def test_it_learns_and_its_file_does_elsewhere_what_it_does_here(pipelines: Built, name: str, tmp_path: Path):
    pipeline, family = pipelines(name), FAMILIES.get(MODELS[name][0])
    before, plain = weights(pipeline), answer(name, pipeline)
    made = trainee(name, pipeline, save_format="both" if name in NEEDS_ITS_OWN else "kohya")
    losses = steps(made, 3)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    learnt = answer(name, pipeline)
    files = made.export(tmp_path / "made", {})
    made.detach()
    assert torch.equal(answer(name, pipeline), plain)
    assert not near(learnt, plain, 1e-3)

    networks = Networks(pipeline, family.architecture)
    for file in files:
        [report] = networks.set([on(file)]).reports
        assert (report.matched, report.warning) == (report.total, "")
        assert near(answer(name, pipeline), learnt, 1e-5)
    networks.clear()
    assert torch.equal(answer(name, pipeline), plain)

    pipeline.load_lora_weights(str(tmp_path), weight_name=files[-1].name)
    assert near(answer(name, pipeline), learnt, 1e-5)
    pipeline.unload_lora_weights()
    after = weights(pipeline)
    assert after.keys() == before.keys()
    assert all(torch.equal(tensor, before[key]) for key, tensor in after.items())


@pytest.mark.parametrize(
    ("name", "options", "ending"),
    [
        ("sd15", {"network_algo": "dora", "conv_dim": 2, "conv_alpha": 1}, ".dora_scale"),
        ("sd15", {"network_algo": "loha", "conv_dim": 2}, ".hada_w1_a"),
        ("sd15", {"network_algo": "lokr", "conv_dim": 2}, ".lokr_w1"),
        ("sd3", {"network_algo": "dora"}, ".dora_scale"),
        ("sd3.5-large", {"network_algo": "loha", "network_dropout": 0.1}, ".hada_w1_a"),
        ("flux-schnell", {"network_algo": "lokr"}, ".lokr_w1"),
    ],
)
def test_every_kind_of_network_learns_and_means_the_same_in_its_file(
    pipelines: Built, name: str, options: dict[str, Any], ending: str, tmp_path: Path
):
    pipeline = pipelines(name)
    plain = answer(name, pipeline)
    made = trainee(name, pipeline, text_encoder_lr=0, learning_rate=2e-3, **options)
    losses = steps(made, 3 if "network_dropout" in options else 2)
    assert losses[-1] < losses[0]
    shake(made)
    learnt = answer(name, pipeline)
    [file] = made.export(tmp_path / "made", {})
    made.detach()
    with safe_open(file, "pt") as opened:
        assert any(key.endswith(ending) for key in opened.keys())  # noqa: SIM118
    networks = Networks(pipeline, FAMILIES.get(MODELS[name][0]).architecture)
    [report] = networks.set([on(file)]).reports
    assert (report.matched, report.warning) == (report.total, "")
    assert near(answer(name, pipeline), learnt, 2e-5)
    networks.clear()
    assert torch.equal(answer(name, pipeline), plain)
    assert not near(learnt, plain, 1e-2)


def test_dora_in_diffusers_form_is_read_by_diffusers(pipelines: Built, tmp_path: Path):
    pipeline = pipelines("sd3")
    made = trainee("sd3", pipeline, network_algo="dora", save_format="diffusers", text_encoder_lr=0)
    steps(made, 2)
    learnt = answer("sd3", pipeline)
    [file] = made.export(tmp_path / "made", {})
    made.detach()
    pipeline.load_lora_weights(str(tmp_path), weight_name=file.name)
    assert near(answer("sd3", pipeline), learnt, 2e-5)
    pipeline.unload_lora_weights()


def test_a_file_says_how_it_was_made_and_for_what(pipelines: Built, tmp_path: Path):
    made = trainee("sd2-768", pipelines("sd2-768"), trigger_word="zwx", save_precision="bf16", min_snr_gamma=5, seed=7)
    [file] = made.export(tmp_path / "cat", {"ss_tag_frequency": '{"10_cat": {"cat": 3}}'})
    made.detach()
    found = header.read(file)
    said = {
        "ss_base_model_version": "sd_v2_v",
        "ss_v2": "True",
        "modelspec.architecture": "stable-diffusion-v2-768-v/lora",
        "modelspec.prediction_type": "v_prediction",
        "modelspec.trigger_phrase": "zwx",
        "modelspec.title": "cat",
        "ss_output_name": "cat",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "4",
        "ss_min_snr_gamma": "5.0",
        "ss_seed": "7",
        "ss_tag_frequency": '{"10_cat": {"cat": 3}}',
    }
    assert said.items() <= found.metadata.items()
    assert len(found.metadata["sshs_model_hash"]) == 64
    assert kind_of(found).architecture == "sd2"
    assert {info.dtype for info in found.tensors.values()} == {"BF16"}
    assert [path.name for path in tmp_path.iterdir()] == ["cat.safetensors"]


def test_caches_give_the_errors_that_encoding_gives(pipelines: Built):
    for name, long in (("sd15", "a cat, " * 40), ("sd3", "a dog")):
        pipeline = pipelines(name)
        made = trainee(name, pipeline, text_encoder_lr=0)
        plain = examples(captions=(long, "a cat"))
        with torch.no_grad():
            fresh = made.loss(plain, STEP)
            rows = zip(plain, made.encode_pixels(plain), made.encode_text([e.caption for e in plain]), strict=True)
            cached = [replace(example, pixels=None, latents=latents, text=text) for example, latents, text in rows]
            made.encoders_not_needed(pixels=True, text=True)
            assert near(made.loss(cached, STEP), fresh, 1e-5)
            weighted = [replace(example, weight=0.5) for example in cached]
            assert near(made.loss(weighted, STEP) * 2, fresh, 1e-5)
        made.detach()


def test_a_state_goes_on_bit_for_bit_and_another_networks_state_is_refused(pipelines: Built):
    pipeline = pipelines("flux")
    made = trainee("flux", pipeline)
    steps(made, 2)
    state = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    loss = made.loss(examples(), STEP)
    made.detach()
    again = trainee("flux", pipeline)
    assert not torch.equal(again.loss(examples(), STEP), loss)
    again.load_state_dict(state)
    assert torch.equal(again.loss(examples(), STEP), loss)
    again.detach()
    other = trainee("flux", pipeline, network_dim=2)
    for wrong in (state, dict(list(state.items())[1:])):
        with pytest.raises(ModelFault, match="Set rank, network and blocks as they were"):
            other.load_state_dict(wrong)
    other.detach()


def test_only_the_network_learns_at_its_own_rates(pipelines: Built):
    pipeline = pipelines("sd3")
    made = trainee("sd3", pipeline, learning_rate=1e-3, text_encoder_lr=1e-4)
    groups = made.parameters()
    assert [(group.name, group.lr) for group in groups] == [("transformer", 1e-3), ("text_encoder", 1e-4), ("text_encoder_2", 1e-4)]
    own = {id(parameter) for group in groups for parameter in group.params}
    learning = {id(p) for part in made.denoising.modules().values() for p in part.parameters() if p.requires_grad}
    assert learning == own
    assert sum(made.trained_modules().values()) == sum(p.numel() for group in groups for p in group.params)
    made.detach()
    only_text = trainee("sd3", pipeline, learning_rate=0)
    assert [group.name for group in only_text.parameters()] == ["text_encoder", "text_encoder_2"]
    only_text.detach()


def test_fewer_activations_and_bfloat16_learn_the_same(pipelines: Built):
    pipeline = pipelines("sd3")
    gradients: list[torch.Tensor] = []
    for options in ({}, {"gradient_checkpointing": True}, {"mixed_precision": "bf16"}):
        made = trainee("sd3", pipeline, **options)
        made.loss(examples(), STEP).mean().backward()
        parameters = [p for group in made.parameters() for p in group.params]
        assert {p.dtype for p in parameters} == {torch.float32}
        gradients.append(torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters]))
        made.denoising.network.disable_gradient_checkpointing()
        made.detach()
    plain, fewer, half = gradients
    assert torch.equal(plain, fewer)
    assert float(torch.nn.functional.cosine_similarity(plain, half, dim=0)) > 0.98
    for part in (pipeline.transformer, pipeline.text_encoder, pipeline.text_encoder_2, pipeline.text_encoder_3):
        part.float()


def test_a_sample_is_of_the_network_as_it_is_and_leaves_all_as_it_was(pipelines: Built):
    pipeline = pipelines("sd15")
    made = trainee("sd15", pipeline)
    asked = SampleAsked("a cat", negative_prompt="a dog", width=64, height=64, steps=2)
    scheduler, modes = pipeline.scheduler, {n: m.training for n, m in made.denoising.modules().items()}
    torch.manual_seed(5)
    first = made.sample(asked)
    drawn = torch.rand(1)
    assert first.size == (64, 64)
    assert pipeline.scheduler is scheduler
    assert {n: m.training for n, m in made.denoising.modules().items()} == modes
    assert torch.equal(torch.manual_seed(5) and torch.rand(1), drawn)
    assert ImageChops.difference(first, made.sample(asked)).getbbox() is None
    steps(made, 3)
    assert ImageChops.difference(first, made.sample(asked)).getbbox() is not None
    made.detach()


def test_no_change_grows_beyond_the_largest_norm(pipelines: Built):
    made = trainee("sd3.5-large", pipelines("sd3.5-large"), scale_weight_norms=0.05, text_encoder_lr=0)
    steps(made, 2)

    def norms() -> list[float]:
        return [
            float(torch.linalg.vector_norm(layer.get_delta_weight("default").detach()))
            for _, layer in made.attached["transformer"].layers()
        ]

    before = norms()
    made.after_step()
    assert max(before) > 0.05
    for was, now in zip(before, norms(), strict=True):
        assert now == pytest.approx(min(was, 0.05), rel=1e-4)
    made.detach()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("sd3", {"learning_rate": 0, "text_encoder_lr": 0}, "nothing is trained"),
        ("sd3", {"network_algo": "loha", "save_format": "both"}, "diffusers has no file form for loha"),
        ("sd3", {"target_blocks": ["nowhere"], "text_encoder_lr": 0}, "try .*transformer_blocks.0"),
        ("sd3", {"min_snr_gamma": 5}, "this one flows"),
        ("sd15", {"weighting_scheme": "cosmap"}, "for models that flow"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_trained(pipelines: Built, name: str, options: dict[str, Any], words: str):
    pipeline = pipelines(name)
    plain = weights(pipeline).keys()
    with pytest.raises(RequestFault, match=words):
        trainee(name, pipeline, **options)
    assert weights(pipeline).keys() == plain


@pytest.mark.parametrize(("family", "variant"), [("sd15", "inpainting"), ("sdxl", "refiner"), ("sdxl", "instruct-pix2pix")])
def test_models_that_look_at_pictures_are_not_trained(family: str, variant: str):
    with pytest.raises(ModelFault, match="Train on the text-to-image model"):
        recipe_of(FAMILIES.get(family), variant)
