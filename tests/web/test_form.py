"""The form as data: to a request, and back from a parameters text."""

from __future__ import annotations

from typing import Any

import pytest

from modules.faults import RequestFault
from modules.knobs import knobs_of
from modules.request import GenerationRequest
from modules.settings import Settings
from modules.web.form import FIELDS, NAMES, data_of, request_of, start_of, values_from
from modules.web.form_fields import ADVANCED, CHECKPOINT, CORE, IMG2IMG, SEEDS, SOFT, TXT2IMG
from modules.web.overrides import entries_of, settings_of
from tests.web.fake_app import LARGE, STARTER

GOOD: dict[str, Any] = {
    **{name: start_of(TXT2IMG, name) for name in FIELDS},
    "prompt": "a cat", "negative_prompt": "dog", "styles": ["Night"], "sampler_name": "Euler", "scheduler": "Karras", "steps": 12,
    "width": 256, "height": 128, "n_iter": 2, "batch_size": 3, "cfg_scale": 5.5, "seed": "42", CHECKPOINT: STARTER.title,
}  # fmt: skip
TEXT = (
    "a red apple\nNegative prompt: blur\nSteps: 30, Sampler: Euler a, Schedule type: Automatic, CFG scale: 4.5, Seed: 9007199254740993, "
    "Size: 256x192, Model hash: 0a1b2c3d4e, Model: darkroom-starter, Version: v1.10.1"
)


def form(**changes: Any) -> list[Any]:
    return [{**GOOD, **changes}[name] for name in NAMES]


def test_every_value_reaches_the_request():
    request = request_of(form())
    for name in CORE:
        assert getattr(request, name) == (42 if name == "seed" else GOOD[name])
    assert request.override_settings == {CHECKPOINT: STARTER.title}


@pytest.mark.parametrize(("typed", "seed"), [("", -1), (None, -1), (" 7 ", 7), ("-1", -1), (7, 7), (str(2**63 - 1), 2**63 - 1)])
def test_seeds_are_read_exactly(typed: Any, seed: int):
    assert request_of(form(seed=typed)).seed == seed


@pytest.mark.parametrize(
    ("field", "value"), [("seed", "abc"), ("seed", "-5"), ("steps", None), ("steps", 0), ("width", "wide"), ("batch_size", 65)]
)
def test_bad_values_name_their_field(field: str, value: Any):
    with pytest.raises(RequestFault) as caught:
        request_of(form(**{field: value}))
    assert caught.value.field == field


def test_empty_choices_and_sizes_take_the_defaults():
    request = request_of(form(styles=None, width=None, height=None, **{CHECKPOINT: None}))
    assert (request.styles, request.width, request.override_settings) == ([], None, {})


def test_a_parameters_text_fills_the_form(app: Any):
    filled = values_from(app, TEXT)
    assert filled.notices == []
    kept = {name: filled.values[name] for name in (*CORE, CHECKPOINT) if name in filled.values}
    assert kept == {
        "prompt": "a red apple", "negative_prompt": "blur", "styles": [], "sampler_name": "Euler a", "scheduler": "Automatic", "steps": 30,
        "width": 256, "height": 192, "cfg_scale": 4.5, "seed": "9007199254740993", CHECKPOINT: STARTER.title,
    }  # fmt: skip


def test_an_untouched_form_asks_for_nothing_special():
    """What is folded away and switched off leaves the request as it was before there were such parts."""
    plain = {name: GOOD[name] for name in CORE} | {"seed": 42, "override_settings": {CHECKPOINT: STARTER.title}}
    assert request_of(form()) == GenerationRequest.from_data(plain)


def test_parts_count_only_while_they_are_switched_on():
    changed = {"subseed": "9", "subseed_strength": 0.5, "hr_scale": 3, "refiner_checkpoint": LARGE.title, "denoising_strength": 0.4}
    off, on = request_of(form(**changed)), request_of(form(**changed, subseed_show=True, enable_hr=True, use_refiner=True))
    assert (off.subseed_strength, off.enable_hr, off.hr_scale, off.refiner_checkpoint, off.denoising_strength) == (0, False, 2, None, None)
    assert (on.subseed, on.subseed_strength, on.enable_hr, on.hr_scale) == (9, 0.5, True, 3)
    assert (on.refiner_checkpoint, on.refiner_switch_at, on.denoising_strength, on.hr_upscaler) == (LARGE.title, 0.8, 0.4, "Latent")


@pytest.mark.parametrize(("typed", "value"), [(None, None), ("", None), (0.3, 0.3), ("0.3", 0.3), ("0", 0), (0, 0)])
def test_an_empty_box_means_the_settings_value(typed: Any, value: Any):
    assert request_of(form(eta=typed)).eta == value


@pytest.mark.parametrize(("ticked", "value"), [(False, None), (True, True)])
def test_tiling_is_on_or_left_to_the_settings(ticked: bool, value: Any):
    assert request_of(form(tiling=ticked)).tiling is value


def test_a_text_switches_its_parts_on_and_the_others_off(app: Any):
    text = TEXT.replace("Version", "Variation seed: 12345678901234567, Variation seed strength: 0.2, FreeU: True, FreeU b1: 1.3, Version")
    filled = values_from(app, text).values
    assert (filled["subseed_show"], filled["subseed"], filled["subseed_strength"]) == (True, "12345678901234567", 0.2)
    assert (filled["freeu"], filled["freeu_b1"], filled["freeu_b2"]) == (True, 1.3, None)
    assert (filled["enable_hr"], filled["use_refiner"]) == (False, False)
    again = values_from(app, TEXT).values
    assert not again["subseed_show"]
    assert {name: again[name] for name in ADVANCED} == {name: start_of(TXT2IMG, name) for name in ADVANCED}


def test_a_hires_text_fills_the_hires_part(app: Any):
    text = TEXT.replace(
        "Version", "Denoising strength: 0.55, Hires upscale: 1.5, Hires steps: 7, Hires upscaler: Lanczos, Hires prompt: more, Version"
    )
    filled = values_from(app, text)
    assert filled.notices == []
    found = filled.values
    names = ("enable_hr", "hr_scale", "hr_second_pass_steps", "hr_upscaler", "denoising_strength", "hr_prompt", "hr_sampler_name")
    assert [found[name] for name in names] == [True, 1.5, 7, "Lanczos", 0.55, "more", "Use same sampler"]
    values = [{**GOOD, **found}[name] for name in NAMES]
    assert (request_of(values).enable_hr, request_of(values).hr_scale) == (True, 1.5)


def test_a_refiner_that_is_not_here_is_said(app: Any):
    filled = values_from(app, TEXT.replace("Version", "Refiner: gone [ffffffffff], Refiner switch at: 0.6, Version"))
    assert any("gone" in notice for notice in filled.notices)
    there = values_from(app, TEXT.replace("Version", "Refiner: large [5f6e7d8c9b], Refiner switch at: 0.6, Version")).values
    assert (there["use_refiner"], there["refiner_checkpoint"], there["refiner_switch_at"]) == (True, LARGE.title, 0.6)


# ---- img2img ---------------------------------------------------------------------------------------------------------


def img2img(**changes: Any) -> list[Any]:
    start = {name: start_of(IMG2IMG, name) for name in IMG2IMG.fields}
    return [{**start, CHECKPOINT: STARTER.title, "width": 64, "height": 64, **changes}[name] for name in IMG2IMG.names]


def test_words_of_the_page_become_the_apis_numbers():
    data = data_of(
        img2img(
            resize_mode="Resize and fill", inpainting_fill="latent noise", inpainting_mask_invert="Inpaint not masked",
            inpaint_full_res="Only masked", mask_blur=9,
        ),
        IMG2IMG,
    )  # fmt: skip
    request = GenerationRequest.from_data(data)
    assert (request.resize_mode, request.inpainting_fill, request.inpainting_mask_invert, request.inpaint_full_res) == (2, 2, 1, True)
    assert (request.mask_blur_x, request.mask_blur_y, request.denoising_strength) == (9, 9, 0.75)


@pytest.mark.parametrize(("size", "scale"), [("Resize to", None), ("Resize by", 1.5)])
def test_a_factor_counts_only_when_it_is_chosen(size: str, scale: Any):
    assert request_of(img2img(size_from=size, scale_by=1.5), IMG2IMG).scale_by == scale


def test_an_unknown_word_names_its_field():
    with pytest.raises(RequestFault) as caught:
        data_of(img2img(inpainting_fill="sand"), IMG2IMG)
    assert caught.value.field == "inpainting_fill"


def test_an_inpainting_text_fills_the_mask_part(app: Any):
    text = TEXT.replace(
        "Version",
        "Denoising strength: 0.4, Mask blur: 11, Mask mode: Inpaint not masked, Inpaint area: Only masked, Masked content: fill, Version",
    )
    found = values_from(app, text, IMG2IMG).values
    names = ("denoising_strength", "mask_blur", "inpainting_mask_invert", "inpaint_full_res", "inpainting_fill", "soft_inpainting")
    assert [found[name] for name in names] == [0.4, 11, "Inpaint not masked", "Only masked", "fill", False]
    soft = TEXT.replace("Version", "Soft inpainting enabled: True, Soft inpainting schedule bias: 2.5, Version")
    found = values_from(app, soft, IMG2IMG).values
    assert (found["soft_inpainting"], found["soft_schedule_bias"]) == (True, 2.5)
    assert set(SOFT) | set(SEEDS) < set(IMG2IMG.names)


def test_a_model_that_is_not_here_is_named_and_the_chosen_one_stays(app: Any):
    filled = values_from(app, TEXT.replace("0a1b2c3d4e", "ffffffffff").replace("darkroom-starter", "someMix"))
    assert CHECKPOINT not in filled.values
    assert "someMix [ffffffffff]" in filled.notices[0]


def test_a_model_of_the_same_name_but_another_content_is_taken_with_a_word(app: Any):
    filled = values_from(app, TEXT.replace("0a1b2c3d4e", "ffffffffff").replace("darkroom-starter", "large"))
    assert filled.values[CHECKPOINT] == LARGE.title
    assert "another content" in filled.notices[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace("Euler a", "No Such Sampler"), "Sampling method was left as it is"),
        (TEXT.replace("Steps: 30", "Steps: 5000"), "Sampling steps was left as it is"),
    ],
)
def test_what_does_not_fit_is_said(app: Any, text: str, words: str):
    filled = values_from(app, text)
    assert any(words in notice for notice in filled.notices), filled.notices
    assert filled.values["prompt"] == "a red apple"


def test_a_text_without_parameters_is_a_prompt(app: Any):
    filled = values_from(app, "just words, nothing else")
    assert filled.values["prompt"] == "just words, nothing else"
    assert not set(filled.values) - {"prompt", "negative_prompt", "styles"}


def test_an_old_sampler_name_with_its_schedule(app: Any):
    filled = values_from(app, TEXT.replace("Sampler: Euler a, Schedule type: Automatic", "Sampler: DPM++ 2M Karras"))
    assert (filled.values["sampler_name"], filled.values["scheduler"]) == ("DPM++ 2M", "Karras")


OVERRIDDEN = TEXT.replace("Version", "Clip skip: 2, RNG: NV, VAE: soft.safetensors, ENSD: 31337, Version")


def test_settings_of_a_text_that_differ_become_entries(app: Any):
    filled = values_from(app, OVERRIDDEN).values
    entries = filled["override_settings"]
    assert sorted(entries) == ["Clip skip: 2", "ENSD: 31337", "RNG: NV", "VAE: soft.safetensors"]
    asked = request_of([{**GOOD, **filled}[name] for name in NAMES])
    assert asked.override_settings == {
        "CLIP_stop_at_last_layers": 2, "eta_noise_seed_delta": 31337, "randn_source": "NV", "sd_vae": "soft.safetensors",
        CHECKPOINT: STARTER.title,
    }  # fmt: skip
    app.settings.set({"CLIP_stop_at_last_layers": 2, "randn_source": "NV"})
    assert sorted(values_from(app, OVERRIDDEN).values["override_settings"]) == ["ENSD: 31337", "VAE: soft.safetensors"]


def test_what_a_text_leaves_out_was_at_its_default(app: Any):
    """A1111's own texts leave out its default source of noise, which is not ours; a text that is only a prompt says nothing."""
    assert values_from(app, TEXT).values["override_settings"] == ["RNG: GPU"]
    ours = TEXT.replace("v1.10.1", "Darkroom-1.0")
    assert values_from(app, ours).values["override_settings"] == []
    app.settings.set({"CLIP_stop_at_last_layers": 2})
    assert values_from(app, ours).values["override_settings"] == ["Clip skip: 1"]
    assert "override_settings" not in values_from(app, "a red apple").values


@pytest.mark.parametrize("settings", [{}, {"sd_vae": "a: b, c"}, {"tiling": True}, {"rho": 4.5}, {"samples_format": "webp"}])
def test_entries_come_back_as_they_were(settings: dict[str, Any]):
    assert settings_of(entries_of(settings)) == settings


def test_every_setting_has_an_entry_that_comes_back():
    defaults = {name: field.default for name, field in knobs_of(Settings).items() if name != CHECKPOINT}
    assert settings_of(entries_of(defaults)) == defaults


@pytest.mark.parametrize("entry", ["Clip skip", "Clip skip: many", "Clip skip: 99", "nothing: 1", "", 7])
def test_an_entry_that_is_none_is_refused_in_words(entry: Any):
    with pytest.raises(RequestFault) as caught:
        request_of(form(override_settings=[entry]))
    assert caught.value.field == "override_settings"


def test_outpainting_counts_only_while_it_is_on(app: Any):
    sides = {"outpaint_left": 64, "outpaint_begin": "latent noise"}
    off, on = img2img(**sides), img2img(**sides, outpaint_show=True)
    assert "outpaint_left" not in data_of(off, IMG2IMG)
    assert data_of(on, IMG2IMG)["outpaint_left"] == 64
    text = TEXT.replace("Version", "Denoising strength: 0.8, Mask blur: 6, Outpaint left: 64, Outpaint begin: matched noise, Version")
    filled = values_from(app, text, IMG2IMG).values
    names = ("outpaint_show", "outpaint_left", "outpaint_right", "outpaint_begin", "outpaint_overlap", "mask_blur")
    assert [filled[name] for name in names] == [True, 64, 0, "matched noise", 16, 6]
    assert values_from(app, TEXT, IMG2IMG).values["outpaint_show"] is False
