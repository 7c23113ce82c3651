"""Stage 1c: what may follow a first pass, with nothing left open: the hires pass, and the refiner. No torch.

What cannot work is refused here, before anything is queued. Start reading at `hires_pass` and `refiner_pass`.
Source: the behaviour of A1111 1.10.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.families import FAMILIES, Family
from modules.faults import RequestFault, UnknownName
from modules.inputs import Inputs
from modules.library import Library
from modules.processing.limits import beyond, can_do, check_room
from modules.processing.options import effective
from modules.processing.side_files import chosen_networks, chosen_parts, chosen_vae
from modules.prompts.networks import take_networks
from modules.request import Checkpoint, GenerationRequest, HiresPass, Network, RefinerPass, Sampling, SideFile
from modules.request.second import SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULER
from modules.samplers import SAMPLERS, flow_names, resolve_names
from modules.settings import Settings
from modules.upscale.table import LATENT_MODES, upscalers

DEFAULT_DENOISING = 0.7
DEFAULT_SWITCH = 0.8
BLURS_BELOW = 0.5  # an enlarged latent needs this much denoising to become sharp
OLD_STEP_PX = 64
NOTHING = (None, "", "None")
# Pipelines whose network needs nothing but the noisy latent and a text, so that it can take over in the middle of a run.
TAKE_OVER = (
    "StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusion3Pipeline", "FluxPipeline",
)  # fmt: skip
Sizes = tuple[int, int]
Texts = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class First:
    """What the later passes take from the first one. texts: (prompts, negative prompts), one a picture, tags of LoRAs still in them."""

    checkpoint: Checkpoint
    width: int
    height: int
    sampler_name: str
    scheduler: str
    texts: Texts
    networks: tuple[Network, ...] = ()
    vae: SideFile | None = None
    parts: Mapping[str, SideFile] = dataclasses.field(default_factory=dict[str, SideFile])
    distilled_cfg_scale: float | None = None


def old_sizes(request: GenerationRequest, settings: Settings, native_px: int) -> GenerationRequest:
    """With A1111's old rule in force, the request in today's terms: width and height were the target, the first pass is the model's size.

    Its sides are multiples of 64 px whose area is about native_px squared.
    """
    width, height = request.width, request.height
    if not (request.enable_hr and settings.use_old_hires_fix_width_height and width and height and not request.init_images):
        return request
    scale = math.sqrt(native_px**2 / (width * height))
    first = (math.ceil(scale * side / OLD_STEP_PX) * OLD_STEP_PX for side in (width, height))
    small_width, small_height = first
    return dataclasses.replace(request, width=small_width, height=small_height, hr_resize_x=width, hr_resize_y=height)


def with_first_picture(request: GenerationRequest, inputs: Inputs | None) -> GenerationRequest:
    """Upscale only: the first pass has the size of the picture that takes its place. Raises RequestFault when that cannot be read."""
    if not (request.enable_hr and request.firstpass_image) or request.init_images:
        return request
    if inputs is None:
        raise RequestFault("firstpass_image", "cannot be read here: there is no store of input pictures")
    width, height = inputs.open(request.firstpass_image, "firstpass_image").size
    return dataclasses.replace(request, width=width, height=height)


def target_px(request: GenerationRequest, width: int, height: int) -> tuple[Sizes, Sizes]:
    """((width, height) to enlarge to, what is left of it after cutting around the middle), pixels, before rounding.

    By the factor; or to one side, the other in proportion; or so that both sides are covered, and then cut to them.
    """
    x, y = request.hr_resize_x, request.hr_resize_y
    if not x and not y:
        whole = (int(width * request.hr_scale), int(height * request.hr_scale))
        return whole, whole
    by_width, by_height = (x, x * height // width), (y * width // height, y)
    if not (x and y):
        whole = by_width if x else by_height
        return whole, whole
    return (by_width if width * y < x * height else by_height), (x, y)


def hires_pass(
    request: GenerationRequest, settings: Settings, library: Library, first: First, texts: Texts
) -> tuple[HiresPass | None, list[str]]:
    """(the second pass, warnings); None when none was asked for. texts: of its own prompts, made as the first pass's were.

    Raises RequestFault, UnknownName, ModelFault.
    """
    if not request.enable_hr or request.init_images:
        return None, []
    chosen = _hires_checkpoint(request.hr_checkpoint_name, first.checkpoint, library)
    checkpoint = chosen or first.checkpoint
    family = FAMILIES.get(checkpoint.family)
    can_do("img2img", checkpoint, family, family.variant(checkpoint.variant), "hr_checkpoint_name" if chosen else "sd_model_checkpoint")
    upscaler = _upscaler(request.hr_upscaler, library)
    if upscaler in LATENT_MODES:
        _same_latents("hr_checkpoint_name", checkpoint, first.checkpoint, "or an upscaler for pictures")
    sizes = _sizes(request, first, family)
    sampler_name, scheduler, warnings = _sampler(request, first, checkpoint, family)
    parts: dict[str, Any] = {"parts": dict(first.parts), "vae": first.vae, "distilled_cfg_scale": first.distilled_cfg_scale}
    if chosen:
        parts, said = _side_files(checkpoint, settings, library)
        distilled = family.variant(checkpoint.variant).guidance == "distilled"
        own = family.defaults_of(checkpoint.variant).get("distilled_cfg_scale") if distilled else None
        parts["distilled_cfg_scale"] = request.distilled_cfg_scale if distilled and request.distilled_cfg_scale is not None else own
        warnings += said
    asked = (request.hr_prompt, request.hr_negative_prompt)
    rows = zip(asked, texts, first.texts, strict=True)
    prompts, negatives = (
        tuple(mine if mine.strip() else its for mine, its in zip(own, old, strict=True)) if text.strip() else tuple(old)
        for text, own, old in rows
    )
    networks, said = _networks(prompts, settings, library, first, checkpoint)
    denoising = DEFAULT_DENOISING if request.denoising_strength is None else request.denoising_strength
    steps = request.hr_second_pass_steps or request.steps
    found = HiresPass(
        **sizes,
        upscaler=upscaler,
        steps=steps,
        denoising_strength=denoising,
        sampler_name=sampler_name,
        scheduler=scheduler,
        cfg_scale=request.cfg_scale if request.hr_cfg is None else request.hr_cfg,
        all_prompts=prompts,
        all_negative_prompts=negatives,
        checkpoint=chosen,
        **parts,
        networks=networks,
        sampling=effective(request.group(Sampling), settings, sampler_name),
        first_picture=request.firstpass_image,
    )
    found = dataclasses.replace(found, asked=_asked(request, found, first))
    return found, [*warnings, *said, *_warnings(found, checkpoint, family)]


def refiner_pass(
    request: GenerationRequest, settings: Settings, library: Library, checkpoint: Checkpoint, hires: HiresPass | None
) -> tuple[RefinerPass | None, list[str]]:
    """(the checkpoint that takes over, warnings); None when none was asked for, or it is the one that runs anyway.

    Raises RequestFault with both names when it does not understand the latents of what runs before it, UnknownName, ModelFault.
    """
    if request.refiner_checkpoint in NOTHING:
        return None, []
    found = _checkpoint(str(request.refiner_checkpoint), "refiner_checkpoint", library)
    before = [checkpoint for checkpoint in _refined(settings, checkpoint, hires) if checkpoint.path != found.path]
    if not before:
        return None, [f"The refiner {found.model_name} is the checkpoint itself; nothing changed hands."]
    for other in before:
        _same_latents("refiner_checkpoint", found, other)
    family = FAMILIES.get(found.family)
    if family.variant(found.variant).tasks.get("txt2img") not in TAKE_OVER:
        kind = family.variant(found.variant).title or family.title
        raise RequestFault("refiner_checkpoint", f"{found.model_name} is a model of the kind {kind}, which cannot take over a run")
    parts, warnings = _side_files(found, settings, library)
    switch_at = DEFAULT_SWITCH if request.refiner_switch_at is None else request.refiner_switch_at
    return RefinerPass(checkpoint=found, switch_at=switch_at, **parts), warnings


def _refined(settings: Settings, checkpoint: Checkpoint, hires: HiresPass | None) -> list[Checkpoint]:
    """The checkpoints of the passes in which a refiner takes over."""
    if hires is None:
        return [checkpoint]
    passes = {"first pass": checkpoint, "second pass": hires.checkpoint or checkpoint}
    return [one for name, one in passes.items() if settings.hires_fix_refiner_pass in (name, "both passes")]


def _checkpoint(name: str, field: str, library: Library) -> Checkpoint:
    """By any name, with its hash. Raises UnknownName with that field, ModelFault."""
    try:
        return library.with_hash(library.find_checkpoint(name))
    except UnknownName as fault:
        raise UnknownName(field, name, [row.title for row in library.checkpoints()]) from fault


def _hires_checkpoint(name: str | None, first: Checkpoint, library: Library) -> Checkpoint | None:
    """None for the first pass's own."""
    if name in (*NOTHING, SAME_CHECKPOINT):
        return None
    found = _checkpoint(str(name), "hr_checkpoint_name", library)
    return None if found.path == first.path else found


def _same_latents(field: str, checkpoint: Checkpoint, other: Checkpoint, way_out: str = "") -> None:
    """Raises RequestFault when one does not understand the other's latents."""
    family, before = FAMILIES.get(checkpoint.family), FAMILIES.get(other.family)
    if family.latent_space != before.latent_space:
        raise RequestFault(
            field,
            f"{checkpoint.model_name} ({family.title}) does not understand the latents of {other.model_name} ({before.title}); "
            f"choose a checkpoint of its kind{f', {way_out}' if way_out else ''}",
        )


def _side_files(checkpoint: Checkpoint, settings: Settings, library: Library) -> tuple[dict[str, Any], list[str]]:
    """({"vae": ..., "parts": ...} of another checkpoint, warnings)."""
    vae, said = chosen_vae(settings.sd_vae, checkpoint, library)
    parts, more = chosen_parts(checkpoint, library, settings, with_vae=vae is not None)
    return {"vae": vae, "parts": parts}, [*said, *more]


def _upscaler(name: str | None, library: Library) -> str:
    """A latent mode or an upscaler for pictures, in its own spelling. Raises UnknownName, ModelFault for one that cannot be used."""
    asked = name or next(iter(LATENT_MODES))
    modes = {mode.casefold(): mode for mode in LATENT_MODES}
    if mode := modes.get(asked.casefold()):
        return mode
    rows = upscalers((row.name, Path(row.path)) for row in library.rows("upscaler"))
    if found := rows.name_of(asked):
        return found
    try:
        return library.find("upscaler", asked).name
    except UnknownName:
        raise UnknownName("hr_upscaler", asked, [*LATENT_MODES, *rows.names()]) from None


def _sizes(request: GenerationRequest, first: First, family: Family) -> dict[str, Any]:
    """to_px, width and height of the second pass; sides are rounded down to what the family's latents can hold."""
    to_px, cut_px = target_px(request, first.width, first.height)
    step = family.multiple_of_px
    width, height = (side - side % step for side in cut_px)
    for side, field in ((width, "hr_resize_x"), (height, "hr_resize_y")):
        if side < step:
            raise RequestFault(field, f"must leave at least {step} pixels a side", allowed=step)
    field = "hr_resize_x" if request.hr_resize_x or request.hr_resize_y else "hr_scale"
    check_room(field, width, height, request.batch_size)
    check_room(field, *to_px, 1)
    return {"to_px": to_px, "width": width, "height": height}


def _sampler(request: GenerationRequest, first: First, checkpoint: Checkpoint, family: Family) -> tuple[str, str, list[str]]:
    """(sampler, schedule, what was taken instead of what). The same schedule means what was asked for, so that Automatic stays so."""
    same_sampler = request.hr_sampler_name in (None, "", SAME_SAMPLER)
    same_schedule = request.hr_scheduler in (None, "", SAME_SCHEDULER)
    if same_sampler and same_schedule and checkpoint == first.checkpoint:
        return first.sampler_name, first.scheduler, []
    sampler_name = first.sampler_name if same_sampler else str(request.hr_sampler_name)
    told_apart = request.sampler_name is None or SAMPLERS.name_of(request.sampler_name.strip()) is not None
    schedule = (request.scheduler if told_apart else first.scheduler) if same_schedule else request.hr_scheduler
    try:
        if (checkpoint.prediction or family.prediction) == "flow":
            return flow_names(sampler_name, schedule)
        return *resolve_names(sampler_name, schedule), []
    except UnknownName as fault:
        field = {"sampler_name": "hr_sampler_name", "scheduler": "hr_scheduler"}[fault.field]
        raise UnknownName(field, str(fault.extra["got"]), fault.extra["allowed"]) from fault


def _networks(
    prompts: tuple[str, ...], settings: Settings, library: Library, first: First, checkpoint: Checkpoint
) -> tuple[tuple[Network, ...], list[str]]:
    """(the LoRAs of the second pass, warnings). By A1111's old rule its prompts are encoded with those of the first pass."""
    if prompts == first.texts[0] and checkpoint == first.checkpoint:
        return first.networks, []
    networks, said = chosen_networks(take_networks(prompts[0])[1], checkpoint, library)
    if settings.hires_fix_use_firstpass_conds and checkpoint == first.checkpoint:
        texts = tuple(dataclasses.replace(one, unet=0.0) for one in first.networks)
        networks = (*texts, *(dataclasses.replace(one, te=0.0) for one in networks))
    return networks, said


def _asked(request: GenerationRequest, found: HiresPass, first: First) -> dict[str, Any]:
    """Fields of the request that make this very pass again, for the parameters text; without those that the first pass decides."""
    asked: dict[str, Any] = {"hr_upscaler": found.upscaler}
    if request.hr_resize_x or request.hr_resize_y:
        asked |= {"hr_resize_x": request.hr_resize_x, "hr_resize_y": request.hr_resize_y}
    else:
        asked["hr_scale"] = request.hr_scale
    if request.hr_second_pass_steps:
        asked["hr_second_pass_steps"] = request.hr_second_pass_steps
    if found.checkpoint is not None:
        asked["hr_checkpoint_name"] = named(found.checkpoint)
    for field, own, same in (
        ("hr_sampler_name", found.sampler_name, first.sampler_name),
        ("hr_scheduler", found.scheduler, first.scheduler),
        ("hr_cfg", found.cfg_scale, request.cfg_scale),
    ):
        if own != same:
            asked[field] = own
    return asked


def named(checkpoint: Checkpoint) -> str:
    """How a checkpoint stands in the parameters text: "name [hash10]"."""
    return f"{checkpoint.model_name} [{checkpoint.short_hash}]" if checkpoint.short_hash else checkpoint.model_name


def _warnings(found: HiresPass, checkpoint: Checkpoint, family: Family) -> list[str]:
    said: list[str] = []
    if limit := beyond(found.width, found.height, checkpoint, family):
        said.append(f"{checkpoint.model_name} was made for {limit}; at {found.width}x{found.height} the hires pass may spoil the picture.")
    if found.denoising_strength == 0:
        said.append("With a denoising strength of 0 the hires pass only enlarges; no steps are run.")
    elif found.upscaler in LATENT_MODES and found.denoising_strength < BLURS_BELOW:
        said.append(f"With {found.upscaler} a denoising strength below {BLURS_BELOW:g} leaves the picture blurred; an upscaler would not.")
    return said
