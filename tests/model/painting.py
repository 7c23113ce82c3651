"""img2img and inpainting twice: through our own way, and as anyone would write it with diffusers. Made models of every family.

Start reading at `Easel.ours` and `plain`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from modules.families import FAMILIES
from modules.processing.batch import Batch
from modules.processing.latent import as_pixels, scaled, to_latent, to_pixels, unpacked
from modules.processing.passes import StepHooks
from modules.processing.slot import LoadedModel
from modules.processing.tools import Wanted
from modules.request import Checkpoint, Repaint, ResolvedRequest
from modules.samplers.build import build_scheduler
from tests.model import tiny
from tests.model.two_models import NEGATIVE, PROMPT, SIDE, Build, Stage, checkpoint_of, request

MODELS: dict[str, tuple[Build, str]] = {
    "sd15": (lambda f: tiny.sd15(f), "Euler a"),
    "sd15 v": (lambda f: tiny.sd15(f, prediction="v_prediction"), "DPM++ 2M"),
    "sd15 inpainting": (lambda f: tiny.sd15(f, variant="inpainting"), "Euler"),
    "sd15 instruct-pix2pix": (lambda f: tiny.sd15(f, variant="instruct-pix2pix"), "Euler"),
    "sd2": (lambda f: tiny.sd2(f), "Euler"),
    "sdxl": (lambda f: tiny.sdxl(f), "DPM++ 2M"),
    "sdxl inpainting": (lambda f: tiny.sdxl(f, variant="inpainting"), "Euler"),
    "sdxl instruct-pix2pix": (lambda f: tiny.sdxl(f, variant="instruct-pix2pix"), "Euler"),
    "sdxl refiner": (lambda f: tiny.sdxl_refiner(f), "Euler"),
    "sd3": (lambda f: tiny.sd3(f), "Euler"),
    "sd3.5": (lambda f: tiny.sd3(f, variant="3.5-medium"), "DPM++ 2M"),
    "flux dev": (lambda f: tiny.flux(f), "Euler"),
    "flux schnell": (lambda f: tiny.flux(f, guidance=False), "DPM++ 2M"),
}
STEPS, DENOISING, LEFT = 5, 0.6, 4  # int(5 * 0.6) + 1 steps of the schedule are left


def gradient(size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A picture in which every place looks different."""
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([x, y, 255 - (x + y) / 2], -1).astype(np.uint8))


def rectangle(box: tuple[int, int, int, int], size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A mask: white in the box (left, top, right, bottom)."""
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


class Easel(Stage):
    """The stage with pictures to begin with."""

    def __init__(self, base: Path) -> None:
        super().__init__()
        self._base = base
        self._found: dict[str, Checkpoint] = {}

    def checkpoint(self, name: str) -> Checkpoint:
        """A model of MODELS, written once."""
        if name not in self._found:
            self._found[name] = checkpoint_of(MODELS[name][0](self._base / name.replace(" ", "-")))
        return self._found[name]

    def asked(
        self, name: str, image: Image.Image | list[Image.Image], mask: Image.Image | None = None, *, sampler: str = "", **changes: Any
    ) -> ResolvedRequest:
        """The request. changes: fields of `Repaint` and of the request."""
        images = image if isinstance(image, list) else [image]
        self.given = {f"input:{n}": one for n, one in enumerate(images)} | ({"mask": mask} if mask is not None else {})
        own = {f.name for f in dataclasses.fields(Repaint)}
        about = {"mask_blur_x": 0, "mask_blur_y": 0, **{k: v for k, v in changes.items() if k in own}}
        picture = Repaint(init_images=[f"input:{n}" for n in range(len(images))], mask=None if mask is None else "mask", **about)
        distilled = 3.5 if name.startswith("flux") else None
        rest = {"steps": STEPS, "denoising_strength": DENOISING, "distilled_cfg_scale": distilled}
        rest |= {k: v for k, v in changes.items() if k not in own}
        others = {"all_subseeds": subseeds} if (subseeds := rest.pop("all_subseeds", None)) else {}
        return dataclasses.replace(request(self.checkpoint(name), sampler or MODELS[name][1], image=picture, **rest), **others)

    def latent(self, name: str) -> torch.Tensor:
        """That of the gradient."""
        pipeline = self.batch_model(name).pipeline
        return to_latent(pipeline.vae, as_pixels(gradient(), pipeline))

    def through_the_vae(self, name: str) -> Image.Image:
        """The gradient as the model's VAE gives it back."""
        pipeline = self.batch_model(name).pipeline
        return pipeline.image_processor.postprocess(to_pixels(pipeline.vae, self.latent(name))[0], output_type="pil")[0]

    def batch_model(self, name: str) -> LoadedModel:
        return self.take(Wanted(checkpoint=self.checkpoint(name)))

    def ours(
        self,
        name: str,
        image: Image.Image | list[Image.Image],
        mask: Image.Image | None = None,
        hooks: StepHooks | None = None,
        **changes: Any,
    ) -> Batch:
        """The batch as the worker makes it."""
        return self.batch(self.asked(name, image, mask, **changes), hooks)


def plain(
    checkpoint: Checkpoint, sampler: str, task: str, image: Image.Image, mask: Image.Image | None = None, *, left: int = LEFT
) -> Image.Image:
    """The pipeline class of that task, its own strength, a scheduler that knows nothing of pictures, and one generator."""
    base = opened(Path(checkpoint.path))
    name = FAMILIES.get(checkpoint.family).variant(checkpoint.variant).tasks[task]
    pipe = getattr(diffusers, name).from_pipe(base)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = build_scheduler(sampler, "Automatic", scheduler_config(Path(checkpoint.path)))
    pipe.scheduler.generators = generators = [torch.Generator("cpu").manual_seed(5)]
    flux = "Flux" in name
    call: dict[str, Any] = {"guidance_scale": 4.0}
    if flux:
        length = 512 if base.transformer.config.guidance_embeds else 256
        call = {"guidance_scale": 3.5, "true_cfg_scale": 4.0, "max_sequence_length": length}
    if mask is not None:
        around = latent(base.vae, Image.composite(Image.new("RGB", image.size, (127, 127, 127)), image, mask), mask)
        nine = "unet" in base.components and base.unet.config.in_channels == 9
        call |= {"mask_image": mask, "masked_image_latents": around if nine else latent(base.vae, image)}
    if not ("Img2Img" in name and "3" not in name and not flux):
        call |= {"width": image.width, "height": image.height}
    told = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS, "strength": left / STEPS, "output_type": "latent"}
    found = pipe(image=latent(base.vae, image), generator=generators, **told, **call).images
    found = unpacked(found, image.height // 8, image.width // 8) if flux else found
    return base.image_processor.postprocess(to_pixels(base.vae, found)[0], output_type="pil")[0]


def scheduler_config(folder: Path) -> dict[str, Any]:
    """As the model came; pipelines that share parts write into each other's."""
    return json.loads((folder / "scheduler" / "scheduler_config.json").read_text())


@functools.cache
def opened(folder: Path) -> Any:
    """The model as diffusers alone loads it."""
    absent = {part: None for part, row in json.loads((folder / "model_index.json").read_text()).items() if row == [None, None]}
    return diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True, **absent)


def latent(vae: Any, image: Image.Image, hidden: Image.Image | None = None) -> torch.Tensor:
    """The most likely latent of a picture, in the network's scale. hidden: a mask of what is grey to the last bit."""
    pixels = torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)[None]
    if hidden is not None:
        grey = torch.from_numpy(np.asarray(hidden) >= 128)
        pixels = torch.where(grey, torch.tensor(0.5), pixels).contiguous()
    with torch.inference_mode():
        return scaled(vae, vae.encode(pixels * 2 - 1).latent_dist.mode())


def difference(a: Image.Image, b: Image.Image) -> int:
    """The largest difference of any value of two RGB pictures of one size."""
    return int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max())


def counted(stop_after: int | None = None) -> tuple[list[tuple[int, int]], StepHooks]:
    """(what was reported, hooks that report it)."""
    told: list[tuple[int, int]] = []
    stop: Callable[[], bool] = lambda: stop_after is not None and len(told) >= stop_after  # noqa: E731
    return told, StepHooks(stop=stop, step=lambda done, of: told.append((done, of)))
