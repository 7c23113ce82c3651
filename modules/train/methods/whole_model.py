"""A trained pipeline as a model that people use: a diffusers folder, and one file as A1111 reads it, checked before it is called done.

The writing and the checking are `modules.weights.layouts`'. Start reading at `write_model`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from modules.families import Family, identify, shipped
from modules.faults import DiskFault, ModelFault
from modules.request.train import TrainConfig
from modules.train.networks.denoising import Denoising
from modules.weights.header import Header
from modules.weights.layouts import LAYOUTS, to_folder, verify, write

DTYPES = {"fp16": "float16", "bf16": "bfloat16", "float32": "float32"}
DIFFUSERS, SINGLE, BOTH = "diffusers", "kohya", "both"


def write_model(denoising: Denoising, path: Path, config: TrainConfig, metadata: Mapping[str, str]) -> list[Path]:
    """Write path.safetensors and the folder `path`, as the config's format says; what is done at the end has both forms.

    Each is opened anew and compared with the weights in memory, tensor by tensor, and must be recognised as the model it was made from,
    before it gets its name. A name that is taken is replaced. Raises ModelFault, DiskFault; nothing is left behind then.
    """
    forms = {SINGLE, DIFFUSERS} if config.save_format == BOTH or path.name == config.session else {config.save_format}
    layout, dtype = _layout(denoising), DTYPES[config.save_precision]
    made: list[Path] = []
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as scratch:
            whole = Path(scratch) / "weights"
            denoising.pipeline.save_pretrained(whole, safe_serialization=True, max_shard_size="1000GB")
            if SINGLE in forms:
                single = Path(scratch) / f"{path.name}.safetensors"
                write(whole, single, layout, dtype, {"modelspec.title": path.name, **metadata})
                verify(single, whole, layout, dtype, detect=lambda header: _same_family(header, denoising.family))
                os.replace(single, target := path.with_name(single.name))
                made.append(target)
            if DIFFUSERS in forms:
                made.append(_folder(denoising, whole, path, layout, dtype, Path(scratch)))
    except OSError as error:
        raise DiskFault(f"{path.name} cannot be written: {error.strerror or error}. Free some space and try again.") from error
    return made


def _folder(denoising: Denoising, whole: Path, path: Path, layout: str, dtype: str, scratch: Path) -> Path:
    config = shipped.write(denoising.family.variant(denoising.variant).config, scratch / "configs")
    made = scratch / "folder"
    to_folder(whole, layout, made, config, dtype)
    for name in ("tokenizer", "tokenizer_2", "tokenizer_3"):  # as they were loaded, not the published ones
        if (whole / name).is_dir():
            shutil.rmtree(made / name, ignore_errors=True)
            shutil.copytree(whole / name, made / name)
    verify(made, whole, layout, dtype)
    if path.exists():
        os.replace(path, scratch / "former")
    os.replace(made, path)
    return path


def _layout(denoising: Denoising) -> str:
    own = f"{denoising.family.layout}-{denoising.variant}"
    return own if own in LAYOUTS else denoising.family.layout


def _same_family(header: Header, family: Family) -> str:
    found, _ = identify(header)
    if found.id != family.id:
        raise ModelFault(f"The trained model would be taken for a {found.title} model. Please report this with the model's name.")
    return found.id
