"""Every family's tiny model of the true classes, found by detection, loaded, and its picture against plain diffusers, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from modules.families import identify
from modules.faults import BlankPicture, RequestFault
from modules.processing.batch import Batch, make_batch
from modules.processing.calls import CALLS, call_named
from modules.processing.latent import packed, scaled, to_pixels, unpacked, unscaled
from modules.processing.passes import StepHooks
from modules.processing.preview import Previewer
from modules.processing.slot import LoadedModel, Slot
from modules.request import Checkpoint, ResolvedRequest
from modules.samplers.build import build_scheduler
from modules.weights import model_folder
from tests.model import tiny

PROMPT, NEGATIVE = "a red apple, 3d", "blue"
SIDE = 64
Build = Callable[[Path], Path]

MODELS: dict[str, tuple[Build, str]] = {
    "sd15": (lambda f: tiny.sd15(f), "Euler"),
    "sd15 v": (lambda f: tiny.sd15(f, prediction="v_prediction"), "DPM++ 2M"),
    "sd15 inpainting": (lambda f: tiny.sd15(f, variant="inpainting"), "Euler"),
    "sd15 instruct-pix2pix": (lambda f: tiny.sd15(f, variant="instruct-pix2pix"), "Euler"),
    "sd2": (lambda f: tiny.sd2(f), "DDIM"),
    "sd2 v, zero SNR": (lambda f: tiny.sd2(f, variant="768", prediction="v_prediction", zero_snr=True), "Euler"),
    "sdxl": (lambda f: tiny.sdxl(f), "DPM++ 2M"),
    "sdxl inpainting": (lambda f: tiny.sdxl(f, variant="inpainting"), "Euler"),
    "sdxl instruct-pix2pix": (lambda f: tiny.sdxl(f, variant="instruct-pix2pix"), "Euler"),
    "sdxl refiner": (lambda f: tiny.sdxl_refiner(f), "Euler"),
    "sd3": (lambda f: tiny.sd3(f), "Euler"),
    "sd3.5": (lambda f: tiny.sd3(f, variant="3.5-medium"), "DPM++ 2M"),
    "sd3 without t5": (lambda f: tiny.sd3(f, t5=False), "Heun"),
    "flux dev": (lambda f: tiny.flux(f), "Euler"),
    "flux schnell": (lambda f: tiny.flux(f, guidance=False), "DPM++ 2M"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a model of MODELS, written once."""
    base, found = tmp_path_factory.mktemp("families"), dict[str, Path]()

    def build(name: str) -> Path:
        if name not in found:
            found[name] = MODELS[name][0](base / name.replace(" ", "-"))
        return found[name]

    return build


@pytest.fixture(scope="module")
def loaded(made: Callable[[str], Path]) -> Callable[[str], LoadedModel]:
    """A model of MODELS as the worker holds it, found by detection alone."""
    found: dict[str, LoadedModel] = {}

    def load(name: str) -> LoadedModel:
        if name not in found:
            folder = made(name)
            family, match = identify(model_folder.read(folder))
            checkpoint = Checkpoint(
                title=name,
                model_name=name,
                path=str(folder),
                family=family.id,
                native_px=match.native_px,
                variant=match.variant,
                prediction=match.prediction,
            )
            slot = Slot(lambda p: None, lambda p: None, "float32", lambda: 2**40)
            found[name] = slot.take(checkpoint, lambda *a, **k: None)
        return found[name]

    return load


def request(model: LoadedModel, sampler: str, **changes: Any) -> ResolvedRequest:
    base: dict[str, Any] = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "steps": 2,
        "cfg_scale": 4.0,
        "width": SIDE,
        "height": SIDE,
        "seed": 5,
        "batch_size": 1,
        "scheduler": "Automatic",
        "settings": {},
        **changes,
    }
    seed, count = base.pop("seed"), base["batch_size"]
    return ResolvedRequest(
        all_prompts=(base["prompt"],) * count,
        all_negative_prompts=(base["negative_prompt"],) * count,
        all_seeds=tuple(seed + i for i in range(count)),
        styles=(),
        sampler_name=sampler,
        n_iter=1,
        checkpoint=model.checkpoint,
        save_images=False,
        overrides={},
        **base,
    )


def make(model: LoadedModel, sampler: str, hooks: StepHooks | None = None, **changes: Any) -> Batch:
    hooks = hooks or StepHooks(stop=lambda: False, step=lambda done, of: None)
    return make_batch(model, request(model, sampler, **changes), 0, hooks)


def plain(folder: Path, sampler: str, seed: int = 5, **call: Any) -> Image.Image:
    """What anyone gets who loads the folder with diffusers and calls the pipeline once."""
    absent = {part: None for part, row in json.loads((folder / "model_index.json").read_text()).items() if row == [None, None]}
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True, **absent)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = build_scheduler(sampler, "Automatic", dict(pipeline.scheduler.config))
    generator = torch.Generator("cpu").manual_seed(seed)
    pipeline.scheduler.generators = [generator]
    usual = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 2, "guidance_scale": 4.0}
    call = {**usual, "generator": generator, **_own(pipeline, generator), **call}
    return pipeline(**{k: v for k, v in call.items() if v is not None}).images[0]


def _own(pipeline: Any, generator: torch.Generator) -> dict[str, Any]:
    """What the class needs beside the prompt to make a picture from text."""
    name, size = type(pipeline).__name__, {"width": SIDE, "height": SIDE}
    nothing = Image.new("RGB", (SIDE, SIDE))
    if name.endswith("InpaintPipeline"):
        return {**size, "image": nothing, "mask_image": Image.new("L", (SIDE, SIDE), 255), "strength": 1.0}
    if name == "StableDiffusionInstructPix2PixPipeline":
        return {"image": torch.zeros(1, 4, SIDE // 8, SIDE // 8)}
    if name == "StableDiffusionXLInstructPix2PixPipeline":
        return {**size, "image": torch.zeros(1, 4, SIDE // 8, SIDE // 8)}
    if name == "StableDiffusionXLImg2ImgPipeline":
        pipeline.scheduler.set_timesteps(2)
        noise = torch.randn((1, 4, SIDE // 8, SIDE // 8), generator=generator) * pipeline.scheduler.init_noise_sigma
        return {"image": noise, "latents": noise, "strength": 1.0}
    if name == "FluxPipeline":
        length = 512 if pipeline.transformer.config.guidance_embeds else 256
        return {**size, "guidance_scale": 3.5, "true_cfg_scale": 4.0, "max_sequence_length": length}
    return size


def difference(a: Image.Image, b: Image.Image) -> int:
    return int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max())


def spread(image: Image.Image) -> float:
    return float(np.asarray(image, float).std())


@pytest.mark.parametrize("name", MODELS)
def test_a_picture_equals_the_plain_call(made: Callable[[str], Path], loaded: Callable[[str], LoadedModel], name: str) -> None:
    sampler = MODELS[name][1]
    [ours] = make(loaded(name), sampler).images
    theirs = plain(made(name), sampler)
    assert ours.size == (SIDE, SIDE)
    assert spread(theirs) > 1
    assert difference(ours, theirs) == 0


@pytest.mark.parametrize("name", ["sd3", "flux dev"])
def test_the_usual_sampler_is_the_scheduler_that_came_with_the_model(
    made: Callable[[str], Path], loaded: Callable[[str], LoadedModel], name: str
) -> None:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(made(name), dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(5)
    call = {"guidance_scale": 4.0, "negative_prompt": NEGATIVE, **_own(pipeline, generator)}
    theirs = pipeline(prompt=PROMPT, num_inference_steps=3, generator=generator, **call).images[0]
    assert difference(make(loaded(name), "Euler", steps=3).images[0], theirs) == 0


@pytest.mark.parametrize("sampler", ["DPM++ 2M", "DPM++ 2M SDE", "DPM++ 3M SDE", "Heun", "UniPC", "LCM"])
@pytest.mark.parametrize("name", ["sd3", "flux dev", "flux schnell"])
def test_every_sampler_of_flow_models_runs_and_equals_the_plain_call(
    made: Callable[[str], Path], loaded: Callable[[str], LoadedModel], name: str, sampler: str
) -> None:
    [ours] = make(loaded(name), sampler, steps=3).images
    assert difference(ours, plain(made(name), sampler, num_inference_steps=3)) == 0


def test_without_guidance_the_network_is_asked_once(made: Callable[[str], Path], loaded: Callable[[str], LoadedModel]) -> None:
    for name in ("sdxl", "sd3", "flux dev"):
        one = {"true_cfg_scale": 1.0, "guidance_scale": 3.5} if name == "flux dev" else {"guidance_scale": 1.0}
        theirs = plain(made(name), "Euler", **one)
        assert difference(make(loaded(name), "Euler", cfg_scale=1.0).images[0], theirs) == 0, name


def test_the_distilled_scale_of_flux_dev_is_its_own(loaded: Callable[[str], LoadedModel]) -> None:
    model = loaded("flux dev")
    usual, strong = (make(model, "Euler", cfg_scale=1.0, distilled_cfg_scale=s).images[0] for s in (3.5, 30.0))
    assert difference(usual, strong) > 0
    model = loaded("flux schnell")
    usual, strong = (make(model, "Euler", cfg_scale=1.0, distilled_cfg_scale=s).images[0] for s in (3.5, 30.0))
    assert difference(usual, strong) == 0


@pytest.mark.parametrize("name", ["sd15 instruct-pix2pix", "sdxl", "sdxl inpainting", "sdxl refiner", "sd3", "flux dev"])
def test_a_batch_equals_its_singles(loaded: Callable[[str], LoadedModel], name: str) -> None:
    batch = make(loaded(name), "LCM" if name.startswith(("sd3", "flux")) else "Euler a", batch_size=2).images
    singles = [make(loaded(name), "LCM" if name.startswith(("sd3", "flux")) else "Euler a", seed=5 + i).images[0] for i in range(2)]
    assert max(difference(a, b) for a, b in zip(batch, singles, strict=True)) <= 2


@pytest.mark.parametrize("name", ["sdxl", "sdxl refiner", "sd3", "sd15 inpainting"])
def test_prompts_joined_by_and(loaded: Callable[[str], LoadedModel], name: str) -> None:
    model = loaded(name)
    [alone] = make(model, "Euler").images
    [nothing_added] = make(model, "Euler", prompt=f"{PROMPT} AND a panda:0").images
    both = make(model, "Euler", prompt=f"{PROMPT} AND a panda in the snow, at night:3")
    assert difference(alone, nothing_added) <= 2
    assert difference(alone, both.images[0]) > 0
    assert not both.warnings


@pytest.mark.parametrize("name", ["sd15 instruct-pix2pix", "flux dev"])
def test_and_where_it_cannot_be_is_said(loaded: Callable[[str], LoadedModel], name: str) -> None:
    batch = make(loaded(name), "Euler", prompt=f"{PROMPT} AND a panda")
    assert any("AND" in warning for warning in batch.warnings)
    assert difference(batch.images[0], make(loaded(name), "Euler").images[0]) == 0


@pytest.mark.parametrize("name", ["sdxl", "sdxl inpainting", "sd15 instruct-pix2pix", "sd3", "flux dev"])
def test_a_prompt_that_changes_at_the_end_begins_with_the_first_one(loaded: Callable[[str], LoadedModel], name: str) -> None:
    model, second = loaded(name), "zzzzzzzzzzzzzzzz 9999999"
    latents: dict[str, list[torch.Tensor]] = {}
    for prompt in (PROMPT, f"[{PROMPT}:{second}:1]", second):
        seen: list[torch.Tensor] = []
        hooks = StepHooks(stop=lambda: False, step=lambda done, of: None, preview=lambda clean, seen=seen: seen.append(clean.clone()))
        make(model, "Euler", hooks, prompt=prompt)
        latents[prompt] = seen
    first, changed, other = latents.values()
    assert torch.equal(first[0], changed[0])
    assert not torch.equal(first[1], changed[1])
    assert not torch.equal(first[0], other[0])


def test_where_the_prompt_cannot_change_it_is_said(loaded: Callable[[str], LoadedModel]) -> None:
    batch = make(loaded("sdxl instruct-pix2pix"), "Euler", prompt="[a cat:a dog:1]")
    assert any("cannot change its prompt" in warning for warning in batch.warnings)
    batch = make(loaded("flux dev"), "Euler", negative_prompt="[a cat:a dog:1]")
    assert any("cannot change its negative prompt" in warning for warning in batch.warnings)


@pytest.mark.parametrize("name", ["sdxl", "sd3", "flux dev", "sd15 instruct-pix2pix", "sdxl instruct-pix2pix"])
def test_an_interrupt_gives_the_picture_as_it_is_believed_then(loaded: Callable[[str], LoadedModel], name: str) -> None:
    done: list[int] = []
    hooks = StepHooks(stop=lambda: len(done) >= 2, step=lambda step, of: done.append(step))
    batch = make(loaded(name), "Euler", hooks, steps=6)
    assert (batch.partial, done) == (True, [1, 2])
    assert batch.images[0].size == (SIDE, SIDE)
    after = make(loaded(name), "Euler")  # nothing of the run that was ended is left
    assert not after.partial


@pytest.mark.parametrize("name", ["sd15", "sdxl", "sd3", "flux dev"])
@pytest.mark.parametrize("full", [True, False])
def test_previews_of_every_latent_space(loaded: Callable[[str], LoadedModel], name: str, full: bool) -> None:
    model, seen = loaded(name), list[torch.Tensor]()
    make(model, "Euler", StepHooks(stop=lambda: False, step=lambda done, of: None, preview=seen.append), width=96)
    assert seen[-1].shape == (1, model.family.latent_channels, SIDE // 8, 96 // 8)
    assert model.previewer.jpeg(seen[-1], full=full).startswith(b"\xff\xd8")


def test_a_full_preview_of_the_last_step_is_the_picture(loaded: Callable[[str], LoadedModel], tmp_path: Path) -> None:
    def small(image: Image.Image) -> np.ndarray:
        """A JPEG keeps colours at half the size."""
        return np.asarray(image.resize((8, 8), Image.Resampling.BOX), float)

    for name in ("sdxl", "sd3", "flux dev"):
        seen: list[torch.Tensor] = []
        [picture] = make(loaded(name), "Euler", StepHooks(stop=lambda: False, step=lambda d, o: None, preview=seen.append)).images
        [other] = make(loaded(name), "Euler", seed=6).images
        path = tmp_path / "preview.jpg"
        path.write_bytes(loaded(name).previewer.jpeg(seen[-1], full=True))
        with Image.open(path) as preview:
            near, far = (np.abs(small(preview) - small(image)).mean() for image in (picture, other))
        assert near < min(3, far / 2), (name, near, far)


def test_long_prompts_and_weights(loaded: Callable[[str], LoadedModel]) -> None:
    for name in ("sdxl", "sdxl refiner", "sd3", "flux dev"):
        model = loaded(name)
        plain_one, heavy = (make(model, "Euler", prompt=p).images[0] for p in (PROMPT, "a (red:1.9) apple, 3d"))
        assert difference(plain_one, heavy) > 0, name
        assert make(model, "Euler", prompt="red " * 90).images[0].size == (SIDE, SIDE), name


def test_what_t5_does_not_read_is_said(loaded: Callable[[str], LoadedModel]) -> None:
    long = make(loaded("sd3"), "Euler", prompt="abcdefgh " * 60)
    assert any("256 tokens" in warning for warning in long.warnings)
    assert not make(loaded("sd3"), "Euler").warnings


def test_a_missing_t5_is_said(loaded: Callable[[str], LoadedModel]) -> None:
    assert loaded("sd3 without t5").family.optional_note in make(loaded("sd3 without t5"), "Euler").warnings


def test_an_empty_negative_prompt_is_zero_for_the_base_and_not_for_the_refiner(
    made: Callable[[str], Path], loaded: Callable[[str], LoadedModel]
) -> None:
    zeros = plain(made("sdxl"), "Euler", negative_prompt=None)  # diffusers' way to say it
    assert difference(make(loaded("sdxl"), "Euler", negative_prompt="").images[0], zeros) == 0
    [space] = make(loaded("sdxl"), "Euler", negative_prompt=" ").images
    assert difference(space, zeros) > 0
    encoded = plain(made("sdxl refiner"), "Euler", negative_prompt="")
    assert difference(make(loaded("sdxl refiner"), "Euler", negative_prompt="").images[0], encoded) == 0


def test_clip_skip_reads_an_earlier_layer(loaded: Callable[[str], LoadedModel]) -> None:
    model = loaded("sd15")
    encoder, tokenizer = model.pipeline.text_encoder, model.pipeline.tokenizer
    ids = tokenizer(PROMPT, padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.inference_mode():
        hidden = encoder(ids, output_hidden_states=True).hidden_states
        expected = getattr(encoder, "text_model", encoder).final_layer_norm(hidden[-2])
    found = model.encoder.conditions([PROMPT], [""], 2, "cpu", skip=2)
    assert torch.equal(found.parts[0][1][0][1], expected)
    [one], [two] = (make(model, "Euler", settings={"CLIP_stop_at_last_layers": n}).images for n in (1, 2))
    assert difference(one, two) > 0
    said = make(loaded("sdxl"), "Euler", settings={"CLIP_stop_at_last_layers": 2}).warnings
    assert any("Clip skip" in warning for warning in said)


def test_a_size_beyond_the_places_of_a_transformer_is_refused(loaded: Callable[[str], LoadedModel]) -> None:
    with pytest.raises(RequestFault, match="at most 192") as caught:
        make(loaded("sd3"), "Euler", width=208)
    assert caught.value.field == "width"


def test_a_vae_that_overflows_is_run_again_in_float32(loaded: Callable[[str], LoadedModel], monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded("sd15")
    vae = model.pipeline.vae
    [usual] = make(model, "Euler").images
    real = vae.decode

    def overflows(latents: torch.Tensor, **kwargs: Any) -> Any:
        out = real(latents, **kwargs)
        return out if vae.dtype == torch.float32 else (out[0] * float("nan"),)

    monkeypatch.setattr(vae, "decode", overflows)
    vae.to(torch.bfloat16)
    try:
        batch = make(model, "Euler")
        assert vae.dtype == torch.bfloat16
    finally:
        vae.to(torch.float32)
    assert any("again in float32" in warning for warning in batch.warnings)
    assert np.abs(np.asarray(batch.images[0], float) - np.asarray(usual, float)).mean() < 3
    monkeypatch.setattr(vae, "decode", lambda latents, **kwargs: (real(latents, **kwargs)[0] * float("nan"),))
    with pytest.raises(BlankPicture, match="no-half-vae"):
        make(model, "Euler")


@pytest.mark.parametrize("name", ["sd15", "sd3"])
def test_scales_and_packing_can_be_undone(loaded: Callable[[str], LoadedModel], name: str) -> None:
    vae, latent = loaded(name).pipeline.vae, torch.randn(2, 4, 6, 8)
    assert torch.allclose(scaled(vae, unscaled(vae, latent)), latent, atol=1e-6)
    assert torch.equal(unpacked(packed(latent), 6, 8), latent)


def test_a_tiny_decoder_can_take_the_place_of_the_vae() -> None:
    torch.manual_seed(0)
    vae = diffusers.AutoencoderTiny(latent_channels=16, encoder_block_out_channels=(16,) * 4, decoder_block_out_channels=(16,) * 4)
    pixels, retried = to_pixels(vae.eval(), torch.randn(1, 16, 8, 8))
    assert (pixels.shape, retried) == ((1, 3, SIDE, SIDE), False)
    assert Previewer(vae, 8).jpeg(torch.randn(1, 16, 8, 8), full=False).startswith(b"\xff\xd8")


def test_every_task_that_a_family_names_has_a_call() -> None:
    from modules.families import FAMILIES

    for _, family in FAMILIES:
        for variant in family.variants.values():
            if "txt2img" in variant.tasks:
                assert call_named(variant.tasks["txt2img"]) in CALLS.values()
