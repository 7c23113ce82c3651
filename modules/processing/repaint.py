"""img2img and inpainting: from the pictures of a request to what a run begins with, and from what it made to the results.

Knows the order; what is done with pixels lies in `modules.pixels.repaint`, with latents in `modules.processing.blending`.
Start reading at `prepared`, then `finished`. Source: the behaviour of A1111 1.10.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image

from modules.pixels.mask import latent_mask
from modules.pixels.masked_content import MASKED_CONTENT
from modules.pixels.outpaint import Noise, prepare_grown
from modules.pixels.repaint import Finished, Prepared, Repainting, finish, mask_composite, prepare
from modules.pixels.resizing import Enlarge, resize_mode
from modules.processing.blending import Blend, Soft, covered
from modules.processing.latent import as_pixels, to_latent
from modules.processing.passes import Begin, Pass, Sampled
from modules.processing.slot import LoadedModel
from modules.processing.tools import Tools
from modules.request import Repaint, ResolvedRequest
from modules.request.outpaint import LATENT as LATENT_NOISE
from modules.request.outpaint import MATCHED
from modules.samplers.noise import PictureNoise
from modules.upscale.enlarge import enlarger
from modules.upscale.latent import resize_latent
from modules.upscale.network import Watch

UNWATCHED = Watch()
LATENT = "Latent"  # bilinear, as resize mode 3 has it
_Name = tuple[str, int]
MASK, COMPOSITE, UNCORRECTED = "-mask", "-mask-composite", "-before-color-correction"


@dataclass(frozen=True, kw_only=True)
class Painting:
    """A batch that begins with pictures. run: its pass; rows: what is painted on, one a picture; latents: of those, before noise.

    mask: (B, 1, h, w), 0 kept to 1 painted, None for img2img.
    """

    run: Pass
    rows: tuple[Prepared, ...]
    latents: torch.Tensor
    image: Repaint
    mask: torch.Tensor | None = None
    enlarge: Enlarge | None = None
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, kw_only=True)
class Results:
    """images: one a picture, RGB; beside: for each of them what is shown after it, with its kind ("mask", "mask-composite")."""

    images: list[Image.Image]
    beside: list[list[tuple[str, Image.Image]]]


def prepared(
    model: LoadedModel, resolved: ResolvedRequest, run: Pass, tools: Tools, made: Sequence[Image.Image] = (), watch: Watch = UNWATCHED
) -> Painting:
    """The pass of a batch, told what it begins with. run: as for txt2img. made: pictures, one a seed, that go before the request's.

    watch: may end an upscaler that is at work on them. Raises RequestFault for pictures that are gone, Cancelled.
    """
    image, settings = _image(resolved), resolved.settings
    notes: list[str] = []
    upscaler, upscaling = settings.get("upscaler_for_img2img"), tools.upscaling()
    enlarge = enlarger(upscaler, dataclasses.replace(upscaling, watch=watch), notes)
    mask = None if image.mask is None else tools.open(image.mask)
    names = [_name(resolved, run, i, alone=bool(made)) for i in range(len(run.seeds))]
    known: dict[_Name, Prepared] = {}
    for i, name in enumerate(names):
        if name not in known:
            picture = made[i] if made else tools.open(name[0])
            known[name] = _grown(picture, mask, resolved, model, run.seeds[i], enlarge)
    run = dataclasses.replace(run, width=known[names[0]].size[0], height=known[names[0]].size[1])
    notes += dict.fromkeys(note for row in known.values() for note in row.notes)
    encoded = {name: _latent(model, as_pixels(row.image, model.pipeline), run) for name, row in known.items()}
    latents, rows = torch.cat([encoded[name] for name in names]), tuple(known[name] for name in names)
    if any(row.mask is None for row in rows):
        begin, latent_masks = _begin(model, resolved, latents), None
    else:
        latent_masks = _masks(rows, latents, rounded=image.mask_round and not image.soft_inpainting)
        latents = _under_mask(model, latents, latent_masks, run, resolved)
        begin = _begin_masked(model, resolved, run, latents, latent_masks, rows)
    task = "inpaint" if begin.mask is not None and "inpaint" in _tasks(model) else "img2img"
    told = dataclasses.replace(run, task=task, begin=begin)
    return Painting(
        run=told, rows=rows, latents=latents, image=image, mask=latent_masks, enlarge=enlarger(upscaler, upscaling, notes), notes=notes
    )


def begun(resolved: ResolvedRequest, tools: Tools) -> list[Image.Image]:
    """The pictures that a batch begins with, one for each of it, as they were sent; what is left when it ends before it began to paint."""
    names = _image(resolved).init_images
    return [tools.open(names[i % len(names)]).convert("RGB") for i in range(resolved.batch_size)]


def _name(resolved: ResolvedRequest, run: Pass, i: int, *, alone: bool) -> _Name:
    """What tells the beginning of picture i from others: what is begun from, and the seed where noise of its own is drawn for it."""
    references = _image(resolved).init_images
    drawn = resolved.outpaint is not None and resolved.outpaint.outpaint_begin == MATCHED
    return references[i % len(references)], i if alone else run.seeds[i] if drawn else 0


def _grown(
    picture: Image.Image, mask: Image.Image | None, resolved: ResolvedRequest, model: LoadedModel, seed: int, enlarge: Enlarge | None
) -> Prepared:
    """What is painted on: the picture at the size of the request, or, when it is to grow, at its own with more around it."""
    asked, outpaint = _asked(_image(resolved), resolved), resolved.outpaint
    if outpaint is None:
        return prepare(picture, mask, asked, enlarge=enlarge)
    return prepare_grown(
        picture,
        mask,
        asked,
        outpaint.sides,
        step=model.family.multiple_of_px,
        begin=outpaint.outpaint_begin,
        overlap_px=outpaint.outpaint_overlap,
        noise=Noise(seed=seed, falloff=outpaint.outpaint_falloff, variation=outpaint.outpaint_color_variation),
    )


def _image(resolved: ResolvedRequest) -> Repaint:
    if resolved.image is None:
        raise ValueError("the request begins with no picture")
    return resolved.image


def _tasks(model: LoadedModel) -> dict[str, str]:
    return dict(model.family.variant(model.checkpoint.variant).tasks)


def _asked(image: Repaint, resolved: ResolvedRequest) -> Repainting:
    return Repainting(
        size=(resolved.width, resolved.height),
        resize_mode=resize_mode(image.resize_mode),
        only_masked=image.inpaint_full_res,
        padding_px=image.inpaint_full_res_padding,
        masked_content=MASKED_CONTENT[image.inpainting_fill],
        inverted=bool(image.inpainting_mask_invert),
        rounded=image.mask_round and not image.soft_inpainting,
        blur_x=image.mask_blur_x,
        blur_y=image.mask_blur_y,
        background=resolved.settings.get("img2img_background_color", "#ffffff"),
    )


def _latent(model: LoadedModel, pixels: torch.Tensor, run: Pass) -> torch.Tensor:
    """(1, C, h, w) in the network's scale, of the size of the run; a picture that kept its own size is resized as a latent."""
    latent = to_latent(model.pipeline.vae, pixels)
    cell = model.pipeline.vae_scale_factor
    size = (run.width // cell, run.height // cell)
    return latent if latent.shape[:1:-1] == size else resize_latent(latent, size, LATENT)


def _masks(rows: Sequence[Prepared], latents: torch.Tensor, *, rounded: bool) -> torch.Tensor:
    """(B, 1, h, w), 1 where it is painted anew."""
    size = (latents.shape[3], latents.shape[2])
    made = [latent_mask(row.mask, size, rounded=rounded) for row in rows if row.mask is not None]
    return torch.from_numpy(np.stack(made))[:, None].clamp(0, 1)


def _under_mask(model: LoadedModel, latents: torch.Tensor, mask: torch.Tensor, run: Pass, resolved: ResolvedRequest) -> torch.Tensor:
    """The latents with noise of the pictures' seeds, or with nothing, where it is painted, if that was asked for."""
    content = MASKED_CONTENT[_image(resolved).inpainting_fill].latent
    if resolved.outpaint is not None and resolved.outpaint.outpaint_begin == LATENT_NOISE:
        content = "noise"
    if content == "keep":
        return latents
    shape = (latents.shape[1], latents.shape[2], latents.shape[3])
    source = resolved.settings.get("randn_source", "CPU")
    if content == "zero":
        return latents * (1 - mask)
    noise = PictureNoise(run.seeds, source=source, device=model.pipeline._execution_device).first(shape)
    return latents * (1 - mask) + noise.to(latents) * mask


def _begin(model: LoadedModel, resolved: ResolvedRequest, latents: torch.Tensor) -> Begin:
    image, settings = _image(resolved), resolved.settings
    multiplier = 1.0 if image.initial_noise_multiplier is None else image.initial_noise_multiplier
    return Begin(
        image=latents,
        denoising=0.0 if resolved.denoising_strength is None else resolved.denoising_strength,
        exact_steps=bool(settings.get("img2img_fix_steps", False)),
        noise_multiplier=multiplier,
        extra_noise=settings.get("img2img_extra_noise", 0.0),
        more={} if image.image_cfg_scale is None else {"image_guidance_scale": image.image_cfg_scale},
    )


def _begin_masked(
    model: LoadedModel, resolved: ResolvedRequest, run: Pass, latents: torch.Tensor, mask: torch.Tensor, rows: Sequence[Prepared]
) -> Begin:
    """A mask of zeros and ones goes to the pipeline for inpainting; what lies between, and models that have none, are blended."""
    begin, image = _begin(model, resolved, latents), _image(resolved)
    soft, looks = Soft.asked(image), _sees_mask(model)
    if looks:
        weight = resolved.settings.get("inpainting_mask_weight", 1.0)
        hidden = torch.cat([_latent(model, _hidden(row, model, weight), run) for row in rows])
        seen = [row.mask for row in rows if row.mask is not None]
        begin = dataclasses.replace(begin, mask=seen, more={**begin.more, "masked_image_latents": hidden.to(latents)})
    if soft is not None or not image.mask_round or "inpaint" not in _tasks(model):
        return dataclasses.replace(begin, blend=Blend(kept=latents, mask=mask, soft=soft))
    return begin if looks else dataclasses.replace(begin, mask=[_as_picture(one, model.pipeline.vae_scale_factor) for one in mask])


def _sees_mask(model: LoadedModel) -> bool:
    """Is the network shown the mask and what lies around it (an inpainting checkpoint)?"""
    config = getattr(model.pipeline, "unet", model.pipeline.components.get("transformer")).config
    return config.in_channels == 2 * model.pipeline.vae.config.latent_channels + 1


def _hidden(row: Prepared, model: LoadedModel, weight: float) -> torch.Tensor:
    """(1, 3, H, W) in [0, 1]: the picture with the masked part made grey, by weight (0 to 1)."""
    pixels = as_pixels(row.image, model.pipeline)
    if row.mask is None:
        return pixels
    mask = row.mask if row.mask.size == row.image.size else row.mask.resize(row.image.size, Image.Resampling.BILINEAR)
    painted = torch.from_numpy(np.asarray(mask) >= 128).to(pixels.device)
    return torch.where(painted, torch.lerp(pixels, torch.full_like(pixels, 0.5), weight), pixels).contiguous()


def _as_picture(mask: torch.Tensor, cell_px: int) -> Image.Image:
    """A mask (1, h, w) of zeros and ones as "L", each cell a square, which pipelines bring back to the very cells."""
    values = (mask[0].numpy() * 255).astype(np.uint8)
    return Image.fromarray(values.repeat(cell_px, 0).repeat(cell_px, 1))


def finished(
    painting: Painting, images: Sequence[Image.Image], sampled: Sampled, resolved: ResolvedRequest, tools: Tools, *, first: int = 0
) -> Results:
    """The results from what was decoded: colours, the way back into the whole, the original laid over. Saves what is asked beside.

    first: the number in the job of the batch's first picture.
    """
    settings, rows = resolved.settings, list(painting.rows)
    soft = Soft.asked(painting.image)
    if soft is not None and painting.mask is not None and not sampled.partial:
        rows = _laid_softly(rows, covered(painting.latents, sampled.latents.cpu(), painting.mask, soft).numpy())
    ends, beside = list[Image.Image](), list[list[tuple[str, Image.Image]]]()
    for number, (drawn, row) in enumerate(zip(images, rows, strict=True), first):
        kept = resolved.save_images and settings.get("save_images_before_color_correction")
        if settings.get("img2img_color_correction") and kept:
            tools.keep(_finish(drawn, row, painting, settings, colours=False).image, number, UNCORRECTED)
        done = _finish(drawn, row, painting, settings, colours=bool(settings.get("img2img_color_correction")))
        ends.append(done.image)
        beside.append(_shown_beside(done, row, number, resolved, tools))
    return Results(images=ends, beside=beside)


def _finish(drawn: Image.Image, row: Prepared, painting: Painting, settings: dict[str, object], *, colours: bool) -> Finished:
    overlay = bool(settings.get("overlay_inpaint", True))
    return finish(drawn, row, colour_correction=colours, overlay=overlay, enlarge=painting.enlarge)


def _laid_softly(rows: Sequence[Prepared], shares: np.ndarray) -> list[Prepared]:
    """The rows with the original laid over by how much changed (B, h, w), and never where the mask is black."""
    made: list[Prepared] = []
    for row, share in zip(rows, shares, strict=True):
        if row.overlay_mask is None:
            made.append(row)
            continue
        small = Image.fromarray((share * 255).round().astype(np.uint8)).resize(row.size, Image.Resampling.BICUBIC)
        whole = Image.new("L", row.original.size)
        if row.box is None:
            whole.paste(small.resize(row.original.size, Image.Resampling.BICUBIC))
        else:
            left, top, right, bottom = row.box
            whole.paste(small.resize((right - left, bottom - top), Image.Resampling.BICUBIC), (left, top))
        whole.paste(0, mask=row.overlay_mask.point([255] + [0] * 255))
        made.append(dataclasses.replace(row, overlay_mask=whole))
    return made


def _shown_beside(done: Finished, row: Prepared, number: int, resolved: ResolvedRequest, tools: Tools) -> list[tuple[str, Image.Image]]:
    """The mask and the painted part alone: saved and shown when the settings say so."""
    settings, composite = resolved.settings, mask_composite(done, row)
    pictures = {MASK: row.result_mask, COMPOSITE: composite}
    wanted = {MASK: ("save_mask", "return_mask"), COMPOSITE: ("save_mask_composite", "return_mask_composite")}
    shown: list[tuple[str, Image.Image]] = []
    for suffix, picture in pictures.items():
        saves, shows = wanted[suffix]
        if picture is not None and resolved.save_images and settings.get(saves):
            tools.keep(picture, number, suffix)
        if picture is not None and settings.get(shows):
            shown.append((suffix.removeprefix("-"), picture))
    return shown
