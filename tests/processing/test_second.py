"""The hires pass and the refiner as `resolve` leaves them: sizes, names, prompts, files, and everything that is wrong with them."""

from __future__ import annotations

import dataclasses
import json
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from modules.families import FAMILIES
from modules.faults import RequestFault, UnknownName
from modules.folders import Folders
from modules.inputs import Inputs
from modules.library.rows import ModelRow
from modules.processing.resolve import resolve
from modules.processing.resolve_second import target_px
from modules.prompts.styles import Style, Styles
from modules.request import Checkpoint, GenerationRequest, HiresPass, ResolvedRequest
from modules.settings import Settings


def model(name: str, family: str, variant: str = "", **changes: Any) -> Checkpoint:
    kind = FAMILIES.get(family).variant(variant)
    digest = f"{abs(hash(name)):064x}"[-64:]
    base = Checkpoint(title=f"{name} [{digest[:10]}]", model_name=name, path=f"/m/{name}", family=family, sha256=digest, variant=variant)
    return dataclasses.replace(base, native_px=kind.native_px, **changes)


MODELS = [
    model("first", "sd15"), model("other", "sd15"), model("second generation", "sd2"), model("big", "sdxl"),
    model("fine", "sdxl", "refiner"), model("masked", "sd15", "inpainting"), model("three", "sd3", "medium"), model("dev", "flux", "dev"),
]  # fmt: skip


class Shelf:
    """A library of MODELS and one upscaler, the first model being the chosen one unless the settings say otherwise."""

    def __init__(self, folder: Path, folders: Folders) -> None:
        self.folders = folders
        self.loras: dict[str, Any] = {}
        self._row = SimpleNamespace(name="4x-Sharp", path=str(folder / "4x-Sharp.safetensors"))

    def default_checkpoint(self, chosen: str) -> Checkpoint:
        return self.find_checkpoint(chosen or "first")

    def find_checkpoint(self, text: str) -> Checkpoint:
        found = [one for one in MODELS if text in (one.model_name, one.title, one.sha256)]
        if not found:
            raise UnknownName("sd_model_checkpoint", text, [one.title for one in MODELS])
        return found[0]

    def with_hash(self, found: Checkpoint) -> Checkpoint:
        return found

    def checkpoints(self) -> list[Checkpoint]:
        return MODELS

    def rows(self, kind: str) -> list[Any]:
        return [self._row] if kind == "upscaler" else []

    def vae_for(self, _found: Checkpoint) -> None:
        return None

    def find(self, kind: str, name: str) -> Any:
        if kind == "lora" and name in self.loras:
            return self.loras[name]
        raise UnknownName(kind, name, [])

    def hashed(self, row: Any) -> ModelRow:
        return row


@pytest.fixture
def shelf(tmp_path: Path, folders: Folders) -> Shelf:
    return Shelf(tmp_path, folders)


@pytest.fixture
def ask(shelf: Any, folders: Folders):
    styles = Styles(folders.styles_file)
    styles.save(Style(name="oil", prompt="{prompt}, oil painting", negative_prompt="photo"))

    def run(**request: Any) -> ResolvedRequest:
        asked = GenerationRequest.from_data({"width": 512, "height": 512, "prompt": "a cat", **request})
        return resolve(asked, Settings(), shelf, styles, Inputs(folders))

    return run


@pytest.fixture
def hires(ask: Any):
    def run(**request: Any) -> HiresPass:
        found = ask(enable_hr=True, **request).hires
        assert found is not None
        return found

    return run


def test_nothing_follows_unless_it_is_asked_for(ask: Any) -> None:
    found = ask(hr_scale=3.0, hr_upscaler="no such thing", refiner_switch_at=0.5, denoising_strength=0.5)
    assert (found.hires, found.refiner, found.denoising_strength) == (None, None, None)


@pytest.mark.parametrize(
    ("asked", "to_px", "left"),
    [
        ({"hr_scale": 1.5}, (768, 960), (768, 960)),
        ({"hr_scale": 1.15}, (588, 736), (584, 736)),
        ({"hr_resize_x": 1024}, (1024, 1280), (1024, 1280)),
        ({"hr_resize_y": 800}, (640, 800), (640, 800)),
        ({"hr_resize_x": 1000, "hr_resize_y": 1000}, (1000, 1250), (1000, 1000)),
        ({"hr_resize_x": 800, "hr_resize_y": 1200}, (960, 1200), (800, 1200)),
        ({"hr_resize_x": 768, "hr_resize_y": 960, "hr_scale": 4}, (768, 960), (768, 960)),
    ],
)
def test_the_size_follows_the_factor_one_side_or_covers_both(hires: Any, asked: dict[str, Any], to_px: Any, left: Any) -> None:
    found = hires(height=640, **asked)
    assert (found.to_px, (found.width, found.height)) == (to_px, left)


def test_both_sides_are_always_covered() -> None:
    for width, height, x, y in [(512, 768, 1000, 401), (768, 512, 401, 1000), (333, 777, 900, 900), (64, 64, 8, 2000)]:
        request = GenerationRequest(hr_resize_x=x, hr_resize_y=y)
        to_px, left = target_px(request, width, height)
        assert left == (x, y)
        assert to_px[0] >= x
        assert to_px[1] >= y
        assert to_px[0] == x or to_px[1] == y


def test_sides_are_what_the_familys_latents_can_hold(ask: Any) -> None:
    found = ask(
        enable_hr=True, width=1024, height=1024, hr_resize_x=1208, hr_resize_y=1208, override_settings={"sd_model_checkpoint": "dev"}
    )
    assert (found.hires.width, found.hires.height) == (1200, 1200)


def test_by_the_old_rule_the_size_is_the_target(ask: Any) -> None:
    found = ask(enable_hr=True, width=768, height=1024, override_settings={"use_old_hires_fix_width_height": True})
    assert (found.width, found.height) == (448, 640)
    assert (found.hires.width, found.hires.height) == (768, 1024)
    again = ask(
        enable_hr=True, width=found.width, height=found.height, **{k: v for k, v in found.hires.asked.items() if k != "hr_upscaler"}
    )
    assert again.hires.to_px == found.hires.to_px


def test_what_is_left_open_is_the_first_passes(hires: Any) -> None:
    found = hires(steps=17, cfg_scale=5.0, sampler_name="Euler a", negative_prompt="dog")
    assert (found.upscaler, found.steps, found.cfg_scale, found.denoising_strength) == ("Latent", 17, 5.0, 0.7)
    assert (found.sampler_name, found.scheduler) == ("Euler a", "Automatic")
    assert (found.all_prompts, found.all_negative_prompts) == (("a cat",), ("dog",))
    assert found.asked == {"hr_upscaler": "Latent", "hr_scale": 2.0}
    same = hires(
        steps=17, cfg_scale=5.0, sampler_name="Euler a", negative_prompt="dog", hr_sampler_name="Use same sampler",
        hr_scheduler="Use same scheduler", hr_checkpoint_name="Use same checkpoint", hr_upscaler="", hr_prompt="", denoising_strength=None,
    )  # fmt: skip
    assert same == found


def test_its_own_steps_cfg_and_denoising(hires: Any) -> None:
    found = hires(hr_second_pass_steps=9, hr_cfg=3.0, denoising_strength=0.45)
    assert (found.steps, found.cfg_scale, found.denoising_strength) == (9, 3.0, 0.45)
    assert found.asked == {"hr_upscaler": "Latent", "hr_scale": 2.0, "hr_second_pass_steps": 9, "hr_cfg": 3.0}


@pytest.mark.parametrize(
    ("asked", "names", "told"),
    [
        ({"sampler_name": "DPM++ 2M", "hr_sampler_name": "Euler"}, ("Euler", "Automatic"), ("Euler", "Automatic")),
        ({"sampler_name": "DPM++ 2M", "hr_sampler_name": "DPM++ 2M SDE"}, ("DPM++ 2M SDE", "Exponential"), ("DPM++ 2M SDE", "Exponential")),
        ({"sampler_name": "DPM++ 2M Karras", "hr_sampler_name": "Euler"}, ("Euler", "Karras"), ("Euler", None)),
        ({"sampler_name": "Euler", "scheduler": "Beta", "hr_sampler_name": "DDIM"}, ("DDIM", "Beta"), ("DDIM", None)),
        ({"sampler_name": "Euler", "scheduler": "Beta", "hr_scheduler": "karras"}, ("Euler", "Karras"), (None, "Karras")),
        ({"hr_sampler_name": "k_euler_a"}, ("Euler a", "Automatic"), ("Euler a", "Automatic")),
    ],
)
def test_its_own_sampler_and_schedule(hires: Any, asked: dict[str, Any], names: Any, told: Any) -> None:
    found = hires(**asked)
    assert (found.sampler_name, found.scheduler) == names
    assert (found.asked.get("hr_sampler_name"), found.asked.get("hr_scheduler")) == told


@pytest.mark.parametrize(
    ("asked", "name"),
    [("latent (BICUBIC)", "Latent (bicubic)"), ("4x-Sharp", "4x-Sharp"), ("lanczos", "Lanczos"), ("None", "None"), (None, "Latent")],
)
def test_the_upscaler_is_a_latent_mode_or_one_for_pictures(hires: Any, asked: str | None, name: str) -> None:
    assert hires(hr_upscaler=asked).upscaler == name


def test_its_prompts_get_styles_and_lose_comments_as_the_first_ones(hires: Any) -> None:
    found = hires(styles=["oil"], hr_prompt="# mine\na dog", batch_size=2)
    assert found.all_prompts == ("a dog, oil painting",) * 2
    assert found.all_negative_prompts == ("photo",) * 2
    assert hires(hr_prompt="# nothing").all_prompts == ("a cat",)


def test_its_loras_are_those_of_its_own_prompt(hires: Any, shelf: Shelf) -> None:
    for name in ("one", "two"):
        shelf.loras[name] = SimpleNamespace(name=name, path=f"/l/{name}", architecture="sd1", content_sha256="c" * 64)
    both = {"prompt": "a cat <lora:one:0.5>", "hr_prompt": "a cat <lora:two:0.7>"}
    assert [(n.name, n.te, n.unet) for n in hires(**both).networks] == [("two", 0.7, 0.7)]
    assert [n.name for n in hires(prompt=both["prompt"]).networks] == ["one"]
    old = hires(**both, override_settings={"hires_fix_use_firstpass_conds": True}).networks
    assert [(n.name, n.te, n.unet) for n in old] == [("one", 0.5, 0.0), ("two", 0.0, 0.7)]


def test_another_checkpoint_by_any_name(hires: Any) -> None:
    other = MODELS[1]
    for name in (other.title, other.model_name, other.sha256):
        assert hires(hr_checkpoint_name=name).checkpoint == other
    assert hires(hr_checkpoint_name="first").checkpoint is None
    assert hires(hr_checkpoint_name="other").asked["hr_checkpoint_name"] == other.title


def test_a_checkpoint_of_other_latents_can_follow_through_pictures_only(hires: Any) -> None:
    with pytest.raises(RequestFault, match=r"big \(Stable Diffusion XL\).*first \(Stable Diffusion 1") as caught:
        hires(hr_checkpoint_name="big")
    assert caught.value.field == "hr_checkpoint_name"
    found = hires(hr_checkpoint_name="dev", hr_upscaler="Lanczos")
    assert found.checkpoint.model_name == "dev"
    assert found.distilled_cfg_scale == 3.5
    assert hires(hr_checkpoint_name="second generation").checkpoint.model_name == "second generation"


def test_upscale_only_takes_its_size_from_the_picture(ask: Any, folders: Folders) -> None:
    data = BytesIO()
    Image.new("RGB", (320, 256)).save(data, "PNG")
    reference = Inputs(folders).put(data.getvalue())
    found = ask(enable_hr=True, firstpass_image=reference, hr_scale=2)
    assert (found.width, found.height, found.hires.to_px, found.hires.first_picture) == (320, 256, (640, 512), reference)
    with pytest.raises(RequestFault) as caught:
        ask(enable_hr=True, firstpass_image="input:" + "0" * 64)
    assert caught.value.field == "firstpass_image"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"hr_upscaler": "Latent (square)"}, "hr_upscaler"),
        ({"hr_sampler_name": "Oiler"}, "hr_sampler_name"),
        ({"hr_scheduler": "Karas"}, "hr_scheduler"),
        ({"hr_checkpoint_name": "nowhere"}, "hr_checkpoint_name"),
        ({"hr_scale": 0.5}, "hr_scale"),
        ({"hr_scale": 16}, "hr_scale"),
        ({"hr_resize_x": 7}, "hr_resize_x"),
        ({"hr_resize_x": 16384, "hr_resize_y": 8}, "hr_resize_x"),
        ({"denoising_strength": 1.5}, "denoising_strength"),
        ({"refiner_checkpoint": "nowhere"}, "refiner_checkpoint"),
        ({"refiner_checkpoint": "big"}, "refiner_checkpoint"),
        ({"refiner_checkpoint": "masked"}, "refiner_checkpoint"),
        ({"refiner_checkpoint": "other", "refiner_switch_at": 1.2}, "refiner_switch_at"),
    ],
)
def test_what_is_wrong_is_named(ask: Any, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestFault) as caught:
        ask(enable_hr=True, **asked)
    assert caught.value.field == field


def test_what_may_surprise_is_said(ask: Any) -> None:
    def said(**request: Any) -> str:
        return " ".join(ask(enable_hr=True, **request).warnings)

    assert "no steps are run" in said(denoising_strength=0)
    assert "blurred" in said(denoising_strength=0.3)
    assert not said(denoising_strength=0.3, hr_upscaler="Lanczos")
    three = {"width": 1024, "height": 1024, "sampler_name": "Euler", "override_settings": {"sd_model_checkpoint": "three"}}
    assert "at most 1 megapixels; at 2048x2048" in said(**three)
    assert "nothing changed hands" in said(refiner_checkpoint="first")


def test_the_refiner_must_understand_what_runs_before_it(ask: Any) -> None:
    found = ask(refiner_checkpoint="other").refiner
    assert (found.checkpoint, found.switch_at) == (MODELS[1], 0.8)
    assert ask(refiner_checkpoint="second generation", refiner_switch_at=0.3).refiner.switch_at == 0.3
    big = {"width": 1024, "height": 1024, "override_settings": {"sd_model_checkpoint": "big"}}
    assert ask(refiner_checkpoint="fine", **big).refiner.checkpoint.variant == "refiner"
    with pytest.raises(RequestFault, match=r"fine .*first"):
        ask(refiner_checkpoint="fine")
    assert ask(refiner_checkpoint="None").refiner is None


def test_the_refiner_of_the_second_pass_is_for_its_checkpoint(ask: Any) -> None:
    later = {"enable_hr": True, "hr_checkpoint_name": "big", "hr_upscaler": "Lanczos", "refiner_checkpoint": "fine"}
    assert ask(**later).refiner is not None
    for when in ("first pass", "both passes"):
        with pytest.raises(RequestFault, match="first"):
            ask(**later, override_settings={"hires_fix_refiner_pass": when})


def test_all_of_it_survives_the_store(ask: Any, shelf: Shelf) -> None:
    shelf.loras["two"] = SimpleNamespace(name="two", path="/l/two", architecture="sd1", content_sha256="c" * 64)
    found = ask(
        enable_hr=True, hr_prompt="a <lora:two>", hr_checkpoint_name="other", refiner_checkpoint="second generation", n_iter=3, eta=0.5
    )
    assert ResolvedRequest.from_data(json.loads(json.dumps(found.to_data()))) == found
