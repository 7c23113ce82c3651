"""Writing a LoRA file: under kohya's names, which every program reads, or under diffusers' own. torch lives here.

Names are built from the layer, whichever class holds it in memory, so text encoders always have "text_model_" in theirs.
Knows factors and names; where the factors come from is `extract` or a trainer. Start reading at `write`.
Source of the names without factors: LyCORIS; of dora_scale: LyCORIS with one length for each output.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save

from modules.faults import RequestFault
from modules.folders import write_atomic
from modules.weights.lora.maths import Factors
from modules.weights.lora.names import Names, Native


@dataclass(frozen=True, kw_only=True)
class Sized(Factors):
    """A change with learnt lengths (DoRA). magnitude: (out,), of each output's weight once it is changed."""

    magnitude: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Products:
    """A change without small factors (LoHa, LoKr): its tensors under LyCORIS' names, scale included; rank: what alpha is written as."""

    parts: Mapping[str, torch.Tensor]
    rank: int


Layers = Mapping[tuple[str, str], Factors | Products]  # (component, path) -> change, scale included
DIALECTS = ("kohya", "diffusers")
# Architecture -> (ss_base_model_version, modelspec.architecture)
_BASES = {
    "sd1": ("sd_v1", "stable-diffusion-v1/lora"),
    "sd2": ("sd_v2", "stable-diffusion-v2-512/lora"),
    "sdxl": ("sdxl_base_v1-0", "stable-diffusion-xl-v1-base/lora"),
    "sd3": ("sd3", "stable-diffusion-3-5-large/lora"),
    "flux": ("flux1", "flux-1-dev/lora"),
}
_FLUX_CODE = "https://github.com/black-forest-labs/flux"
_SAI_CODE = "https://github.com/Stability-AI/generative-models"
_LEGACY = slice(0x100000, 0x110000)
_EXACT = (
    ".dora_scale",
    ".lora_magnitude_vector",
)  # lengths of whole weights: rounded, they would change the model more than the network does
_AS_DIFFUSERS = ("sd1", "sd2")  # architectures whose UNet kohya's scripts name as diffusers does
_JOINING = ("sd3", "flux")  # those where query, key and value are one layer in kohya's names


def write(
    target: Path,
    layers: Layers,
    names: Names,
    *,
    dialect: str = "kohya",
    dtype: torch.dtype = torch.float16,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the factors, whole or not at all. Alpha is the rank: the scale is in the numbers.

    dialect: "kohya" (query, key and value of SD3 and Flux joined as their makers have them) or "diffusers" (PEFT's names).
    metadata: more text -> text, over what is written anyway. Raises DiskFault; RequestFault for a change that a dialect has no form for.
    """
    make = {"kohya": _kohya, "diffusers": _diffusers}[dialect]
    tensors = {name: tensor.to(torch.float32 if name.endswith(_EXACT) else dtype).contiguous() for name, tensor in make(layers, names)}
    ranks = {tensor.shape[0] for name, tensor in tensors.items() if name.endswith((".lora_down.weight", ".lora_A.weight"))}
    ranks |= {change.rank for change in layers.values() if isinstance(change, Products)}
    said = {**_facts(names.architecture, ranks), "modelspec.title": target.stem, "ss_output_name": target.stem, **(metadata or {})}
    write_atomic(target, save(tensors, {**said, **hashes(tensors, said)}))


def hashes(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """A1111's two digests of a LoRA: over the tensors' bytes, whatever the metadata says later, and the old one over 64 KiB."""
    data = save(dict(tensors), {key: value for key, value in metadata.items() if key.startswith("ss_")})
    begin = 8 + int.from_bytes(data[:8], "little")
    return {
        "sshs_model_hash": hashlib.sha256(memoryview(data)[begin:]).hexdigest(),
        "sshs_legacy_hash": hashlib.sha256(data[_LEGACY]).hexdigest()[:8],
    }


def _facts(architecture: str, ranks: set[int]) -> dict[str, str]:
    base, spec = _BASES.get(architecture, _BASES["sd1"])
    dim = str(ranks.pop()) if len(ranks) == 1 else "Dynamic"
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": dim,
        "ss_network_alpha": dim,
        "ss_base_model_version": base,
        "ss_v2": str(architecture == "sd2"),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": spec,
        "modelspec.implementation": _FLUX_CODE if architecture == "flux" else _SAI_CODE,
    }


def _diffusers(layers: Layers, names: Names) -> Iterator[tuple[str, torch.Tensor]]:
    for (component, path), change in layers.items():
        if isinstance(change, Products):
            raise RequestFault("save_format", "diffusers has no file form for LoHa and LoKr; choose kohya", got="diffusers")
        name = f"{component}.{_logical(component, path)}"
        yield f"{name}.lora_A.weight", change.down
        yield f"{name}.lora_B.weight", change.up
        if isinstance(change, Sized):
            kernel = len(names.layers[component][path]) == 4
            yield f"{name}.lora_magnitude_vector", change.magnitude.reshape(1, -1, 1, 1) if kernel else change.magnitude


def _kohya(layers: Layers, names: Names) -> Iterator[tuple[str, torch.Tensor]]:
    for component in dict.fromkeys(component for component, _ in layers):
        own = {path: change for (c, path), change in layers.items() if c == component}
        for prefix, native in _spelled(component, own, names):
            name = f"{prefix}_{native.name.replace('.', '_')}"
            first = own[next(path for path in native.paths if path in own)]
            if isinstance(first, Products):
                yield from ((f"{name}.{part}", tensor) for part, tensor in first.parts.items())
                yield f"{name}.alpha", torch.tensor(float(first.rank))
                continue
            factors = _joined(native, {p: f for p in native.paths if isinstance(f := own.get(p), Factors)}, names.layers[component])
            yield f"{name}.lora_down.weight", factors.down
            yield f"{name}.lora_up.weight", factors.up
            yield f"{name}.alpha", torch.tensor(float(factors.down.shape[0]))
            if isinstance(first, Sized):
                lengths = torch.cat([f.magnitude for p in native.paths if isinstance(f := own[p], Sized)])
                lengths = torch.cat(lengths.chunk(2)[::-1]) if native.swap else lengths
                yield f"{name}.dora_scale", lengths.reshape(-1, *[1] * (factors.down.ndim - 1))


def _spelled(component: str, own: Mapping[str, Factors | Products], names: Names) -> Iterator[tuple[str, Native]]:
    """(prefix, layer) as kohya's scripts name them: diffusers' UNet for SD1 and 2, the makers' own UNet or transformer for all others.

    A change that cannot be joined with its neighbours has diffusers' path behind the prefix that LyCORIS has for it.
    """
    prefix = names.kohya[component]
    text = component.startswith("text_encoder")
    alone = "lycoris" if names.architecture in _JOINING and not text else prefix
    done: set[str] = set()
    if not text and names.architecture not in _AS_DIFFUSERS:
        for native in names.natives[component]:
            if done.isdisjoint(native.paths) and _fits(native, own, alone == prefix):
                done.update(native.paths)
                yield prefix, native
    for path in own:
        if path not in done:
            yield alone, Native(_logical(component, path), (path,))


def _fits(native: Native, own: Mapping[str, Factors | Products], single: bool) -> bool:
    """Can what was learnt for the parts of a layer be written as one? single: the architecture joins no layers."""
    there = [own[path] for path in native.paths if path in own]
    if not there:
        return False
    if isinstance(there[0], Products):
        return single
    return not isinstance(there[0], Sized) or len(there) == len(native.paths)


def _joined(native: Native, own: Mapping[str, Factors], shapes: Mapping[str, tuple[int, ...]]) -> Factors:
    """The factors of several layers as one: exact. Equal downs are kept once, else ranks stand side by side."""
    if len(native.paths) == 1:
        factors = own[native.paths[0]]
        return Factors(down=factors.down, up=torch.cat(factors.up.chunk(2)[::-1])) if native.swap else factors
    downs = [f.down for f in own.values()]
    shared = len(own) == len(native.paths) and all(d.shape == downs[0].shape and torch.equal(d, downs[0]) for d in downs[1:])
    if shared:
        return Factors(down=downs[0], up=torch.cat([own[path].up for path in native.paths]))
    up = torch.zeros(sum(shapes[path][0] for path in native.paths), sum(len(d) for d in downs), dtype=downs[0].dtype)
    row = column = 0
    for path in native.paths:
        if path in own:
            block = own[path].up
            up[row : row + len(block), column : column + block.shape[1]] = block
            column += block.shape[1]
        row += shapes[path][0]
    return Factors(down=torch.cat(downs), up=up)


def _logical(component: str, path: str) -> str:
    """CLIP layers always with "text_model." in front; T5 has none."""
    is_clip = component.startswith("text_encoder") and path.startswith(("encoder.layers.", "embeddings.", "final_layer_norm"))
    return f"text_model.{path}" if is_clip else path
