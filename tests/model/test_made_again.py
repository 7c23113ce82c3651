"""Every picture can be made again from its own file alone, bit for bit, whatever was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules import infotext
from modules.pixels.metadata import encode, read_parameters
from modules.request import Picture
from modules.samplers import SAMPLERS
from tests.model.conftest import Studio
from tests.model.test_pictures import difference

BASE: dict[str, Any] = {"prompt": "a red apple, 3d", "negative_prompt": "blue", "steps": 3, "width": 64, "height": 64, "seed": 7}
HIRES = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.6}
PICTURE, MASK = "picture", "mask"  # stand for references to the two below
PAINT = {"init_images": [PICTURE], "denoising_strength": 0.7}
MASKED = {**PAINT, "mask": MASK}


def _settings(**values: Any) -> dict[str, Any]:
    return {"override_settings": values}


CASES: dict[str, dict[str, Any]] = {
    **{name: {"sampler_name": name} for name in SAMPLERS.names()},
    "karras": {"scheduler": "Karras"},
    "beta": {"scheduler": "Beta", **_settings(beta_dist_alpha=0.4)},
    "rho": {"scheduler": "Karras", **_settings(rho=4.0, sigma_min=0.05)},
    "discard": _settings(always_discard_next_to_last_sigma=True),
    "eta": {"sampler_name": "Euler a", "eta": 0.4},
    "churn": {"sampler_name": "Euler", "s_churn": 8.0, "s_noise": 1.01},
    "ensd": {"sampler_name": "Euler a", **_settings(eta_noise_seed_delta=31337)},
    "nv": _settings(randn_source="NV"),
    "clip skip": _settings(CLIP_stop_at_last_layers=2),
    "variation": {"subseed": 9, "subseed_strength": 0.4},
    "seed resize": {"seed_resize_from_w": 128, "seed_resize_from_h": 64},
    "odd size": {"width": 72, "height": 40},
    "cfg 1": {"cfg_scale": 1},
    "editing": {"prompt": "a [red:blue:0.5] (apple:1.3), [3d|flat]"},
    "and": {"prompt": "a red apple AND a green background :0.6"},
    "break": {"prompt": "a red apple BREAK 3d"},
    "emphasis": {"prompt": "a (red:1.4) apple", **_settings(emphasis="No norm")},
    **{mode: {**HIRES, "hr_upscaler": mode} for mode in ("Latent", "Latent (antialiased)", "Latent (nearest-exact)", "Lanczos", "Nearest")},
    "hires size": {**HIRES, "hr_resize_x": 96, "hr_resize_y": 64},
    "hires sampler": {**HIRES, "hr_second_pass_steps": 2, "hr_sampler_name": "Euler a", "hr_scheduler": "Karras", "hr_cfg": 4.0},
    "hires prompt": {**HIRES, "hr_prompt": "a blue car, flat", "hr_negative_prompt": "red, 3d"},
    "wildcards": {"prompt": "a {red|blue|green} {apple|car}", **HIRES},
    "cfg rescale": {"cfg_rescale": 0.6},
    "cfg schedule": {"cfg_schedule": "Linear down", "cfg_start": 0.2},
    "freeu": {"freeu": True},
    "pag": {"pag_scale": 2.0},
    "deep cache": {"cache": "DeepCache", "cache_interval": 2},
    "upscale only": {**HIRES, "hr_upscaler": "Lanczos", "firstpass_image": PICTURE},
    "refiner": {"refiner_checkpoint": "darkroom-starter", "refiner_switch_at": 0.5},
    **{f"resize mode {n}": {**PAINT, "resize_mode": n, "width": 80} for n in range(4)},
    "scale by": {**PAINT, "scale_by": 1.5},
    "noise multiplier": {**PAINT, "initial_noise_multiplier": 0.9},
    **{f"masked content {n}": {**MASKED, "inpainting_fill": n} for n in range(4)},
    "only masked": {**MASKED, "inpaint_full_res": True, "inpaint_full_res_padding": 8, "mask_blur_x": 2, "mask_blur_y": 2},
    "not masked": {**MASKED, "inpainting_mask_invert": 1, "mask_blur_x": 3, "mask_blur_y": 1},
    "soft": {**MASKED, "soft_inpainting": True, "mask_round": False, "soft_preservation_strength": 0.8},
    "outpaint": {**PAINT, "outpaint_left": 20, "outpaint_down": 8, "outpaint_overlap": 4},
    "outpaint noise": {**PAINT, "outpaint_up": 24, "outpaint_begin": "matched noise", "mask_blur_x": 0},
    "outpaint in turns": {**MASKED, "outpaint_left": 8, "outpaint_right": 16, "outpaint_begin": "latent noise", "outpaint_in_turns": True},
    "colour correction": {**PAINT, **_settings(img2img_color_correction=True)},
    "exact steps": {**PAINT, **_settings(img2img_fix_steps=True)},
    "style": {"style_image": PICTURE, "style_strength": 0.8},
    "style of a picture": {**PAINT, "style_image": MASK, "style_statistics": 0.9},
    "tiling": {"tiling": True},
    "token merging": _settings(token_merging_ratio=0.4),
}  # fmt: skip


@pytest.fixture(scope="module")
def references(studio: Studio) -> dict[str, str]:
    picture = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 20, 44, 50))
    return {PICTURE: studio.inputs.put(encode(picture, "png")), MASK: studio.inputs.put(encode(mask, "png"))}


def _asked(case: dict[str, Any], references: dict[str, str]) -> dict[str, Any]:
    def meant(value: Any) -> Any:
        return [meant(v) for v in value] if isinstance(value, list) else references.get(value, value) if isinstance(value, str) else value

    return {**BASE, **{name: meant(value) for name, value in case.items()}}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_made_again_from_its_own_file(studio: Studio, references: dict[str, str], case: str) -> None:
    first = _sample(studio, _asked(CASES[case], references))
    text, _ = read_parameters(Path(first.path))
    again = _sample(studio, infotext.to_request(infotext.parse(text)))
    assert difference(Image.open(first.path).convert("RGB"), Image.open(again.path).convert("RGB")) == 0
    assert _without_template(again.infotext) == _without_template(first.infotext)


def test_a_picture_of_a_batch_is_made_again_alone(studio: Studio) -> None:
    """A batch is rounded otherwise than a single picture, so one value in 255 may differ."""
    _, result = studio.make(**BASE, batch_size=2, n_iter=2)
    third = [p for p in result.pictures if p.kind == "sample"][3]
    again = _sample(studio, infotext.to_request(infotext.parse(third.infotext)))
    assert difference(Image.open(third.path).convert("RGB"), Image.open(again.path).convert("RGB")) <= 2


def _without_template(text: str) -> dict[str, str]:
    """The keys of a text but for what its prompt was drawn from, which a picture made again no longer has."""
    return {key: value for key, value in infotext.parse(text).items() if "Template" not in key}


def _sample(studio: Studio, asked: dict[str, Any]) -> Picture:
    _, result = studio.make(**asked)
    return next(p for p in result.pictures if p.kind == "sample")
