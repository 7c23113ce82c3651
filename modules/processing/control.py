"""The ControlNet units of one pass: prepared before it, set on the network during it, and what they do to the pictures at the end.

The means lie in `modules.control`; what units look at in `control_pictures`. Start reading at `prepared`, then `Controls.wearing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from modules.control.controlling import Course, Moment, Unit, controlled, counts
from modules.control.fit import fit
from modules.control.ip_adapter import worn
from modules.control.loading import Host, Nets, check_fits
from modules.control.look import Look, looking_at
from modules.control.maps import MAPS
from modules.control.networks import at_home
from modules.faults import ModelFault
from modules.pixels.repaint import Prepared
from modules.processing.control_pictures import Placed, placed, shown
from modules.processing.latent import as_pixels, to_latent
from modules.processing.slot import LoadedModel
from modules.processing.style import noising
from modules.processing.tools import Tools
from modules.request import ResolvedRequest
from modules.request.control import BOTH, CONTROL, LOW, PROMPT
from modules.samplers.noise import PictureNoise
from modules.weights.layouts import LAYOUTS
from modules.weights.layouts.component import Component, open_component

NETS = ("controlnet", "union", "t2i_adapter")
# What a union model is told, by what the map shows. Sources: xinsir's ControlNet++ for SDXL; InstantX' and Shakker's unions for Flux.
UNION_XL = {
    "OpenPose": 0, "Depth": 1, "Soft Edge": 2, "Hard Edge": 3, "Normal Map": 4, "Segmentation": 5, "Tile": 6, "Inpaint": 7,
}  # fmt: skip
UNION_FLUX = {"Hard Edge": 0, "Tile": 1, "Depth": 2, "OpenPose": 4}
UNION_FLUX_MODULES = {"blur_gaussian": 3, "recolor_luminance": 5, "recolor_intensity": 5}


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What the pipeline call that is about to begin is about. cells: (h, w) of its latents; seeds: one a picture of the batch.

    rows: the order of prompt and negative prompt in a network call; guided: the negative prompt is asked about.
    every_row: as in `Look`.
    """

    pipeline: Any
    network: Any
    cells: tuple[int, int]
    seeds: Sequence[int]
    rows: tuple[str, ...]
    guided: bool
    every_row: bool = False

    @property
    def separate(self) -> bool:
        """Prompt and negative prompt have calls of their own."""
        return self.guided and self.rows == ("prompt",)

    @property
    def blocks(self) -> tuple[str, ...]:
        """What equal shares of the rows of a call ask about."""
        return self.rows if self.guided else ("prompt",)


@dataclass(frozen=True, kw_only=True)
class Controls:
    """units: those that count in this pass. model: the one that is steered; nets: the control networks in memory."""

    units: tuple[Placed, ...]
    model: LoadedModel
    nets: Nets

    def row(self, i: int) -> Controls:
        """For one picture of the batch alone."""
        return replace(self, units=tuple(unit.row(i) for unit in self.units))

    @property
    def maps(self) -> dict[int, Image.Image]:
        """What is shown after the results, by the unit's place among the job's."""
        return {unit.place: unit.map for unit in self.units if unit.shows}

    def finished(self, images: Sequence[Image.Image]) -> list[Image.Image]:
        """The decoded pictures after what the preprocessors do at the end."""
        done = list(images)
        for unit in self.units:
            if MAPS.get(unit.unit.module).finish:
                done = unit.finished(done)
        return done

    @property
    def looks(self) -> bool:
        """Does a unit take over another picture's look, for which the whole of both is needed?"""
        return any(one.resolved.kind not in NETS for one in self.units)

    def marks(self, call: Pictures) -> tuple[str, ...] | None:
        """What `controlling.marked` is to be given: rows are told apart only where a unit treats them differently."""
        told_apart = any(one.unit.control_mode == CONTROL or one.resolved.kind == "reference" for one in self.units)
        return call.blocks if told_apart and call.guided and not call.separate else None

    @contextmanager
    def wearing(self, call: Pictures, scheduler_config: dict[str, Any], moment: Moment) -> Iterator[Worn]:
        """Inside, the pipeline's network is steered by the units. moment: see `controlling.Moment`. Raises ModelFault."""
        course = Course(moment=moment, pictures=len(call.seeds), cells=call.cells, separate=call.separate)
        told: dict[str, Any] = {}
        with ExitStack() as stack:
            for one in self.units:
                if one.resolved.kind == "reference":
                    stack.enter_context(looking_at(call.network, _look(one, call, scheduler_config, course)))
                elif one.resolved.kind == "ip_adapter":
                    told |= stack.enter_context(_reading(one, call, course))
            units = [self._unit(one, call) for one in self.units if one.resolved.kind in NETS]
            stack.enter_context(controlled(call.network, units, course))
            yield Worn(arguments=told, units=units, course=course)

    def _unit(self, one: Placed, call: Pictures) -> Unit:
        unit, file = one.unit, one.resolved.file
        path = Path(file.path if file is not None else "")
        names = (one.name, self.model.checkpoint.model_name)
        net = self.nets.get(path, call.network, self.model.plan.dtype, names=names, host=_host(self.model))
        at_home(net, call.network)
        return Unit(
            name=one.name,
            net=net,
            shown=shown(one, net, call.pipeline, call.seeds, len(call.blocks)),
            weight=unit.weight,
            start=unit.guidance_start,
            end=unit.guidance_end,
            mode=unit.control_mode,
            layers=unit.advanced_weighting,
            region=None if one.region is None else torch.from_numpy(np.asarray(one.region, np.float32) / 255)[None, None],
            kind=_kind(one, net),
            low_vram=unit.low_vram,
        )


@dataclass(frozen=True, kw_only=True)
class Worn:
    """What is set during a call. arguments: of the call itself."""

    arguments: dict[str, Any]
    units: list[Unit]
    course: Course


@contextmanager
def beside(worn: Worn | None, model: LoadedModel, network: Any, notes: list[str]) -> Iterator[None]:
    """Inside, a refiner's network is steered by those units that fit it. notes: takes sentences about the others."""
    if worn is None:
        yield
        return
    name, fitting = model.checkpoint.model_name, list[Unit]()
    for unit in worn.units:
        try:
            check_fits(unit.net, network, (unit.name, name))
            fitting.append(unit)
        except ModelFault:
            notes.append(f"{unit.name} was not made for {name}; it counted until that took over.")
    with controlled(network, fitting, worn.course):
        yield


def moment_of(pipeline: Any, call_no: int) -> tuple[float, float]:
    """The shares of a run that are done before the present step and after it. call_no: its number, from 1."""
    scheduler = pipeline.scheduler
    if getattr(scheduler, "open_end", False):
        return float(scheduler.fraction_done), float(scheduler.fraction_done)
    calls = max(int(getattr(pipeline, "_num_timesteps", 0) or len(scheduler.timesteps)), 1)
    return (call_no - 1) / calls, call_no / calls


def prepared(
    resolved: ResolvedRequest,
    model: LoadedModel,
    size: tuple[int, int],
    tools: Tools,
    *,
    second: bool = False,
    begun: Sequence[Prepared] = (),
) -> Controls | None:
    """The units of a pass of that size (width, height); None where none counts. second: of the hires pass.

    begun: what an img2img run begins with, one a picture. Makes the control maps. Raises RequestFault, ModelFault.
    """
    found = [(n, one) for n, one in enumerate(resolved.control) if _counts(one.unit.hr_option, resolved, second=second)]
    units = [(n, one) for n, one in found if one.architecture in ("", model.family.architecture)]
    if not units:
        return None
    return Controls(units=tuple(placed(one, n, size, begun, tools.open, tools.ground) for n, one in units), model=model, nets=tools.nets)


def _counts(option: str, resolved: ResolvedRequest, *, second: bool) -> bool:
    """Does a unit of that hires option count in a pass? It means nothing where there is one pass only."""
    return resolved.hires is None or option == BOTH or (option == LOW) != second


def _host(model: LoadedModel) -> Host:
    """The UNet that a Control-LoRA changes: the file's own."""
    plan, layout = model.plan, model.family.layout
    path = plan.parts.get("unet") or plan.path

    def opened() -> Component:
        if "unet" not in LAYOUTS[layout].parts:
            raise ModelFault(f"{model.checkpoint.model_name} has no UNet, which Control-LoRAs change. Choose another ControlNet model.")
        return open_component(path, layout, "unet")

    return Host(key=f"{model.checkpoint.sha256} {path}", opened=opened)


def _kind(one: Placed, net: Any) -> int | None:
    """The number of what the map shows, for a network that is told. Raises ModelFault when it does not know that kind."""
    shows, count = one.unit.union_control_type, None
    if type(net).__name__ == "ControlNetUnionModel":
        found, count = UNION_XL.get(shows), net.config.num_control_type
    elif type(net).__name__ == "FluxControlNetModel" and net.config.num_mode is not None:
        found, count = UNION_FLUX_MODULES.get(one.unit.module, UNION_FLUX.get(shows)), net.config.num_mode
    else:
        return None
    if found is None or found >= count:
        raise ModelFault(f"{one.name} does not read maps of the kind {shows}. Choose another union control type or another model.")
    return found


def _look(one: Placed, call: Pictures, scheduler_config: dict[str, Any], course: Course) -> Look:
    """Shared attention with the unit's picture. The negative prompt sees less of it the higher the style fidelity is."""
    unit, factor = one.unit, call.pipeline.vae_scale_factor
    row = MAPS.get(unit.module)
    fidelity = {PROMPT: 0.0, CONTROL: 1.0}.get(unit.control_mode, row.a.closed(unit.threshold_a) if row.a else 0.5)
    picture = fit(one.pictures[0], (call.cells[1] * factor, call.cells[0] * factor), unit.resize_mode)
    latent = to_latent(call.pipeline.vae, as_pixels(picture, call.pipeline))

    def shares(rows: int) -> torch.Tensor | None:
        marks = course.prompts
        return None if marks is None or len(marks) != rows else 1 - fidelity * (1 - marks)

    return Look(
        latent=latent,
        noise=PictureNoise([call.seeds[0]]).first((latent.shape[1], *call.cells)),
        strength=min(1.0, unit.weight),
        noised=noising(scheduler_config),
        every_row=call.every_row,
        active=lambda: counts(unit.guidance_start, unit.guidance_end, course.moment()),
        shares=shares,
    )


@contextmanager
def _reading(one: Placed, call: Pictures, course: Course) -> Iterator[dict[str, Any]]:
    """An IP-Adapter on the network, its scale at the unit's weight where it counts and at 0 elsewhere."""
    unit, pipeline = one.unit, call.pipeline
    file, encoder = one.resolved.file, one.resolved.encoder
    if file is None or encoder is None:
        raise ValueError("an IP-Adapter unit has two files")
    present: list[float] = []

    def begun(moment: tuple[float, float]) -> None:
        scale = unit.weight if counts(unit.guidance_start, unit.guidance_end, moment) else 0.0
        if present != [scale]:
            pipeline.set_ip_adapter_scale(scale)
            present[:] = [scale]

    strengths: dict[str, Any] = {"style": unit.weight, "composition": unit.weight}
    with worn(pipeline, Path(file.path), Path(encoder.path), architecture=one.resolved.architecture, **strengths):
        course.begun = begun
        told: dict[str, Any] = {"ip_adapter_image": one.pictures[0]}
        if one.region is not None:
            masks = torch.from_numpy(np.asarray(one.region, np.float32) / 255)[None, None]
            told["cross_attention_kwargs"] = {"ip_adapter_masks": [masks.to(pipeline._execution_device)]}
        yield told
