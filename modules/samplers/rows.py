"""The rows: every sampler and every noise schedule offered, in A1111's order, then those it does not have. No torch here."""

from __future__ import annotations

from typing import Any

from modules.samplers.records import AUTOMATIC, Flow, Sampler, Schedule

_DPMPP = {"algorithm_type": "dpmsolver++", "solver_type": "midpoint", "lower_order_final": True, "final_sigmas_type": "zero"}
_SDE = {**_DPMPP, "algorithm_type": "sde-dpmsolver++"}
_FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
_MULTISTEP = "DPMSolverMultistepScheduler"
_KARRAS = {"scheduler": "karras"}
_EXPONENTIAL = {"scheduler": "exponential", "brownian_noise": True}
_DISCARDS = {"discard_next_to_last_sigma": True}
_ENSD = {"uses_ensd": True}
_TWICE = {"second_order": True}
_FRESH: dict[str, Any] = {"eta": 1.0, "eta_setting": "eta_ancestral"}
_TIMED: dict[str, Any] = {"timed": True, "default_schedule": "DDIM"}


def _flow(config: dict[str, Any], **more: Any) -> Flow:
    return Flow(scheduler_class=_MULTISTEP, config={**config, **_FLOW, **more})


SAMPLER_ROWS = (
    Sampler(
        name="DPM++ 2M",
        aliases=("k_dpmpp_2m",),
        solver="dpmpp_2m",
        default_schedule="Karras",
        options=_KARRAS,
        flow=_flow(_DPMPP, solver_order=2),
        source="arXiv:2211.01095, algorithm 2",
    ),
    Sampler(
        name="DPM++ SDE",
        aliases=("k_dpmpp_sde",),
        solver="dpmpp_sde",
        default_schedule="Karras",
        calls=2,
        options={**_KARRAS, **_TWICE, "brownian_noise": True},
        nearest="DPM++ 2M SDE",
        source="arXiv:2211.01095, algorithm 1 with noise",
        **_FRESH,
    ),
    Sampler(
        name="DPM++ 2M SDE",
        aliases=("k_dpmpp_2m_sde",),
        solver="dpmpp_2m_sde",
        default_schedule="Exponential",
        options=_EXPONENTIAL,
        flow=_flow(_SDE, solver_order=2),
        source="arXiv:2211.01095, SDE form",
        **_FRESH,
    ),
    Sampler(
        name="DPM++ 2M SDE Heun",
        aliases=("k_dpmpp_2m_sde_heun",),
        solver="dpmpp_2m_sde_heun",
        default_schedule="Exponential",
        options={**_EXPONENTIAL, "solver_type": "heun"},
        flow=_flow(_SDE, solver_order=2, solver_type="heun"),
        source="arXiv:2211.01095, SDE form, Heun correction",
        **_FRESH,
    ),
    Sampler(
        name="DPM++ 2S a",
        aliases=("k_dpmpp_2s_a",),
        solver="dpmpp_2s_ancestral",
        default_schedule="Karras",
        calls=2,
        options={**_KARRAS, **_ENSD, **_TWICE},
        nearest="DPM++ 2M SDE",
        source="arXiv:2211.01095, algorithm 1, ancestral",
        **_FRESH,
    ),
    Sampler(
        name="DPM++ 3M SDE",
        aliases=("k_dpmpp_3m_sde",),
        solver="dpmpp_3m_sde",
        default_schedule="Exponential",
        options={**_EXPONENTIAL, **_DISCARDS},
        flow=_flow(_SDE, solver_order=3),
        source="arXiv:2211.01095, SDE form, third order",
        **_FRESH,
    ),
    Sampler(
        name="Euler a",
        aliases=("k_euler_a", "k_euler_ancestral"),
        solver="euler_ancestral",
        options=_ENSD,
        source="arXiv:2206.00364, ancestral Euler of k-diffusion",
        **_FRESH,
    ),
    Sampler(
        name="Euler",
        aliases=("k_euler",),
        solver="euler",
        churn=True,
        flow=Flow(scheduler_class="FlowMatchEulerDiscreteScheduler", schedules=("Uniform", "Karras", "Exponential", "Beta")),
        source="arXiv:2206.00364, algorithm 2",
    ),
    Sampler(name="LMS", aliases=("k_lms",), solver="lms", nearest="DPM++ 2M", source="linear multistep of k-diffusion, order 4"),
    Sampler(
        name="Heun",
        aliases=("k_heun",),
        solver="heun",
        calls=2,
        churn=True,
        options=_TWICE,
        flow=Flow(scheduler_class="FlowMatchHeunDiscreteScheduler"),
        source="arXiv:2206.00364, algorithm 1",
    ),
    Sampler(
        name="DPM2",
        aliases=("k_dpm_2",),
        solver="dpm2",
        default_schedule="Karras",
        calls=2,
        churn=True,
        options={**_KARRAS, **_DISCARDS, **_TWICE},
        nearest="Heun",
        source="arXiv:2206.00364, DPM-Solver-2 form",
    ),
    Sampler(
        name="DPM2 a",
        aliases=("k_dpm_2_a",),
        solver="dpm2_ancestral",
        default_schedule="Karras",
        calls=2,
        options={**_KARRAS, **_DISCARDS, **_ENSD, **_TWICE},
        nearest="Heun",
        source="arXiv:2206.00364, ancestral DPM-Solver-2 form",
        **_FRESH,
    ),
    Sampler(
        name="DPM fast",
        aliases=("k_dpm_fast",),
        solver="dpm_fast",
        options=_ENSD,
        nearest="DPM++ 2M SDE",
        source="arXiv:2206.00927, DPM-Solver-fast",
        note="Takes only the ends of the schedule.",
        **_FRESH,
    ),
    Sampler(
        name="DPM adaptive",
        aliases=("k_dpm_ad",),
        solver="dpm_adaptive",
        options=_ENSD,
        nearest="DPM++ 2M SDE",
        together=False,
        source="arXiv:2206.00927, DPM-Solver-12 and 23",
        note="Takes as many steps as it needs, three calls each; of the schedule only the ends.",
        **_FRESH,
    ),
    Sampler(
        name="Restart",
        aliases=("restart",),
        solver="restart",
        default_schedule="Karras",
        calls=2,
        options={**_KARRAS, **_TWICE},
        nearest="Heun",
        source="arXiv:2306.14878",
        note="From 20 steps on it goes back up and walks low noise levels again, by Karras' spacing.",
    ),
    Sampler(
        name="DDIM",
        aliases=("ddim",),
        solver="ddim",
        eta=0.0,
        eta_setting="eta_ddim",
        source="arXiv:2010.02502, eq. 12",
        note="When 1000 is no multiple of the steps, it takes a few more.",
        **_TIMED,
    ),
    Sampler(
        name="DDIM CFG++",
        aliases=("ddim_cfgpp",),
        solver="ddim_cfgpp",
        eta=0.0,
        eta_setting="eta_ddim",
        cfgpp=True,
        source="arXiv:2406.08070, algorithm 2",
        note="The CFG scale counts a 12.5th.",
        **_TIMED,
    ),
    Sampler(name="PLMS", aliases=("plms",), solver="plms", nearest="DPM++ 2M", source="arXiv:2202.09778", **_TIMED),
    Sampler(
        name="UniPC",
        aliases=("unipc",),
        scheduler_class="UniPCMultistepScheduler",
        timed=True,
        flow=Flow(scheduler_class="UniPCMultistepScheduler", config={**_FLOW, "solver_order": 2, "solver_type": "bh2"}),
        source="arXiv:2302.04867",
    ),
    Sampler(
        name="LCM",
        aliases=("k_lcm",),
        solver="lcm",
        flow=Flow(scheduler_class="FlowMatchLCMScheduler"),
        source="arXiv:2310.04378",
        note="For models made for few steps.",
    ),
    Sampler(
        name="DEIS",
        aliases=("deis",),
        scheduler_class="DEISMultistepScheduler",
        config={"solver_order": 2},
        nearest="DPM++ 2M",
        source="arXiv:2204.13902",
    ),
    Sampler(
        name="SA Solver",
        aliases=("sa_solver",),
        scheduler_class="SASolverScheduler",
        config={"predictor_order": 2, "corrector_order": 2},
        nearest="DPM++ 2M SDE",
        source="arXiv:2309.05019",
    ),
    Sampler(
        name="TCD",
        aliases=("tcd",),
        solver="tcd",
        default_schedule="Simple",
        eta=0.3,
        timed=True,
        nearest="LCM",
        source="arXiv:2402.19159, algorithm 4",
        note="For models made for few steps.",
    ),
)

_MODEL: dict[str, Any] = {"need_inner_model": True}
SCHEDULE_ROWS = (
    Schedule(name="automatic", label=AUTOMATIC, source="the sampler's own"),
    Schedule(name="uniform", label="Uniform", config={"timestep_spacing": "linspace"}, source="equal steps of time", **_MODEL),
    Schedule(name="karras", label="Karras", config={"use_karras_sigmas": True}, default_rho=7.0, source="arXiv:2206.00364, eq. 5"),
    Schedule(name="exponential", label="Exponential", config={"use_exponential_sigmas": True}, source="equal steps of log sigma"),
    Schedule(
        name="polyexponential", label="Polyexponential", default_rho=1.0, source="steps of log sigma, a power of equal ones; k-diffusion"
    ),
    Schedule(
        name="sgm_uniform",
        label="SGM Uniform",
        aliases=("SGMUniform",),
        config={"timestep_spacing": "trailing"},
        source="equal steps of time, one more, without its last",
        **_MODEL,
    ),
    Schedule(name="kl_optimal", label="KL Optimal", source="arXiv:2404.14507, eq. 11; ends at the lowest noise level, not at none"),
    Schedule(name="align_your_steps", label="Align Your Steps", source="arXiv:2404.14507, its tables for SD 1 and SDXL"),
    Schedule(name="simple", label="Simple", source="every so many of the model's noise levels", **_MODEL),
    Schedule(name="normal", label="Normal", source="equal steps of time between the ends", **_MODEL),
    Schedule(name="ddim", label="DDIM", source="arXiv:2010.02502; a few steps more when 1000 is no multiple of them", **_MODEL),
    Schedule(name="beta", label="Beta", config={"use_beta_sigmas": True}, source="arXiv:2407.12173", **_MODEL),
    Schedule(name="turbo", label="Turbo", source="the levels that distilled models know; arXiv:2311.17042", **_MODEL),
)
