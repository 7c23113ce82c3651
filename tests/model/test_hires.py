"""The hires pass: the same as plain diffusers pipelines one after the other, every way of enlarging, and all that can be its own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from modules.inputs import Inputs
from modules.processing.latent import as_pixels, to_latent, to_pixels, unpacked
from modules.processing.passes import StepHooks
from modules.processing.resolve import resolve
from modules.processing.tools import Wanted
from modules.prompts.styles import Styles
from modules.request import Checkpoint, GenerationRequest, HiresPass, RefinerPass, Repaint, ResolvedRequest, Result
from modules.samplers.build import build_scheduler
from modules.samplers.options import SamplerOptions
from modules.settings import Settings
from modules.upscale.enlarge import Upscaling, enlarge_to
from modules.upscale.table import LATENT_MODES, upscalers
from tests.model import tiny
from tests.model.conftest import FakeControl, Studio
from tests.model.two_models import NEGATIVE, PROMPT, SIDE, Build, Stage, checkpoint_of, request
from tests.upscale.networks import tiny as tiny_upscaler

CFG, DENOISING = 4.0, 0.6
LARGE = 96
MODELS: dict[str, Build] = {
    "sd15": lambda f: tiny.sd15(f),
    "sd15 other": lambda f: tiny.sd15(f, seed=1),
    "sdxl": lambda f: tiny.sdxl(f),
    "sd3": lambda f: tiny.sd3(f),
    "flux": lambda f: tiny.flux(f),
}
APPLE = {"prompt": "a red apple", "steps": 5, "seed": 11, "sampler_name": "Euler"}


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Checkpoint]:
    base, found = tmp_path_factory.mktemp("hires"), dict[str, Checkpoint]()

    def build(name: str) -> Checkpoint:
        if name not in found:
            found[name] = checkpoint_of(MODELS[name](base / name.replace(" ", "-")))
        return found[name]

    return build


def later(first: ResolvedRequest, **changes: Any) -> ResolvedRequest:
    """The request with a hires pass that differs from the first one only in what is said."""
    base: dict[str, Any] = {
        "width": LARGE,
        "height": LARGE,
        "to_px": (LARGE, LARGE),
        "upscaler": "Latent",
        "steps": first.steps,
        "denoising_strength": DENOISING,
        "sampler_name": first.sampler_name,
        "scheduler": first.scheduler,
        "cfg_scale": first.cfg_scale,
        "all_prompts": first.all_prompts,
        "all_negative_prompts": first.all_negative_prompts,
        "distilled_cfg_scale": first.distilled_cfg_scale,
        **changes,
    }
    return dataclasses.replace(first, hires=HiresPass(**base))


def plain_sequence(checkpoint: Checkpoint, sampler: str) -> torch.Tensor:
    """Pixels of a text-to-image call, its latents enlarged, and an image-to-image call, as anyone would write them with diffusers."""
    folder = Path(checkpoint.path)
    absent = {part: None for part, row in json.loads((folder / "model_index.json").read_text()).items() if row == [None, None]}
    pipe: Any = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True, **absent)
    flux = checkpoint.family == "flux"
    own: dict[str, Any] = {"guidance_scale": CFG}
    if flux:
        own = {"guidance_scale": 3.5, "true_cfg_scale": CFG, "max_sequence_length": 512}
    told = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 4, "output_type": "latent", **own}
    config = dict(pipe.scheduler.config)

    def call(made: Any, options: SamplerOptions, **more: Any) -> torch.Tensor:
        made.set_progress_bar_config(disable=True)
        made.scheduler = build_scheduler(sampler, "Automatic", config, options=options)
        size = more.pop("size")
        generator = torch.Generator("cpu").manual_seed(5)
        if "Img2Img" in type(made).__name__:
            more["strength"] = 1.0
        if "Img2Img" not in type(made).__name__ or flux or checkpoint.family == "sd3":
            more |= {"width": size, "height": size}
        found = made(generator=[generator], **told, **more).images
        return unpacked(found, size // 8, size // 8) if flux else found

    small = call(pipe, SamplerOptions(), size=SIDE)
    larger = torch.nn.functional.interpolate(small, size=(LARGE // 8, LARGE // 8), mode="bilinear")
    second = diffusers.AutoPipelineForImage2Image.from_pipe(pipe)
    found = call(second, SamplerOptions(denoising=DENOISING, exact_steps=True), size=LARGE, image=larger)
    return to_pixels(pipe.vae, found)[0]


@pytest.mark.parametrize(
    ("name", "sampler"), [("sd15", "Euler"), ("sd15", "DPM++ 2M"), ("sdxl", "Euler"), ("sd3", "Euler"), ("flux", "Euler")]
)
def test_it_equals_plain_pipelines_one_after_the_other(stage: Stage, model: Any, name: str, sampler: str) -> None:
    distilled = 3.5 if name == "flux" else None
    [ours] = stage.batch(later(request(model(name), sampler, distilled_cfg_scale=distilled))).images
    theirs = stage.slot.present.pipeline.image_processor.postprocess(plain_sequence(model(name), sampler), output_type="pil")[0]
    assert ours.size == (LARGE, LARGE)
    assert np.asarray(theirs, float).std() > 1
    assert ours.tobytes() == theirs.tobytes()


def test_what_was_enlarged_to_cover_is_cut_around_its_middle(stage: Stage, model: Any) -> None:
    """Without denoising the middle of what was enlarged is left."""
    first = request(model("sd15"))
    latents = stage.latents(first).latents
    whole = torch.nn.functional.interpolate(latents, size=(16, 16), mode="nearest-exact")
    cut = later(first, width=64, height=128, to_px=(128, 128), upscaler="Latent (nearest-exact)", denoising_strength=0.0)
    [ours] = stage.batch(cut).images
    pipe = stage.slot.present.pipeline
    theirs = pipe.image_processor.postprocess(to_pixels(pipe.vae, whole[..., 4:12])[0], output_type="pil")[0]
    assert ours.tobytes() == theirs.tobytes()


def test_its_own_checkpoint_runs_it_and_the_first_one_is_back_for_the_next_batch(stage: Stage, model: Any) -> None:
    first, other = model("sd15"), model("sd15 other")
    stage.taken.clear()
    found = [stage.batch(later(request(first), checkpoint=other)).images[0] for _ in range(2)]
    assert stage.taken == [first.model_name, other.model_name] * 2
    assert found[0].tobytes() == found[1].tobytes()
    assert found[0].tobytes() != stage.batch(later(request(first))).images[0].tobytes()


def test_a_refiner_takes_over_in_the_pass_that_the_setting_names(stage: Stage, model: Any) -> None:
    first, other = model("sd15"), model("sd15 other")
    taken: dict[str, list[str]] = {}
    for when in ("first pass", "second pass", "both passes"):
        stage.taken.clear()
        asked = request(first, refiner=RefinerPass(checkpoint=other, switch_at=0.5), settings={"hires_fix_refiner_pass": when})
        stage.batch(later(asked))
        taken[when] = [name == other.model_name for name in stage.taken]
    assert taken == {
        "first pass": [False, True, False],
        "second pass": [False, False, True],
        "both passes": [False, True, False, True],
    }


def test_prompts_that_change_go_on_counting_in_the_second_pass(stage: Stage, model: Any) -> None:
    def made(first: str, second: str) -> bytes:
        asked = request(model("sd15"), prompt=first)
        return stage.batch(later(asked, all_prompts=(second,))).images[0].tobytes()

    assert made("a cat", "a [cat:dog:0.5]") == made("a cat", "a dog")
    assert made("a cat", "a [cat:dog:1.0]") == made("a cat", "a dog")
    assert made("a cat", "a [cat:dog:2.0]") == made("a cat", "a cat")
    assert made("a cat", "a [cat:dog:6]") not in (made("a cat", "a cat"), made("a cat", "a dog"))


def difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


def test_every_way_of_enlarging_makes_another_picture_of_the_right_size(studio: Studio) -> None:
    small = studio.pictures(**APPLE)[0].resize((192, 192), Image.Resampling.LANCZOS)
    found: dict[str, Image.Image] = {}
    for name in (*LATENT_MODES, "Lanczos", "Nearest"):
        asked = {"hr_upscaler": name, "hr_scale": 1.5, "hr_second_pass_steps": 3, "denoising_strength": 0.5}
        [found[name]] = studio.pictures(**APPLE, enable_hr=True, **asked)
    assert {image.size for image in found.values()} == {(192, 192)}
    assert len({image.tobytes() for image in found.values()}) == len(found)
    assert all(difference(image, small) < 40 for image in found.values())


def test_a_batch_equals_its_singles(studio: Studio) -> None:
    asked = {**APPLE, "sampler_name": "Euler a", "enable_hr": True, "hr_scale": 1.5, "hr_second_pass_steps": 4}
    batch = studio.pictures(**asked, batch_size=2)
    singles = [studio.pictures(**asked | {"seed": 11 + n})[0] for n in range(2)]
    assert max(int(np.abs(np.asarray(a, int) - np.asarray(b, int)).max()) for a, b in zip(batch, singles, strict=True)) <= 2


def run(studio: Studio, control: FakeControl | None = None, **asked: Any) -> Result:
    """As `Studio.make`, with the store of input pictures."""
    wanted = GenerationRequest.from_data(asked)
    resolved = resolve(wanted, Settings(), studio.library, Styles(studio.folders.styles_file), Inputs(studio.folders))
    job = {"id": "test-job", "kind": "txt2img", "resolved": resolved.to_data(), "attempts": 1, "made": []}
    return Result.from_data(studio.runner.run(job, control or FakeControl())[1])


def test_upscale_only_equals_the_second_half_of_a_whole_run(studio: Studio) -> None:
    later = {"enable_hr": True, "hr_upscaler": "Lanczos", "hr_scale": 1.5, "hr_second_pass_steps": 4}
    whole = run(studio, **APPLE, **later).pictures[0]
    small = run(studio, **APPLE).pictures[0]
    reference = Inputs(studio.folders).put(Path(small.path).read_bytes())
    control = FakeControl()
    again = run(studio, control, **APPLE, **later, firstpass_image=reference).pictures[0]
    assert Image.open(again.path).tobytes() == Image.open(whole.path).tobytes()
    assert control.steps[-1] == (4, 4)


def test_progress_never_goes_back_and_exactly_the_steps_asked_for_run(studio: Studio) -> None:
    control = FakeControl()
    asked = {"hr_second_pass_steps": 5, "hr_sampler_name": "Heun", "denoising_strength": 0.3, "hr_scale": 1.25}
    studio.make(control, **APPLE, enable_hr=True, **asked, n_iter=2)
    assert control.fractions == sorted(control.fractions)
    assert control.steps[-1] == (15, 15)


def test_an_interrupt_in_the_first_pass_gives_its_picture(studio: Studio) -> None:
    state, result = studio.make(FakeControl(stop_at=3), **APPLE, enable_hr=True, hr_scale=1.5)
    assert (state, [(p.kind, p.width) for p in result.pictures]) == ("canceled", [("partial", 128)])
    state, result = studio.make(FakeControl(stop_at=8), **APPLE, enable_hr=True, hr_scale=1.5)
    assert (state, [(p.kind, p.width) for p in result.pictures]) == ("canceled", [("partial", 192)])


def test_the_picture_before_is_kept_when_the_setting_says_so_and_can_be_made_again(studio: Studio) -> None:
    settings = {"save_images_before_highres_fix": True}
    asked = {**APPLE, "enable_hr": True, "hr_scale": 1.25, "hr_second_pass_steps": 2, "denoising_strength": 0.6}
    before = set(studio.folders.outputs.rglob("*.png"))
    _, result = studio.make(**asked, override_settings=settings)
    [kept] = [path for path in set(studio.folders.outputs.rglob("*.png")) - before if "-before-highres-fix" in path.name]
    assert [p.width for p in result.pictures] == [160]
    assert Image.open(kept).tobytes() == Image.open(studio.make(**APPLE)[1].pictures[0].path).tobytes()
    assert "Hires" not in Image.open(kept).info["parameters"]


def test_the_text_of_a_picture_makes_it_again(studio: Studio) -> None:
    from modules import infotext

    asked = {
        "enable_hr": True, "hr_resize_x": 168, "hr_resize_y": 184, "hr_upscaler": "Latent (bicubic)", "hr_sampler_name": "DPM++ 2M",
        "hr_second_pass_steps": 4, "hr_prompt": "a green apple, red", "hr_negative_prompt": "blue", "hr_cfg": 3.0,
        "denoising_strength": 0.65,
    }  # fmt: skip
    _, result = studio.make(**APPLE, **asked)
    _, again = studio.make(**infotext.to_request(infotext.parse(result.pictures[0].infotext)))
    assert Image.open(again.pictures[0].path).tobytes() == Image.open(result.pictures[0].path).tobytes()
    assert again.pictures[0].infotext == result.pictures[0].infotext


@pytest.fixture
def networked(stage: Stage, tmp_path: Path) -> Iterator[Stage]:
    """The stage with a network upscaler of its own, "tiny"."""
    rows = upscalers([("tiny", tiny_upscaler(tmp_path / "tiny.safetensors"))])
    plain = stage.tools
    stage.tools = dataclasses.replace(plain, upscaling=lambda: Upscaling(rows=rows))
    yield stage
    stage.tools = plain


def test_a_network_enlarges_the_first_pictures(networked: Stage, model: Any) -> None:
    """With nothing painted after it, the picture is what the network made of the first one, through the VAE and back."""
    first = request(model("sd15"))
    [small] = networked.batch(first).images
    asked = later(first, upscaler="tiny")
    [made] = networked.batch(dataclasses.replace(asked, hires=dataclasses.replace(asked.hires, denoising_strength=0.0))).images
    [other] = networked.batch(
        dataclasses.replace(asked, hires=dataclasses.replace(asked.hires, denoising_strength=0.0, upscaler="Lanczos"))
    ).images
    larger = enlarge_to(small, (LARGE, LARGE), "tiny", networked.tools.upscaling()).image
    pipeline = networked.take(Wanted.first(asked)).pipeline
    pixels, _ = to_pixels(pipeline.vae, to_latent(pipeline.vae, as_pixels(larger, pipeline)))
    [expected] = pipeline.image_processor.postprocess(pixels, output_type="pil")
    assert made.size == (LARGE, LARGE)
    assert difference(made, expected) == 0
    assert difference(made, other) > 1


@pytest.mark.parametrize("after", [1, 4])
def test_being_stopped_while_pictures_are_enlarged_leaves_the_first_ones(networked: Stage, model: Any, after: int) -> None:
    """The first pass has run to its end when the network asks whether to go on; then it ends within a layer."""
    asked, steps, questions = later(request(model("sd15")), upscaler="tiny"), list[int](), list[int]()

    def stop() -> bool:
        if len(steps) < 4:
            return False
        questions.append(1)
        return len(questions) >= after

    batch = networked.batch(asked, StepHooks(stop=stop, step=lambda done, of: steps.append(done)))
    assert len(questions) == after
    assert batch.partial
    assert [image.size for image in batch.images] == [(SIDE, SIDE)]


def test_img2img_ends_too_while_its_picture_is_enlarged(networked: Stage, model: Any) -> None:
    networked.given = {"begin": Image.new("RGB", (24, 24), "red")}
    asked = request(
        model("sd15"), image=Repaint(init_images=["begin"]), denoising_strength=0.5, batch_size=2, settings={"upscaler_for_img2img": "tiny"}
    )
    questions: list[int] = []
    batch = networked.batch(asked, StepHooks(stop=lambda: questions.append(1) is None and len(questions) > 2, step=lambda done, of: None))
    assert batch.partial
    assert [(image.size, image.getpixel((0, 0))) for image in batch.images] == [((24, 24), (255, 0, 0))] * 2
    assert len(questions) == 3
