"""Which fields the forms of txt2img and img2img have, and the few that are only on the page: switches, labels, folders.

Every field is a Knob; what A1111 shows as words and sends as a number stands here as words. Start reading at `TXT2IMG`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from modules.knobs import Knob, KnobField, knobs_of
from modules.request import GenerationRequest, Outpaint, Sampling, Steering, Styling
from modules.request.second import SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULER

CHECKPOINT = "sd_model_checkpoint"
MODES = ("img2img", "sketch", "inpaint", "inpaint_sketch", "inpaint_upload", "batch")
RESIZE_MODES = ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")
RESIZE_TO, RESIZE_BY = "Resize to", "Resize by"
MASK_MODES = ("Inpaint masked", "Inpaint not masked")
FILLS = ("fill", "original", "latent noise", "latent nothing")
AREAS = ("Whole picture", "Only masked")
INFO_PROPS = ("Prompt", "Negative prompt", "Seed", "CFG scale", "Sampler", "Steps", "Model hash")
NONE = "None"


@dataclass(frozen=True, kw_only=True)
class Switches:
    """Parts of a form that count only while they are switched on."""

    subseed_show: Annotated[bool, Knob("Extra", help="Variation of the seed, and the seed of a picture of another size.")] = False
    use_refiner: Annotated[bool, Knob("Use refiner", elem="enable", help="Another checkpoint takes over on the way.")] = False
    outpaint_show: Annotated[bool, Knob("Outpaint", help="Makes the picture larger on its sides; it keeps its own size.")] = False
    override_settings: Annotated[
        list[str], Knob("Override settings", choices=(), help="Settings for these runs alone, such as a pasted text brings.")
    ] = field(default_factory=list[str])
    control_units: Annotated[str, Knob("ControlNet units", max_chars=200_000)] = ""  # JSON, written by the page's script


@dataclass(frozen=True, kw_only=True)
class Painting:
    """What img2img's page asks in its own words. begin: JSON of the pictures of the canvases, written by the page's script."""

    begin: Annotated[str, Knob("Pictures to begin with", max_chars=1_000_000)] = ""
    resize_mode: Annotated[str, Knob("Resize mode", choices=RESIZE_MODES, help="What happens when the proportions differ.")] = RESIZE_MODES[
        0
    ]
    size_from: Annotated[str, Knob("Size", choices=(RESIZE_TO, RESIZE_BY))] = RESIZE_TO
    scale_by: Annotated[float, Knob("Scale", 0.01, 16, ui=(0.05, 4), step=0.05, help="Times the picture's own size.")] = 1.0
    mask_blur: Annotated[
        int, Knob("Mask blur", 0, 256, ui=(0, 64), step=1, infotext="Mask blur", help="How soft the mask's edge is, in pixels.")
    ] = 4
    mask_alpha: Annotated[float, Knob("Mask transparency", 0, 100, step=1, help="How little of the sketched part changes, in percent.")] = (
        0.0
    )
    inpainting_mask_invert: Annotated[str, Knob("Mask mode", choices=MASK_MODES, infotext="Mask mode", elem="mask_mode")] = MASK_MODES[0]
    inpainting_fill: Annotated[
        str, Knob("Masked content", choices=FILLS, infotext="Masked content", help="What the masked part begins as.")
    ] = FILLS[1]
    inpaint_full_res: Annotated[
        str, Knob("Inpaint area", choices=AREAS, infotext="Inpaint area", help="Only masked paints that part alone, at the full size.")
    ] = AREAS[0]
    batch_input_dir: Annotated[
        str, Knob("Input directory", elem="batch_input_dir", max_chars=1000, help="A folder inside the data folder.")
    ] = ""
    batch_output_dir: Annotated[
        str, Knob("Output directory", max_chars=1000, help="Inside the data folder; empty takes the usual one, else names are kept.")
    ] = ""
    batch_mask_dir: Annotated[
        str,
        Knob(
            "Inpaint batch mask directory",
            elem="batch_inpaint_mask_dir",
            max_chars=1000,
            help="One mask for all, or one of the same name for each picture. Empty: no masks.",
        ),
    ] = ""
    batch_use_png_info: Annotated[bool, Knob("Append png info to prompts", help="Uses what the pictures say about themselves.")] = False
    batch_png_info_dir: Annotated[
        str, Knob("PNG info directory", max_chars=1000, help="Pictures of the same names to take it from; empty: the pictures themselves.")
    ] = ""
    batch_png_info_props: Annotated[
        list[str], Knob("Parameters to take from png info", choices=INFO_PROPS, help="The prompt is put behind the one above.")
    ] = field(default_factory=lambda: ["Prompt", "Negative prompt", "Seed"])


LABELS: Mapping[str, tuple[str, ...]] = {
    "resize_mode": RESIZE_MODES,
    "inpainting_mask_invert": MASK_MODES,
    "inpainting_fill": FILLS,
    "inpaint_full_res": AREAS,
}
PROMPTS = ("prompt", "negative_prompt")
CORE = (
    *PROMPTS, "styles", "sampler_name", "scheduler", "steps", "width", "height", "n_iter", "batch_size", "cfg_scale", "seed",
)  # fmt: skip
SEEDS = ("subseed", "subseed_strength", "seed_resize_from_w", "seed_resize_from_h")
REFINER = ("refiner_checkpoint", "refiner_switch_at")
HIRES = (
    "hr_upscaler", "hr_second_pass_steps", "hr_scale", "hr_resize_x", "hr_resize_y", "hr_cfg", "hr_checkpoint_name",
    "hr_sampler_name", "hr_scheduler", "hr_prompt", "hr_negative_prompt",
)  # fmt: skip
STYLE = tuple(name for name in knobs_of(Styling) if name != "style_image")
ADVANCED = ("distilled_cfg_scale", *knobs_of(Sampling), *knobs_of(Steering))
SOFT = (
    "soft_schedule_bias", "soft_preservation_strength", "soft_transition_contrast_boost", "soft_mask_influence",
    "soft_difference_threshold", "soft_difference_contrast",
)  # fmt: skip
OUTPAINT = tuple(knobs_of(Outpaint))
BATCH = tuple(name for name in knobs_of(Painting) if name.startswith("batch_"))
# What the form starts with where the request says "nothing given".
STARTS: Mapping[str, object] = {
    "hr_upscaler": "Latent", "hr_checkpoint_name": SAME_CHECKPOINT, "hr_sampler_name": SAME_SAMPLER, "hr_scheduler": SAME_SCHEDULER,
    "refiner_checkpoint": NONE, "refiner_switch_at": 0.8, "style_adapter": NONE,
}  # fmt: skip
_SHARED = (
    *CORE,
    "subseed_show",
    *SEEDS,
    "use_refiner",
    *REFINER,
    "style_image",
    *STYLE,
    *ADVANCED,
    "denoising_strength",
    "override_settings",
    "control_units",
)
_PAINTING = ("begin", "resize_mode", "size_from", "scale_by", "image_cfg_scale", "mask_blur", "mask_alpha", "inpainting_mask_invert",
             "inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding", "initial_noise_multiplier", "soft_inpainting")  # fmt: skip


@dataclass(frozen=True)
class Form:
    """tab: "txt2img" or "img2img", also the prefix of ids. fields: declarations by name, in order. starts: where they differ from these."""

    tab: str
    fields: Mapping[str, KnobField]
    starts: Mapping[str, object]

    @property
    def names(self) -> tuple[str, ...]:
        """Every value of the form, in the order events pass them; the checkpoint, which stands above the tabs, comes last."""
        return (*self.fields, CHECKPOINT)

    @property
    def advanced(self) -> tuple[str, ...]:
        """The fields under "Advanced"."""
        return (*ADVANCED, *(("initial_noise_multiplier",) if "initial_noise_multiplier" in self.fields else ()))


def _declared(names: tuple[str, ...]) -> dict[str, KnobField]:
    """The page's own declaration of a name goes before the request's."""
    known = {**knobs_of(GenerationRequest), **knobs_of(Switches), **knobs_of(Painting)}
    return {name: known[name] for name in names}


TXT2IMG = Form("txt2img", _declared((*_SHARED, "enable_hr", *HIRES)), {**STARTS, "denoising_strength": 0.7})
IMG2IMG = Form(
    "img2img",
    _declared((*_SHARED, *_PAINTING, *SOFT, "outpaint_show", *OUTPAINT, *BATCH)),
    {**STARTS, "denoising_strength": 0.75, "image_cfg_scale": 1.5},
)
