"""Stage 1: from what was asked to a request with nothing left open. Runs where the request arrives; imports no torch.

Everything that can be wrong with a request is found here, before it is queued. Start reading at `resolve`.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any

from modules.backends.attention import ATTENTIONS
from modules.backends.table import BACKENDS
from modules.families import FAMILIES, Family, Variant
from modules.faults import RequestFault, UnknownName
from modules.inputs import Inputs
from modules.library import Library
from modules.processing.limits import can_do, check_room, outside
from modules.processing.options import effective, eta_key
from modules.processing.quantising import chosen_quantisers
from modules.processing.resolve_control import chosen_units
from modules.processing.resolve_image import image_input, with_pictures
from modules.processing.resolve_inversion import inversion_of
from modules.processing.resolve_outpaint import outpaint_of
from modules.processing.resolve_second import First, hires_pass, old_sizes, refiner_pass, with_first_picture
from modules.processing.side_files import chosen_networks, chosen_parts, chosen_tiny, chosen_vae
from modules.processing.style_files import chosen_style
from modules.processing.texts import written
from modules.prompts.limits import check_marks
from modules.prompts.networks import take_networks
from modules.prompts.schedule import split_and
from modules.prompts.styles import Styles
from modules.request import Checkpoint, GenerationRequest, HiresPass, ResolvedRequest, Sampling, Steering, Styling
from modules.samplers import flow_names, resolve_names
from modules.settings import Settings
from modules.steering import check as check_steering
from modules.steering.caches import CACHES
from modules.steering.caches import NONE as NO_CACHE

MAX_SEED = 4294967293
MAX_PICTURES = 1000
PROMPTS = ("prompt", "negative_prompt", "hr_prompt", "hr_negative_prompt")
BURNS_ABOVE_CFG = 2.0  # a model made for a CFG scale of 1 takes a little more


def resolve(
    request: GenerationRequest, settings: Settings, library: Library, styles: Styles, inputs: Inputs | None = None
) -> ResolvedRequest:
    """Nothing left open: model, sampler, sizes, one seed and prompt a picture. A random seed is drawn here, so that a
    job that is run again gives the same pictures. inputs: where its pictures lie. Raises RequestFault, UnknownName, ModelFault.
    """
    overlaid = _overlay(settings, request)
    checkpoint = library.with_hash(library.default_checkpoint(overlaid.sd_model_checkpoint))
    family = FAMILIES.get(checkpoint.family)
    variant = family.variant(checkpoint.variant)
    can_do(request.task, checkpoint, family, variant)
    request = with_pictures(with_first_picture(old_sizes(request, overlaid, checkpoint.native_px), inputs), inputs, family.multiple_of_px)
    warnings = _another_model(overlaid.sd_model_checkpoint, checkpoint)
    sampler_name, scheduler = _heard(warnings, _sampler(request, checkpoint, family))
    width, height = _heard(warnings, _sizes(request, checkpoint, family))
    seeds = _seeds(request)
    around = (request.styles, seeds["all_seeds"], overlaid, styles, library.folders)
    texts, unknown_styles = _heard(warnings, written((request.prompt, request.negative_prompt), *around))
    warnings += [f"There is no style {name!r}; it was left out." for name in unknown_styles]
    prompt, negative_prompt = texts.prompts[0], texts.negative_prompts[0]
    [vae] = _heard(warnings, chosen_vae(overlaid.sd_vae, checkpoint, library))
    [tiny] = _heard(warnings, chosen_tiny(overlaid.sd_vae_decode_method, checkpoint, library))
    [parts] = _heard(warnings, chosen_parts(checkpoint, library, overlaid, with_vae=vae is not None))
    warnings += chosen_quantisers(checkpoint, overlaid)
    [networks] = _heard(warnings, chosen_networks(take_networks(prompt)[1], checkpoint, library))
    warnings += _steering(request.cfg_scale, negative_prompt, checkpoint, variant)
    warnings += _syntax(prompt, negative_prompt, request.cfg_scale)
    image, denoising = _heard(warnings, image_input(request, overlaid, library, inputs, checkpoint, family))
    first = First(
        checkpoint=checkpoint,
        width=width,
        height=height,
        sampler_name=sampler_name,
        scheduler=scheduler,
        texts=texts.both,
        networks=networks,
        vae=vae,
        parts=parts,
        distilled_cfg_scale=_distilled(request, family, checkpoint),
    )
    later, _ = _heard(warnings, written((request.hr_prompt, request.hr_negative_prompt), *around))
    [hires] = _heard(warnings, hires_pass(request, overlaid, library, first, later.both))
    [refiner] = _heard(warnings, refiner_pass(request, overlaid, library, checkpoint, hires))
    [led] = _heard(warnings, _led_by(request, checkpoint, hires, library, inputs))
    return ResolvedRequest(
        prompt=prompt,
        negative_prompt=negative_prompt,
        all_prompts=texts.prompts,
        all_negative_prompts=texts.negative_prompts,
        templates=texts.templates,
        **seeds,
        styles=tuple(name for name in request.styles if name not in unknown_styles),
        steps=request.steps,
        sampler_name=sampler_name,
        scheduler=scheduler,
        cfg_scale=request.cfg_scale,
        width=width,
        height=height,
        batch_size=request.batch_size,
        n_iter=request.n_iter,
        checkpoint=checkpoint,
        save_images=request.save_images,
        settings=overlaid.to_data(),
        overrides=dict(request.override_settings),
        vae=vae,
        tiny=tiny,
        parts=parts,
        networks=networks,
        distilled_cfg_scale=first.distilled_cfg_scale,
        sampling=effective(request.group(Sampling), overlaid, sampler_name),
        eta_key=eta_key(sampler_name),
        steering=_steering_of(request, overlaid),
        **led,
        image=image,
        outpaint=outpaint_of(request),
        denoising_strength=hires.denoising_strength if hires else denoising,
        hires=hires,
        refiner=refiner,
        warnings=tuple(warnings),
    )


def _led_by(
    request: GenerationRequest, checkpoint: Checkpoint, hires: HiresPass | None, library: Library, inputs: Inputs | None
) -> tuple[dict[str, Any], list[str]]:
    """(what else leads the run beside its prompt: another picture's look, control units, noise found in a picture; warnings)."""
    warnings: list[str] = []
    variant = FAMILIES.get(checkpoint.family).variant(checkpoint.variant)
    [inversion] = _heard(warnings, inversion_of(request, checkpoint, variant))
    [control] = _heard(warnings, chosen_units(request, checkpoint, hires, library, inputs))
    styling, style_files = _heard(warnings, chosen_style(request.group(Styling), checkpoint, library, inputs))
    return {"inversion": inversion, "control": control, "styling": styling, "style_files": style_files}, warnings


def _heard(warnings: list[str], found: tuple[Any, ...]) -> tuple[Any, ...]:
    """What was found, without the sentences at its end, which are kept."""
    *values, said = found
    warnings += said
    return tuple(values)


def _steering_of(request: GenerationRequest, settings: Settings) -> Steering:
    """What was asked for, names as the lists have them; tiling may be a setting too."""
    asked = request.group(Steering)
    check_steering(asked)
    asked = replace(asked, cache=CACHES.name_of(asked.cache) or NO_CACHE)
    return replace(asked, tiling=settings.tiling) if asked.tiling is None and settings.tiling else asked


def _seeds(request: GenerationRequest) -> dict[str, Any]:
    """The seeds of every picture, random ones drawn. With a variation the pictures differ in the seed that is turned towards.

    Raises RequestFault for too many pictures.
    """
    count = request.batch_size * request.n_iter
    if count > MAX_PICTURES:
        raise RequestFault("n_iter", f"asks for {count} pictures in one job; the most is {MAX_PICTURES}", allowed=MAX_PICTURES)
    seed = request.seed if request.seed >= 0 else random.randint(0, MAX_SEED)
    other = request.subseed if request.subseed >= 0 else random.randint(0, MAX_SEED)
    varied = request.subseed_strength > 0
    known = (request.seed_resize_from_w, request.seed_resize_from_h)
    return {
        "all_seeds": tuple(seed if varied else seed + i for i in range(count)),
        "all_subseeds": tuple(other + i for i in range(count)),
        "subseed_strength": request.subseed_strength,
        "seed_resize_from": known if min(known) > 0 else None,
    }


def _another_model(asked: str, found: Checkpoint) -> list[str]:
    """A warning when the hash that was asked for is not that of the model that was found by its name."""
    wanted = re.search(r"\[([0-9a-f]{8,64})\]\s*$", asked, re.IGNORECASE)
    if wanted is None or (found.sha256 or "").startswith(wanted.group(1).lower()):
        return []
    return [f"{found.model_name} has another content here (hash {found.short_hash}) than the one asked for ({wanted.group(1)})."]


def _overlay(settings: Settings, request: GenerationRequest) -> Settings:
    """The settings of the run. Also refuses prompts that would take long to read, before anybody reads them."""
    for name in PROMPTS:
        check_marks(name, getattr(request, name))
    try:
        overlaid = settings.overlay(request.override_settings)
        BACKENDS.get(overlaid.backend)
        ATTENTIONS.get(overlaid.cross_attention_optimization)
        return overlaid
    except UnknownName as fault:
        raise UnknownName("override_settings", str(fault.extra["got"]), fault.extra["allowed"]) from fault
    except RequestFault as fault:
        raise RequestFault(
            "override_settings", f"{fault.field}: {fault.why}", got=fault.extra["got"], allowed=fault.extra["allowed"]
        ) from fault


def _distilled(request: GenerationRequest, family: Family, checkpoint: Checkpoint) -> float | None:
    """The guidance that a distilled network is told, the model's own when nothing is asked for; None for other networks."""
    if family.variant(checkpoint.variant).guidance != "distilled":
        return None
    own = float(family.defaults_of(checkpoint.variant)["distilled_cfg_scale"])
    return own if request.distilled_cfg_scale is None else request.distilled_cfg_scale


def _sampler(request: GenerationRequest, checkpoint: Checkpoint, family: Family) -> tuple[str, str, list[str]]:
    """(sampler, schedule, what was taken instead of what). The model's own sampler when none is asked for."""
    asked = (request.sampler_name, request.scheduler)
    if request.sampler_name is None:
        likes = family.defaults_of(checkpoint.variant)
        asked = (likes.get("sampler_name"), request.scheduler or likes.get("scheduler"))
    if (checkpoint.prediction or family.prediction) == "flow":
        return flow_names(*asked)
    return *resolve_names(*asked), []


def _sizes(request: GenerationRequest, checkpoint: Checkpoint, family: Family) -> tuple[int, int, list[str]]:
    """(width, height, warnings) in pixels; rounded down to what the family's latents can hold."""
    step = family.multiple_of_px
    asked = (request.width or checkpoint.native_px, request.height or checkpoint.native_px)
    width, height = (side - side % step for side in asked)
    for name, side in (("width", width), ("height", height)):
        if side < step:
            raise RequestFault(name, f"must be at least {step} for {checkpoint.model_name}", allowed=step)
    check_room("width", width, height, request.batch_size)
    warnings: list[str] = []
    if (width, height) != asked:
        warnings.append(f"The size was rounded down from {asked[0]}x{asked[1]} to {width}x{height}: sides are multiples of {step}.")
    if limits := outside(width, height, checkpoint, family):
        warnings.append(f"{checkpoint.model_name} was made for {limits}; at {width}x{height} its pictures may fall apart.")
    return width, height, warnings


def _steering(cfg_scale: float, negative_prompt: str, checkpoint: Checkpoint, variant: Variant) -> list[str]:
    """Warnings about a CFG scale that does not suit the model, or that leaves the negative prompt without effect."""
    found: list[str] = []
    if variant.guidance != "cfg" and cfg_scale > BURNS_ABOVE_CFG:
        found.append(
            f"{checkpoint.model_name} was made for a CFG scale of 1; at {cfg_scale:g} it takes twice as long and its colours may burn."
        )
    if cfg_scale <= 1 and negative_prompt.strip():
        found.append("With a CFG scale of 1 or less the negative prompt has no effect.")
    return found


def _syntax(prompt: str, negative_prompt: str, cfg_scale: float) -> list[str]:
    """Warnings about prompt syntax that has no effect here."""
    found: list[str] = []
    if take_networks(negative_prompt)[1]:
        found.append("A LoRA tag in the negative prompt has no effect; put it into the prompt.")
    if cfg_scale <= 1 and len(split_and(prompt)) > 1:
        found.append("With a CFG scale of 1 or less only the first part of an AND prompt counts.")
    return found
