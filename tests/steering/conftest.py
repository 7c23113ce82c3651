"""Tiny pipelines of the true classes, and one way to call them plainly and steered. Texts are random embeddings: they cost nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from modules.request import Steering
from modules.steering.course import Context
from modules.steering.steer import Steer, steered
from tests.model import tiny

SIDE = 128
STEPS = 4
ROWS = {"FluxPipeline": ("prompt",), "StableDiffusionInstructPix2PixPipeline": ("prompt", "negative", "negative")}
BUILT: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "sd1": (tiny.sd15, {}),
    "edit": (tiny.sd15, {"variant": "instruct-pix2pix"}),
    "sdxl": (tiny.sdxl, {}),
    "sd3": (tiny.sd3, {"variant": "medium"}),
    "sd3.5": (tiny.sd3, {"variant": "3.5-medium"}),
    "flux": (tiny.flux, {}),
}


@dataclass
class Bench:
    """A pipeline of some model. kind: a key of BUILT."""

    pipeline: Any
    kind: str

    @property
    def architecture(self) -> str:
        return {"edit": "sd1", "sd3.5": "sd3"}.get(self.kind, self.kind)

    @property
    def network(self) -> Any:
        return self.pipeline.transformer if hasattr(self.pipeline, "transformer") else self.pipeline.unet

    def as_class(self, name: str) -> Bench:
        """The same parts in another pipeline."""
        return Bench(getattr(diffusers, name).from_pipe(self.pipeline), self.kind)

    def arguments(self, seeds: tuple[int, ...], scale: float = 5.0, side: int = SIDE) -> dict[str, Any]:
        """Of a plain call: embeddings, noise of each seed, steps."""
        config, count = self.network.config, len(seeds)
        text = torch.Generator().manual_seed(99)
        width = config.get("cross_attention_dim") or config.joint_attention_dim
        found: dict[str, Any] = {
            name: torch.randn(1, 7, width, generator=text).repeat(count, 1, 1) for name in ("prompt_embeds", "negative_prompt_embeds")
        }
        pooled = {"sdxl": 128, "sd3": 192, "flux": 64}.get(self.architecture)
        if pooled:
            for name in ("pooled_prompt_embeds", "negative_pooled_prompt_embeds"):
                found[name] = torch.randn(1, pooled, generator=text).repeat(count, 1)
        channels, cells = self.pipeline.vae.config.latent_channels, side // 8
        noise = torch.cat([torch.randn(1, channels, cells, cells, generator=torch.Generator().manual_seed(s)) for s in seeds])
        name = type(self.pipeline).__name__
        if "Img2Img" in name or "Inpaint" in name:
            found |= {"image": [_picture(side)] * count, "strength": 0.8}
            if "Inpaint" in name:
                found["mask_image"] = [Image.new("L", (side, side), 255)] * count
            noise = None
        elif self.kind == "edit":
            found["image"] = torch.zeros_like(noise)
        if self.architecture == "flux" and noise is not None:
            noise = noise.view(count, channels, cells // 2, 2, cells // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(count, -1, channels * 4)
        if self.kind != "edit" and ("Img2Img" not in name or self.architecture in ("sd3", "flux")):
            found |= {"width": side, "height": side}
        found["true_cfg_scale" if self.architecture == "flux" else "guidance_scale"] = scale
        generators = [torch.Generator().manual_seed(s) for s in seeds]
        return (
            found
            | {"generator": generators, "num_inference_steps": STEPS, "output_type": "latent"}
            | ({} if noise is None else {"latents": noise})
        )

    def context(self, seeds: tuple[int, ...], scale: float = 5.0, **more: Any) -> Context:
        return Context(
            **{
                "name": "Tiny",
                "architecture": self.architecture,
                "network": "transformer" if hasattr(self.pipeline, "transformer") else "unet",
                "rows": ROWS.get(type(self.pipeline).__name__, ("prompt",) if self.architecture == "flux" else ("negative", "prompt")),
                "guided": scale > 1,
                "cfg_scale": scale,
                "seeds": seeds,
                **more,
            }
        )

    def plain(self, seeds: tuple[int, ...] = (1,), scale: float = 5.0, side: int = SIDE, **more: Any) -> torch.Tensor:
        """Latents of a call that nobody steers."""
        with torch.inference_mode():
            return self.pipeline(**self.arguments(seeds, scale, side) | more).images

    def steered(
        self, seeds: tuple[int, ...] = (1,), scale: float = 5.0, side: int = SIDE, call: dict[str, Any] | None = None, **asked: Any
    ) -> torch.Tensor:
        """Latents of a steered call; asked: fields of Steering and of Context."""
        return self.made(seeds, scale, side, call, **asked)[0]

    def made(
        self, seeds: tuple[int, ...] = (1,), scale: float = 5.0, side: int = SIDE, call: dict[str, Any] | None = None, **asked: Any
    ) -> tuple[torch.Tensor, Steer]:
        """The same, with what is known afterwards."""
        names = {f.name for f in dataclasses.fields(Steering)}
        steering = Steering(**{k: v for k, v in asked.items() if k in names})
        context = self.context(seeds, scale, **{k: v for k, v in asked.items() if k not in names})
        with torch.inference_mode(), steered(self.pipeline, steering, context) as steer, steer.guiding():
            found = self.pipeline(**self.arguments(seeds, scale, side) | (call or {})).images
        return found, steer

    def state(self) -> dict[str, Any]:
        """All that steering might leave behind: hooks, forward functions, padding, FreeU, caches, types of weights."""
        parts = {"network": self.network, "vae": self.pipeline.vae}
        found: dict[str, Any] = {}
        for part, root in parts.items():
            for name, module in root.named_modules():
                at = f"{part}.{name}"
                registry = getattr(module, "_diffusers_hook", None)
                found[at] = (
                    sorted(registry.hooks) if registry is not None else [],
                    getattr(module.forward, "__func__", None) is type(module).forward
                    or getattr(module.forward, "__wrapped__", None) is not None,
                    getattr(module, "padding_mode", None),
                    [getattr(module, value, None) for value in ("s1", "s2", "b1", "b2")],
                )
            found[f"{part} types"] = [(name, w.dtype) for name, w in root.named_parameters()]
        found["cache"] = getattr(self.network, "_cache_config", None)
        return found


def _picture(side: int) -> Image.Image:
    return Image.linear_gradient("L").resize((side, side)).convert("RGB")


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bench]:
    """The bench of a kind, made once."""
    made: dict[str, Bench] = {}

    def get(kind: str) -> Bench:
        if kind not in made:
            build, options = BUILT[kind]
            folder = build(tmp_path_factory.mktemp(kind.replace(".", "")) / "model", **options)
            pipeline: Any = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
            pipeline.set_progress_bar_config(disable=True)
            if hasattr(pipeline, "unet"):  # one network call a step
                pipeline.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
            pipeline = tiny.settled(pipeline)
            made[kind] = Bench(pipeline, kind)
        return made[kind]

    return get
