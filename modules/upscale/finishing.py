"""Places kept for face restoration and background removal: the names, and which file each would need. None of them runs yet.

They stand here so that requests naming them get a true answer. Start reading at `FINISHING` and `refusal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modules.faults import RequestFault

Purpose = Literal["face restoration", "background removal"]


@dataclass(frozen=True, kw_only=True)
class FinishingTool:
    """One network that this version knows by name only. files: what it needs, under models/folder. licence: of the weights."""

    name: str
    purpose: Purpose
    field: str  # of the API, or of our own request
    folder: str
    files: tuple[str, ...]
    licence: str


FINISHING = (
    FinishingTool(
        name="GFPGAN", purpose="face restoration", field="gfpgan_visibility", folder="GFPGAN",
        files=("GFPGANv1.4", "detection_Resnet50_Final", "parsing_parsenet"), licence="Apache-2.0",
    ),
    FinishingTool(
        name="CodeFormer", purpose="face restoration", field="codeformer_visibility", folder="Codeformer",
        files=("codeformer-v0.1.0", "detection_Resnet50_Final", "parsing_parsenet"), licence="S-Lab 1.0, not for commerce",
    ),
    FinishingTool(
        name="U2-Net", purpose="background removal", field="background_removal", folder="rembg", files=("u2net",), licence="Apache-2.0",
    ),
    FinishingTool(
        name="IS-Net", purpose="background removal", field="background_removal", folder="rembg", files=("isnet-general-use",),
        licence="Apache-2.0",
    ),
)  # fmt: skip


def refusal(tool: FinishingTool) -> RequestFault:
    """The answer to a request for it: that it is not built in, and which files it will look for."""
    files = ", ".join(f"models/{tool.folder}/{name}.safetensors" for name in tool.files)
    return RequestFault(tool.field, f"{tool.purpose} with {tool.name} does not run in this version; it will need {files}. Leave it at 0")
