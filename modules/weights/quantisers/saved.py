"""Quantised components on disk: a component's folder in the diffusers layout with small weights, and from there a module, bit for bit.

config.json names the quantiser (`KEY`), and has the library's own `quantization_config` where the library has a word for it. Knows
component folders; knows nothing about whole models. Start reading at `write` and `load`; `claimed` imports no torch.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modules.faults import ModelFault
from modules.folders import write_atomic
from modules.weights import stream
from modules.weights.layouts.files import Tensors, cast, headers_of, torch_dtype
from modules.weights.layouts.module import empty_module
from modules.weights.layouts.table import LAYOUTS
from modules.weights.quantisers import QUANTISERS
from modules.weights.quantisers.component import MARK, left_out, put
from modules.weights.quantisers.row import Quantiser, Written

KEY = "darkroom_quantisation"
CONFIG, THEIRS = "config.json", "quantization_config"
_FLOATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def claimed(config: Mapping[str, Any]) -> str | None:
    """The quantiser of a component by its config.json, None for full weights. Raises ModelFault for one that this version does not know."""
    if (own := config.get(KEY)) is not None:
        name = QUANTISERS.name_of(str(own))
    elif isinstance(theirs := config.get(THEIRS), dict):
        own = theirs.get("quant_method", "without a name")
        name = next((name for name, row in QUANTISERS if row.claims(theirs)), None)
    else:
        return None
    if name is None:
        known = ", ".join(QUANTISERS.names())
        raise ModelFault(f"Its weights are quantised in a way that this version cannot read ({str(own)[:60]}). It reads {known}.")
    return name


def write(component: Any, name: str, folder: Path, each: Callable[[int, int], None] | None = None) -> None:
    """Write the weights of a component that the quantiser `name` has made small into its folder, in the place of the full ones.

    folder: of the component, with its config.json and one file of weights; each(done, total): after every tensor. Raises DiskFault.
    """
    row, target = QUANTISERS.get(name), headers_of(folder)[0].path
    kept, words = dict[str, Any](component.state_dict()), dict[str, str]()
    plain = set(kept)
    for path, layer in component.named_modules():
        if not hasattr(layer, MARK):
            continue
        own = {key for key in kept if key.startswith(f"{path}.")}
        plain -= own
        tensors, told = row.tensors(layer)
        words |= {f"{path}.{key}": text for key, text in told.items()}
        kept = {key: value for key, value in kept.items() if key not in own} | {f"{path}.{key}": value for key, value in tensors.items()}
    pieces = [stream.Piece(key, _short(value), tuple(value.shape), lambda value=value: value) for key, value in kept.items()]
    stream.write(target, pieces, row.metadata(words, sorted(plain)), each)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    theirs = row.config(left_out(component))
    said = {**config, KEY: name, **({THEIRS: theirs} if theirs else {})}
    write_atomic(folder / CONFIG, (json.dumps(said, indent=2) + "\n").encode())


def load(folder: Path, layout: str, name: str, dtype: str, device: tuple[str, str] = ("cpu", "cpu")) -> Any:
    """A quantised component of a model folder as a module in eval mode, on the CPU. Its layers are bit for bit those that were written,
    or made anew from their numbers when they were written for another number type than dtype.

    folder: of the component; device: (kind, torch's name) of the one it will work on. Raises ModelFault.
    """
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    row = _row_of(config, device[0])
    module = empty_module(LAYOUTS[layout].parts[name], {key: value for key, value in config.items() if key not in (KEY, THEIRS)})
    sources = headers_of(folder)
    with Tensors() as files:
        state = {key: files.read(source, key) for source in sources for key in source.tensors}
    words = {key: text for source in sources for key, text in source.metadata.items()}
    small = _small(module, row, state)
    taken = {key for keys in small.values() for key in keys.values()}
    plain = {key: value for key, value in state.items() if key not in taken}
    stored = _usual(plain, dtype)
    _fill(folder, module, plain, small, dtype)
    for path, keys in small.items():
        told = {key.removeprefix(f"{path}."): text for key, text in words.items() if key.startswith(f"{path}.")}
        tensors = {own: state[key] for own, key in keys.items()}
        put(module, path, _layer(module.get_submodule(path), row, (tensors, told), stored, dtype, device[1]), row)
    module.requires_grad_(False)
    return module.eval()


def _row_of(config: Mapping[str, Any], kind: str) -> Quantiser:
    name = claimed(config)
    if name is None:
        raise ModelFault("Its weights are not quantised.")
    row = QUANTISERS.get(name)
    row.check(name, kind)
    return row


def _small(module: Any, row: Quantiser, state: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Layer -> (name of a tensor within it -> name in the file), of the layers whose weight is not a plain one."""
    from torch import nn

    kinds = tuple(getattr(nn, kind) for kind in row.layers)
    layers = {path for path, layer in module.named_modules() if isinstance(layer, kinds)}
    found: dict[str, dict[str, str]] = {}
    for key in state:
        path = key
        while path and path not in layers:
            path = path.rpartition(".")[0]
        if path:
            found.setdefault(path, {})[key.removeprefix(f"{path}.")] = key
    return {path: keys for path, keys in found.items() if not _is_plain(state, keys)}


def _is_plain(state: Mapping[str, Any], keys: Mapping[str, str]) -> bool:
    return keys.keys() <= {"weight", "bias"} and _short(state[keys["weight"]]) in _FLOATS


def _short(tensor: Any) -> str:
    """ "F16" for torch.float16."""
    return stream.DTYPES[str(tensor.dtype).removeprefix("torch.")]


def _usual(plain: Mapping[str, Any], otherwise: str) -> str:
    """The number type that a component was written for: what most of its full tensors have."""
    counted = Counter(_FLOATS[_short(value)] for value in plain.values() if _short(value) in _FLOATS)
    return counted.most_common(1)[0][0] if counted else otherwise


def _fill(folder: Path, module: Any, plain: Mapping[str, Any], small: Mapping[str, Any], dtype: str) -> None:
    """Put the tensors that are as they were into a module. Raises ModelFault when others are missing."""
    exact = tuple(getattr(module, "_keep_in_fp32_modules", None) or ()) if dtype == "float16" else ()
    wanted = module.state_dict()
    lacking = [key for key in wanted if key not in plain and key.rpartition(".")[0] not in small]
    wrong = [key for key, value in plain.items() if key in wanted and wanted[key].shape != value.shape]
    if bad := lacking or wrong:
        raise ModelFault(f"{folder.parent.name}: its part {folder.name} does not fit its config.json ({bad[0]}). Copy the model again.")
    types = {key: "float32" if any(word in key.split(".") for word in exact) else dtype for key in wanted}
    state = {key: cast(value, types[key]).clone() for key, value in plain.items() if key in wanted}
    module.load_state_dict(state, strict=False, assign=True)
    if hasattr(module, "tie_weights"):
        module.tie_weights()


def _layer(empty: Any, row: Quantiser, written: Written, stored: str, dtype: str, torch_name: str) -> Any:
    """A layer from its tensors. stored: number type it was written for; empty: of torch's own class, without numbers."""
    import torch

    plain = copy.deepcopy(empty)
    made = row.restore(empty.to(dtype=torch_dtype(stored)), written)
    if stored == dtype:
        return made
    plain.weight = torch.nn.Parameter(row.full(made).to(torch_dtype(dtype)), requires_grad=False)
    if made.bias is not None:
        plain.bias = torch.nn.Parameter(made.bias.detach().to(torch_dtype(dtype)), requires_grad=False)
    return row.make(plain, torch_name)
