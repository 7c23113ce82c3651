"""A model folder in the diffusers layout: what its model_index.json says, checked before anything is loaded.

A folder from outside is data: only classes of diffusers and transformers may be named in it, only safetensors weights are
accepted. Start reading at `read`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import ModelFault

INDEX = "model_index.json"
_LIBRARIES = ("diffusers", "transformers")
_JSON_LIMIT = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """pipeline: class name of the pipeline; components: part -> class name; configs: part -> its config.json, of the scheduler
    its scheduler_config.json."""

    path: Path
    pipeline: str
    components: dict[str, str]
    configs: dict[str, dict[str, Any]]


def read(folder: Path) -> ModelFolder:
    """What a model folder holds. Raises ModelFault with the reason when it cannot be used."""
    index = _json(folder / INDEX)
    components: dict[str, str] = {}
    for part, value in index.items():
        if part.startswith("_") or not isinstance(value, list):
            continue
        library, name = [*value, None, None][:2]
        if library is None or name is None:
            continue
        if library not in _LIBRARIES:
            if part == "safety_checker":  # never loaded here
                continue
            raise ModelFault(
                f"{folder.name}: its part {part} comes from {library!r}, not from a known library; such a model would run foreign code."
            )
        components[str(part)] = str(name)
    configs = {part: _json(folder / part / "config.json") for part in components if (folder / part / "config.json").exists()}
    for part in configs:
        if not list((folder / part).glob("*.safetensors")):
            raise ModelFault(f"{folder.name}: its part {part} has no .safetensors weights. Convert or download it again in that format.")
    scheduler = folder / "scheduler" / "scheduler_config.json"
    if "scheduler" in components and scheduler.exists():
        configs["scheduler"] = _json(scheduler)
    return ModelFolder(path=folder, pipeline=str(index.get("_class_name", "")), components=components, configs=configs)


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _JSON_LIMIT:
            raise ModelFault(f"{path.parent.name}/{path.name} is larger than {_JSON_LIMIT} bytes; it is not a model description.")
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFault(
            f"{path.parent.name}/{path.name} cannot be read: {error}. The model was not copied whole; copy it again."
        ) from error
    if not isinstance(value, dict):
        raise ModelFault(f"{path.parent.name}/{path.name} is not a model description.")
    return value
