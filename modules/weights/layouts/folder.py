"""A model from a single file as a diffusers folder: one folder a component, its config, its weights, tokenizers and scheduler.

Start reading at `to_folder`. What the file does not carry (tokenizer, scheduler) comes from a folder of the family's configs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.faults import DiskFault, ModelFault
from modules.weights import stream
from modules.weights.layouts.component import Component
from modules.weights.layouts.export import Dtype, Model, open_model
from modules.weights.layouts.files import Tensors
from modules.weights.layouts.kinds import KINDS
from modules.weights.layouts.module import empty
from modules.weights.layouts.table import LAYOUTS

if TYPE_CHECKING:
    from torch import Tensor

_WEIGHTS = {"diffusers": "diffusion_pytorch_model.safetensors", "transformers": "model.safetensors"}
_INDEX = "model_index.json"


def to_folder(
    source: Path,
    layout: str,
    target: Path,
    config_folder: Path,
    dtype: Dtype = None,
    *,
    parts: Mapping[str, Path] | None = None,
    each: Callable[[int, int], None] | None = None,
) -> None:
    """Write a diffusers folder from a single file (or another folder). target must not exist; it is taken away again on failure.

    config_folder: the family's configs, scheduler and tokenizers in the diffusers layout; it also names the pipeline.
    dtype, parts, each: as in `export.write`, each counts the tensors of one component after another. Raises ModelFault, DiskFault.
    """
    model = open_model(source, layout, parts)
    try:
        target.mkdir(parents=True)
    except OSError as error:
        raise DiskFault(f"{target.name} cannot be made: {error.strerror}. Choose another name.") from error
    whole = False
    try:
        for name, component in model.components.items():
            _component(component, target / name, dtype if isinstance(dtype, str) or dtype is None else dtype.get(name), each)
        _rest(model, config_folder, target)
        whole = True
    except OSError as error:
        raise DiskFault(f"{target.name} cannot be written: {error.strerror}. Free some space and try again.") from error
    finally:
        if not whole:
            shutil.rmtree(target, ignore_errors=True)


def _component(component: Component, folder: Path, dtype: str | None, each: Callable[[int, int], None] | None) -> None:
    module = empty(component)
    library = KINDS[component.part.kind].library
    if library == "diffusers":
        module.save_config(folder)
    else:
        module.config.architectures = [component.part.model]
        module.config.save_pretrained(folder)
    with Tensors() as files:
        pieces = [
            stream.Piece(component.own(name), stream.in_dtype(info.dtype, dtype), info.shape, _reader(component, files, name))
            for name, info in component.tensors.items()
        ]
        stream.write(folder / _WEIGHTS[library], pieces, {}, each)


def _reader(component: Component, files: Tensors, name: str) -> Callable[[], Tensor]:
    return lambda: component.read(files, name)


def _rest(model: Model, config_folder: Path, target: Path) -> None:
    """Scheduler, tokenizers and model_index.json."""
    index: dict[str, Any] = json.loads((config_folder / _INDEX).read_text(encoding="utf-8"))
    parts = LAYOUTS[model.layout].parts
    for name, part in parts.items():
        there = name in model.components
        index[name] = [KINDS[part.kind].library, part.model] if there else [None, None]
        if not part.tokenizer:
            continue
        if there:
            _tokenizer(model, part.tokenizer, config_folder, target)
        else:
            index[part.tokenizer] = [None, None]
    (target / "scheduler").mkdir()
    config = dict(model.scheduler) or json.loads((config_folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    (target / "scheduler" / "scheduler_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    index["scheduler"] = ["diffusers", config["_class_name"]]
    (target / _INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _tokenizer(model: Model, name: str, config_folder: Path, target: Path) -> None:
    texts = model.tokenizers.get(name)
    if texts:
        (target / name).mkdir()
        for file, text in texts.items():
            (target / name / file).write_text(text, encoding="utf-8")
    elif (config_folder / name).is_dir():
        shutil.copytree(config_folder / name, target / name)
    else:
        raise ModelFault(f"There is no {name.replace('_', ' ')} for {target.name}; without one it could not read prompts.")
