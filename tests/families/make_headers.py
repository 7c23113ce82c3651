"""Makes tests/families/headers from the configs that come with the program; run it after these have changed.

    python -m tests.families.make_headers

Every component is built without memory (torch's meta device) and its tensors get the names of a single file through the key maps
of `modules.weights.layouts`; `test_headers.py` checks the result with the converters of diffusers. What other programs add to
such files (position_ids, the unused last layer of OpenCLIP-H, logit_scale) is added here as in the published ones.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

from modules.families import FAMILIES
from modules.weights.layouts.kinds import KINDS
from modules.weights.layouts.rules import single_shape
from modules.weights.layouts.table import LAYOUTS
from tests.families.full_size import component_shapes
from tests.families.stripped import HEADERS

METADATA = {
    "sd3.5-large-turbo": {"modelspec.title": "Stable Diffusion 3.5 Large Turbo", "modelspec.architecture": "stable-diffusion-3.5-large"},
    "sdxl-few-step": {"modelspec.title": "SDXL Turbo", "modelspec.architecture": "stable-diffusion-xl-v1-base"},
    "sd2": {"modelspec.architecture": "stable-diffusion-v2-512", "modelspec.prediction_type": "epsilon"},
}


def tensors(config: str, layout: str) -> dict[str, tuple[str, list[int]]]:
    """Name in a single file -> (number type, shape) of every tensor of a full-size model."""
    dtype = "BF16" if layout in ("flux", "sd3") else "F16"
    found: dict[str, tuple[str, list[int]]] = {}
    for component, part in LAYOUTS[layout].parts.items():
        kind = KINDS[part.kind]
        naming, prefix = part.homes[0]
        shapes = {kind.canonical(key) or key: shape for key, shape in component_shapes(config, component).items()}
        for entry in kind.namings[naming].writing(shapes).from_parts(shapes):
            found[prefix + entry.single] = (dtype, list(single_shape(entry, shapes)))
        for name, (kind_of_number, shape) in _extras(part.extras, found, prefix).items():
            found[prefix + name] = (kind_of_number or dtype, shape)
    return found


def _extras(extras: tuple[str, ...], found: dict[str, tuple[str, list[int]]], prefix: str) -> dict[str, tuple[str, list[int]]]:
    made: dict[str, tuple[str, list[int]]] = {}
    if "position_ids" in extras:
        made["text_model.embeddings.position_ids"] = ("I64", [1, 77])
    if "logit_scale" in extras:
        made["logit_scale"] = ("", [])
    if "text_projection" in extras:
        made["text_projection"] = ("", [1024, 1024])
    if "spare_layer" in extras:
        last = f"{prefix}transformer.resblocks.22."
        for name, (_, shape) in found.items():
            if name.startswith(last):
                made[f"transformer.resblocks.23.{name[len(last) :]}"] = ("", shape)
    return made


def write() -> None:
    """A file for every variant of every family."""
    HEADERS.mkdir(exist_ok=True)
    for _, family in FAMILIES:
        for variant in family.variants.values():
            layout = "sdxl-refiner" if variant.config == "sdxl-refiner" else family.layout
            data: dict[str, Any] = {"metadata": METADATA.get(variant.config, {}), "tensors": tensors(variant.config, layout)}
            packed = gzip.compress(json.dumps(data, separators=(",", ":")).encode(), 9, mtime=0)
            (HEADERS / f"{variant.config}.json.gz").write_bytes(packed)
            print(f"{variant.config}: {len(data['tensors'])} tensors, {len(packed)} bytes")


if __name__ == "__main__":
    write()
