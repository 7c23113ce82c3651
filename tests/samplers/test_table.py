"""Names of samplers and schedules, as programs for A1111 send them."""

from __future__ import annotations

import pytest

from modules.faults import UnknownName
from modules.samplers import SAMPLERS, SCHEDULES, flow_names, resolve_names
from modules.samplers.solvers import SOLVERS

A1111_SAMPLERS = [
    "DPM++ 2M",
    "DPM++ SDE",
    "DPM++ 2M SDE",
    "DPM++ 2M SDE Heun",
    "DPM++ 2S a",
    "DPM++ 3M SDE",
    "Euler a",
    "Euler",
    "LMS",
    "Heun",
    "DPM2",
    "DPM2 a",
    "DPM fast",
    "DPM adaptive",
    "Restart",
    "DDIM",
    "DDIM CFG++",
    "PLMS",
    "UniPC",
    "LCM",
]
A1111_SCHEDULES = [
    "Automatic",
    "Uniform",
    "Karras",
    "Exponential",
    "Polyexponential",
    "SGM Uniform",
    "KL Optimal",
    "Align Your Steps",
    "Simple",
    "Normal",
    "DDIM",
    "Beta",
]


@pytest.mark.parametrize(
    ("sampler", "scheduler", "expected"),
    [
        (None, None, ("DPM++ 2M", "Karras")),
        ("Euler", "automatic", ("Euler", "Automatic")),
        ("k_euler_a", None, ("Euler a", "Automatic")),
        ("euler A", "uniform", ("Euler a", "Uniform")),
        ("Euler a", "karras", ("Euler a", "Karras")),
        ("DPM++ 2M Karras", None, ("DPM++ 2M", "Karras")),
        ("DPM++ 2M Karras", "Exponential", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M SDE Exponential", None, ("DPM++ 2M SDE", "Exponential")),
        ("DPM++ 2M SDE Heun Karras", None, ("DPM++ 2M SDE Heun", "Karras")),
        ("DPM++ 2S a Karras", None, ("DPM++ 2S a", "Karras")),
        ("DPM2 a Karras", None, ("DPM2 a", "Karras")),
        ("LMS Karras", None, ("LMS", "Karras")),
        ("DPM++ SDE", None, ("DPM++ SDE", "Karras")),
        ("Restart", None, ("Restart", "Karras")),
        ("Euler SGMUniform", None, ("Euler", "SGM Uniform")),
        ("Euler", "align_your_steps", ("Euler", "Align Your Steps")),
        ("DDIM", "ddim", ("DDIM", "DDIM")),
        ("ddim_cfgpp", None, ("DDIM CFG++", "Automatic")),
        ("k_dpm_ad", None, ("DPM adaptive", "Automatic")),
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


def test_a1111s_names_come_first_and_in_its_order() -> None:
    assert SAMPLERS.names()[: len(A1111_SAMPLERS)] == A1111_SAMPLERS
    assert SCHEDULES.names()[: len(A1111_SCHEDULES)] == A1111_SCHEDULES


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DPM++ 2M", {"scheduler": "karras"}),
        ("DPM++ SDE", {"scheduler": "karras", "second_order": True, "brownian_noise": True}),
        ("DPM++ 2M SDE Heun", {"scheduler": "exponential", "brownian_noise": True, "solver_type": "heun"}),
        ("DPM++ 2S a", {"scheduler": "karras", "uses_ensd": True, "second_order": True}),
        ("DPM++ 3M SDE", {"scheduler": "exponential", "discard_next_to_last_sigma": True, "brownian_noise": True}),
        ("DPM2 a", {"scheduler": "karras", "discard_next_to_last_sigma": True, "uses_ensd": True, "second_order": True}),
        ("DPM adaptive", {"uses_ensd": True}),
        ("Restart", {"scheduler": "karras", "second_order": True}),
        ("Heun", {"second_order": True}),
        ("DDIM", {}),
    ],
)
def test_the_facts_that_programs_ask_for_are_a1111s(name: str, options: dict[str, object]) -> None:
    assert SAMPLERS.get(name).options == options


def test_facts_of_schedules() -> None:
    assert {row.name: row.default_rho for _, row in SCHEDULES if row.default_rho != -1} == {"karras": 7.0, "polyexponential": 1.0}
    needing = {row.name for _, row in SCHEDULES if row.need_inner_model}
    assert needing == {"uniform", "sgm_uniform", "simple", "normal", "ddim", "beta", "turbo"}


def test_what_rows_name_is_there() -> None:
    for name, row in SAMPLERS:
        assert row.default_schedule in SCHEDULES, name
        assert row.nearest in SAMPLERS, name
        assert not row.solver or row.solver in SOLVERS, name
        assert not row.solver or SOLVERS[row.solver].calls == row.calls, name
        assert not row.solver or SOLVERS[row.solver].unit == row.timed, name


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_a_flow_matching_model_always_gets_a_sampler_it_can_follow(name: str) -> None:
    found, label, said = flow_names(name, None)
    assert SAMPLERS.get(found).flow is not None
    assert label == "Automatic"
    assert (found != name) == bool(said)
