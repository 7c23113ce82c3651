"""A1111's `devices`, `sd_samplers` and `sd_schedulers`: what computes, and which samplers and schedules there are. See `TABLE`."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from modules.compat import pictures, stand_in
from modules.compat.model_facts import decoded
from modules.compat.names_around import REFUSED
from modules.samplers import SAMPLERS, SCHEDULES

Views = Any  # modules.compat.views.Views; it imports this file


class NansException(Exception):
    """A prediction without numbers."""


def _test_for_nans(x: Any, where: str) -> None:
    """Raises NansException when there is no number in a tensor at all."""
    if bool(x.isnan().all()):
        raise NansException(f"A tensor with NaNs was produced in {where}.")


def rows_of_samplers() -> list[Any]:
    """The samplers of the program, as A1111's records."""
    return [SimpleNamespace(name=name, aliases=list(row.aliases), options=dict(row.options), constructor=None) for name, row in SAMPLERS]


def devices(views: Views) -> dict[str, Any]:
    """Device and number types, and what frees memory."""
    torch: Any = stand_in.module("torch")
    if views.ways.worker:
        import torch
    device = torch.device(views.ways.device())
    nothing = {"autocast": lambda disable=False: torch.no_grad(), "without_autocast": lambda disable=False: torch.no_grad()}
    return {
        **nothing,
        "NansException": NansException,
        "device": device,
        "cpu": torch.device("cpu"),
        "dtype": torch.float32,
        "dtype_vae": torch.float32,
        "dtype_unet": torch.float32,
        "get_optimal_device": lambda: device,
        "get_optimal_device_name": views.ways.device,
        "get_device_for": lambda task: device,
        "torch_gc": lambda: None,
        "has_mps": lambda: str(device) == "mps",
        "has_xpu": lambda: str(device).startswith("xpu"),
        "dtype_inference": torch.float32,
        "unet_needs_upcast": False,
        "cond_cast_unet": lambda x: x,
        "cond_cast_float": lambda x: x.float(),
        "get_cuda_device_string": views.ways.device,
        "first_time_calculation": lambda: None,
        "test_for_nans": _test_for_nans,
    }


def sd_samplers(views: Views) -> dict[str, Any]:
    """Rows of samplers."""
    rows = rows_of_samplers()
    by_name = {key.lower(): row.name for row in rows for key in (row.name, *row.aliases)}
    return {
        "all_samplers": rows,
        "samplers": rows,
        "samplers_for_img2img": rows,
        "samplers_map": by_name,
        "all_samplers_map": {row.name: row for row in rows},
        "visible_samplers": lambda: rows,
        "visible_sampler_names": lambda: [row.name for row in rows],
        "find_sampler_config": lambda name: next((row for row in rows if row.name == name), rows[0]),
        "get_sampler_from_infotext": lambda d: d.get("Sampler"),
        "sample_to_image": lambda samples, index=0, approximation=None: decoded(views, samples)[index],
        "samples_to_image_grid": lambda samples, approximation=None: pictures.image_grid(decoded(views, samples)),
        "create_sampler": views.refusal("sd_samplers.create_sampler", REFUSED["k_diffusion"]),
    }


def sd_schedulers(views: Views) -> dict[str, Any]:
    """Rows of schedules."""
    rows = [SimpleNamespace(name=row.name, label=label, aliases=list(row.aliases), default_rho=row.default_rho) for label, row in SCHEDULES]
    return {"schedulers": rows, "schedulers_map": {key: row for row in rows for key in (row.name, row.label)}}


TABLE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "modules.devices": devices,
    "modules.sd_samplers": sd_samplers,
    "modules.sd_schedulers": sd_schedulers,
}
"""Name of a module -> what makes its names."""
