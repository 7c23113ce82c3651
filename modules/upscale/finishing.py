"""The tools that finish a picture, which files each needs and where they lie: face restoration, background removal.

Opens no file. The files are not shipped; a request for a tool whose files are missing is answered with their names and places.
Start reading at `files_of`; `faces` and `background` do the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modules.faults import RequestFault
from modules.folders import Folders

Purpose = Literal["face restoration", "background removal"]
DETECTOR = "face_detection_yunet_2023mar.onnx"  # finds faces and five points of each; MIT
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0))


@dataclass(frozen=True, kw_only=True)
class FinishingTool:
    """field: of the request, for messages. files: all are needed, under models/folder. licence: of the weights.

    For background removal: size_px is the side the network takes, mean and spread what its colours (0 to 1) are brought to,
    sigmoid whether its answer is still to be squashed to 0 to 1.
    """

    name: str
    purpose: Purpose
    field: str
    folder: str
    files: tuple[str, ...]
    licence: str
    size_px: int = 512
    mean: tuple[float, float, float] = IMAGENET[0]
    spread: tuple[float, float, float] = IMAGENET[1]
    sigmoid: bool = False


def _face(name: str, folder: str, network: str, licence: str) -> FinishingTool:
    return FinishingTool(
        name=name, purpose="face restoration", field=f"{name.lower()}_visibility", folder=folder, files=(network, DETECTOR), licence=licence
    )


def _cut(name: str, size_px: int, licence: str, colours: tuple[tuple[float, float, float], ...] = IMAGENET, **more: bool) -> FinishingTool:
    return FinishingTool(
        name=name, purpose="background removal", field="background_removal", folder="rembg", files=(f"{name}.onnx",), licence=licence,
        size_px=size_px, mean=colours[0], spread=colours[1], **more,
    )  # fmt: skip


# Facts of the networks: their authors' code (GFPGAN, CodeFormer, U-2-Net, DIS, BiRefNet). Files bear the names they are published under.
FINISHING: dict[str, FinishingTool] = {
    tool.name: tool
    for tool in (
        _face("GFPGAN", "GFPGAN", "GFPGANv1.4.safetensors", "Apache-2.0"),
        _face("CodeFormer", "Codeformer", "codeformer-v0.1.0.safetensors", "S-Lab 1.0, not for commerce"),
        _cut("u2net", 320, "Apache-2.0"),
        _cut("u2netp", 320, "Apache-2.0"),
        _cut("u2net_human_seg", 320, "Apache-2.0"),
        _cut("silueta", 320, "Apache-2.0"),
        _cut("isnet-general-use", 1024, "Apache-2.0", HALF),
        _cut("isnet-anime", 1024, "Apache-2.0", IMAGENET),
        _cut("BiRefNet-general", 1024, "MIT", IMAGENET, sigmoid=True),
        _cut("BiRefNet-general-lite", 1024, "MIT", IMAGENET, sigmoid=True),
        _cut("BiRefNet-portrait", 1024, "MIT", IMAGENET, sigmoid=True),
    )
}


def names_of(purpose: Purpose) -> list[str]:
    """The tools for it, in order."""
    return [tool.name for tool in FINISHING.values() if tool.purpose == purpose]


def files_of(tool: FinishingTool, folders: Folders) -> tuple[Path, ...]:
    """The tool's files, in the order of `files`. Raises RequestFault that names what is missing and where to put it."""
    found: list[Path] = []
    missing: list[str] = []
    for name in tool.files:
        path = next((base / name for base in folders.model_folders(tool.folder) if (base / name).is_file()), None)
        if path is None:
            missing.append(name)
        else:
            found.append(path)
    if missing:
        raise RequestFault(
            tool.field, f"{tool.purpose} with {tool.name} needs {_told(missing)} in {folders.models / tool.folder}{_hint(missing)}"
        )
    return tuple(found)


def _told(names: list[str]) -> str:
    return " and ".join(names)


def _hint(names: list[str]) -> str:
    """How a file of the published form becomes one that is read here."""
    if any(name.endswith(".safetensors") for name in names):
        return ". A .pth file becomes a .safetensors file on the Models tab"
    return ". Put it there, or choose None"
