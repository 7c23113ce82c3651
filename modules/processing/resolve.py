"""Stage 1: from what was asked to a request with nothing left open. Runs where the request arrives; imports no torch.

Everything that can be wrong with a request is found here, before it is queued. Start reading at `resolve`.
"""

from __future__ import annotations

import random
import re

from modules.families import FAMILIES, Family, Variant
from modules.faults import RequestFault, UnknownName
from modules.library import Library
from modules.processing.side_files import chosen_networks, chosen_parts, chosen_tiny, chosen_vae
from modules.prompts.networks import take_networks
from modules.prompts.schedule import split_and
from modules.prompts.styles import Styles
from modules.request import Checkpoint, GenerationRequest, ResolvedRequest
from modules.samplers import flow_names, resolve_names
from modules.settings import Settings

MAX_SEED = 4294967293
MAX_PICTURES = 1000
MAX_PIXELS_AT_ONCE = 64_000_000
FAR_FROM_NATIVE = 2.0  # times the area of the training pictures
BURNS_ABOVE_CFG = 2.0  # a model made for a CFG scale of 1 takes a little more


def resolve(request: GenerationRequest, settings: Settings, library: Library, styles: Styles) -> ResolvedRequest:
    """Nothing left open: model, sampler, sizes, one seed and prompt a picture. A random seed is drawn here, so that a
    job that is run again gives the same pictures. Raises RequestFault, UnknownName, ModelFault.
    """
    overlaid = _overlay(settings, request)
    checkpoint = library.with_hash(library.default_checkpoint(overlaid.sd_model_checkpoint))
    family = FAMILIES.get(checkpoint.family)
    variant = family.variant(checkpoint.variant)
    _can_do("txt2img", checkpoint, family, variant)
    sampler_name, scheduler, sampler_warnings = _sampler(request, checkpoint, family)
    width, height, size_warnings = _sizes(request, checkpoint, family)
    count = request.batch_size * request.n_iter
    if count > MAX_PICTURES:
        raise RequestFault("n_iter", f"asks for {count} pictures in one job; the most is {MAX_PICTURES}", allowed=MAX_PICTURES)
    prompt, negative_prompt, unknown_styles = styles.apply(request.prompt, request.negative_prompt, request.styles)
    if overlaid.enable_prompt_comments:
        prompt, negative_prompt = without_comments(prompt), without_comments(negative_prompt)
    vae, vae_warnings = chosen_vae(overlaid.sd_vae, checkpoint, library)
    tiny, tiny_warnings = chosen_tiny(overlaid.sd_vae_decode_method, checkpoint, library)
    parts, part_warnings = chosen_parts(checkpoint, library, overlaid, with_vae=vae is not None)
    networks, network_warnings = chosen_networks(take_networks(prompt)[1], checkpoint, library)
    seed = request.seed if request.seed >= 0 else random.randint(0, MAX_SEED)
    warnings = [
        *_another_model(overlaid.sd_model_checkpoint, checkpoint),
        *sampler_warnings,
        *size_warnings,
        *vae_warnings,
        *tiny_warnings,
        *part_warnings,
        *network_warnings,
        *(f"There is no style {name!r}; it was left out." for name in unknown_styles),
        *_steering(request.cfg_scale, negative_prompt, checkpoint, variant),
        *_syntax(prompt, negative_prompt, request.cfg_scale),
    ]
    return ResolvedRequest(
        prompt=prompt,
        negative_prompt=negative_prompt,
        all_prompts=(prompt,) * count,
        all_negative_prompts=(negative_prompt,) * count,
        all_seeds=tuple(seed + i for i in range(count)),
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
        distilled_cfg_scale=_distilled(request, family, checkpoint),
        warnings=tuple(warnings),
    )


def _another_model(asked: str, found: Checkpoint) -> list[str]:
    """A warning when the hash that was asked for is not that of the model that was found by its name."""
    wanted = re.search(r"\[([0-9a-f]{8,64})\]\s*$", asked, re.IGNORECASE)
    if wanted is None or (found.sha256 or "").startswith(wanted.group(1).lower()):
        return []
    return [f"{found.model_name} has another content here (hash {found.short_hash}) than the one asked for ({wanted.group(1)})."]


def _overlay(settings: Settings, request: GenerationRequest) -> Settings:
    try:
        return settings.overlay(request.override_settings)
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


def _can_do(task: str, checkpoint: Checkpoint, family: Family, variant: Variant) -> None:
    """Raises RequestFault when this kind of model cannot do a task."""
    if task not in variant.tasks:
        kind = " ".join(word for word in (family.title, variant.title) if word)
        others = ", ".join(variant.tasks) or "nothing here"
        raise RequestFault(
            "sd_model_checkpoint",
            f"{checkpoint.model_name} is a model of the kind {kind}; it is for {others}, not for {task}. Choose another",
        )


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
    if width * height * request.batch_size > MAX_PIXELS_AT_ONCE:
        raise RequestFault(
            "width",
            f"{request.batch_size} pictures of {width}x{height} at once are over the limit of {MAX_PIXELS_AT_ONCE} pixels; "
            "make fewer or smaller ones",
        )
    warnings: list[str] = []
    if (width, height) != asked:
        warnings.append(f"The size was rounded down from {asked[0]}x{asked[1]} to {width}x{height}: sides are multiples of {step}.")
    if outside := _outside(width, height, checkpoint, family):
        warnings.append(f"{checkpoint.model_name} was made for {outside}; at {width}x{height} its pictures may fall apart.")
    return width, height, warnings


def _outside(width: int, height: int, checkpoint: Checkpoint, family: Family) -> str:
    """What a model was made for, when a size is outside of it; else "".

    A known limit counts only for a model as large as the published ones: a small one of the same layout has its own size.
    """
    native, area = checkpoint.native_px, width * height
    fewest, most = family.pixels_of(checkpoint.variant)
    if native == family.variant(checkpoint.variant).native_px:
        if most is not None and area > most:
            return f"at most {most / 1024**2:.3g} megapixels"
        if fewest is not None and area < fewest:
            return f"at least {fewest / 1024**2:.2g} megapixels"
        if most is not None and fewest is not None:
            return ""
    far = area > FAR_FROM_NATIVE * native**2 or area * FAR_FROM_NATIVE < native**2
    return f"{native}x{native}" if far or max(width, height) > native * 2 or max(width, height) * 2 < native else ""


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


def without_comments(text: str) -> str:
    """A prompt without `# ...` to the end of each line; lines that hold nothing else go too. Source: A1111's rule."""
    lines = text.split("\n")
    kept = [line.split("#", 1)[0].rstrip() if "#" in line else line for line in lines if not line.lstrip().startswith("#")]
    return "\n".join(kept).strip() if "#" in text else text


def _syntax(prompt: str, negative_prompt: str, cfg_scale: float) -> list[str]:
    """Warnings about prompt syntax that has no effect here."""
    found: list[str] = []
    if take_networks(negative_prompt)[1]:
        found.append("A LoRA tag in the negative prompt has no effect; put it into the prompt.")
    if cfg_scale <= 1 and len(split_and(prompt)) > 1:
        found.append("With a CFG scale of 1 or less only the first part of an AND prompt counts.")
    return found
