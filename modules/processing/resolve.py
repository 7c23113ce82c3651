"""Stage 1: from what was asked to a request with nothing left open. Runs where the request arrives; imports no torch.

Everything that can be wrong with a request is found here, before it is queued. Start reading at `resolve`.
"""

from __future__ import annotations

import random
import re

from modules.families import FAMILIES
from modules.faults import RequestFault, UnknownName
from modules.library import Library
from modules.prompts.schedule import split_and
from modules.prompts.styles import Styles
from modules.request import Checkpoint, GenerationRequest, ResolvedRequest
from modules.samplers import resolve_names
from modules.settings import Settings

MAX_SEED = 4294967293
MAX_PICTURES = 1000
MAX_PIXELS_AT_ONCE = 64_000_000
_NETWORK_TAG = re.compile(r"<(?:lora|lyco|hypernet):[^<>]{1,200}>")


def resolve(request: GenerationRequest, settings: Settings, library: Library, styles: Styles) -> ResolvedRequest:
    """Nothing left open: model, sampler, sizes, one seed and prompt a picture. A random seed is drawn here, so that a
    job that is run again gives the same pictures. Raises RequestFault, UnknownName, ModelFault.
    """
    overlaid = _overlay(settings, request)
    checkpoint = library.with_hash(library.default_checkpoint(overlaid.sd_model_checkpoint))
    sampler_name, scheduler = resolve_names(request.sampler_name, request.scheduler)
    width, height, size_warnings = _sizes(request, checkpoint)
    count = request.batch_size * request.n_iter
    if count > MAX_PICTURES:
        raise RequestFault("n_iter", f"asks for {count} pictures in one job; the most is {MAX_PICTURES}", allowed=MAX_PICTURES)
    prompt, negative_prompt, unknown_styles = styles.apply(request.prompt, request.negative_prompt, request.styles)
    if overlaid.enable_prompt_comments:
        prompt, negative_prompt = without_comments(prompt), without_comments(negative_prompt)
    seed = request.seed if request.seed >= 0 else random.randint(0, MAX_SEED)
    warnings = [
        *_another_model(overlaid.sd_model_checkpoint, checkpoint),
        *size_warnings,
        *(f"There is no style {name!r}; it was left out." for name in unknown_styles),
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


def _sizes(request: GenerationRequest, checkpoint: Checkpoint) -> tuple[int, int, list[str]]:
    """(width, height, warnings) in pixels; rounded down to what the family's latents can hold."""
    step = FAMILIES.get(checkpoint.family).multiple_of_px
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
    native = checkpoint.native_px
    if max(width, height) > native * 2 or max(width, height) * 2 < native:
        warnings.append(f"{checkpoint.model_name} was made for {native}x{native}; at {width}x{height} its pictures may fall apart.")
    return width, height, warnings


def without_comments(text: str) -> str:
    """A prompt without `# ...` to the end of each line; lines that hold nothing else go too. Source: A1111's rule."""
    lines = text.split("\n")
    kept = [line.split("#", 1)[0].rstrip() if "#" in line else line for line in lines if not line.lstrip().startswith("#")]
    return "\n".join(kept).strip() if "#" in text else text


def _syntax(prompt: str, negative_prompt: str, cfg_scale: float) -> list[str]:
    """Warnings about prompt syntax that has no effect here."""
    found: list[str] = []
    if tag := _NETWORK_TAG.search(f"{prompt} {negative_prompt}"):
        found.append(f"{tag.group(0)} had no effect: this version does not load extra networks yet.")
    if cfg_scale <= 1 and len(split_and(prompt)) > 1:
        found.append("With a CFG scale of 1 or less only the first part of an AND prompt counts.")
    return found
