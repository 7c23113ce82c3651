"""Samplers, what older versions did, and what saves time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """Settings of these pages, A1111's keys."""

    s_min_uncond: Annotated[
        float,
        Knob(
            "Negative Guidance minimum sigma",
            0,
            1000,
            ui=(0, 15),
            step=0.01,
            infotext="NGMS",
            section="Optimizations",
            help="Leaves out the negative prompt in every other step below this noise level; faster. 0 is off.",
        ),
    ] = 0.0
    s_min_uncond_all: Annotated[
        bool,
        Knob(
            "Negative Guidance minimum sigma all steps",
            infotext="NGMS all steps",
            section="Optimizations",
            help="Leaves it out in every step below that noise level, not in every other.",
        ),
    ] = False
    token_merging_ratio: Annotated[
        float,
        Knob(
            "Token merging ratio",
            0,
            0.9,
            step=0.1,
            infotext="Token merging ratio",
            section="Optimizations",
            help="Merges alike parts of the picture before the largest attention; faster and rougher. 0 is off.",
        ),
    ] = 0.0
    token_merging_ratio_img2img: Annotated[
        float,
        Knob("Token merging ratio for img2img", 0, 0.9, step=0.1, section="Optimizations", help="Only when above 0."),
    ] = 0.0
    token_merging_ratio_hr: Annotated[
        float,
        Knob(
            "Token merging ratio for high-res pass",
            0,
            0.9,
            step=0.1,
            infotext="Token merging ratio hr",
            section="Optimizations",
            help="Only when above 0.",
        ),
    ] = 0.0
    skip_early_cond: Annotated[
        float,
        Knob(
            "Ignore negative prompt during early sampling",
            0,
            1,
            step=0.01,
            infotext="Skip Early CFG",
            section="Sampler parameters",
            help="For this share of the steps, from the first, the negative prompt is left out.",
        ),
    ] = 0.0
    use_old_scheduling: Annotated[
        bool,
        Knob(
            "Use old prompt editing timelines",
            infotext="Old prompt editing timelines",
            section="Compatibility",
            help="For [red:green:N]: N below 1 is a share of the steps in each pass, any other N a step; as before A1111 1.6.",
        ),
    ] = False
    pad_cond_uncond: Annotated[
        bool,
        Knob(
            "Pad prompt/negative prompt",
            infotext="Pad conds",
            section="Optimizations",
            help="A prompt and negative prompt of different lengths are filled up to the same, and the filling counts; changes pictures.",
        ),
    ] = False
    eta_ddim: Annotated[
        float, Knob("Eta for DDIM", 0, 1, step=0.01, section="Sampler parameters", help="Noise multiplier; higher is less predictable.")
    ] = 0.0
    eta_ancestral: Annotated[
        float,
        Knob("Eta for k-diffusion samplers", 0, 1, step=0.01, section="Sampler parameters", help="Noise multiplier of ancestral samplers."),
    ] = 1.0
    s_churn: Annotated[float, Knob("sigma churn", 0, 100, step=0.01, section="Sampler parameters")] = 0.0
    s_tmin: Annotated[float, Knob("sigma tmin", 0, 10, step=0.01, section="Sampler parameters")] = 0.0
    s_tmax: Annotated[float, Knob("sigma tmax", 0, 999, step=0.01, section="Sampler parameters", help="0 for no upper end.")] = 0.0
    s_noise: Annotated[float, Knob("sigma noise", 0, 1.1, step=0.001, section="Sampler parameters")] = 1.0
    sigma_min: Annotated[
        float,
        Knob(
            "sigma min", 0, 1000, step=0.001, infotext="Schedule min sigma", section="Sampler parameters", help="0 takes the model's own."
        ),
    ] = 0.0
    sigma_max: Annotated[
        float,
        Knob("sigma max", 0, 1000, step=0.1, infotext="Schedule max sigma", section="Sampler parameters", help="0 takes the model's own."),
    ] = 0.0
    rho: Annotated[
        float, Knob("rho", 0, 100, step=0.1, infotext="Schedule rho", section="Sampler parameters", help="0 takes the schedule's own.")
    ] = 0.0
    eta_noise_seed_delta: Annotated[
        int,
        Knob(
            "Eta noise seed delta",
            0,
            2**31,
            step=1,
            infotext="ENSD",
            section="Sampler parameters",
            help="Added to the seed of all noise after the first.",
        ),
    ] = 0
    always_discard_next_to_last_sigma: Annotated[
        bool, Knob("Always discard next-to-last sigma", infotext="Discard penultimate sigma", section="Sampler parameters")
    ] = False
    sgm_noise_multiplier: Annotated[bool, Knob("SGM noise multiplier", infotext="SGM noise multiplier", section="Sampler parameters")] = (
        False
    )
    uni_pc_variant: Annotated[
        str, Knob("UniPC variant", choices=("bh1", "bh2"), infotext="UniPC variant", section="Sampler parameters")
    ] = "bh1"
    uni_pc_order: Annotated[int, Knob("UniPC order", 1, 3, step=1, infotext="UniPC order", section="Sampler parameters")] = 3
    uni_pc_lower_order_final: Annotated[
        bool, Knob("UniPC lower order final", infotext="UniPC lower order final", section="Sampler parameters")
    ] = True
    beta_dist_alpha: Annotated[
        float, Knob("Beta scheduler - alpha", 0.01, 1, step=0.01, infotext="Beta schedule alpha", section="Sampler parameters")
    ] = 0.6
    beta_dist_beta: Annotated[
        float, Knob("Beta scheduler - beta", 0.01, 1, step=0.01, infotext="Beta schedule beta", section="Sampler parameters")
    ] = 0.6
    use_old_karras_scheduler_sigmas: Annotated[
        bool, Knob("Use old karras scheduler sigmas (0.1 to 10)", infotext="Old Karras sigmas", section="Compatibility")
    ] = False
    use_old_hires_fix_width_height: Annotated[
        bool,
        Knob(
            "For hires fix, use width/height sliders to set final resolution rather than first pass "
            "(disables Upscale by, Resize width/height to)",
            section="Compatibility",
        ),
    ] = False
    hires_fix_use_firstpass_conds: Annotated[
        bool,
        Knob(
            "For hires fix, calculate conds of second pass using extra networks of first pass",
            infotext="Hires first pass conds",
            section="Compatibility",
        ),
    ] = False
    refiner_switch_by_sample_steps: Annotated[
        bool,
        Knob(
            "Switch to refiner by sampling steps instead of model timesteps",
            infotext="Refiner switch by sampling steps",
            section="Compatibility",
            help="Old behavior for refiner.",
        ),
    ] = False
