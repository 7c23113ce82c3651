"""Optimizers by name: one row each, which says what it is made of and what it must not be combined with.

A package that is not installed, or does not work on the device, is told with what to do. Start reading at `optimizer_of`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from modules.faults import RequestFault
from modules.registry import Registry
from modules.request.train import TrainConfig, optimizer_values
from modules.train.lion import Lion
from modules.train.trainee import ParamGroup


@dataclass(frozen=True, kw_only=True)
class Kind:
    """find() -> the class; package: what to install for it; fixed: arguments that are always given; args: names that a person may set.

    note: what people should know of it; devices: types of device it works on, () for all. modes: has train() and eval(), which swap the
    weights, as schedule-free does.
    """

    find: Callable[[], type[torch.optim.Optimizer]]
    args: tuple[str, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    package: str = ""
    devices: tuple[str, ...] = ()
    modes: bool = False
    note: str = ""


def _from(module: str, name: str) -> Callable[[], type[torch.optim.Optimizer]]:
    return lambda: getattr(importlib.import_module(module), name)


def _rows() -> Registry[Kind]:
    rows: Registry[Kind] = Registry("optimizer")
    rows.add("AdamW", Kind(find=lambda: torch.optim.AdamW, args=("beta1", "beta2", "eps", "amsgrad")))
    rows.add(
        "AdamW8bit",
        Kind(
            find=_from("bitsandbytes.optim", "AdamW8bit"),
            args=("beta1", "beta2", "eps", "min_8bit_size"),
            package="bitsandbytes",
            devices=("cuda", "xpu"),
            note="Keeps its averages in 8 bits: a quarter of AdamW's memory.",
        ),
    )
    rows.add(
        "Adafactor",
        Kind(
            find=_from("transformers.optimization", "Adafactor"),
            args=("clip_threshold", "decay_rate", "scale_parameter"),
            fixed={"relative_step": False, "warmup_init": False, "scale_parameter": False},
            note="Nearly no memory of its own.",
        ),
    )
    rows.add(
        "Prodigy",
        Kind(
            find=_from("prodigyopt", "Prodigy"),
            args=("beta1", "beta2", "eps", "d_coef", "d0", "growth_rate", "decouple", "use_bias_correction", "safeguard_warmup"),
            fixed={"safeguard_warmup": True, "use_bias_correction": True},
            package="prodigyopt",
            note="Finds its own rate; set the learning rate to 1 and the schedule to constant or cosine.",
        ),
    )
    rows.add("Lion", Kind(find=lambda: Lion, args=("beta1", "beta2"), note="Set the learning rate to a tenth of AdamW's."))
    rows.add(
        "AdamWScheduleFree",
        Kind(
            find=_from("schedulefree", "AdamWScheduleFree"),
            args=("beta1", "beta2", "eps", "r", "weight_lr_power"),
            package="schedulefree",
            modes=True,
            note="Needs no schedule; leave it at constant.",
        ),
    )
    rows.freeze()
    return rows


OPTIMIZERS = _rows()


def optimizer_of(config: TrainConfig, groups: Sequence[ParamGroup]) -> torch.optim.Optimizer:
    """The optimizer of a stage, over the groups in their order. Each group keeps "name" and "base_lr" in its param group.

    Raises RequestFault("optimizer") when its package is missing or it does not work on the device, ("optimizer_args") for an unknown name.
    """
    kind = OPTIMIZERS.get(config.optimizer)
    device = groups[0].params[0].device.type
    if kind.devices and device not in kind.devices:
        raise RequestFault(
            "optimizer", f"{config.optimizer} works on {' and '.join(kind.devices)} only; here it is {device}. Take AdamW or Adafactor"
        )
    try:
        made = kind.find()
    except (ImportError, RuntimeError, OSError) as error:  # bitsandbytes raises the latter two when its library does not fit the driver
        hint = f"pip install {kind.package}" if kind.package else "python launch.py --reinstall"
        raise RequestFault("optimizer", f"{config.optimizer} is not there ({error}). Install it with `{hint}`, or take AdamW") from error
    arguments = {**kind.fixed, **_asked(config, kind, made)}
    rows: list[dict[str, Any]] = []
    for group in groups:
        decay = config.weight_decay if group.weight_decay is None else group.weight_decay
        rows.append({"params": group.params, "lr": group.lr, "weight_decay": decay, **group.extra})
    try:
        optimizer: Any = made(rows, **arguments)  # pyright: ignore[reportCallIssue]
    except (ValueError, TypeError) as error:
        raise RequestFault("optimizer_args", f"{config.optimizer} cannot be made with these: {error}", got=config.optimizer_args) from error
    for row, group in zip(optimizer.param_groups, groups, strict=True):
        row["name"], row["base_lr"] = group.name, group.lr
    return optimizer


def set_mode(optimizer: Any, name: str, *, training: bool) -> None:
    """Schedule-free optimizers hold other weights while training than those to be used: swap them. Nothing for the others."""
    if OPTIMIZERS.get(name).modes:
        optimizer.train() if training else optimizer.eval()


def _asked(config: TrainConfig, kind: Kind, made: type) -> dict[str, Any]:
    """The person's optimizer_args as keyword arguments: betas joined, whole numbers where the optimizer has them."""
    values: dict[str, Any] = dict(optimizer_values(config.optimizer_args))
    for name in values:
        if name not in kind.args:
            raise RequestFault("optimizer_args", f"{config.optimizer} has no {name}; there are {', '.join(kind.args)}", got=name)
    defaults = {name: each.default for name, each in inspect.signature(made).parameters.items()}
    if "beta1" in values or "beta2" in values:
        first, second = defaults["betas"][:2]
        values["betas"] = (values.pop("beta1", first), values.pop("beta2", second))
    for name, value in values.items():
        if isinstance(defaults.get(name), int) and not isinstance(defaults.get(name), bool) and value == int(value):
            values[name] = int(value)
    if "eps" in values and isinstance(defaults.get("eps"), tuple):
        values["eps"] = (values["eps"], defaults["eps"][1])
    return values
