"""Small random control networks for the models of `painting.MODELS`, as files, and runs with them: ours and plain diffusers'.

Start reading at `Steered.ours` and `plain`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import torch
from PIL import Image
from safetensors.torch import save_file

from modules.processing.batch import Batch
from modules.processing.latent import to_pixels
from modules.request import ControlUnit, ResolvedRequest, ResolvedUnit, SideFile
from modules.samplers.build import build_scheduler
from tests.model.painting import LEFT, MODELS, STEPS, Easel, gradient, latent, opened, scheduler_config
from tests.model.two_models import NEGATIVE, PROMPT, SIDE, request

MAP = "control map"


def shaken(net: torch.nn.Module, seed: int = 1) -> Any:
    """Every weight moved at random, so that nothing is zero."""
    source = torch.Generator().manual_seed(seed)
    for weight in net.parameters():
        weight.data = weight.data + 0.05 * torch.randn(weight.shape, generator=source)
    return net.eval()


def _flux(base: Any, **config: Any) -> Any:
    own = base.transformer.config
    taken = {name: own[name] for name in ("joint_attention_dim", "pooled_projection_dim", "attention_head_dim", "num_attention_heads")}
    return diffusers.FluxControlNetModel(num_layers=1, num_single_layers=1, guidance_embeds=True, **taken, **config)


def _sd3(base: Any) -> Any:
    return diffusers.SD3ControlNetModel.from_transformer(base.transformer, num_layers=2, num_extra_conditioning_channels=0)


def _sd35(base: Any) -> Any:
    """As Stability AI published them: without text input and places of its own."""
    own = base.transformer.config
    wide = {name: own[name] for name in ("attention_head_dim", "num_attention_heads", "pooled_projection_dim", "caption_projection_dim")}
    none: dict[str, Any] = {"joint_attention_dim": None, "pos_embed_max_size": None, "pos_embed_type": None, "use_pos_embed": False}
    return diffusers.SD3ControlNetModel(num_layers=2, force_zeros_for_pooled_projection=False, **wide, **none)


def _adapter(base: Any) -> Any:
    return diffusers.T2IAdapter(channels=list(base.unet.config.block_out_channels))


def _adapter_xl(base: Any) -> Any:
    wide = list(base.unet.config.block_out_channels)
    return diffusers.T2IAdapter(channels=[*wide, wide[-1]], downscale_factor=16, adapter_type="full_adapter_xl")


def _union(base: Any) -> Any:
    width = base.unet.config.block_out_channels[0]
    plain = diffusers.ControlNetModel.from_unet(base.unet)
    return diffusers.ControlNetUnionModel.from_config({**plain.config, "num_trans_channel": width, "num_proj_channel": width})


NETS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "sd15": ("sd15", lambda base: diffusers.ControlNetModel.from_unet(base.unet)),
    "sd15 second": ("sd15", lambda base: shaken(diffusers.ControlNetModel.from_unet(base.unet), 2)),
    "sd2": ("sd2", lambda base: diffusers.ControlNetModel.from_unet(base.unet)),
    "sdxl": ("sdxl", lambda base: diffusers.ControlNetModel.from_unet(base.unet)),
    "sdxl union": ("sdxl", _union),
    "sd15 t2i": ("sd15", _adapter),
    "sdxl t2i": ("sdxl", _adapter_xl),
    "sd3": ("sd3.5", _sd3),
    "sd3.5": ("sd3.5", _sd35),
    "flux": ("flux dev", _flux),
    "flux union": ("flux dev", lambda base: _flux(base, num_mode=5)),
    "flux x-labs": ("flux dev", lambda base: _flux(base, conditioning_embedding_channels=16, patch_size=2)),
}
KINDS = {"ControlNetUnionModel": "union", "T2IAdapter": "t2i_adapter"}


class _Certain(diffusers.AutoencoderKL):
    def encode(self, x: torch.Tensor, return_dict: bool = True) -> Any:
        """Pixels in the layout that pictures have; kernels give other last digits for another one."""
        return SimpleNamespace(latents=super().encode(x.contiguous(memory_format=torch.channels_last)).latent_dist.mode())


def certain(vae: Any) -> Any:
    """The VAE, giving the most likely latents."""
    found: Any = _Certain.from_config(vae.config)
    found.load_state_dict(vae.state_dict(), assign=True)
    return found.eval()


class Steered(Easel):
    """The easel with control networks, written once as files without a config."""

    def net(self, name: str) -> Any:
        """As diffusers has it; not to be trained, since some processors take other kernels for weights that may be."""
        if name not in self._made:
            model, build = NETS[name]
            base = opened(Path(self.checkpoint(model).path))
            torch.manual_seed(3)
            self._made[name] = shaken(build(base)).requires_grad_(False)
            tensors = {key: value.contiguous().clone() for key, value in self._made[name].state_dict().items()}
            save_file(tensors, self.file(name))
        return self._made[name]

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self._made: dict[str, Any] = {}

    def file(self, name: str) -> Path:
        return self._base / f"{name.replace(' ', '-')}-control.safetensors"

    def unit(self, name: str, picture: str = MAP, **fields: Any) -> ResolvedUnit:
        """A unit as the door resolves it."""
        net, path = self.net(name), self.file(name)
        unit = ControlUnit(**{"module": "none", "model": path.stem, "image": picture, **fields})
        kind = KINDS.get(type(net).__name__, "union" if net.config.get("num_mode") else "controlnet")
        return ResolvedUnit(unit=unit, kind=kind, file=SideFile(name=path.stem, path=str(path), sha256="0" * 64))

    def asked_for(self, name: str, units: list[ResolvedUnit], *, sampler: str = "", **changes: Any) -> ResolvedRequest:
        """A request from noise. name: of NETS."""
        model = NETS[name][0]
        distilled = 3.5 if model.startswith("flux") else None
        found = request(self.checkpoint(model), sampler or MODELS[model][1], **{"distilled_cfg_scale": distilled, **changes})
        return dataclasses.replace(found, control=tuple(units))

    def steered(self, name: str, *units: ResolvedUnit, pictures: dict[str, Image.Image] | None = None, **changes: Any) -> Batch:
        """The batch as the worker makes it. pictures: those that the units name."""
        self.given = dict(pictures or {})
        return self.batch(self.asked_for(name, list(units), **changes))

    def plain_painted(self, name: str, task: str, picture: Image.Image, mask: Image.Image | None) -> Image.Image:
        """img2img or inpainting of the gradient by diffusers' ControlNet pipeline, told latents as `painting.plain` tells them."""
        folder = Path(self.checkpoint(NETS[name][0]).path)
        base = opened(folder)
        kind = {"img2img": "StableDiffusionControlNetImg2ImgPipeline", "inpaint": "StableDiffusionControlNetInpaintPipeline"}[task]
        pipe = getattr(diffusers, kind).from_pipe(base, controlnet=self.net(name))
        pipe.set_progress_bar_config(disable=True)
        pipe.scheduler = build_scheduler("Euler", "Automatic", scheduler_config(folder))
        pipe.scheduler.generators = generators = [torch.Generator("cpu").manual_seed(5)]
        told: dict[str, Any] = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS, "guidance_scale": 4.0}
        told |= {"strength": LEFT / STEPS, "control_image": picture, "output_type": "latent", "controlnet_conditioning_scale": 1.0}
        begin: Any = latent(base.vae, gradient())
        if mask is not None:  # this pipeline takes no latents: its VAE gives the most likely ones instead of drawing some
            pipe.vae, begin = certain(base.vae), gradient()
            told |= {"mask_image": mask, "height": SIDE, "width": SIDE}
        found = pipe(image=begin, generator=generators, **told).images
        return base.image_processor.postprocess(to_pixels(base.vae, found)[0], output_type="pil")[0]


PIPELINES = {
    "sd15": "StableDiffusionControlNetPipeline", "sd2": "StableDiffusionControlNetPipeline", "sdxl": "StableDiffusionXLControlNetPipeline",
    "sdxl union": "StableDiffusionXLControlNetUnionPipeline", "sd15 t2i": "StableDiffusionAdapterPipeline",
    "sdxl t2i": "StableDiffusionXLAdapterPipeline", "sd3": "StableDiffusion3ControlNetPipeline",
    "sd3.5": "StableDiffusion3ControlNetPipeline", "flux": "FluxControlNetPipeline", "flux union": "FluxControlNetPipeline",
    "flux x-labs": "FluxControlNetPipeline",
}  # fmt: skip


def plain(easel: Steered, name: str, picture: Any, *, sampler: str = "", nets: list[str] | None = None, **call: Any) -> Image.Image:
    """What anyone gets who calls diffusers' pipeline for it once. picture: PIL, or one for each of several nets."""
    folder = Path(easel.checkpoint(NETS[name][0]).path)
    base = opened(folder)
    kind, every = PIPELINES[name], [easel.net(one) for one in nets or [name]]
    part = "adapter" if "Adapter" in kind else "controlnet"
    pipe = getattr(diffusers, kind).from_pipe(base, **{part: every if nets else every[0]})
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = build_scheduler(sampler or MODELS[NETS[name][0]][1], "Automatic", scheduler_config(folder))
    torch.manual_seed(5)  # SD3 draws from the source that everybody shares
    size = {"width": SIDE, "height": SIDE}
    told: dict[str, Any] = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 2, "guidance_scale": 4.0, **size}
    if kind.startswith("Flux"):
        length = 512 if base.transformer.config.guidance_embeds else 256
        noise = torch.randn((1, 16, SIDE // 8, SIDE // 8), generator=torch.Generator("cpu").manual_seed(5))
        packed = pipe._pack_latents(noise, 1, 16, SIDE // 8, SIDE // 8)
        told |= {"guidance_scale": 3.5, "true_cfg_scale": 4.0, "max_sequence_length": length, "latents": packed}
    which = "control_image" if any(word in kind for word in ("Flux", "3Control", "Union")) else "image"
    generator = torch.Generator("cpu").manual_seed(5)
    pipe.scheduler.generators = [generator]
    return pipe(**{**told, which: picture, "generator": generator, **call}).images[0]
