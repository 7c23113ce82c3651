"""A picture's own text gives the same request again, whatever was asked and whatever file it lies in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from modules import infotext
from modules.faults import RequestFault
from modules.folders import Folders
from modules.inputs import Inputs
from modules.knobs import KnobField, knobs_of
from modules.library import Library
from modules.pixels.metadata import encode, fitting_format, read_parameters
from modules.processing.resolve import resolve
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, ResolvedRequest, Steering
from modules.request.outpaint import BEGINS
from modules.samplers import SAMPLERS, SCHEDULES
from modules.settings import Settings
from tests.words.test_infotext import _TEXT

PICTURE = Image.new("RGB", (8, 8), "red")
EXAMPLES = 2000
_SIZES = st.integers(1, 64).map(lambda n: n * 8)
_SETTINGS = {
    "CLIP_stop_at_last_layers": st.integers(1, 12),
    "eta_noise_seed_delta": st.sampled_from([0, 31337]),
    "randn_source": st.sampled_from(["CPU", "NV", "GPU"]),
    "sigma_min": st.sampled_from([0.0, 0.05]),
    "rho": st.sampled_from([0.0, 5.0]),
    "sgm_noise_multiplier": st.booleans(),
    "uni_pc_order": st.integers(1, 3),
    "beta_dist_alpha": st.floats(0.1, 1),
    "enable_quantization": st.booleans(),
    "token_merging_ratio": st.sampled_from([0.0, 0.4]),
    "emphasis": st.sampled_from(["Original", "No norm", "Ignore"]),
}
_CORE = {
    "prompt": _TEXT.map(lambda text: text.strip("\n")),
    "negative_prompt": _TEXT.map(lambda text: text.strip("\n")),
    "steps": st.integers(1, 1000),
    "sampler_name": st.sampled_from(list(SAMPLERS.names())),
    "scheduler": st.sampled_from([row.label for _, row in SCHEDULES]),
    "cfg_scale": st.floats(0, 100),
    "width": _SIZES,
    "height": _SIZES,
    "seed": st.integers(0, 2**63 - 1),
}
_SECOND = {
    "enable_hr": st.booleans(),
    "denoising_strength": st.floats(0, 1),
    "hr_scale": st.floats(1, 3),
    "hr_upscaler": st.sampled_from(["Latent", "Latent (nearest-exact)", "Lanczos", "Nearest"]),
    "hr_second_pass_steps": st.integers(0, 150),
    "hr_resize_x": st.sampled_from([0, 0, 64, 512]),
    "hr_resize_y": st.sampled_from([0, 0, 64, 512]),
    "hr_sampler_name": st.sampled_from([None, "Euler a", "DDIM"]),
    "hr_scheduler": st.sampled_from([None, "Karras"]),
    "hr_prompt": _TEXT,
    "hr_negative_prompt": _TEXT,
    "hr_cfg": st.none() | st.floats(1, 30),
    "refiner_checkpoint": st.sampled_from([None, "darkroom-starter"]),
    "refiner_switch_at": st.floats(0.01, 1),
}
_VARIED = {
    "subseed": st.integers(0, 2**63 - 1),
    "subseed_strength": st.floats(0, 1),
    "seed_resize_from_w": st.sampled_from([0, 64, 128]),
    "seed_resize_from_h": st.sampled_from([0, 64, 128]),
    "eta": st.none() | st.floats(0, 1),
    "s_churn": st.none() | st.floats(0, 100),
    "s_tmin": st.none() | st.floats(0, 10),
    "s_tmax": st.none() | st.floats(0, 10),
    "s_noise": st.none() | st.floats(0.5, 1.1),
}
_PAINTED = {
    "resize_mode": st.integers(0, 3),
    "mask_blur_x": st.integers(0, 64),
    "mask_blur_y": st.integers(0, 64),
    "mask_round": st.booleans(),
    "inpainting_fill": st.integers(0, 3),
    "inpaint_full_res": st.booleans(),
    "inpaint_full_res_padding": st.integers(0, 256),
    "inpainting_mask_invert": st.integers(0, 1),
    "initial_noise_multiplier": st.none() | st.floats(0, 1.5),
    "soft_inpainting": st.booleans(),
    "soft_schedule_bias": st.floats(0, 8),
    "soft_mask_influence": st.floats(0, 1),
    "outpaint_left": st.just(0) | st.integers(0, 1024),
    "outpaint_right": st.just(0) | st.integers(0, 1024),
    "outpaint_up": st.just(0) | st.integers(0, 1024),
    "outpaint_down": st.just(0) | st.integers(0, 1024),
    "outpaint_begin": st.sampled_from(BEGINS),
    "outpaint_overlap": st.integers(0, 256),
    "outpaint_in_turns": st.booleans(),
    "denoising_strength": st.floats(0, 1),
}


def _any(field: KnobField) -> st.SearchStrategy[Any]:
    """Any value that a field of the steering group takes."""
    knob = field.knob
    if field.kind is bool:
        return st.booleans()
    if isinstance(knob.choices, tuple):
        return st.sampled_from(knob.choices)
    if field.kind is int:
        return st.integers(int(knob.low or 0), int(knob.high if knob.high is not None else 100))
    if field.kind is float:
        return st.floats(knob.low or 0.0, knob.high if knob.high is not None else 10.0)
    return st.just(field.default)


_STEERED = {
    **{name: st.just(field.default) | _any(field) for name, field in knobs_of(Steering).items()},
    "cfg_start": st.floats(0, 0.4),
    "cfg_stop": st.floats(0.5, 1),
}


def _optional(fields: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.just({}) | st.fixed_dictionaries({}, optional=fields)


_REQUESTS = st.builds(
    lambda core, second, varied, steered, painted, kept, what: {
        **core, **varied, **steered, "override_settings": kept, **(painted if what == "img2img" else second), "_what": what
    },
    st.fixed_dictionaries(_CORE), _optional(_SECOND), _optional(_VARIED), _optional(_STEERED), _optional(_PAINTED), _optional(_SETTINGS),
    st.sampled_from(["txt2img", "img2img"]),
)  # fmt: skip

Ask = Callable[[dict[str, Any]], ResolvedRequest]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    folders = Folders.at(tmp_path_factory.mktemp("data"))
    library, styles, inputs = Library(folders), Styles(folders.styles_file), Inputs(folders)
    picture = inputs.put(encode(Image.new("RGB", (40, 24), "green"), "png"))
    mask = inputs.put(encode(Image.new("L", (40, 24), 255), "png"))

    def run(fields: dict[str, Any]) -> ResolvedRequest:
        values = dict(fields)
        if values.pop("_what", "") == "img2img":
            values |= {"init_images": [picture], "mask": mask}
        return resolve(GenerationRequest.from_data(values), Settings(), library, styles, inputs)

    return run


def _meant(resolved: ResolvedRequest) -> dict[str, Any]:
    """Everything that decides the picture."""
    data = resolved.to_data()
    for name in ("warnings", "overrides", "styles", "prompt", "negative_prompt", "save_images"):
        data.pop(name)
    for name, old in (("hires", data["hires"]), ("image", data["image"])):
        if old:
            data[name] = {k: v for k, v in old.items() if k != "asked"}
    data["settings"] = {k: v for k, v in data["settings"].items() if k not in ("sd_model_checkpoint", "sd_vae")}  # files stand in the rest
    if not data["subseed_strength"]:
        data.pop("all_subseeds")
    return data


def _accepted(ask: Ask, asked: dict[str, Any]) -> ResolvedRequest:
    """As resolved; a long narrow picture whose second pass would have no side left is rightly refused, and no case."""
    try:
        return ask(asked)
    except RequestFault as fault:
        assume(fault.field not in ("hr_resize_x", "hr_resize_y"))
        raise


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=_REQUESTS, extension=st.sampled_from(["png", "jpg", "webp", "avif"]))
def test_request_to_file_and_back_is_the_same(ask: Ask, asked: dict[str, Any], extension: str) -> None:
    first = _accepted(ask, asked)
    text = infotext.write(first, 0)
    found, _ = read_parameters(encode(PICTURE, fitting_format(PICTURE, extension, text), infotext=text))
    assert found == text
    again = ask(infotext.to_request(infotext.parse(found)))
    drawn = dataclasses.replace(first, templates=("", ""))  # a text gives what was drawn, so that nothing is drawn again
    assert _meant(again) == _meant(drawn)
    assert infotext.write(again, 0) == infotext.write(drawn, 0)


def test_what_only_the_sampler_of_the_second_pass_hears_is_told(ask: Ask) -> None:
    asked = {"sampler_name": "DPM++ 2M", "enable_hr": True, "hr_sampler_name": "Euler a", "s_noise": 0.9, "eta": 0.4, "steps": 2}
    first = ask({**asked, "prompt": "x", "width": 64, "height": 64})
    again = ask(infotext.to_request(infotext.parse(infotext.write(first, 0))))
    assert again.hires is not None
    assert (again.hires.sampling.s_noise, again.hires.sampling.eta) == (0.9, 0.4)


def test_a_prompt_of_the_second_pass_that_draws_nothing_is_the_first_ones(ask: Ask) -> None:
    found = ask({"prompt": "a cat", "enable_hr": True, "hr_prompt": "{|}", "width": 64, "height": 64})
    assert found.hires is not None
    assert found.hires.all_prompts == ("a cat",)
