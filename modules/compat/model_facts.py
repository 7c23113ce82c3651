"""`shared.sd_model`: facts about the checkpoint under A1111's names, and its VAE in A1111's scale. Its networks are diffusers modules.

Start reading at `Model`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from PIL import Image

from modules.compat.names_models import checkpoint_info

Views = Any  # modules.compat.views.Views; it imports this file

NO_LDM = "models are diffusers pipelines here, so there is no LDM network to read or patch"
KINDS = {"is_sd1": "sd15", "is_sd2": "sd2", "is_sdxl": "sdxl", "is_sd3": "sd3", "is_flux": "flux"}
LDM = ("model", "conditioner", "forge_objects", "betas", "logvar", "cond_stage_model_empty_prompt")


class Model:
    """Before a model is loaded the facts are those of the checkpoint that is chosen. model(): the loaded one or None."""

    def __init__(self, model: Callable[[], Any]) -> None:
        self.__dict__.update(_loaded=model, _chosen=lambda: None)

    def choose(self, chosen: Callable[[], Any]) -> None:
        """chosen(): the checkpoint of the settings, None when there is none."""
        self.__dict__["_chosen"] = chosen

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        loaded = self._loaded()
        about = loaded.checkpoint if loaded is not None else self._chosen()
        if about is None:
            raise AttributeError(f"sd_model.{name}: there is no checkpoint")
        facts = _facts(about)
        if name in facts:
            return facts[name]
        if name in PIPELINE and loaded is not None:
            return PIPELINE[name](loaded.pipeline)
        why = NO_LDM if loaded is not None or name in LDM else "no model is loaded yet"
        raise AttributeError(f"sd_model.{name} cannot be offered: {why}")


def _facts(about: Any) -> dict[str, Any]:
    found: dict[str, Any] = {key: about.family == family for key, family in KINDS.items()}
    info = checkpoint_info(about)
    prediction = "v" if about.prediction == "v_prediction" else "eps"
    return {
        **found, "sd_checkpoint_info": info, "sd_model_hash": info.shorthash, "sd_model_checkpoint": info.filename, "is_ssd": False,
        "is_sdxl_inpaint": about.family == "sdxl" and about.variant == "inpaint", "parameterization": prediction, "lowvram": False,
        "cond_stage_key": "txt", "filename": info.filename, "used_config": None, "extra_generation_params": {},
    }  # fmt: skip


def _tokens(pipeline: Any) -> SimpleNamespace:
    tokenizer = pipeline.tokenizer

    def tokenize(texts: list[str]) -> list[list[int]]:
        return tokenizer(texts, add_special_tokens=False).input_ids

    return SimpleNamespace(tokenize=tokenize, tokenizer=tokenizer, id_start=tokenizer.bos_token_id, id_end=tokenizer.eos_token_id,
                           id_pad=tokenizer.pad_token_id, comma_token=tokenizer.get_vocab().get(",</w>"))  # fmt: skip


def decode(pipeline: Any, latents: Any) -> Any:
    """Latents (B, C, h, w) in the network's scale -> pixels (B, 3, H, W) from -1 to 1."""
    vae, config = pipeline.vae, pipeline.vae.config
    scaled = latents.to(vae.device, vae.dtype) / config.scaling_factor + (getattr(config, "shift_factor", None) or 0)
    return vae.decode(scaled, return_dict=False)[0]


def encode(pipeline: Any, pixels: Any) -> Any:
    """Pixels (B, 3, H, W) from -1 to 1 -> latents in the network's scale, without noise."""
    vae, config = pipeline.vae, pipeline.vae.config
    found = vae.encode(pixels.to(vae.device, vae.dtype), return_dict=False)[0]
    latents = found.mode() if hasattr(found, "mode") else found
    return (latents - (getattr(config, "shift_factor", None) or 0)) * config.scaling_factor


PIPELINE: dict[str, Callable[[Any], Any]] = {
    "first_stage_model": lambda pipeline: pipeline.vae,
    "device": lambda pipeline: pipeline.device,
    "dtype": lambda pipeline: pipeline.dtype,
    "latent_channels": lambda pipeline: pipeline.vae.config.latent_channels,
    "alphas_cumprod": lambda pipeline: pipeline.scheduler.alphas_cumprod,
    "cond_stage_model": _tokens,
    "decode_first_stage": lambda pipeline: lambda latents: decode(pipeline, latents),
    "encode_first_stage": lambda pipeline: lambda pixels: encode(pipeline, pixels),
    "get_first_stage_encoding": lambda pipeline: lambda latents: latents,
}
"""Name -> what the loaded pipeline has to say."""


def decoded(views: Views, latents: Any) -> list[Image.Image]:
    """The pictures of latents, in the worker while a model is loaded."""
    import torch

    with torch.inference_mode():
        pixels = views.sd_model.decode_first_stage(latents)
    values = ((pixels.float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return [Image.fromarray(row.permute(1, 2, 0).numpy()) for row in values]


def processing_names(views: Views) -> dict[str, Any]:
    """Functions of A1111's `processing` beside its classes."""

    def random_tensors(shape: Any, seeds: Any, *args: Any, **kwargs: Any) -> Any:
        known = ("subseeds", "subseed_strength", "seed_resize_from_h", "seed_resize_from_w")
        given = {**dict(zip(known, args, strict=False)), **{name: value for name, value in kwargs.items() if name in known}}
        return views.offered("modules.rng").ImageRNG(shape, seeds, **given).next()

    def decode_batch(model: Any, batch: Any, target_device: Any = None, check_for_nans: bool = False) -> list[Any]:
        return list(model.decode_first_stage(batch))

    refused = {name: views.refusal(f"processing.{name}", NO_LDM) for name in ("txt2img_image_conditioning", "get_conds_with_caching")}
    return {**refused, "create_binary_mask": binary_mask, "apply_overlay": apply_overlay, "apply_color_correction": colours_applied,
            "setup_color_correction": lambda image: image, "create_random_tensors": random_tensors, "decode_latent_batch": decode_batch,
            "decode_first_stage": lambda model, x: model.decode_first_stage(x), "slerp": _slerp(views),
            "images_tensor_to_samples": lambda image, *a: views.sd_model.encode_first_stage(image * 2 - 1),
            "uncrop": uncrop}  # fmt: skip


def _slerp(views: Views) -> Callable[..., Any]:
    return lambda val, low, high: views.offered("modules.rng").slerp(val, low, high)


def binary_mask(image: Image.Image, round: bool = True) -> Image.Image:
    """A mask from a picture: of its transparency where it has any, else its brightness."""
    from modules.pixels.mask import read_mask

    return read_mask(image, rounded=round)


def colours_applied(correction: Image.Image, original_image: Image.Image) -> Image.Image:
    """The picture with the colours of the one that `setup_color_correction` received."""
    from modules.pixels.colour import match_colours

    return match_colours(original_image, correction)


def uncrop(image: Image.Image, dest_size: tuple[int, int], paste_loc: tuple[int, int, int, int]) -> Image.Image:
    """The painted part in its place of a transparent picture. paste_loc: left, top, width, height."""
    left, top, width, height = paste_loc
    base = Image.new("RGBA", dest_size)
    base.paste(image.resize((width, height), Image.Resampling.LANCZOS), (left, top))
    return base


def apply_overlay(image: Image.Image, paste_loc: Any, overlay: Image.Image | None) -> tuple[Image.Image, Image.Image]:
    """(the picture with the overlay over it, the picture as it was)."""
    if overlay is None:
        return image, image.copy()
    if paste_loc is not None:
        image = uncrop(image, (overlay.width, overlay.height), paste_loc)
    before = image.copy()
    whole = image.convert("RGBA")
    whole.alpha_composite(overlay.convert("RGBA"))
    return whole.convert("RGB"), before
