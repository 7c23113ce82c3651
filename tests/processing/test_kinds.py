"""What a request becomes for each kind of model: its own size and sampler, its limits, and what it cannot do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modules.families import FAMILIES
from modules.faults import RequestFault
from modules.folders import Folders
from modules.processing import resolve as stage
from modules.prompts.styles import Styles
from modules.request import Checkpoint, GenerationRequest, ResolvedRequest
from modules.settings import Settings


def checkpoint(family: str, variant: str = "", **changes: Any) -> Checkpoint:
    kind = FAMILIES.get(family).variant(variant)
    base = Checkpoint(title="m", model_name="m", path="m", family=family, sha256="0" * 64, native_px=kind.native_px, variant=variant)
    return dataclasses.replace(base, **changes)


@pytest.fixture
def ask(tmp_path: Path):
    def run(model: Checkpoint, **request: Any) -> ResolvedRequest:
        library: Any = SimpleNamespace(
            folders=Folders.at(data=tmp_path),
            default_checkpoint=lambda chosen: model,
            with_hash=lambda found: found,
            vae_for=lambda found: None,
            find=lambda kind, name: None,
        )
        return stage.resolve(GenerationRequest.from_data(request), Settings(), library, Styles(tmp_path / "styles.csv"))

    return run


def every_kind() -> list[tuple[str, str]]:
    return [(family.id, name) for _, family in FAMILIES for name, variant in family.variants.items() if "txt2img" in variant.tasks]


@pytest.mark.parametrize(("family", "variant"), every_kind())
def test_a_models_own_choices_resolve_without_a_warning(ask: Any, family: str, variant: str) -> None:
    likes = FAMILIES.get(family).defaults_of(variant)
    found = ask(checkpoint(family, variant), prompt="x", steps=likes["steps"], cfg_scale=likes["cfg_scale"])
    native = FAMILIES.get(family).variant(variant).native_px
    assert (found.width, found.height) == (native, native)
    assert found.sampler_name == likes["sampler_name"]
    assert not found.warnings


@pytest.mark.parametrize(
    ("asked", "taken", "said"),
    [
        (("DPM++ 2M", None), ("DPM++ 2M", "Automatic"), ""),
        (("DPM++ 2M", "Karras"), ("DPM++ 2M", "Automatic"), "Karras"),
        (("DPM++ 2M Karras", None), ("DPM++ 2M", "Automatic"), "Karras"),
        (("Euler", "Karras"), ("Euler", "Karras"), ""),
        (("Euler a", None), ("Euler", "Automatic"), "Euler a"),
        (("DPM2", "Uniform"), ("Heun", "Uniform"), "DPM2"),
        ((None, None), ("Euler", "Automatic"), ""),
    ],
)
def test_samplers_of_flow_matching_models(ask: Any, asked: Any, taken: Any, said: str) -> None:
    found = ask(checkpoint("sd3", "3.5-medium"), sampler_name=asked[0], scheduler=asked[1])
    assert (found.sampler_name, found.scheduler) == taken
    assert [said in warning for warning in found.warnings] == ([True] if said else [])


def test_sizes_follow_the_family(ask: Any) -> None:
    flux = ask(checkpoint("flux", "dev"), cfg_scale=1, width=1000, height=1000)
    assert (flux.width, flux.height) == (992, 992)
    large = checkpoint("sd3", "3.5-large")
    assert any("at most 1 megapixels" in w for w in ask(large, width=2048, height=1024).warnings)
    assert not ask(checkpoint("sd3", "3.5-medium"), width=1440, height=1440).warnings
    assert any("at least" in w for w in ask(large, width=256, height=256).warnings)
    assert not ask(large, width=1216, height=832).warnings


def test_a_large_size_on_a_small_model_is_warned_about(ask: Any) -> None:
    assert any("was made for 512x512" in w for w in ask(checkpoint("sd15"), width=768, height=768).warnings)
    assert not ask(checkpoint("sd15"), width=512, height=768).warnings
    assert any("was made for 1024x1024" in w for w in ask(checkpoint("sdxl"), width=512, height=512).warnings)


def test_limits_of_the_published_models_do_not_bind_a_small_one_of_the_layout(ask: Any) -> None:
    assert not ask(checkpoint("sd3", "medium", native_px=128)).warnings


def test_guidance_that_does_not_suit_is_said(ask: Any) -> None:
    assert any("burn" in w for w in ask(checkpoint("flux", "dev"), cfg_scale=7).warnings)
    assert any("burn" in w for w in ask(checkpoint("sd3", "3.5-large-turbo"), cfg_scale=7).warnings)
    assert any("negative prompt has no effect" in w for w in ask(checkpoint("sdxl"), cfg_scale=1, negative_prompt="blue").warnings)
    assert not ask(checkpoint("sdxl"), cfg_scale=7, negative_prompt="blue").warnings


def test_the_distilled_scale_is_the_variants(ask: Any) -> None:
    assert ask(checkpoint("flux", "dev"), cfg_scale=1).distilled_cfg_scale == 3.5


def test_a_model_that_cannot_make_pictures_from_text_is_refused_with_its_kind(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    family = FAMILIES.get("sdxl")
    only = dataclasses.replace(family.variant("refiner"), tasks={"img2img": "StableDiffusionXLImg2ImgPipeline"})
    odd = dataclasses.replace(family, variants={"refiner": only})
    monkeypatch.setattr(stage, "FAMILIES", SimpleNamespace(get=lambda name: odd))
    with pytest.raises(RequestFault, match=r"for img2img, not for txt2img") as caught:
        ask(checkpoint("sdxl", "refiner"))
    assert family.title in caught.value.message
    assert caught.value.field == "sd_model_checkpoint"


def test_the_distilled_scale_that_was_asked_for_counts_where_there_is_one(ask: Any) -> None:
    assert ask(checkpoint("flux", "dev"), cfg_scale=1, distilled_cfg_scale=2).distilled_cfg_scale == 2
    assert ask(checkpoint("flux", "schnell"), cfg_scale=1, distilled_cfg_scale=2).distilled_cfg_scale is None
