"""How every family loads: a folder or a file becomes a diffusers pipeline, and its scheduler learns what the weights predict.

Start reading at `opened`. Imports torch and diffusers only when called.
"""

from __future__ import annotations

import inspect
from typing import Any

from modules.families import shipped
from modules.families.family import LoadPlan, Variant
from modules.families.loading import load_folder, load_single
from modules.families.parts import told
from modules.weights import header
from modules.weights.quantisers import QUANTISERS
from modules.weights.quantisers.component import is_quantised, quantise


def opened(plan: LoadPlan, layout: str, variant: Variant) -> Any:
    """The pipeline a plan asks for, of the class the variant names for text to picture; eval mode, on the CPU.

    Components that the plan wants quantised are so; what is on the disk that way already stays as it is. Raises ModelFault naming what is
    missing or broken.
    """
    pipeline_class = variant.tasks["txt2img"]
    if plan.path.is_dir():
        pipeline = load_folder(plan, pipeline_class, layout=layout)
    else:
        pipeline = load_single(plan, layout, pipeline_class, shipped.folder(variant.config))
        if changes := scheduler_changes(plan):
            pipeline.scheduler = changed(pipeline.scheduler, changes)
    for name, quantiser in plan.quantise.items():
        component = getattr(pipeline, name, None)
        if component is not None and not is_quantised(component):
            row = QUANTISERS.get(quantiser)
            row.check(quantiser, plan.device[0])
            quantise(component, row, plan.device[1])
    return pipeline


def changed(scheduler: Any, changes: dict[str, Any]) -> Any:
    """A scheduler like the one given with other settings; a DDIM one when its own class does not know them (PNDM and zero SNR)."""
    kind: Any = type(scheduler)
    if not changes.keys() <= inspect.signature(kind.__init__).parameters.keys():
        from diffusers import DDIMScheduler

        kind = DDIMScheduler
    return kind.from_config(scheduler.config, **changes)  # in the config itself they would count as defaults and be dropped


def scheduler_changes(plan: LoadPlan) -> dict[str, Any]:
    """What a single safetensors file says about its scheduler beyond the published config; the plan's word goes first.

    Zero-terminal SNR asks for trailing steps, see arXiv:2305.08891, table 2.
    """
    if plan.path.suffix != ".safetensors":
        return {"prediction_type": plan.prediction} if plan.prediction in ("epsilon", "v_prediction") else {}
    said = told(header.read(plan.path))
    prediction = plan.prediction or said.prediction
    changes: dict[str, Any] = {}
    if prediction in ("epsilon", "v_prediction"):
        changes["prediction_type"] = prediction
    if said.zero_snr:
        changes |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return changes
