"""From a resolved request to the parameters text. Start reading at `write`; `pairs` has the keys in their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from modules import __version__
from modules.infotext import control, keys
from modules.infotext.grammar import quote
from modules.knobs import knobs_of
from modules.request import REFERENCE, GenerationRequest, HiresPass, Repaint, ResolvedRequest, Sampling, Styling
from modules.settings import Settings

# A1111 turns on old behaviour for version texts it can parse as below 1.8; this one it cannot parse.
VERSION = f"Darkroom-{__version__}"
NEGATIVE = "Negative prompt:"


def write(resolved: ResolvedRequest, index: int, *, extra: Mapping[str, object] | None = None) -> str:
    """The parameters text of picture `index` (0 .. n-1; -1, a grid, speaks for the first).

    extra: more keys, put in before Version; a value of None drops its key.
    """
    values = {**pairs(resolved, index), **(extra or {}), "Version": VERSION}
    told = ", ".join(key if key == str(value) else f"{key}: {quote(value)}" for key, value in values.items() if value is not None)
    at = max(index, 0)
    negative = resolved.all_negative_prompts[at]
    lines = [resolved.all_prompts[at], *([f"{NEGATIVE} {negative}"] if negative else []), told]
    return "\n".join(lines).strip()


def pairs(resolved: ResolvedRequest, index: int) -> dict[str, object]:
    """Every key and value of a picture, in A1111's order, without Version. What changes nothing is not there."""
    return {
        key: value for key, value in {**_core(resolved, max(index, 0)), **_further(resolved, max(index, 0))}.items() if value is not None
    }


def _core(resolved: ResolvedRequest, at: int) -> dict[str, object]:
    settings, checkpoint, image = resolved.settings, resolved.checkpoint, resolved.image
    varied = resolved.subseed_strength > 0
    known = resolved.seed_resize_from
    return {
        "Steps": resolved.steps,
        "Sampler": resolved.sampler_name,
        "Schedule type": resolved.scheduler,
        "CFG scale": resolved.cfg_scale,
        "Image CFG scale": image.image_cfg_scale if image else None,
        "Seed": resolved.all_seeds[at],
        "Size": f"{resolved.width}x{resolved.height}",
        "Model hash": checkpoint.short_hash if settings.get("add_model_hash_to_info", True) else None,
        "Model": checkpoint.model_name if settings.get("add_model_name_to_info", True) else None,
        "VAE hash": resolved.vae.sha256[:10] if resolved.vae and settings.get("add_vae_hash_to_info", True) else None,
        "VAE": resolved.vae.name if resolved.vae and settings.get("add_vae_name_to_info", True) else None,
        "VAE Decoder": "TAESD" if resolved.tiny else None,
        **{f"Module {n}": part.name for n, (_, part) in enumerate(sorted(resolved.parts.items()), 1)},
        "Batch size": resolved.batch_size if resolved.batch_size > 1 else None,
        "Batch pos": at % resolved.batch_size if resolved.batch_size > 1 else None,
        "Variation seed": resolved.all_subseeds[at] if varied else None,
        "Variation seed strength": resolved.subseed_strength if varied else None,
        keys.SEED_FROM: f"{known[0]}x{known[1]}" if known else None,
        "Denoising strength": resolved.denoising_strength,
        **_settings(resolved),
    }


def _settings(resolved: ResolvedRequest) -> dict[str, object]:
    """Settings that differ from their defaults."""
    fields = knobs_of(Settings)
    found = {key: (name, resolved.settings.get(name, fields[name].default)) for name, key in keys.SETTING_KEYS.items()}
    return {key: value for key, (name, value) in found.items() if name in keys.ALWAYS_TOLD or value != fields[name].default}


def _further(resolved: ResolvedRequest, at: int) -> dict[str, object]:
    positive, negative = resolved.templates
    refiner = resolved.refiner
    return {
        **control.pairs(resolved.control),
        "Template": positive or None,
        "Negative Template": negative or None,
        **(_hires(resolved.hires, resolved, at) if resolved.hires else {}),
        **(_repaint(resolved.image, resolved) if resolved.image else {}),
        **(_changed(resolved.outpaint) if resolved.outpaint else {}),
        **(_changed(resolved.inversion) if resolved.inversion else {}),
        "Lora hashes": _hashes(resolved) if resolved.settings.get("lora_add_hashes_to_infotext", True) else None,
        **_changed(_sampling(resolved), eta=resolved.eta_key),
        "Refiner": _title(refiner.checkpoint.model_name, refiner.checkpoint.short_hash) if refiner else None,
        "Refiner switch at": refiner.switch_at if refiner else None,
        "Distilled CFG Scale": resolved.distilled_cfg_scale,
        **_changed(resolved.steering),
        **(_styling(resolved.styling) if resolved.styling else {}),
    }


def _hires(hires: HiresPass, resolved: ResolvedRequest, at: int) -> dict[str, object]:
    asked = hires.asked
    both = (asked.get("hr_resize_x") or 0, asked.get("hr_resize_y") or 0)
    checkpoint = hires.checkpoint
    named = {name: value for name in ("hr_sampler_name", "hr_scheduler") if (value := asked.get(name)) and value not in keys.SAME}
    return {
        "Hires checkpoint": _title(checkpoint.model_name, checkpoint.short_hash) if checkpoint else None,
        "Hires sampler": named.get("hr_sampler_name"),
        "Hires schedule type": named.get("hr_scheduler"),
        "Hires prompt": _if_other(hires.all_prompts[at], resolved.all_prompts[at]),
        "Hires negative prompt": _if_other(hires.all_negative_prompts[at], resolved.all_negative_prompts[at]),
        **({keys.HIRES_SIZE: f"{both[0]}x{both[1]}"} if any(both) else {"Hires upscale": asked.get("hr_scale")}),
        "Hires steps": asked.get("hr_second_pass_steps") or None,
        "Hires upscaler": hires.upscaler,
        "Hires CFG Scale": asked.get("hr_cfg"),
        keys.PICTURES["firstpass_image"]: _digest(hires.first_picture) if hires.first_picture else None,
    }


def _sampling(resolved: ResolvedRequest) -> Sampling:
    """What either pass makes something of: the sampler of the second one may hear what that of the first does not."""
    if resolved.hires is None:
        return resolved.sampling
    later = {name: value for name, value in vars(resolved.hires.sampling).items() if getattr(resolved.sampling, name) is None}
    return dataclasses.replace(resolved.sampling, **later)


def _if_other(text: str, same: str) -> str | None:
    return text if text != same else None


def _repaint(image: Repaint, resolved: ResolvedRequest) -> dict[str, object]:
    """What an img2img run began with; the mask's keys only where a mask, or a picture that grows, makes something of them."""
    worded = {key: words[int(getattr(image, name))] for name, (key, words) in keys.WORDS.items()}
    if worded["Resize mode"] == "Just resize":
        del worded["Resize mode"]
    pictures = {keys.PICTURES["init_images"]: " ".join(_digest(reference) for reference in image.init_images) or None}
    noise = {"Noise multiplier": image.initial_noise_multiplier} if image.initial_noise_multiplier not in (None, 1) else {}
    if image.mask is None and resolved.outpaint is None:
        return {**pictures, "Resize mode": worded.get("Resize mode"), **noise}
    for name, idle in (("Mask mode", "Inpaint masked"), ("Inpaint area", "Whole picture"), ("Masked content", "original")):
        if worded[name] == idle:
            del worded[name]
    only_masked = "Inpaint area" in worded
    return {
        **pictures,
        keys.PICTURES["mask"]: _digest(image.mask) if image.mask else None,
        keys.BLUR: image.mask_blur_x,
        keys.BLUR_Y: image.mask_blur_y if image.mask_blur_y != image.mask_blur_x else None,
        **worded,
        keys.PADDING: image.inpaint_full_res_padding if only_masked else None,
        keys.ROUND: None if image.mask_round else False,
        **noise,
        **({k: v for k, v in _all(image).items() if k.startswith("Soft inpainting")} if image.soft_inpainting else {}),
    }


def _styling(styling: Styling) -> dict[str, object]:
    told = _all(styling)
    if not styling.style_adapter:
        told["Composition strength"] = None
    return {keys.PICTURES["style_image"]: _digest(styling.style_image or ""), **told}


def _all(record: Any) -> dict[str, object]:
    fields = knobs_of(type(record))
    return {field.knob.infotext: getattr(record, name) for name, field in fields.items() if field.knob.infotext}


def _changed(record: Any, *, eta: str = "") -> dict[str, object]:
    """The fields of a group that have a key and differ from their defaults. eta: the key of that field."""
    found: dict[str, object] = {}
    for f in dataclasses.fields(record):
        key = eta if f.name == "eta" else keys.FIELD_KEYS.get(f.name)
        value = getattr(record, f.name)
        if key and value is not None and value != knobs_of(GenerationRequest)[f.name].default:
            found[key] = value
    return found


def _hashes(resolved: ResolvedRequest) -> str | None:
    """ "name: 12 digits, name2: 12 digits" of the LoRAs, each once."""
    hires = resolved.hires.networks if resolved.hires else ()
    rows = {network.name: network.sha256[:12] for network in (*resolved.networks, *hires) if network.sha256}
    return ", ".join(f"{name}: {digest}" for name, digest in rows.items()) or None


def _title(name: str, digest: str | None) -> str:
    return f"{name} [{digest}]" if digest else name


def _digest(reference: str) -> str:
    return reference.removeprefix(REFERENCE)
