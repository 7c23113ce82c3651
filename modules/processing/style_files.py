"""Stage 1c: what taking over another picture's look needs: the picture is there, the files fit the checkpoint. No torch.

Start reading at `chosen_style`.
"""

from __future__ import annotations

from pathlib import Path

from modules.families import FAMILIES
from modules.faults import ModelFault, RequestFault, UnknownName
from modules.inputs import Inputs
from modules.library import Library
from modules.library.rows import ModelRow
from modules.request import Checkpoint, SideFile, Styling

ADAPTED = ("sd1", "sdxl")  # architectures whose networks diffusers' IP-Adapter loader for UNets serves
NONE = ("", "None")


def chosen_style(
    asked: Styling, checkpoint: Checkpoint, library: Library, inputs: Inputs | None
) -> tuple[Styling | None, dict[str, SideFile], list[str]]:
    """(what to take over, "adapter" and "encoder" -> file, warnings); None when no style picture was given.

    Raises RequestFault when the picture is gone, UnknownName or ModelFault when an IP-Adapter cannot be used.
    """
    if not asked.style_image:
        return None, {}, []
    if inputs is None:
        raise RequestFault("style_image", "there is no store of input pictures here")
    inputs.path(asked.style_image, "style_image")
    family = FAMILIES.get(checkpoint.family)
    if (asked.style_adapter or "") in NONE:
        idle = family.denoiser != "unet" and asked.style_strength > 0
        return (
            asked,
            {},
            [f"{family.title} cannot look at another picture without an IP-Adapter; its colours count in img2img."] if idle else [],
        )
    if family.architecture not in ADAPTED:
        raise RequestFault(
            "style_adapter", f"IP-Adapters work with Stable Diffusion 1 and XL here; {checkpoint.model_name} is {family.title}"
        )
    row = _fitting(library, asked.style_adapter or "", checkpoint)
    encoder, warnings = image_encoder(library, row.name)
    return asked, {"adapter": side_file(library, row), "encoder": side_file(library, encoder)}, warnings


def image_encoder(library: Library, adapter: str) -> tuple[ModelRow, list[str]]:
    """(what an IP-Adapter reads pictures through, warnings). adapter: its name, for messages. Raises ModelFault when there is none."""
    encoders = library.rows("clip_vision")
    if not encoders:
        raise ModelFault(
            f"The IP-Adapter {adapter} reads pictures through a CLIP image encoder, and there is none. Put one (a .safetensors file with "
            "visual_projection.weight) into models/clip_vision."
        )
    return encoders[0], [f"There are {len(encoders)} image encoders; {encoders[0].name} was used."] if len(encoders) > 1 else []


def _fitting(library: Library, name: str, checkpoint: Checkpoint) -> ModelRow:
    try:
        row = library.find("ip_adapter", name)
    except UnknownName as fault:
        raise UnknownName("style_adapter", name, [r.name for r in library.rows("ip_adapter")]) from fault
    own = FAMILIES.get(checkpoint.family).architecture
    if row.architecture not in (None, "", own):
        raise ModelFault(
            f"The IP-Adapter {row.name} was made for {row.architecture}; {checkpoint.model_name} is {own}. Choose another one."
        )
    return row


def side_file(library: Library, row: ModelRow) -> SideFile:
    """A model's file with its digest, computed if need be."""
    return SideFile(name=Path(row.path).name, path=row.path, sha256=library.hashed(row).sha256 or "")
