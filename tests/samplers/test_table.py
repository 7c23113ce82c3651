"""Names of samplers and schedules, as programs for A1111 send them."""

from __future__ import annotations

import pytest

from modules.faults import RequestFault, UnknownName
from modules.samplers import SAMPLERS, SCHEDULES, resolve_names


@pytest.mark.parametrize(
    ("sampler", "scheduler", "expected"),
    [
        (None, None, ("DPM++ 2M", "Karras")),
        ("Euler", "automatic", ("Euler", "Automatic")),
        ("k_euler_a", None, ("Euler a", "Automatic")),
        ("euler A", "uniform", ("Euler a", "Uniform")),
        ("DPM++ 2M Karras", None, ("DPM++ 2M", "Karras")),
        ("DPM++ 2M Karras", "Exponential", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M SDE Exponential", None, ("DPM++ 2M SDE", "Exponential")),
        ("Euler SGMUniform", None, ("Euler", "SGM Uniform")),
        ("DDIM", "ddim", ("DDIM", "DDIM")),
    ],
)
def test_names_are_found(sampler: str | None, scheduler: str | None, expected: tuple[str, str]) -> None:
    assert resolve_names(sampler, scheduler) == expected


def test_an_unknown_sampler_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="Euler a") as caught:
        resolve_names("Eulr a", None)
    assert caught.value.field == "sampler_name"


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(UnknownName) as caught:
        resolve_names("Euler", "Karas")
    assert caught.value.field == "scheduler"


def test_a_pair_that_does_not_go_together_is_refused_with_what_does() -> None:
    with pytest.raises(RequestFault, match="Euler a cannot follow the Karras schedule; choose Automatic, Uniform, SGM Uniform"):
        resolve_names("Euler a", "Karras")


def test_the_order_is_a1111s() -> None:
    assert SAMPLERS.names()[:3] == ["DPM++ 2M", "DPM++ 2M SDE", "DPM++ 2M SDE Heun"]
    assert SCHEDULES.names()[:3] == ["Automatic", "Uniform", "Karras"]


def test_every_schedule_of_a_sampler_is_known() -> None:
    for name, row in SAMPLERS:
        for label in {row.default_schedule, *row.schedules} - {"LCM"}:
            assert label in SCHEDULES, (name, label)
