"""What components need beside their weights, found by walking through them without numbers, on torch's meta device.

Exact for any configuration, in a moment, and independent of how large the machine is; what a kernel needs inside itself is not in it.
Start reading at `footprint_of`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils import _pytree as pytree

from modules.hardware.footprint import Footprint, Point
from modules.hardware.live import Live, tensors_of
from modules.processing.memory_known import Known
from modules.weights.layouts.module import empty_module

SIDES_PX = (64, 256, 1024, 2048)
CELL_PX = 8
CLIP_TOKENS = 77
T5_TOKENS = 256


def footprint_of(module: Any, dtype: torch.dtype, *, cell_px: int = CELL_PX) -> Footprint:
    """module: of a class of diffusers or transformers, on the meta device; it is changed. dtype: that it computes in.

    Raises ValueError for a class that this version cannot walk through.
    """
    module = module.to_empty(device="meta").to(dtype).train(False)
    if hasattr(module, "enable_tiling"):
        return _autoencoder(module, dtype, cell_px)
    name = type(module).__name__
    if name in _CONTROLS:
        return _control(module, lambda rows, side: _CONTROLS[name](module.config, rows, side, dtype))
    if name in _NETWORKS:
        ask = _NETWORKS[name]
        return {
            "call": _points(
                module, _sides(module.config, cell_px), lambda side, rows: module(**ask(module.config, rows, side // cell_px, dtype))
            )
        }
    if name in _READERS:
        return {"read": [_read(module, tokens) for tokens in _READERS[name]]}
    raise ValueError(f"this version cannot tell how much memory a {name} needs")


def _read(module: Any, tokens: int) -> Point:
    """Its size is the length of the text."""
    known = tensors_of(module)
    with torch.inference_mode(), Live(known) as live:
        module(torch.zeros((1, tokens), dtype=torch.long, device="meta"), output_hidden_states=True)
    return tokens, live.peak_bytes, 2 * live.peak_bytes


def _sides(config: Any, cell_px: int) -> list[int]:
    """Some transformers have places for so many patches and no more."""
    most = config.get("pos_embed_max_size")
    return [*SIDES_PX] if most is None else sorted({min(side, most * config.patch_size * cell_px) for side in SIDES_PX})


def _autoencoder(vae: Any, dtype: torch.dtype, cell_px: int) -> Footprint:
    channels = vae.config.latent_channels

    def decode(side: int, rows: int) -> Any:
        return vae.decode(_empty(dtype, rows, channels, side // cell_px, side // cell_px), return_dict=False)

    tile = int(vae.tile_sample_min_size)
    plain, on_cpu = (_points(vae, sorted({*SIDES_PX, tile}), decode, on_cpu=here) for here in (False, True))
    spared, spared_on_cpu = (_spared(points, tile * tile, 3 * dtype.itemsize) for points in (plain, on_cpu))
    return {"decode": plain, "decode spared": spared, "decode on CPU": on_cpu, "decode spared on CPU": spared_on_cpu}


def _spared(plain: list[Point], tile_area: int, pixel_bytes: int) -> list[Point]:
    """Of decoding one by one and in tiles: the work of one tile, and beside it the finished tiles of the picture and finished pictures.

    Source: diffusers' AutoencoderKL, whose tiles are decoded in turn and blended at the end.
    """
    most = next(one for area, one, _ in plain if area == tile_area)
    within = [(area, one, one + area * pixel_bytes) for area, one, _ in plain if area <= tile_area]
    beyond = [(area, most + area * pixel_bytes, most + 2 * area * pixel_bytes) for area, _, _ in plain if area > tile_area]
    return within + beyond


def _control(net: Any, ask: Callable[[int, int], Mapping[str, Any]]) -> Footprint:
    """Of a control network: what it needs, and what it hands over. Of a transformer's it is one tensor of many alike."""
    handed: dict[tuple[int, int], int] = {}

    def call(side: int, rows: int) -> None:
        found = pytree.tree_leaves(net(**ask(rows, side)))
        handed[side, rows] = sum(tensor.nbytes for tensor in (found[:1] if type(net).__name__ in _ALIKE else found))

    sides = _sides(net.config, CELL_PX)
    points = _points(net, sides, call)
    return {"call": points, "gives": [(side * side, handed[side, 1], handed[side, 2]) for side in sides]}


def _points(module: Any, sides_px: Any, act: Callable[[int, int], Any], *, on_cpu: bool = False) -> list[Point]:
    known = tensors_of(module)

    def peak(side: int, rows: int) -> int:
        with torch.inference_mode(), Live(known, on_cpu=on_cpu) as live:
            act(side, rows)
        return live.peak_bytes

    return [(side * side, peak(side, 1), peak(side, 2)) for side in sides_px]


def _empty(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _unet(config: Any, rows: int, cells: int, dtype: torch.dtype) -> Mapping[str, Any]:
    told: dict[str, Any] = {}
    if config.get("addition_embed_type") == "text_time":
        ids = 6
        text = config.projection_class_embeddings_input_dim - ids * config.addition_time_embed_dim
        told["added_cond_kwargs"] = {"text_embeds": _empty(dtype, rows, text), "time_ids": _empty(dtype, rows, ids)}
    return {
        "sample": _empty(dtype, rows, config.in_channels, cells, cells),
        "timestep": torch.empty((), device="meta"),
        "encoder_hidden_states": _empty(dtype, rows, CLIP_TOKENS, config.cross_attention_dim),
        **told,
    }


def _sd3(config: Any, rows: int, cells: int, dtype: torch.dtype) -> Mapping[str, Any]:
    return {
        "hidden_states": _empty(dtype, rows, config.in_channels, cells, cells),
        "timestep": torch.empty((rows,), device="meta"),
        "encoder_hidden_states": _empty(dtype, rows, CLIP_TOKENS + T5_TOKENS, config.joint_attention_dim),
        "pooled_projections": _empty(dtype, rows, config.pooled_projection_dim),
    }


def _flux(config: Any, rows: int, cells: int, dtype: torch.dtype) -> Mapping[str, Any]:
    tokens, text = (cells // 2) ** 2, 2 * T5_TOKENS
    return {
        "hidden_states": _empty(dtype, rows, tokens, config.in_channels),
        "timestep": _empty(dtype, rows),
        "encoder_hidden_states": _empty(dtype, rows, text, config.joint_attention_dim),
        "pooled_projections": _empty(dtype, rows, config.pooled_projection_dim),
        "img_ids": _empty(dtype, tokens, 3),
        "txt_ids": _empty(dtype, text, 3),
        "guidance": _empty(torch.float32, rows) if config.guidance_embeds else None,
    }


def _controlnet(config: Any, rows: int, side: int, dtype: torch.dtype) -> Mapping[str, Any]:
    picture = _empty(dtype, rows, config.conditioning_channels, side, side)
    return {**_unet(config, rows, side // CELL_PX, dtype), "controlnet_cond": picture, "return_dict": False}


def _union(config: Any, rows: int, side: int, dtype: torch.dtype) -> Mapping[str, Any]:
    told = _controlnet(config, rows, side, dtype)
    kinds = _empty(dtype, rows, config.num_control_type)
    return {**told, "controlnet_cond": [told["controlnet_cond"]], "control_type": kinds, "control_type_idx": [0]}


def _sd3_control(config: Any, rows: int, side: int, dtype: torch.dtype) -> Mapping[str, Any]:
    """Not of those without a table of places, which they have from the network that they steer."""
    shown = _empty(dtype, rows, config.in_channels + config.extra_conditioning_channels, side // CELL_PX, side // CELL_PX)
    return {**_sd3(config, rows, side // CELL_PX, dtype), "controlnet_cond": shown, "return_dict": False}


def _flux_control(config: Any, rows: int, side: int, dtype: torch.dtype) -> Mapping[str, Any]:
    told = _flux(config, rows, side // CELL_PX, dtype)
    pixels = config.get("conditioning_embedding_channels") is not None
    shown = _empty(dtype, rows, 3, side, side) if pixels else _empty(dtype, *told["hidden_states"].shape)
    mode = None if config.num_mode is None else torch.zeros((rows, 1), dtype=torch.long, device="meta")
    return {**told, "controlnet_cond": shown, "controlnet_mode": mode, "return_dict": False}


# How each class is called; other classes are not counted.
_NETWORKS: Mapping[str, Callable[[Any, int, int, torch.dtype], Mapping[str, Any]]] = {
    "UNet2DConditionModel": _unet, "SD3Transformer2DModel": _sd3, "FluxTransformer2DModel": _flux,
}  # fmt: skip
_CONTROLS: Mapping[str, Callable[[Any, int, int, torch.dtype], Mapping[str, Any]]] = {
    "ControlNetModel": _controlnet, "ControlNetUnionModel": _union, "SD3ControlNetModel": _sd3_control,
    "FluxControlNetModel": _flux_control,
    "T2IAdapter": lambda config, rows, side, dtype: {"x": _empty(dtype, rows, config.in_channels, side, side)},
}  # fmt: skip
_ALIKE = ("SD3ControlNetModel", "FluxControlNetModel")
_READERS: Mapping[str, tuple[int, ...]] = {
    "CLIPTextModel": (CLIP_TOKENS,), "CLIPTextModelWithProjection": (CLIP_TOKENS,), "T5EncoderModel": (T5_TOKENS, 2 * T5_TOKENS),
}  # fmt: skip
_BROKEN = (RuntimeError, TypeError, ValueError, KeyError, AttributeError, IndexError, NotImplementedError)


def walked(known: Known, number_bytes: int) -> Footprint | None:
    """The footprint of a component of a file; None where it cannot be walked through: a run does without a forecast then."""
    try:
        module = empty_module(known.component.part, known.component.config)
        return footprint_of(module, torch.float32 if number_bytes == 4 else torch.float16)
    except _BROKEN as error:
        logging.getLogger(__name__).warning("the memory of %s is not known: %s", known.component.name, error)
        return None
