"""Opens weights of detectors: files into networks of controlnet-aux, folders into models of transformers. Nothing is downloaded.

Start reading at `filled` and `model_in`. controlnet-aux is imported when the first of its networks is wanted: it takes seconds.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from pathlib import Path
from typing import Any, TypeVar

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from modules.faults import ModelFault

Network = TypeVar("Network", bound=nn.Module)
# What training put around the names of the weights.
WRAPPERS = ("module.", "model.module.", "state_dict.", "depth_model.module.")


def aux(module: str, name: str) -> Any:
    """A name of a module of controlnet-aux. Raises ModelFault when it cannot be imported."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            return getattr(importlib.import_module(f"controlnet_aux.{module}"), name)
        except (ImportError, AttributeError) as error:
            raise ModelFault(f"The package controlnet-aux cannot be used ({error}). Install it anew.") from error


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """What a file holds, on the CPU. Raises ModelFault."""
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFault(f"{path.name} cannot be read ({error}). Get it again, or convert it again.") from error


def filled(network: Network, path: Path, device: str, prefix: str = "") -> Network:
    """The network with all of a file's weights, float32, for use.

    prefix: put before the file's names where the network has it; "*": the network's names begin with a part that the file's lack.
    Raises ModelFault when the file is for another network.
    """
    wanted = network.state_dict()
    names = {key.partition(".")[2]: key for key in wanted} if prefix == "*" else {}
    given = {names.get(key) or _name(key, wanted, prefix): value for key, value in tensors(path).items()}
    lost = sorted(set(wanted) - set(given))
    ill = [key for key in wanted if key in given and given[key].shape != wanted[key].shape]
    if [key for key in lost if not key.endswith("num_batches_tracked")] or ill:
        example = (ill or lost)[0]
        raise ModelFault(f"{path.name} holds another network than is expected: {example} does not fit. Get the right file.")
    network.load_state_dict({key: value.float() for key, value in given.items() if key in wanted}, strict=False)
    return network.to(device).train(False).requires_grad_(False)


def model_in(folder: Path, name: str, device: str) -> Any:
    """The model of transformers' class `name` that a folder holds, float32. Raises ModelFault."""
    try:
        model = getattr(transformers, name).from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelFault(f"{folder.name} cannot be opened as {name} ({_line(error)}). Get it again.") from error
    return model.to(device).train(False).requires_grad_(False)


def processor_in(folder: Path, name: str = "AutoImageProcessor") -> Any:
    """What prepares pictures for a folder's model. Raises ModelFault."""
    try:
        return getattr(transformers, name).from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelFault(f"{folder.name} lacks preprocessor_config.json, or it cannot be used ({_line(error)}). Get it again.") from error


def _name(key: str, wanted: dict[str, Any], prefix: str) -> str:
    for wrapper in ("", *WRAPPERS):
        bare = key.removeprefix(wrapper)
        for name in (bare, prefix + bare):
            if name in wanted:
                return name
    return key


def _line(error: BaseException) -> str:
    return next((line.strip()[:200] for line in str(error).splitlines() if line.strip()), type(error).__name__)
