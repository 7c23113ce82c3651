"""What beside its name a sampler is told reaches it, and the noise of a picture is its own seed's alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.model.conftest import Studio
from tests.model.test_pictures import difference

APPLE: dict[str, Any] = {"prompt": "a red apple, 3d", "steps": 6, "cfg_scale": 5, "seed": 11, "sampler_name": "Euler a"}


def test_a_variation_leads_from_one_seed_to_the_other(studio: Studio) -> None:
    own, other = studio.pictures(**APPLE)[0], studio.pictures(**APPLE | {"seed": 99})[0]
    varied = {s: studio.pictures(**APPLE, subseed=99, subseed_strength=s)[0] for s in (0, 0.5, 1)}
    steady: dict[str, Any] = APPLE | {"sampler_name": "Euler"}
    whole = studio.pictures(**steady, subseed=99, subseed_strength=1)[0]
    assert difference(varied[0], own) == 0
    assert difference(varied[0.5], own) > 10
    assert difference(varied[0.5], other) > 10
    # the first noise is the other seed's, up to the rounding of the turn; fresh noise of the steps stays the seed's own
    assert difference(whole, studio.pictures(**steady | {"seed": 99})[0]) <= 2
    assert difference(varied[1], other) > 2


def test_a_varied_batch_equals_its_singles(studio: Studio) -> None:
    both = studio.pictures(**APPLE, subseed=5, subseed_strength=0.3, batch_size=2)
    singles = [studio.pictures(**APPLE, subseed=seed, subseed_strength=0.3)[0] for seed in (5, 6)]
    assert max(difference(a, b) for a, b in zip(both, singles, strict=True)) <= 2  # a batch is rounded otherwise


def test_a_seed_known_from_another_size_keeps_its_middle(studio: Studio) -> None:
    same = studio.pictures(**APPLE, seed_resize_from_w=128, seed_resize_from_h=128)[0]
    assert difference(same, studio.pictures(**APPLE)[0]) == 0
    wide: dict[str, Any] = APPLE | {"width": 160, "height": 128}
    assert difference(studio.pictures(**wide, seed_resize_from_w=128, seed_resize_from_h=128)[0], studio.pictures(**wide)[0]) > 10


@pytest.mark.parametrize(
    ("sampler", "changed", "same"),
    [
        ("Euler a", {"override_settings": {"eta_noise_seed_delta": 31337}}, False),
        ("Euler", {"override_settings": {"eta_noise_seed_delta": 31337}}, True),
        ("Euler a", {"eta": 0.5}, False),
        ("Euler a", {"override_settings": {"eta_ancestral": 0.5}}, False),
        ("Euler", {"eta": 0.5}, True),
        ("Euler", {"s_churn": 20.0}, False),
        ("Euler a", {"s_churn": 20.0}, True),
        ("Euler a", {"s_noise": 1.05}, False),
        ("DDIM", {"eta": 1.0}, False),
        ("Euler", {"override_settings": {"randn_source": "NV"}}, False),
        ("Euler", {"override_settings": {"randn_source": "GPU"}}, True),  # there is none here, so it means the processor
        ("DPM++ 2M", {"override_settings": {"rho": 3.0}}, False),
        ("UniPC", {"override_settings": {"uni_pc_order": 1}}, False),
    ],
)
def test_options_count_where_they_should(studio: Studio, sampler: str, changed: dict[str, Any], same: bool) -> None:
    plain: dict[str, Any] = APPLE | {"sampler_name": sampler}
    assert (difference(studio.pictures(**plain)[0], studio.pictures(**plain, **changed)[0]) == 0) == same


def test_eta_of_none_is_the_steady_sampler(studio: Studio) -> None:
    assert difference(studio.pictures(**APPLE, eta=0)[0], studio.pictures(**APPLE | {"sampler_name": "Euler"})[0]) <= 1


def test_a_sampler_that_looks_at_the_whole_batch_makes_its_pictures_one_by_one(studio: Studio) -> None:
    asked: dict[str, Any] = APPLE | {"sampler_name": "DPM adaptive", "width": 64, "height": 64}  # it takes many steps
    both = studio.pictures(**asked, batch_size=2)
    singles = [studio.pictures(**asked | {"seed": seed})[0] for seed in (11, 12)]
    assert max(difference(a, b) for a, b in zip(both, singles, strict=True)) <= 2  # a batch is rounded otherwise
