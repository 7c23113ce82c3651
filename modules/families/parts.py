"""Which components of a diffusers pipeline a description holds, and what it says about prediction and picture size.

Start reading at `parts_of` and `told`. Knows nothing about families: they hand in where their components lie.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from modules.weights.header import Header
from modules.weights.model_folder import ModelFolder

Anchors = Mapping[str, tuple[str, ...]]
VAE = ("first_stage_model.decoder.conv_in.weight", "vae.decoder.conv_in.weight")
_PREDICTIONS = {
    "epsilon": "epsilon", "eps": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction", "v-prediction": "v_prediction",
}  # fmt: skip


def parts_of(description: Header | ModelFolder, denoiser: str, anchors: Anchors) -> tuple[str, ...]:
    """Components that are there, denoiser first. anchors: component -> beginnings of keys, one of which it has in a file."""
    if isinstance(description, ModelFolder):
        return tuple(part for part in (denoiser, *anchors) if part in description.configs)
    here = [part for part, starts in anchors.items() if any(description.has(start) for start in starts)]
    return (denoiser, *here)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a description says beyond its shapes. prediction: "epsilon", "v_prediction" or None; zero_snr: noise schedule rescaled to
    zero-terminal SNR; side_px: of its training pictures, None when not said; text: title and architecture, lower case."""

    prediction: str | None
    zero_snr: bool
    side_px: int | None
    text: str


def told(description: Header | ModelFolder, cell_px: int = 8) -> Told:
    """From scheduler and UNet configs of a folder; from marker tensors and modelspec metadata of a file.

    Source: "v_pred" and "ztsnr" tensors are read so by A1111 1.10 and ComfyUI; modelspec: Stability AI's ModelSpec 1.0.0.
    """
    if isinstance(description, ModelFolder):
        scheduler = description.configs.get("scheduler", {})
        denoiser = description.configs.get("unet") or description.configs.get("transformer") or {}
        side = denoiser.get("sample_size")
        side = side[0] if isinstance(side, list) and side else side
        return Told(
            prediction=_PREDICTIONS.get(str(scheduler.get("prediction_type", "")).lower()),
            zero_snr=bool(scheduler.get("rescale_betas_zero_snr")),
            side_px=side * cell_px if isinstance(side, int) and 0 < side < 4096 else None,
            text=str(scheduler.get("_class_name", "")).lower(),
        )
    metadata = description.metadata
    scheduler = _json(metadata.get("darkroom.scheduler", ""))
    said = scheduler.get("prediction_type") or metadata.get("modelspec.prediction_type", "")
    size = re.match(r"(\d{2,5})\s*x\s*\d", metadata.get("modelspec.resolution", ""))
    names = ("modelspec.architecture", "modelspec.title")
    return Told(
        prediction=_PREDICTIONS.get(str(said).lower()) or ("v_prediction" if "v_pred" in description.tensors else None),
        zero_snr="ztsnr" in description.tensors or bool(scheduler.get("rescale_betas_zero_snr")),
        side_px=int(size.group(1)) if size else None,
        text=" ".join(metadata.get(name, "") for name in names).lower(),
    )


def _json(text: str) -> dict[str, Any]:
    if not text or len(text) > 100_000:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
