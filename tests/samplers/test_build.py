"""From names to schedulers: every sampler with every schedule, its options, and what pipelines ask of a scheduler."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from modules.samplers import SAMPLERS, SCHEDULES
from modules.samplers.build import build_scheduler, first_noise, left_out, seeded
from modules.samplers.options import SOURCES, SamplerOptions
from modules.samplers.records import Sampler
from modules.samplers.scheduler import SolverScheduler
from tests.samplers.gaussian import CONFIG, exact, generators, run, start

NOISY = [name for name, row in SAMPLERS if row.eta or name in ("LCM", "Restart", "SA Solver")]
STEADY = [name for name in SAMPLERS.names() if name not in NOISY]
DRAWS = [name for name in SAMPLERS.names() if name not in ("UniPC", "DEIS")]


def picture(name: str, x: torch.Tensor, steps: int = 8, schedule: str = "Automatic", config: Any = CONFIG, **options: Any) -> torch.Tensor:
    """A run with the noise of `SamplerOptions.seeds` or of generators 1, 2, ..."""
    scheduler: Any = build_scheduler(name, schedule, config, options=SamplerOptions(**options))
    scheduler.set_timesteps(steps)
    draws = None if name not in DRAWS else generators(*range(1, len(x) + 1))
    return run(scheduler, x.to(torch.float32) * scheduler.init_noise_sigma, draws=draws, prediction=str(config["prediction_type"]))


# Multistep samplers with noise cannot stand a last step many times longer than the one before; A1111's cannot either.
UNEVEN = {"DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE", "SA Solver"}


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_every_schedule_ends_in_the_data(name: str) -> None:
    """The spread of the result is about that of the data, 0.7; samplers of first order make it smaller."""
    x = start(2, (4, 8, 8))
    for label in SCHEDULES.names():
        spread = float(picture(name, x, 16, label).std())
        assert 0.3 < spread < (2.5 if name in UNEVEN else 0.95), (label, spread)


@pytest.mark.parametrize("name", SAMPLERS.names())
@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
def test_the_prediction_type_does_not_matter(name: str, prediction: str) -> None:
    x = start()
    torch.testing.assert_close(picture(name, x, config=CONFIG | {"prediction_type": prediction}), picture(name, x), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("name", [n for n, row in SAMPLERS if row.together])
@pytest.mark.parametrize("source", SOURCES)
def test_a_batch_equals_its_singles(name: str, source: str) -> None:
    x = start(3)
    batch = picture(name, x, seeds=(11, 12, 13), rng=source)
    single = picture(name, x[1:2], seeds=(12,), rng=source)
    assert torch.equal(batch[1:2], single)


@pytest.mark.parametrize("name", NOISY)
def test_seeds_of_the_options_are_the_generators_a_pipeline_would_hand_over(name: str) -> None:
    scheduler: Any = build_scheduler(name, "Automatic", CONFIG, options=SamplerOptions(seeds=(1, 2)))
    own = scheduler.noise.first((4, 8, 8))
    scheduler.set_timesteps(6)
    mine = run(scheduler, own * scheduler.init_noise_sigma, draws=generators(77, 78))
    plain: Any = build_scheduler(name, "Automatic", CONFIG)
    plain.set_timesteps(6)
    handed = seeded([1, 2])
    theirs = run(plain, first_noise(handed, (4, 8, 8)) * plain.init_noise_sigma, draws=handed)
    assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", DRAWS)
def test_only_noisy_samplers_depend_on_the_seed(name: str) -> None:
    x = start()
    same = torch.equal(picture(name, x, 24, seeds=(1, 2)), picture(name, x, 24, seeds=(3, 4)))
    assert same == (name not in NOISY)


@pytest.mark.parametrize("name", [n for n, row in SAMPLERS if row.eta is not None and n != "TCD"])
def test_without_eta_nothing_depends_on_the_seed_and_with_it_everything(name: str) -> None:
    x = start()
    assert torch.equal(picture(name, x, eta=0.0, seeds=(1, 2)), picture(name, x, eta=0.0, seeds=(3, 4)))
    assert not torch.equal(picture(name, x, eta=0.7, seeds=(1, 2)), picture(name, x, eta=0.7, seeds=(3, 4)))


def test_ancestral_samplers_without_eta_are_their_steady_forms() -> None:
    x = start()
    assert torch.equal(picture("Euler a", x, eta=0.0), picture("Euler", x))
    torch.testing.assert_close(picture("DPM++ 2M SDE", x, schedule="Karras", eta=0.0), picture("DPM++ 2M", x, schedule="Karras"))


@pytest.mark.parametrize("name", ["Euler", "Heun", "DPM2"])
def test_churn_stirs_within_its_limits_only(name: str) -> None:
    x = start()
    plain = picture(name, x)
    assert not torch.equal(picture(name, x, s_churn=10.0), plain)
    assert torch.equal(picture(name, x, s_churn=10.0, s_tmin=100.0), plain)
    assert torch.equal(picture(name, x, s_churn=10.0, s_tmax=0.001), plain)
    assert not torch.equal(picture(name, x, s_churn=10.0, s_noise=1.01), picture(name, x, s_churn=10.0))


def test_churn_asks_the_model_at_the_higher_level() -> None:
    scheduler: Any = build_scheduler("Euler", "Karras", CONFIG, options=SamplerOptions(s_churn=4.0, s_tmax=10.0))
    scheduler.set_timesteps(20)
    plain: Any = build_scheduler("Euler", "Karras", CONFIG)
    plain.set_timesteps(20)
    share = scheduler.sigmas[:-1] / plain.sigmas[:-1]
    inside = plain.sigmas[:-1] <= 10
    torch.testing.assert_close(share[inside], torch.full_like(share[inside], 1.2))
    assert (share[~inside] == 1).all()


@pytest.mark.parametrize("name", [n for n in NOISY if n not in ("SA Solver",)])
def test_the_factor_on_noise_counts(name: str) -> None:
    x = start()
    steps = 24 if name == "Restart" else 8
    assert float(picture(name, x, steps, s_noise=1.5).std()) > float(picture(name, x, steps).std())


def test_the_start_may_be_scaled_as_sgm_does() -> None:
    scheduler: Any = build_scheduler("Euler", "Karras", CONFIG, options=SamplerOptions(sgm_noise_multiplier=True))
    scheduler.set_timesteps(5)
    assert scheduler.init_noise_sigma == pytest.approx(math.sqrt(1 + 14.6146412**2))


def test_samplers_that_discard_do() -> None:
    for name, steps in (("DPM2", 39), ("DPM++ 3M SDE", 20), ("DPM2 a", 39)):
        scheduler: Any = build_scheduler(name, "Karras", CONFIG)
        scheduler.set_timesteps(20)
        assert len(scheduler.timesteps) == steps
        assert float(scheduler.sigmas[-2]) > 0.04  # the lowest level is not asked about


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_calls_a_step_are_as_the_table_says(name: str) -> None:
    row = SAMPLERS.get(name)
    scheduler: Any = build_scheduler(name, "Automatic", CONFIG)
    scheduler.set_timesteps(10)
    run(scheduler, start().float() * scheduler.init_noise_sigma, draws=generators(1, 2) if name in DRAWS else None)
    if row.together:  # DPM adaptive has its own count
        extra = {"PLMS": 1}.get(name, 0)
        assert len(scheduler.timesteps) == (19 if row.calls == 2 else 10 + extra)
        assert len(scheduler.sigmas) == len(scheduler.timesteps) + 1
    assert getattr(scheduler, "order", 1) == row.calls


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_the_clean_latent_is_kept_for_previews(name: str) -> None:
    scheduler: Any = build_scheduler(name, "Automatic", CONFIG)
    scheduler.set_timesteps(5)
    assert scheduler.clean is None
    x = start().float() * scheduler.init_noise_sigma
    scheduler.scale_model_input(x, scheduler.timesteps[0])
    scheduler.step(torch.zeros_like(x), scheduler.timesteps[0], x, return_dict=False)
    level = float(scheduler.sigmas[0])
    wanted = x if scheduler.init_noise_sigma > 1 else x * math.sqrt(1 + level**2)
    torch.testing.assert_close(scheduler.clean, wanted)


@pytest.mark.parametrize("name", [n for n, row in SAMPLERS if row.solver])
@pytest.mark.parametrize("rescaled", [False, True])
def test_half_precision_costs_little_because_the_sample_stays_in_float32(name: str, rescaled: bool) -> None:
    config = CONFIG | {"prediction_type": "v_prediction", "rescale_betas_zero_snr": rescaled}
    x = start().float()
    ends: list[torch.Tensor] = []
    for kind in (torch.float32, torch.float16):
        scheduler: Any = build_scheduler(name, "Automatic", config)
        scheduler.set_timesteps(8)
        noisy = (x * scheduler.init_noise_sigma).to(kind)
        for t in scheduler.timesteps:
            scaled = scheduler.scale_model_input(noisy, t)
            assert scaled.dtype == kind
            noisy = scheduler.step((scaled * 0.3).to(kind), t, noisy, generator=generators(1, 2), return_dict=False)[0]
        assert noisy.dtype == kind
        assert torch.isfinite(noisy).all()
        ends.append(noisy.float())
    if not rescaled and SAMPLERS.get(name).together:
        torch.testing.assert_close(ends[0], ends[1], rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(
    ("name", "denoising", "exact_steps", "calls"),
    [
        ("Euler", 0.75, False, 16),
        ("Euler", 0.3, False, 7),
        ("Euler", 0.3, True, 20),
        ("Heun", 0.75, False, 31),
        ("DDIM", 0.75, False, 15),
        ("PLMS", 0.75, False, 16),
        ("UniPC", 0.75, False, 15),
        ("UniPC", 0.4, True, 19),
        ("DEIS", 0.75, False, 16),
    ],
)
def test_a_run_from_a_picture_is_the_end_of_the_schedule(name: str, denoising: float, exact_steps: bool, calls: int) -> None:
    options = SamplerOptions(denoising=denoising, exact_steps=exact_steps)
    scheduler: Any = build_scheduler(name, "Automatic", CONFIG, options=options)
    whole: Any = build_scheduler(name, "Automatic", CONFIG)
    scheduler.set_timesteps(20)
    assert len(scheduler.timesteps) == calls
    if not exact_steps:
        whole.set_timesteps(20)
        torch.testing.assert_close(scheduler.sigmas[-3:], whole.sigmas[-3:])


@pytest.mark.parametrize("name", [n for n, row in SAMPLERS if row.solver])
@pytest.mark.parametrize("passed_over", [1, 3])
def test_a_pipeline_may_come_in_later(name: str, passed_over: int) -> None:
    """diffusers' own way to start from a picture: the plan is for the whole, and its first steps are passed over."""
    scheduler: Any = build_scheduler(name, "Automatic", CONFIG, options=SamplerOptions(eta=0.0))
    scheduler.set_timesteps(10)
    begin = passed_over * scheduler.order
    scheduler.set_begin_index(begin)
    timesteps = scheduler.timesteps[begin:]
    level = float(scheduler.sigmas[begin])
    picture_latent = torch.zeros(2, 4, 8, 8, dtype=torch.float64)
    first = scheduler.add_noise(picture_latent, start(), timesteps[:1].repeat(2))
    torch.testing.assert_close(first, start() * level, rtol=1e-5, atol=1e-5)
    x = first
    for t in timesteps:
        output = x * slope(scheduler)
        x = scheduler.step(output, t, x, generator=generators(1, 2), return_dict=False)[0]
    if name not in ("LCM", "TCD"):
        wanted = exact(first, level, float(scheduler.sigmas[-1]))
        assert float((x - wanted).abs().max() / wanted.abs().max()) < 0.3


def slope(scheduler: Any) -> float:
    """The factor from a sample to its noise, for the perfect model of normal data at the level under way."""
    index = scheduler.step_index if scheduler.step_index is not None else scheduler.begin_index
    level = float(scheduler.sigmas[index])
    return level / (0.49 + level**2)


def test_noise_is_added_at_the_level_of_each_timestep() -> None:
    scheduler: Any = build_scheduler("Euler", "Karras", CONFIG)
    scheduler.set_timesteps(6)
    clean, noise = torch.ones(2, 1, 1, 1), torch.ones(2, 1, 1, 1)
    mixed = scheduler.add_noise(clean, noise, torch.stack([scheduler.timesteps[0], scheduler.timesteps[3]]))
    torch.testing.assert_close(mixed.flatten() - 1, scheduler.sigmas[[0, 3]])
    elsewhere = scheduler.add_noise(clean[:1], noise[:1], torch.tensor([999]))
    assert float(elsewhere) == pytest.approx(15.6146, abs=1e-3)


@pytest.mark.parametrize("name", ["UniPC", "DEIS", "SA Solver"])
def test_samplers_of_total_variance_one_add_noise_so(name: str) -> None:
    scheduler: Any = build_scheduler(name, "Karras", CONFIG)
    scheduler.set_timesteps(6)
    sigma = float(scheduler.sigmas[3])
    mixed = scheduler.add_noise(torch.full((1, 1), 2.0), torch.ones(1, 1), scheduler.timesteps[3:4])
    assert float(mixed) == pytest.approx((2 + sigma) / math.sqrt(1 + sigma**2), rel=1e-5)


def test_the_predicted_picture_may_be_changed_on_the_way() -> None:
    scheduler: Any = build_scheduler("DPM++ 2M", "Automatic", CONFIG)
    seen: list[float] = []

    def keep_left(clean: torch.Tensor, sigma: float) -> torch.Tensor:
        seen.append(sigma)
        return torch.cat([torch.full_like(clean[..., :4], 0.25), clean[..., 4:]], dim=-1)

    scheduler.edit_clean = keep_left
    scheduler.set_timesteps(12)
    end = run(scheduler, start() * scheduler.init_noise_sigma)
    assert (end[..., :4] == 0.25).all()
    assert float(end[..., 4:].std()) > 0.4
    assert seen == sorted(seen, reverse=True)


def test_adaptive_fills_in_its_timesteps_while_they_are_walked() -> None:
    scheduler: Any = build_scheduler("DPM adaptive", "Automatic", CONFIG)
    scheduler.set_timesteps(20)
    seen: list[float] = []
    shares: list[float] = []
    x = start().float() * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        seen.append(float(t))
        x = scheduler.step(torch.tanh(scheduler.scale_model_input(x, t)), t, x, generator=generators(1, 2), return_dict=False)[0]
        shares.append(scheduler.fraction_done)
    assert 12 < len(seen) < 300
    assert seen[0] == 999
    assert seen[-1] < 50
    assert shares[-1] == 1.0
    assert torch.isfinite(x).all()


def test_a_step_after_the_end_changes_nothing() -> None:
    scheduler: Any = build_scheduler("Euler", "Automatic", CONFIG)
    scheduler.set_timesteps(3)
    x = run(scheduler, start() * scheduler.init_noise_sigma)
    assert torch.equal(scheduler.step(torch.ones_like(x), scheduler.timesteps[-1], x, return_dict=False)[0], x)


def test_a_config_makes_the_same_scheduler_again() -> None:
    scheduler: Any = build_scheduler("DPM++ 2M SDE", "Beta", CONFIG, options=SamplerOptions(s_noise=0.9, beta_alpha=0.5))
    again: Any = SolverScheduler.from_config(scheduler.config)
    x = start()
    for one in (scheduler, again):
        one.set_timesteps(7)
    first, second = (run(one, x * one.init_noise_sigma, draws=generators(1, 2)) for one in (scheduler, again))
    assert torch.equal(first, second)


@pytest.mark.parametrize(("facts", "words"), [({"prediction_type": "flow"}, "prediction_type"), ({"solver": "rk4"}, "solver 'rk4'")])
def test_what_is_not_known_is_named(facts: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SolverScheduler(**facts)


def test_what_cannot_be_followed_is_said() -> None:
    assert left_out("Euler a", CONFIG, SamplerOptions(rng="NV")) == ""
    assert "on the processor" in left_out("SA Solver", CONFIG, SamplerOptions(rng="NV"))
    assert left_out("SA Solver", CONFIG) == ""


def test_rows_are_whole() -> None:
    for _, row in SAMPLERS:
        assert isinstance(row, Sampler)
        assert bool(row.solver) != bool(row.scheduler_class)
        assert SAMPLERS.get(row.nearest).flow is not None or row.flow is not None
        assert row.eta is not None or not row.eta_setting


def test_noise_of_a_picture_does_not_depend_on_its_neighbours() -> None:
    batch = first_noise(seeded([5, 6, 7]), (4, 4, 4))
    assert torch.equal(batch[1:2], first_noise(seeded([6]), (4, 4, 4)))
    assert torch.equal(batch[0], torch.randn((1, 4, 4, 4), generator=torch.Generator().manual_seed(5))[0])


@pytest.mark.parametrize("name", [n for n, row in SAMPLERS if row.flow])
def test_flow_matching_forms_take_the_options_seeds_too(name: str) -> None:
    config = {"num_train_timesteps": 1000, "shift": 3.0}
    x = start(3).float()

    def ends(rows: slice, seeds: tuple[int, ...]) -> torch.Tensor:
        scheduler: Any = build_scheduler(name, "Automatic", config, options=SamplerOptions(seeds=seeds))
        scheduler.set_timesteps(6)
        y = x[rows]
        for t in scheduler.timesteps:
            y = scheduler.step(torch.tanh(y), t, y, return_dict=False)[0]
        return y

    batch = ends(slice(0, 3), (5, 6, 7))
    assert torch.isfinite(batch).all()
    assert torch.equal(batch[1:2], ends(slice(1, 2), (6,)))
    assert torch.equal(batch, ends(slice(0, 3), (5, 6, 8))) == (name not in (*NOISY, "LCM"))
