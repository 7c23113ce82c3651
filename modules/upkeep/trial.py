"""A tiny picture with a model, to see that it works and that a converted one gives the same. Start reading at `compare`."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modules.families import FAMILIES, LoadPlan
from modules.faults import Fault, ModelFault
from modules.hardware.memory import memory
from modules.upkeep.places import size_of
from modules.upkeep.report import Report
from modules.weights.header import BITS
from modules.weights.layouts.files import header_of

CELLS = 16
STEPS = 2
PROMPT = "a red apple on a table"
EXACT, ROUNDED = 1 / 255, 0.02
ROOM = 1.3


def compare(about: Mapping[str, Any], result: Path, report: Report, *, exact: bool) -> None:
    """Make the same tiny picture with a model and with what became of it. exact: every pixel to 1/255, else 2 % on average.

    Where it cannot be made (parts in other files, too little memory) a warning says so. Raises ModelFault when they differ.
    """
    before = _attempt(about, Path(about["path"]), report)
    if before is None:
        return
    after = _attempt(about, result, report)
    if after is None:
        raise ModelFault(f"{result.name.strip('.')} was written but cannot be loaded as {about['model_name']} can; it was removed.")
    difference = abs(before - after)
    found = float(difference.max() if exact else difference.mean())
    report.notes["picture_difference"] = round(found, 5)
    if not found <= (EXACT if exact else ROUNDED):
        raise ModelFault(
            f"{result.name.strip('.')} gives another picture than {about['model_name']} (they differ by {found:.1%}); it was removed. "
            "Please report this with the model's name."
        )


def attempt(about: Mapping[str, Any], result: Path, report: Report) -> None:
    """Make a tiny picture with a new model. Raises ModelFault when there is none; warns when it cannot be tried."""
    if (picture := _attempt(about, result, report)) is not None and not bool((picture == picture).all()):
        raise ModelFault("The result gives no picture, only undefined numbers; it was removed. Try other weights or float32.")


def _attempt(about: Mapping[str, Any], path: Path, report: Report) -> Any:
    """The picture, float32 (H, W, 3) in 0..1, or None after a warning."""
    needed, free = _float32_bytes(path) * ROOM, memory("cpu", "cpu")["ram"]["free"]
    if needed > free:
        report.warn(f"No picture was made to compare: that needs {needed / 1e9:.0f} GB of memory and {free / 1e9:.0f} GB are free.")
        return None
    report.say(f"Trying {about['model_name']}…")
    family = FAMILIES.get(about["family"])
    try:
        pipeline = family.load(LoadPlan(path=path, dtype="float32", variant=about.get("variant", ""), prediction=about.get("prediction")))
    except Fault as fault:
        report.warn(f"No picture was made to compare: {fault.message}")
        return None
    return _picture(pipeline, CELLS * family.cell_px)


def _picture(pipeline: Any, side_px: int) -> Any:
    import torch
    from PIL import Image

    takes = inspect.signature(pipeline.__call__).parameters
    offered: dict[str, Any] = {
        "prompt": PROMPT,
        "width": side_px,
        "height": side_px,
        "num_inference_steps": STEPS,
        "image": Image.new("RGB", (side_px, side_px), "gray"),
        "mask_image": Image.new("L", (side_px, side_px), "white"),
        "strength": 1.0,
        "generator": torch.Generator("cpu").manual_seed(0),
        "output_type": "np",
    }
    wanted = {name: value for name, value in offered.items() if name in takes}
    pipeline.set_progress_bar_config(disable=True)
    if getattr(pipeline, "text_encoder_3", True) is None or "max_sequence_length" in takes:
        wanted["max_sequence_length"] = 77
    with torch.inference_mode():
        picture = pipeline(**wanted).images[0]
    del pipeline
    gc.collect()
    return picture


def _float32_bytes(path: Path) -> int:
    """Memory that the weights take in float32."""
    paths = [path] if path.is_file() else sorted(path.rglob("*.safetensors"))
    bits = [BITS.get(info.dtype, 8) for p in paths[:1] for info in header_of(p).tensors.values()]
    usual = max(set(bits), key=bits.count) if bits else 32
    return size_of(path) * 32 // min(32, max(4, usual))
