"""How each class of control network is asked, and under which names its answers go into the network that it steers.

Knows the classes of diffusers; knows nothing about units, weights or steps. Start reading at `ask` and `arguments`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from modules.control.residuals import BLOCKS, DOWN, INNER, MID, SINGLES, Residuals, for_rows, spread

# The names under which a network takes what control networks answered.
ADDED = (
    "down_block_additional_residuals", "mid_block_additional_residual", "down_intrablock_additional_residuals", "controlnet_block_samples",
    "controlnet_single_block_samples", "block_controlnet_hidden_states",
)  # fmt: skip
GUIDANCE = 3.5  # told to a ControlNet that wants a guidance scale where the network itself takes none: Flux' own default


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A call of the network that is steered. network: itself. sample: (rows, C, h, w), or (rows, tokens, C) of one that reads tokens.

    told: its further arguments by name. pictures: of the batch; rows is a multiple of it.
    """

    network: Any
    sample: torch.Tensor
    timestep: Any
    told: dict[str, Any]
    pictures: int

    @property
    def rows(self) -> int:
        return len(self.sample)

    @classmethod
    def of(cls, network: Any, args: tuple[Any, ...], told: dict[str, Any], pictures: int) -> Asked:
        """From the arguments as a pipeline gives them."""
        rest = dict(told)
        sample = args[0] if args else rest.pop("sample" if "sample" in rest else "hidden_states")
        timestep = args[1] if len(args) > 1 else rest.pop("timestep")
        return cls(network=network, sample=sample, timestep=timestep, told=rest, pictures=pictures)

    def text(self, dtype: torch.dtype) -> torch.Tensor:
        """(rows, tokens, width)."""
        return self.told["encoder_hidden_states"].to(dtype)


def ask(net: Any, asked: Asked, shown: torch.Tensor, kind: int | None = None) -> Residuals:
    """What a control network answers, at full weight. shown: (blocks or 1, pictures or 1, ...) as `for_rows` takes it.

    kind: what the picture shows, of a network that reads several kinds.
    """
    cond = for_rows(shown, asked.rows, asked.pictures).to(asked.sample.device, net.dtype)
    return _ASKS[type(net).__name__](net, asked, cond, kind)


def arguments(residuals: Residuals, network: Any) -> dict[str, Any]:
    """The same as arguments of the network's call."""
    found: dict[str, Any] = {}
    if DOWN in residuals:
        found |= {"down_block_additional_residuals": tuple(residuals[DOWN]), "mid_block_additional_residual": residuals[MID][0]}
    if INNER in residuals:
        found["down_intrablock_additional_residuals"] = [tensor.clone() for tensor in residuals[INNER]]  # the UNet empties the list
    if BLOCKS in residuals:
        flux = hasattr(network, "single_transformer_blocks")
        found["controlnet_block_samples" if flux else "block_controlnet_hidden_states"] = residuals[BLOCKS]
    if residuals.get(SINGLES):
        found["controlnet_single_block_samples"] = residuals[SINGLES]
    return found


def reads_latents(net: Any) -> bool:
    """Is the picture shown to this network as a latent, not as pixels?"""
    return type(net).__name__ in ("SD3ControlNetModel", "FluxControlNetModel") and getattr(net, "input_hint_block", None) is None


def at_home(net: Any, network: Any) -> None:
    """Give a ControlNet what it has from the network that it steers: SD3.5's have its table of places."""
    if type(net).__name__ == "SD3ControlNetModel" and not net.config.use_pos_embed and net.pos_embed is None:
        net.pos_embed = copy.deepcopy(network.pos_embed).to(net.dtype)


def _unet(net: Any, asked: Asked, cond: torch.Tensor, kind: int | None) -> Residuals:
    down, mid = net(**_unet_arguments(net, asked), controlnet_cond=cond, return_dict=False)
    return {DOWN: list(down), MID: [mid]}


def _union(net: Any, asked: Asked, cond: torch.Tensor, kind: int | None) -> Residuals:
    place = kind or 0
    kinds = torch.zeros(asked.rows, net.config.num_control_type, dtype=net.dtype, device=cond.device)
    kinds[:, place] = 1
    told = {"controlnet_cond": [cond], "control_type": kinds, "control_type_idx": [place]}
    down, mid = net(**_unet_arguments(net, asked), **told, return_dict=False)
    return {DOWN: list(down), MID: [mid]}


def _unet_arguments(net: Any, asked: Asked) -> dict[str, Any]:
    """sample: of a network that is shown more (inpainting), the first channels."""
    extra = asked.told.get("added_cond_kwargs") if net.config.addition_embed_type else None
    return {
        "sample": asked.sample[:, : net.config.in_channels].to(net.dtype),
        "timestep": asked.timestep,
        "encoder_hidden_states": asked.text(net.dtype),
        "added_cond_kwargs": None if extra is None else {name: value.to(net.dtype) for name, value in extra.items()},
    }


def _sd3(net: Any, asked: Asked, cond: torch.Tensor, kind: int | None) -> Residuals:
    pooled = asked.told["pooled_projections"].to(net.dtype)
    sample = asked.sample.to(net.dtype)[:, : net.config.in_channels]
    [blocks] = net(
        hidden_states=sample,
        controlnet_cond=cond.contiguous(memory_format=torch.channels_last),  # as it comes from a VAE; other layouts give other last digits
        encoder_hidden_states=asked.text(net.dtype) if net.config.joint_attention_dim is not None else None,
        pooled_projections=torch.zeros_like(pooled) if net.config.force_zeros_for_pooled_projection else pooled,
        timestep=asked.timestep,
        return_dict=False,
    )
    return {BLOCKS: spread(blocks, len(asked.network.transformer_blocks), rounded=False)}


def _flux(net: Any, asked: Asked, cond: torch.Tensor, kind: int | None) -> Residuals:
    told = asked.told
    guidance = None
    if net.config.guidance_embeds:
        guidance = told.get("guidance")
        guidance = torch.full((asked.rows,), GUIDANCE, device=cond.device) if guidance is None else guidance
    modes = None
    if net.config.num_mode is not None:
        modes = torch.full((asked.rows, 1), kind or 0, dtype=torch.long, device=cond.device)
    blocks, singles = net(
        hidden_states=asked.sample.to(net.dtype),
        controlnet_cond=cond,
        controlnet_mode=modes,
        timestep=asked.timestep,
        guidance=guidance,
        pooled_projections=told["pooled_projections"].to(net.dtype),
        encoder_hidden_states=asked.text(net.dtype),
        txt_ids=told["txt_ids"],
        img_ids=told["img_ids"],
        return_dict=False,
    )
    again = net.input_hint_block is not None
    found = {BLOCKS: spread(blocks or (), len(asked.network.transformer_blocks), again=again)}
    if singles:
        found[SINGLES] = spread(singles, len(asked.network.single_transformer_blocks))
    return {name: tensors for name, tensors in found.items() if tensors}


def _t2i(net: Any, asked: Asked, cond: torch.Tensor, kind: int | None) -> Residuals:
    if (cond == cond[:1]).all():  # it looks at the picture alone: once for all rows that see the same
        return {INNER: [found.expand(len(cond), *found.shape[1:]) for found in net(cond[:1])]}
    return {INNER: list(net(cond))}


_ASKS: dict[str, Callable[[Any, Asked, torch.Tensor, int | None], Residuals]] = {
    "ControlNetModel": _unet,
    "ControlNetUnionModel": _union,
    "SD3ControlNetModel": _sd3,
    "FluxControlNetModel": _flux,
    "T2IAdapter": _t2i,
}
