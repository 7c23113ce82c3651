"""How each architecture is trained: one row each, and nothing about a family anywhere else in this room.

Start reading at `RECIPES`, then `recipe_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from modules.families import Family
from modules.faults import ModelFault
from modules.prompts.text_sets import ONE_CLIP, POOLED_CLIP_AND_T5, TWO_CLIPS, TWO_CLIPS_AND_T5, TextSet
from modules.registry import Registry
from modules.train.networks import asking
from modules.train.networks.asking import Question
from modules.train.networks.targets import TRANSFORMER, UNET, Rule


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """text: how the network listens; ask: how it is called; rule: which of its layers learn; trained: text encoders that can learn.

    timesteps, weighting: what "auto" means in a config. default_scale: the request field whose default a sample's CFG scale has.
    base: ss_base_model_version; spec: modelspec.architecture; velocity: both, for a model that predicts velocity.
    """

    text: TextSet
    ask: Callable[[Question], torch.Tensor]
    rule: Rule
    trained: tuple[str, ...]
    timesteps: str = "uniform"
    weighting: str = "none"
    default_scale: str = "cfg_scale"
    base: str
    spec: str
    velocity: tuple[str, str] | None = None


def _recipes() -> Registry[Recipe]:
    rows: Registry[Recipe] = Registry("architecture")
    for name, row in {
        "sd1": Recipe(
            text=ONE_CLIP,
            ask=asking.plain,
            rule=UNET,
            trained=("text_encoder",),
            base="sd_v1",
            spec="stable-diffusion-v1",
            velocity=("sd_v1_v", "stable-diffusion-v1"),
        ),
        "sd2": Recipe(
            text=ONE_CLIP,
            ask=asking.plain,
            rule=UNET,
            trained=("text_encoder",),
            base="sd_v2",
            spec="stable-diffusion-v2-512",
            velocity=("sd_v2_v", "stable-diffusion-v2-768-v"),
        ),
        "sdxl": Recipe(
            text=TWO_CLIPS,
            ask=asking.sized,
            rule=UNET,
            trained=("text_encoder", "text_encoder_2"),
            base="sdxl_base_v1-0",
            spec="stable-diffusion-xl-v1-base",
        ),
        "sd3": Recipe(
            text=TWO_CLIPS_AND_T5,
            ask=asking.joint,
            rule=TRANSFORMER,
            trained=("text_encoder", "text_encoder_2"),
            timesteps="logit_normal",  # arXiv:2403.03206, section 5.3.2
            base="sd3",
            spec="stable-diffusion-3",
        ),
        "flux": Recipe(
            text=POOLED_CLIP_AND_T5,
            ask=asking.packed,
            rule=TRANSFORMER,
            trained=("text_encoder",),
            timesteps="shift",
            default_scale="distilled_cfg_scale",
            base="flux1",
            spec="flux-1-dev",
        ),
    }.items():
        rows.add(name, row)
    rows.freeze()
    return rows


RECIPES = _recipes()
# (architecture, variant) -> what differs in its files' metadata from the architecture's: base, spec.
_VARIANTS = {
    ("sd3", "3.5-medium"): ("sd3.5_medium", "stable-diffusion-3-5-medium"),
    ("sd3", "3.5-large"): ("sd3.5_large", "stable-diffusion-3-5-large"),
    ("sd3", "3.5-large-turbo"): ("sd3.5_large", "stable-diffusion-3-5-large"),
    ("sd3", "medium"): ("sd3_medium", "stable-diffusion-3-medium"),
    ("flux", "schnell"): ("flux1", "flux-1-schnell"),
}


def recipe_of(family: Family, variant: str) -> Recipe:
    """The row of a model. Raises ModelFault for a kind of model that cannot be trained: one that also looks at a mask or a picture."""
    kind = family.variant(variant)
    pipeline = kind.tasks["txt2img"]
    if pipeline != next(iter(family.variants.values())).tasks["txt2img"]:
        raise ModelFault(
            f"{family.title} {kind.title} cannot be trained here: besides text it reads a picture or a mask. "
            "Train on the text-to-image model of its family; the network works with both."
        )
    row = RECIPES.get(family.architecture)
    base, spec = _VARIANTS.get((family.architecture, variant), (row.base, row.spec))
    text = row.text if kind.prompt_tokens is None or not row.text.long else replace(row.text, long_tokens=kind.prompt_tokens)
    return replace(row, base=base, spec=spec, text=text)
